//! Bytes that are held for calls without an owner, counted for a whole worker.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What all slots of one worker process hold for nobody, together.
#[derive(Debug, Default)]
pub(crate) struct UnownedBytes(AtomicUsize);

impl UnownedBytes {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// One slot held `old` bytes and holds `new` ones from now on.
    pub fn change(&self, old: usize, new: usize) {
        if new >= old {
            self.0.fetch_add(new - old, Ordering::AcqRel);
        } else {
            self.0.fetch_sub(old - new, Ordering::AcqRel);
        }
    }
}
