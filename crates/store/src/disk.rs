//! A disk in memory that outlives the processes that write to it, for simulations of crashes.
//!
//! A commit is applied at once, readable, and durable when its sync has ended, which takes driven
//! time. A crash keeps what is durable; of what was applied behind it, in its order, as much as
//! whoever cuts the power says.

use std::{collections::VecDeque, ops::Bound, sync::Arc, time::Duration};

use bytes::Bytes;
use ostler_env::Env;
use ostler_types::Instant;
use parking_lot::Mutex;

use crate::{
    Config, Store,
    engine::{Engine, EngineError, Rewritten, Rows, Writes, memory::Memory},
    faults::Fault,
};

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Platter>>);

struct Platter {
    /// Tells the time when the syncs of all processes end.
    env: Env,
    /// What is durable.
    durable: Memory,
    /// What the present process reads: all that was applied.
    applied: Arc<Memory>,
    /// Applied and not durable yet, with the end of its sync if that has begun.
    unsynced: VecDeque<(Writes, Option<Instant>)>,
    /// Stores opened so far; only the last one may use the disk.
    opened: u64,
    fault: Fault,
    /// The last sync found no space.
    refused: bool,
    sync_span: Duration,
}

impl Disk {
    /// A new disk whose syncs take no time.
    pub fn new(env: &Env) -> Disk {
        Disk(Arc::new(Mutex::new(Platter {
            env: env.clone(),
            durable: Memory::default(),
            applied: Arc::default(),
            unsynced: VecDeque::new(),
            opened: 0,
            fault: Fault::None,
            refused: false,
            sync_span: Duration::ZERO,
        })))
    }

    /// The store on it, for a process that starts. Those of earlier ones find it closed.
    pub fn open(&self, env: &Env) -> Store {
        let opened = {
            let mut platter = self.0.lock();
            platter.opened += 1;
            platter.opened
        };
        let head = Head {
            disk: self.clone(),
            opened,
        };
        Store::over(Box::new(head), Config::memory().queue_bytes_max, env)
    }

    /// From now on the disk is like that.
    pub fn set(&self, fault: Fault) {
        self.0.lock().fault = fault;
    }

    /// From now on syncs take that long.
    pub fn set_sync_span(&self, span: Duration) {
        self.0.lock().sync_span = span;
    }

    /// Rows on it, of every kind: for looking whether all that expires is gone.
    pub fn rows(&self) -> usize {
        self.0.lock().applied.len()
    }

    /// The process that used it is gone. Of the commits that are not durable, the first ones
    /// survive: `survivors` says how many of how many.
    pub fn crash(&self, survivors: impl FnOnce(usize) -> usize) {
        let mut platter = self.0.lock();
        platter.settle();
        platter.opened += 1;
        let count = survivors(platter.unsynced.len());
        platter.make_durable(count);
        platter.unsynced.clear();
        platter.applied = Arc::new(platter.durable.copy());
    }
}

impl Platter {
    /// What has been synced meanwhile.
    fn settle(&mut self) {
        let now = self.env.now();
        let is_over = |(_, end): &&(Writes, Option<Instant>)| end.is_some_and(|end| end <= now);
        let count = self.unsynced.iter().take_while(is_over).count();
        self.make_durable(count);
    }

    fn check_sync(&mut self) -> Result<(), EngineError> {
        match self.fault {
            Fault::SyncFailsOnce => self.fault = Fault::None,
            Fault::SyncFails => {}
            Fault::FullAtSync => {
                self.refused = true;
                return Err(EngineError::Full);
            }
            Fault::None | Fault::Full | Fault::ReadFails | Fault::Slow(_) => return Ok(()),
        }
        Err(EngineError::Unsynced("the sync failed".into()))
    }

    /// What a full disk refused is gone.
    fn take_back(&mut self) {
        if !std::mem::take(&mut self.refused) {
            return;
        }
        self.unsynced.retain(|(_, end)| end.is_some());
        let applied = self.durable.copy();
        for (writes, _) in &self.unsynced {
            applied.write(writes);
        }
        self.applied = Arc::new(applied);
    }

    fn make_durable(&mut self, count: usize) {
        for (writes, _) in self.unsynced.drain(..count) {
            self.durable.write(&writes);
        }
    }
}

