//! sled 0.34.7, and what it takes to trust it with a commit.
//!
//! - Its `flush` ends in `sync_file_range`, which does not survive a power cut, so `sync` adds
//!   an `fdatasync` of the database file through a second handle.
//! - After any write error it refuses all writes until it is opened anew. Mostly `flush` is what
//!   meets a full disk, after `apply_batch` has changed what is read.
//! - It panics on some damaged files; `on_disk` guards every call.
//! - `len` reads everything; it is never called.
//! - Its file shrinks only when the last segments in it happen to be empty.

use std::{fs::File, io, ops::Bound, path::Path};

use bytes::Bytes;

use super::{
    EngineError, Rows, Writes, bounds,
    on_disk::{Database, Unopened, io_failed, io_unsynced},
};

/// sled writes a snapshot under this ending and renames it when it is whole. What a kill leaves of
/// one it takes for its newest all the same, and refuses to open; the one before is there still.
const UNFINISHED: &str = ".generating";

fn forget_unfinished_snapshots(path: &Path) -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(path) else {
        // There is no database yet.
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

pub(crate) struct Sled {
    db: sled::Db,
    /// The database file once more, for `fdatasync`.
    file: File,
}

/// sled writes in segments of this size; items well below it stay in the database file.
const SEGMENT_BYTES: usize = 4 << 20;

/// How often sled's own thread looks for segments that are mostly garbage, and moves what is left
/// in them. Without it nothing does but an occasional write, and the file of a store whose rows
/// come and go grows for ever.
///
/// A segment that it has emptied may be written over before the pages that were moved out of it
/// are synced: a power cut in between would lose rows that were acknowledged long ago. A pass lasts
/// half of this at most and syncs at its end, so it is short, for there to be no time to come round
/// to a segment emptied in the same pass; and what gathers to one commit is less than a segment.
const TIDY_EVERY_MS: u64 = 50;

impl Database for Sled {
    const NAME: &'static str = "sled";
    const MARKER: &'static str = "db";
    /// sled opens a new segment, may move pages, and at the next start writes a snapshot.
    const RESERVE_BYTES: u64 = 3 * SEGMENT_BYTES as u64;
    const SHRINKS: bool = false;

    fn open(path: &Path, cache_bytes: u64) -> Result<Sled, Unopened> {
        forget_unfinished_snapshots(path).map_err(Unopened::Io)?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(Some(TIDY_EVERY_MS));
        let db = match config.open() {
            Ok(db) => db,
            Err(sled::Error::Io(why)) if !ends_early(&why) => return Err(Unopened::Io(why)),
            Err(why) => return Err(Unopened::Damaged(why.to_string())),
        };
        let file = File::open(path.join(Self::MARKER)).map_err(Unopened::Io)?;
        Ok(Sled { db, file })
    }

    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_ref()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.db.apply_batch(batch).map_err(unsynced)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.db.flush().map_err(unsynced)?;
        self.file.sync_data().map_err(|why| io_unsynced(&why))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let value = self.db.get(key).map_err(failed)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError> {
        let Some((start, end)) = bounds(prefix, from) else {
            return Ok(Rows::new());
        };
        let start = start.map(<[u8]>::to_vec);
        let rows = self.db.range::<Vec<u8>, _>((start, end)).take(limit);
        let row = |row: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = row.map_err(failed)?;
            Ok((key.to_vec(), Bytes::copy_from_slice(&value)))
        };
        rows.map(row).collect()
    }

    fn close(self) {
        drop(self.db);
        // A writer thread of sled may hold the database, and with it sled's lock on the file, a
        // little longer. This waits for that lock; it fails only on a system without locks,
        // where none is held.
        drop(self.file.lock());
    }
}

/// Files shorter than what is written in them are damaged, not out of reach.
fn ends_early(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
    )
}

/// A write error of any thread meets the next batch too. A rewrite and the batch once more on top
/// of it make all of it whole.
fn unsynced(error: sled::Error) -> EngineError {
    match error {
        sled::Error::Io(why) => io_unsynced(&why),
        other => failed(other),
    }
}

fn failed(error: sled::Error) -> EngineError {
    match error {
        sled::Error::Io(why) => io_failed(&why),
        other => EngineError::Failed(other.to_string()),
    }
}
