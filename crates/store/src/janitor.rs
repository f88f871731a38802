//! Deletes what has passed its deadline, a little at a time.

use std::time::Duration;

use bytes::Bytes;

use ostler_types::{Shard, TenantId};

use crate::{Batch, Health, Key, Record, Store, StoreError, Table};

/// How often the index is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// Records deleted in one commit, so that expiry delays no other commit for long.
const BATCH_LEN: usize = 256;

/// Deletes expired records while it runs, and finds out when a full disk has space
/// again. The node spawns [`Janitor::run`] and aborts it.
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
            self.look_for_space().await;
            match swept {
                Ok(BATCH_LEN..) => {}
                // Full, poisoned, busy: the store says so itself; a later sweep goes on.
                Ok(_) | Err(_) if self.store.health() != Health::Closed => {
                    self.store.env().sleep(PAUSE).await;
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Nobody sends work to a node whose disk is full, so no commit would find that there is space
    /// again. This one writes a record, which the next sweep deletes.
    async fn look_for_space(&self) {
        if self.store.health() == Health::Full {
            let tenant = TenantId::parse("space").expect("a good label");
            let key = Key::new(Table::Meta, Shard(0), &tenant);
            let mut batch = Batch::new();
            let record = Record::of_the_store(tenant, Bytes::new());
            batch.put(key, record, Some(self.store.env().wall()));
            // Its failure says that the disk is still full; the store has noted it.
            drop(self.store.commit(batch).await);
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