/// What one process has of the disk.
struct Head {
    disk: Disk,
    opened: u64,
}

impl Head {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Platter) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let mut platter = self.disk.0.lock();
        match platter.opened == self.opened {
            true => work(&mut platter),
            false => Err(EngineError::Closed),
        }
    }

    fn rows(&self) -> Result<Arc<Memory>, EngineError> {
        self.with(|platter| match platter.fault {
            Fault::ReadFails => Err(EngineError::Failed("the read failed".into())),
            Fault::None
            | Fault::Full
            | Fault::FullAtSync
            | Fault::SyncFails
            | Fault::SyncFailsOnce
            | Fault::Slow(_) => Ok(platter.applied.clone()),
        })
    }
}

impl Engine for Head {
    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        self.with(|platter| {
            if platter.fault == Fault::Full {
                return Err(EngineError::Full);
            }
            platter.settle();
            platter.applied.write(writes);
            platter.unsynced.push_back((writes.clone(), None));
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.with(|platter| {
            platter.check_sync()?;
            let end = platter.env.now() + platter.sync_span;
            for (_, at) in &mut platter.unsynced {
                at.get_or_insert(end);
            }
            Ok(())
        })
    }

    fn take_back(&self) -> Result<(), EngineError> {
        self.with(|platter| {
            platter.take_back();
            Ok(())
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.rows()?.get(key)
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError> {
        self.rows()?.scan(prefix, from, limit)
    }

    /// At once, though on a real disk it takes its time: nothing else happens meanwhile anyway.
    fn rewrite(&self) -> Result<Rewritten, EngineError> {
        self.with(|platter| {
            platter.check_sync()?;
            if platter.fault == Fault::Full {
                return Err(EngineError::Full);
            }
            platter.make_durable(platter.unsynced.len());
            Ok(Rewritten {
                rows: platter.durable.len() as u64,
                ..Rewritten::default()
            })
        })
    }

    fn rewrite_if_bloated(&self, _from_bytes: u64) {}

    fn blocks(&self) -> bool {
        false
    }

    fn sync_lag(&self) -> Option<Duration> {
        Some(self.disk.0.lock().sync_span)
    }

    fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use ostler_types::{Shard, TenantId};

    use super::*;
    use crate::{Batch, Key, Owner, Record, Table};

    const SPAN: Duration = Duration::from_millis(10);

    fn tenant() -> TenantId {
        TenantId::parse("acme").unwrap()
    }

    fn key(number: u8) -> Key {
        Key::new(Table::Sessions, Shard(0), &tenant()).bytes(&[number])
    }

    fn put(number: u8) -> Batch {
        let record = Record {
            kind: 1,
            version: 1,
            epoch: 1,
            owner: Owner {
                tenant: tenant(),
                principal: [0; 32],
            },
            payload: Bytes::from_static(b"x"),
        };
        let mut batch = Batch::new();
        batch.put(key(number), record, None);
        batch
    }

    async fn has(store: &Store, number: u8) -> bool {
        store.get(&key(number)).await.unwrap().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_returns_when_it_is_durable_and_not_before() {
        let env = Env::seeded(1);
        let disk = Disk::new(&env);
        disk.set_sync_span(SPAN);
        let store = disk.open(&env.process(2, Duration::ZERO));
        let began = env.now();
        store.commit(put(1)).await.unwrap();
        assert_eq!(env.now().since(began), SPAN);
        let second = store.submit(put(2));
        tokio::task::yield_now().await;
        assert!(has(&store, 2).await, "applied, and seen");
        disk.crash(|unsynced| {
            assert_eq!(unsynced, 1);
            0
        });
        assert!(store.get(&key(1)).await.is_err(), "its process is gone");
        drop(second);
        let store = disk.open(&env.process(3, Duration::ZERO));
        assert_eq!((has(&store, 1).await, has(&store, 2).await), (true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_durable_may_survive() {
        let env = Env::seeded(1);
        let disk = Disk::new(&env);
        disk.set(Fault::SyncFails);
        let store = disk.open(&env.process(2, Duration::ZERO));
        assert!(store.commit(put(1)).await.is_err());
        disk.set(Fault::None);
        disk.crash(|unsynced| unsynced);
        let store = disk.open(&env.process(3, Duration::ZERO));
        assert!(has(&store, 1).await);
    }
}
