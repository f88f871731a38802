//! What an engine must do. There are two, and both pass `conformance`.

pub(crate) mod memory;
pub(crate) mod sled;
pub(crate) mod files;

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;

use crate::{StoreError, key::prefix_end};

/// Rows to write, or to delete.
pub(crate) type Writes = BTreeMap<Vec<u8>, Option<Bytes>>;

/// Rows in the order of their keys.
pub(crate) type Rows = Vec<(Vec<u8>, Bytes)>;

/// An ordered map of rows. `apply` and `sync` are called by one committer at a time; the reads
/// from anywhere, but never while `apply` runs.
pub(crate) trait Engine: Send + Sync {
    /// Applies all rows or none, also across a crash. Not durable yet.
    fn apply(&self, writes: &Writes) -> Result<(), EngineError>;
    /// Makes what was applied survive a power cut.
    fn sync(&self) -> Result<(), EngineError>;
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;
    /// Up to `limit` rows from `from` on whose keys start with `prefix`.
    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError>;
    /// Whether its work must stay off the runtime's threads.
    fn blocks(&self) -> bool;
    /// Frees files and locks. What comes after is refused.
    fn close(&self);
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EngineError {
    /// No space. Passes when there is some.
    Full,
    /// Anything else. After a write: it is not known what is on the disk.
    Failed(String),
    Closed,
}

impl EngineError {
    pub fn of_read(self) -> StoreError {
        match self {
            EngineError::Full => StoreError::Full,
            EngineError::Failed(why) => StoreError::Unreadable(why),
            EngineError::Closed => StoreError::Closed,
        }
    }

    pub fn of_commit(self) -> StoreError {
        match self {
            EngineError::Full => StoreError::Full,
            EngineError::Failed(why) => StoreError::Poisoned(why),
            EngineError::Closed => StoreError::Closed,
        }
    }
}

pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<Vec<u8>>);

/// Where a scan runs: never out of its prefix. `None`: there can be nothing.
pub(crate) fn bounds<'a>(prefix: &'a [u8], from: Bound<&'a [u8]>) -> Option<Bounds<'a>> {
    let end = prefix_end(prefix);
    let start = match from {
        Bound::Included(key) | Bound::Excluded(key) if key >= prefix => from,
        Bound::Included(_) | Bound::Excluded(_) | Bound::Unbounded => Bound::Included(prefix),
    };
    let at = match start {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    };
    if end.as_deref().is_some_and(|end| at >= end) {
        return None;
    }
    Some((start, end.map_or(Bound::Unbounded, Bound::Excluded)))
}
