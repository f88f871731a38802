//! A store whose disk can be told to fail, and rows that nobody meant to write, for tests of what
//! uses a store.

use std::{ops::Bound, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use ostler_env::Env;

use crate::{
    Config, OpenError, Store,
    engine::{Engine, EngineError, Rewritten, Rows, Writes},
    store::open_engine,
};

/// What is wrong with the disk now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Writes find no space before they begin; nothing of them is read or stored.
    Full,
    /// Writes can be read, and then their sync finds no space. Nothing of them is stored, though
    /// a real disk may have taken them whole.
    FullAtSync,
    /// Syncs fail, also those of fresh files, so it is not known what is stored.
    SyncFails,
    /// One sync fails. Those of fresh files succeed.
    SyncFailsOnce,
    /// Reads fail.
    ReadFails,
    /// Each sync takes so long, or until the disk is otherwise.
    Slow(Duration),
}

/// The switch of a store made by [`memory`] or [`over`].
#[derive(Clone, Default)]
pub struct Faults(Arc<Switch>);

#[derive(Default)]
struct Switch {
    fault: Mutex<Fault>,
    changed: Condvar,
}

impl Faults {
    /// From now on the disk is like that.
    pub fn set(&self, fault: Fault) {
        *self.0.fault.lock() = fault;
        self.0.changed.notify_all();
    }

    fn check(&self, fault: Fault, error: EngineError) -> Result<(), EngineError> {
        let mut now = self.0.fault.lock();
        if *now != fault {
            return Ok(());
        }
        if fault == Fault::SyncFailsOnce {
            *now = Fault::None;
        }
        Err(error)
    }

    fn is_slow(&self) -> bool {
        matches!(*self.0.fault.lock(), Fault::Slow(_))
    }

    fn wait_if_slow(&self) {
        let mut now = self.0.fault.lock();
        if let Fault::Slow(span) = *now {
            self.0.changed.wait_for(&mut now, span);
        }
    }
}

/// A store in memory, and the switch that makes its disk fail.
pub fn memory(env: &Env) -> (Store, Faults) {
    over(&Config::memory(), env).expect("memory always opens")
}

/// A store of any kind, and the switch that makes its disk seem to fail.
pub fn over(config: &Config, env: &Env) -> Result<(Store, Faults), OpenError> {
    let faults = Faults::default();
    let engine = Faulty {
        rows: open_engine(config, env)?,
        faults: faults.clone(),
        before: Mutex::default(),
    };
    let store = Store::over(Box::new(engine), config.queue_bytes_max, env);
    Ok((store, faults))
}

/// All rows of a store as they are stored, in the order of their keys.
pub fn rows(store: &Store) -> Vec<(Vec<u8>, Bytes)> {
    let rows = store.core().engine.scan(&[], Bound::Unbounded, usize::MAX);
    rows.expect("it reads")
}

/// Writes a row past envelope and committer, or deletes it, as a failing disk does.
pub fn scribble(store: &Store, row: &[u8], value: Option<Bytes>) {
    let engine = &store.core().engine;
    let written = engine.apply(&[(row.to_vec(), value)].into());
    written.and_then(|()| engine.sync()).expect("it writes");
}

struct Faulty {
    rows: Box<dyn Engine>,
    faults: Faults,
    /// The rows before a write whose sync will find no space.
    before: Mutex<Writes>,
}

impl Faulty {
    fn note_before(&self, writes: &Writes) -> Result<(), EngineError> {
        if *self.faults.0.fault.lock() != Fault::FullAtSync {
            return Ok(());
        }
        let mut before = Writes::new();
        for key in writes.keys() {
            before.insert(key.clone(), self.rows.get(key)?);
        }
        *self.before.lock() = before;
        Ok(())
    }
}

impl Engine for Faulty {
    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        self.faults.check(Fault::Full, EngineError::Full)?;
        self.note_before(writes)?;
        self.rows.apply(writes)
    }

    fn sync(&self) -> Result<(), EngineError> {
        let failed = || EngineError::Unsynced("the sync failed".into());
        self.faults.wait_if_slow();
        self.faults.check(Fault::SyncFails, failed())?;
        self.faults.check(Fault::SyncFailsOnce, failed())?;
        self.faults.check(Fault::FullAtSync, EngineError::Full)?;
        self.before.lock().clear();
        self.rows.sync()
    }

    fn take_back(&self) -> Result<(), EngineError> {
        let before = std::mem::take(&mut *self.before.lock());
        if !before.is_empty() {
            self.rows.apply(&before)?;
        }
        self.rows.take_back()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let failed = EngineError::Failed("the read failed".into());
        self.faults.check(Fault::ReadFails, failed)?;
        self.rows.get(key)
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError> {
        let failed = EngineError::Failed("the read failed".into());
        self.faults.check(Fault::ReadFails, failed)?;
        self.rows.scan(prefix, from, limit)
    }

    fn rewrite(&self) -> Result<Rewritten, EngineError> {
        let failed = EngineError::Unsynced("the sync failed".into());
        self.faults.check(Fault::SyncFails, failed)?;
        self.faults.check(Fault::Full, EngineError::Full)?;
        self.rows.rewrite()
    }

    fn rewrite_if_bloated(&self, from_bytes: u64) {
        self.rows.rewrite_if_bloated(from_bytes);
    }

    fn damaged_blocks(&self) -> u64 {
        self.rows.damaged_blocks()
    }

    fn blocks(&self) -> bool {
        self.rows.blocks() || self.faults.is_slow()
    }

    fn close(&self) {
        self.rows.close();
    }
}
