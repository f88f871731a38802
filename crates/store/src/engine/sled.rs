//! sled 0.34.7, and what it takes to trust it with a commit.
//!
//! - Its `flush` ends in `sync_file_range`, which does not survive a power cut, so `sync` adds
//!   an `fdatasync` of the database file through a second handle.
//! - After any write error it refuses all writes until it is opened anew. For a full disk that
//!   is done here, at the next commit that finds space; for anything else the store is poisoned.
//! - It panics on some damaged files, so every call is guarded.
//! - `len` reads everything; it is never called.

use std::{
    fs::File,
    io,
    ops::Bound,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Engine, EngineError, Rows, Writes, bounds, files::Directory};
use crate::OpenError;

pub(crate) struct Sled {
    path: PathBuf,
    cache_bytes: u64,
    state: RwLock<State>,
    /// A write found the disk full, and sled takes no more until it is opened anew.
    stuck: AtomicBool,
}

enum State {
    Open(Open),
    /// Between two openings: the disk was too full to open it anew.
    Shut(Directory),
    Closed,
}

struct Open {
    db: sled::Db,
    /// The database file once more, for `fdatasync`.
    file: File,
    directory: Directory,
}

/// sled writes in segments of this size; items well below it stay in the database file.
const SEGMENT_BYTES: usize = 4 << 20;

/// Space that must be left beside what a commit writes: sled opens a new segment, may move
/// pages, and at the next start writes a snapshot.
const RESERVE_BYTES: u64 = 3 * SEGMENT_BYTES as u64;

impl Sled {
    /// Opens or creates. A database that cannot be opened is moved aside, and the error says so.
    pub fn open(path: &Path, cache_bytes: u64, now_ms: u64) -> Result<Sled, OpenError> {
        let directory = Directory::open(path)?;
        let open = match open_database(&directory, cache_bytes) {
            Ok((db, file)) => Open {
                db,
                file,
                directory,
            },
            Err(Unopened::Damaged(why)) => return Err(directory.quarantine(now_ms, why)),
            Err(Unopened::Io(why)) => {
                return Err(OpenError::Io {
                    path: directory.database(),
                    why: why.to_string(),
                });
            }
        };
        Ok(Sled {
            path: path.to_owned(),
            cache_bytes,
            state: RwLock::new(State::Open(open)),
            stuck: AtomicBool::new(false),
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Open) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match &*self.state.read() {
            State::Open(open) => catch_unwind(AssertUnwindSafe(|| work(open)))
                .unwrap_or_else(|_| Err(EngineError::Failed("the engine panicked".into()))),
            State::Shut(_) => Err(EngineError::Full),
            State::Closed => Err(EngineError::Closed),
        }
    }

    /// Notes a full disk, after which sled must be opened anew.
    fn noting_full<T>(&self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        if let Err(EngineError::Full) = result {
            self.stuck.store(true, Ordering::Release);
        }
        result
    }

    /// Opens the database anew after the disk was full. What was acknowledged is synced, so it
    /// is all there; what was refused is gone, as its writers were told. If there is no space
    /// for opening either, the next commit tries again.
    fn reopen(&self) -> Result<(), EngineError> {
        let mut state = self.state.write();
        let directory = match std::mem::replace(&mut *state, State::Closed) {
            State::Open(open) => open.let_go(),
            State::Shut(directory) => directory,
            State::Closed => return Err(EngineError::Closed),
        };
        match open_database(&directory, self.cache_bytes) {
            Ok((db, file)) => {
                *state = State::Open(Open {
                    db,
                    file,
                    directory,
                });
                self.stuck.store(false, Ordering::Release);
                Ok(())
            }
            Err(why) => {
                *state = State::Shut(directory);
                Err(match why {
                    Unopened::Damaged(why) => EngineError::Failed(why),
                    Unopened::Io(why) => io_failed(&why),
                })
            }
        }
    }
}

impl Open {
    /// Drops a database and waits until it is gone: a writer thread of sled may hold it, and
    /// with it sled's lock on the file, a little longer.
    fn let_go(self) -> Directory {
        drop(self.db);
        // It waits for that lock; it fails only on a system without locks, where none is held.
        drop(self.file.lock());
        self.directory
    }
}

impl Engine for Sled {
    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        check_space(&self.path, writes)?;
        if self.stuck.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_ref()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.noting_full(self.with(|open| open.db.apply_batch(batch).map_err(failed)))
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.noting_full(self.with(|open| {
            open.db.flush().map_err(failed)?;
            open.file.sync_data().map_err(|why| io_failed(&why))?;
            still_there(&open.file)
        }))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.with(|open| {
            let value = open.db.get(key).map_err(failed)?;
            Ok(value.map(|value| Bytes::copy_from_slice(&value)))
        })
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError> {
        let Some((start, end)) = bounds(prefix, from) else {
            return Ok(Rows::new());
        };
        let start = start.map(<[u8]>::to_vec);
        self.with(|open| {
            let rows = open.db.range::<Vec<u8>, _>((start, end)).take(limit);
            let row = |row: sled::Result<(sled::IVec, sled::IVec)>| {
                let (key, value) = row.map_err(failed)?;
                Ok((key.to_vec(), Bytes::copy_from_slice(&value)))
            };
            rows.map(row).collect()
        })
    }

