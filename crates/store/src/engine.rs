//! What an engine must do. There are three, and all pass `conformance`: `memory`, and `on_disk`
//! over `sled` or `fjall`.

pub(crate) mod memory;
pub(crate) mod on_disk;
pub(crate) mod sled;
pub(crate) mod fjall;
pub(crate) mod files;
mod seal;
mod swap;

use std::{collections::BTreeMap, fmt, ops::Bound, time::Duration};

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
    /// After `apply` or `sync` found the disk full: from now on only what is durable is read. Of
    /// what was refused that is all or nothing. If it fails nothing is read or written until a
    /// later call succeeds. Does nothing if there is nothing to do.
    fn take_back(&self) -> Result<(), EngineError> {
        Ok(())
    }
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;
    /// Up to `limit` rows from `from` on whose keys start with `prefix`.
    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError>;
    /// Writes all rows to fresh files and takes those from then on; durable when it returns. As
    /// `apply`, never called by two at a time; reads go on but for moments.
    fn rewrite(&self) -> Result<Rewritten, EngineError>;
    /// Rewrites if its files take much more than its rows need, and at least so much.
    fn rewrite_if_bloated(&self, from_bytes: u64);
    /// Blocks of its files that were not as they had been closed, when it was opened.
    fn damaged_blocks(&self) -> u64 {
        0
    }
    /// Whether its work must stay off the runtime's threads.
    fn blocks(&self) -> bool;
    /// For an engine that does not block: how much later than `sync` returned, in driven time,
    /// its last sync ends. `None` where it has ended then.
    fn sync_lag(&self) -> Option<Duration> {
        None
    }
    /// Frees files and locks. What comes after is refused.
    fn close(&self);
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EngineError {
    /// No space. Passes when there is some; after a write, `take_back` is due.
    Full,
    /// The disk did not take what it was given: what was applied can be read, but it is not
    /// known what a power cut would leave of it. A rewrite may help.
    Unsynced(String),
    /// Somebody deleted the files.
    Deleted,
    /// Anything else. After a write: it is not known what is on the disk.
    Failed(String),
    Closed,
}

/// What a rewrite of all live rows did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewritten {
    /// Rows that are live.
    pub rows: u64,
    /// What the files took on the disk before.
    pub bytes_before: u64,
    /// What they take now.
    pub bytes_after: u64,
}

impl fmt::Display for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rewritten {
            rows,
            bytes_before,
            bytes_after,
        } = self;
        write!(
            f,
            "{rows} rows rewritten; {bytes_before} bytes became {bytes_after}"
        )
    }
}

impl EngineError {
    pub fn of_read(self) -> StoreError {
        match self {
            EngineError::Failed(why) | EngineError::Unsynced(why) => StoreError::Unreadable(why),
            EngineError::Full => StoreError::Full,
            EngineError::Deleted => StoreError::Deleted,
            EngineError::Closed => StoreError::Closed,
        }
    }

    pub fn of_commit(self) -> StoreError {
        match self {
            EngineError::Failed(why) | EngineError::Unsynced(why) => StoreError::Poisoned(why),
            EngineError::Full => StoreError::Full,
            EngineError::Deleted => StoreError::Deleted,
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
