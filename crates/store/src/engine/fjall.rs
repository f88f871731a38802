//! fjall 3, and what it takes to trust it with a commit.
//!
//! - A batch goes to its journal and to memory; `persist` ends in an `fdatasync` of the journal,
//!   and it syncs new journals, tables and their directories by itself.
//! - After any failed write, also one in the background, it refuses all others (`Poisoned`)
//!   until it is opened anew, and goes on reading. A batch that a full disk refused is in memory,
//!   and may be whole in the journal: then it is there for good when it is opened anew.
//! - It makes a writer wait while too much waits to be flushed.
//! - What it does with a journal that a power cut or a bad disk left is mended in `journal`.
//! - It creates its directory in steps that it cannot repeat; `on_disk` makes that atomic.

mod journal;

use std::{io, ops::Bound, path::Path};

use bytes::Bytes;
use fjall::{Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    EngineError, Rows, Writes, bounds,
    on_disk::{Database, Unopened, io_failed, io_unsynced},
};

pub(crate) struct Fjall {
    /// Before the database, so that it is dropped first.
    rows: Keyspace,
    db: fjall::Database,
}

/// Rows that were not flushed are in memory, in at most five tables of this size (the active one
/// and four that wait), and in the journals.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// A journal is sealed at 64 MiB. The active one comes on top of this.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;

/// One to flush, one to compact.
const WORKERS: usize = 2;

/// Tables are up to 64 MiB long; those beyond are opened again when they are read.
const OPEN_FILES_MAX: usize = 128;

impl Database for Fjall {
    const NAME: &'static str = "fjall";
    const MARKER: &'static str = "version";
    /// All tables in memory, and what a compaction writes before it deletes.
    const RESERVE_BYTES: u64 = 6 * MEMTABLE_BYTES;
    const SHRINKS: bool = true;

    fn open(path: &Path, cache_bytes: u64) -> Result<Fjall, Unopened> {
        journal::mend(path)?;
        let db = fjall::Database::builder(path)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .max_cached_files(Some(OPEN_FILES_MAX))
            .worker_threads(WORKERS)
            .manual_journal_persist(true)
            .open()
            .map_err(unopened)?;
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .manual_journal_persist(true)
        };
        let rows = db.keyspace("rows", options).map_err(unopened)?;
        Ok(Fjall { rows, db })
    }

    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        let mut batch = self.db.batch().durability(None);
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(&self.rows, key.as_slice(), value.as_ref()),
                None => batch.remove(&self.rows, key.as_slice()),
            }
        }
        batch.commit().map_err(unsynced)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.db.persist(PersistMode::SyncData).map_err(unsynced)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let value = self.rows.get(key).map_err(failed)?;
        // A copy: a slice would keep its whole block in memory.
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError> {
        let Some((start, end)) = bounds(prefix, from) else {
            return Ok(Rows::new());
        };
        let start = start.map(<[u8]>::to_vec);
        let rows = self.rows.range::<Vec<u8>, _>((start, end)).take(limit);
        let row = |row: fjall::Guard| {
            let (key, value) = row.into_inner().map_err(failed)?;
            Ok((key.to_vec(), Bytes::copy_from_slice(&value)))
        };
        rows.map(row).collect()
    }

    fn close(self) {
        drop(self.rows);
        // Waits for its threads.
        drop(self.db);
    }
}

fn unopened(error: fjall::Error) -> Unopened {
    match io_of(error) {
        Ok(why) if !is_of_contents(&why) => Unopened::Io(why),
        Ok(why) => Unopened::Damaged(why.to_string()),
        // Another version of the library can read it.
        Err(error @ fjall::Error::InvalidVersion(Some(_))) | Err(error @ fjall::Error::Locked) => {
            Unopened::Io(io::Error::other(error.to_string()))
        }
        Err(error) => Unopened::Damaged(error.to_string()),
    }
}

/// Missing and short files are damage; nobody else writes here.
fn is_of_contents(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotFound
            | io::ErrorKind::Other
    )
}

fn failed(error: fjall::Error) -> EngineError {
    match io_of(error) {
        Ok(why) => io_failed(&why),
        Err(error) => EngineError::Failed(error.to_string()),
    }
}

/// What was not written, or is not known to be, can still be read and rewritten.
fn unsynced(error: fjall::Error) -> EngineError {
    match io_of(error) {
        Ok(why) => io_unsynced(&why),
        Err(error) => EngineError::Unsynced(error.to_string()),
    }
}

fn io_of(error: fjall::Error) -> Result<io::Error, fjall::Error> {
    match error {
        fjall::Error::Io(why) | fjall::Error::Storage(fjall::LsmError::Io(why)) => Ok(why),
        other => Err(other),
    }
}
