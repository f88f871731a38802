//! An engine that forgets: for `--store memory`, for tests and for the simulation. It works in
//! the caller's thread, so that a seeded run has one order of events.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Engine, EngineError, Rewritten, Rows, Writes, bounds};

#[derive(Default)]
pub(crate) struct Memory {
    rows: RwLock<BTreeMap<Vec<u8>, Bytes>>,
}

impl Memory {
    pub fn write(&self, writes: &Writes) {
        let mut rows = self.rows.write();
        for (key, value) in writes {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
    }

    pub fn len(&self) -> usize {
        self.rows.read().len()
    }

    pub fn copy(&self) -> Memory {
        let rows = self.rows.read().clone();
        Memory {
            rows: RwLock::new(rows),
        }
    }
}

impl Engine for Memory {
    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        self.write(writes);
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.rows.read().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError> {
        let Some((start, end)) = bounds(prefix, from) else {
            return Ok(Rows::new());
        };
        let rows = self.rows.read();
        let end = end.as_ref().map(Vec::as_slice);
        let found = rows.range::<[u8], _>((start, end)).take(limit);
        Ok(found
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn rewrite(&self) -> Result<Rewritten, EngineError> {
        Ok(Rewritten {
            rows: self.rows.read().len() as u64,
            ..Rewritten::default()
        })
    }

    fn rewrite_if_bloated(&self, _from_bytes: u64) {}

    fn blocks(&self) -> bool {
        false
    }

    fn close(&self) {}
}
