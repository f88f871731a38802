//! Randomness: the system's, or seeded.

use parking_lot::Mutex;
use rand::{RngCore, SeedableRng, rngs::StdRng};

pub(crate) enum Random {
    System,
    // StdRng is a cipher, so that ids of a seeded world look like real ones.
    Seeded(Box<Mutex<StdRng>>),
}

impl Random {
    pub(crate) fn system() -> Random {
        Random::System
    }

    pub(crate) fn seeded(seed: u64) -> Random {
        Random::Seeded(Box::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub(crate) fn fill(&self, buf: &mut [u8]) {
        match self {
            Random::System => system_rng().fill_bytes(buf),
            Random::Seeded(rng) => rng.lock().fill_bytes(buf),
        }
    }

    pub(crate) fn next_u64(&self) -> u64 {
        match self {
            Random::System => system_rng().next_u64(),
            Random::Seeded(rng) => rng.lock().next_u64(),
        }
    }
}

/// A cipher per thread, keyed and re-keyed from the operating system.
#[allow(
    clippy::disallowed_methods,
    reason = "this is where ambient randomness enters"
)]
fn system_rng() -> impl RngCore {
    rand::rng()
}
