//! A store whose disk can be told to fail, for tests of what uses it.

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use ostler_env::Env;

use crate::{
    Config, Store,
    engine::{Engine, EngineError, Rows, Writes, memory::Memory},
};

/// What is wrong with the disk now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Writes find no space; nothing of them is stored.
    Full,
    /// Syncs fail, so it is not known what is stored.
    SyncFails,
    /// Reads fail.
    ReadFails,
}

/// The switch of a store made by [`memory`].
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Fault>>);

impl Faults {
    /// From now on the disk is like that.
    pub fn set(&self, fault: Fault) {
        *self.0.lock() = fault;
    }

    fn check(&self, fault: Fault, error: EngineError) -> Result<(), EngineError> {
        match *self.0.lock() == fault {
            true => Err(error),
            false => Ok(()),
        }
    }
}

/// A store in memory, and the switch that makes its disk fail.
pub fn memory(env: &Env) -> (Store, Faults) {
    let faults = Faults::default();
    let engine = Faulty {
        rows: Memory::default(),
        faults: faults.clone(),
    };
    let queue_bytes_max = Config::memory().queue_bytes_max;
    let store = Store::over(Box::new(engine), queue_bytes_max, env);
    (store, faults)
}

struct Faulty {
    rows: Memory,
    faults: Faults,
}

impl Engine for Faulty {
    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        self.faults.check(Fault::Full, EngineError::Full)?;
        self.rows.apply(writes)
    }

    fn sync(&self) -> Result<(), EngineError> {
        let failed = EngineError::Failed("the sync failed".into());
        self.faults.check(Fault::SyncFails, failed)
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

    fn blocks(&self) -> bool {
        self.rows.blocks()
    }

    fn close(&self) {}
}
