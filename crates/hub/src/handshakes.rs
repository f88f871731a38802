//! How many workers of each credential are in their handshake: each may have sent a whole catalog
//! before it is known who it is.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

/// Counts by credential. An entry lives as long as its count is not zero.
#[derive(Default)]
pub(crate) struct Handshakes(Mutex<HashMap<Arc<str>, usize>>);

/// One of them; dropping it ends it.
pub(crate) struct Handshake {
    all: Arc<Handshakes>,
    credential: Arc<str>,
}

impl Handshakes {
    /// None if there are as many as may be.
    pub fn begin(self: &Arc<Self>, credential: &Arc<str>, max: usize) -> Option<Handshake> {
        let mut counts = self.0.lock();
        let count = counts.get(credential).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        counts.insert(credential.clone(), count + 1);
        Some(Handshake {
            all: self.clone(),
            credential: credential.clone(),
        })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock();
        match counts.get_mut(&self.credential) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(counts.remove(&self.credential)),
        }
    }
}