    fn blocks(&self) -> bool {
        true
    }

    fn close(&self) {
        let closed = std::mem::replace(&mut *self.state.write(), State::Closed);
        if let State::Open(open) = closed {
            drop(open.let_go());
        }
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        self.close();
    }
}

enum Unopened {
    /// The files are not what sled wrote.
    Damaged(String),
    /// The system would not let us; the files may well be good.
    Io(io::Error),
}

fn open_database(directory: &Directory, cache_bytes: u64) -> Result<(sled::Db, File), Unopened> {
    let path = directory.database();
    let config = sled::Config::new()
        .path(&path)
        .cache_capacity(cache_bytes)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(None);
    let db = match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => db,
        Ok(Err(sled::Error::Io(why))) if !ends_early(&why) => return Err(Unopened::Io(why)),
        Ok(Err(why)) => return Err(Unopened::Damaged(why.to_string())),
        Err(_) => return Err(Unopened::Damaged("the engine panicked".into())),
    };
    let file = File::open(path.join("db")).map_err(Unopened::Io)?;
    directory.sync_names().map_err(Unopened::Io)?;
    Ok((db, file))
}

/// Files shorter than what is written in them are damaged, not out of reach.
fn ends_early(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
    )
}

/// Refuses a commit before sled meets a full disk: it recovers from that only by being opened
/// anew, and until then readers would see what was refused.
fn check_space(path: &Path, writes: &Writes) -> Result<(), EngineError> {
    let row =
        |(key, value): (&Vec<u8>, &Option<Bytes>)| key.len() + value.as_ref().map_or(0, Bytes::len);
    let needed = 2 * writes.iter().map(row).sum::<usize>() as u64 + RESERVE_BYTES;
    match fs2::available_space(path) {
        Ok(left) if left < needed => Err(EngineError::Full),
        // A directory that is gone is found, and named, by `still_there`.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A database whose file was deleted takes writes that nobody will ever read.
fn still_there(file: &File) -> Result<(), EngineError> {
    let links = file.metadata().map_err(|why| io_failed(&why))?.nlink();
    match links {
        0 => Err(EngineError::Failed("its files were deleted".into())),
        _ => Ok(()),
    }
}

fn failed(error: sled::Error) -> EngineError {
    match error {
        sled::Error::Io(why) => io_failed(&why),
        other => EngineError::Failed(other.to_string()),
    }
}

fn io_failed(why: &io::Error) -> EngineError {
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => EngineError::Full,
        _ => EngineError::Failed(why.to_string()),
    }
}
