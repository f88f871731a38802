//! Deletes what has passed its deadline, a little at a time.

use std::time::Duration;

use crate::{Store, StoreError};

/// How often the index is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// Records deleted in one commit, so that expiry delays no other commit for long.
const BATCH_LEN: usize = 256;

/// Deletes expired records while it runs. The node spawns [`Janitor::run`] and aborts it.
pub struct Janitor {
    store: Store,
}

impl Janitor {
    /// The janitor of that store.
    pub fn new(store: &Store) -> Janitor {
        Janitor {
            store: store.clone(),
        }
    }

    /// Sweeps until the store is closed.
    // Cancel safe: each sweep is one commit, whole or not at all.
    pub async fn run(self) {
        loop {
            let swept = self.sweep().await;
            match swept {
                Ok(BATCH_LEN..) => {}
                // Full, poisoned, busy: the store says so itself; a later sweep goes on.
                Ok(_) | Err(_) if self.store.health() != crate::Health::Closed => {
                    self.store.env().sleep(PAUSE).await;
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Deletes one batch of expired records; how many index entries it dealt with.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let batch = self.store.expired(BATCH_LEN).await?;
        let len = batch.len();
        if len > 0 {
            self.store.commit(batch).await?;
        }
        Ok(len)
    }
}
