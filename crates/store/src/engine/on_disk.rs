//! What the engines that keep files share: one directory, one database in it, and the ways out
//! when a disk is full or does not sync.
//!
//! - A database that met a full disk takes no more writes until it is opened anew, and shows what
//!   it refused; `take_back` opens it anew before the writers are told.
//! - `rewrite` copies all rows into a fresh database beside the old one and swaps it in (`swap`).
//!   Reads go on while it copies and wait while it swaps.
//! - Libraries may panic on damaged files, so every call is guarded.

mod rewrite;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    ops::Bound,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{
    Engine, EngineError, Rewritten, Rows, Writes,
    files::{Directory, Lock, sync_tree},
};
use crate::OpenError;

/// What a library must do to be an engine.
pub(crate) trait Database: Send + Sync + Sized {
    /// The name of its directory.
    const NAME: &'static str;
    /// A file in it that is there as long as the database is.
    const MARKER: &'static str;
    /// Space that must be left on the disk beside what a commit writes.
    const RESERVE_BYTES: u64;
    /// Whether its files always shrink by themselves when rows are deleted.
    const SHRINKS: bool;

    fn open(path: &Path, cache_bytes: u64) -> Result<Self, Unopened>;
    fn apply(&self, writes: &Writes) -> Result<(), EngineError>;
    fn sync(&self) -> Result<(), EngineError>;
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;
    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError>;
    /// Returns when its files are free.
    fn close(self);
}

pub(crate) enum Unopened {
    /// The files are not what was written.
    Damaged(String),
    /// The system would not let us; the files may well be good.
    Io(io::Error),
}

pub(crate) struct OnDisk<D: Database> {
    directory: Directory,
    cache_bytes: u64,
    state: RwLock<State<D>>,
    /// The database found the disk full, or is shut, and must be opened anew.
    stuck: AtomicBool,
    damaged_blocks: u64,
}

enum State<D> {
    Open(Open<D>),
    /// Between two openings: it could not be opened anew, because of this.
    Shut(Lock, EngineError),
    Closed,
}

struct Open<D> {
    db: D,
    marker: File,
    lock: Lock,
}

impl<D: Database> OnDisk<D> {
    /// Opens or creates. A database that cannot be opened is moved aside, and the error says so.
    pub fn open(path: &Path, cache_bytes: u64, now_ms: u64) -> Result<OnDisk<D>, OpenError> {
        let (directory, lock) = Directory::open(path, D::NAME)?;
        let damaged_blocks = break_seal(&directory)?;
        let (db, marker) = match open_database(&directory, cache_bytes) {
            Ok(opened) => opened,
            Err(Unopened::Damaged(why)) => return Err(directory.quarantine(now_ms, why)),
            Err(Unopened::Io(why)) => {
                directory.mend_seal();
                return Err(OpenError::Io {
                    path: directory.database(),
                    why: why.to_string(),
                });
            }
        };
        remove_leftovers(&directory);
        directory.remove_broken_seal();
        Ok(OnDisk {
            directory,
            cache_bytes,
            state: RwLock::new(State::Open(Open { db, marker, lock })),
            stuck: AtomicBool::new(false),
            damaged_blocks,
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Open<D>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match &*self.state.read() {
            State::Open(open) => guarded(|| work(open)),
            State::Shut(_, why) => Err(why.clone()),
            State::Closed => Err(EngineError::Closed),
        }
    }

    /// Notes a full disk, after which the database must be opened anew.
    fn noting_full<T>(&self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        if let Err(EngineError::Full) = result {
            self.stuck.store(true, Ordering::Release);
        }
        result
    }

    /// Opens the database anew, which syncs all that it then holds. What was acknowledged is all
    /// there; a refused batch is gone, or there as a whole where its end reached the files. If it
    /// cannot be opened, for want of space or otherwise, the next commit tries again.
    fn reopen(&self, state: &mut State<D>) -> Result<(), EngineError> {
        let lock = state.let_go()?;
        match open_existing(&self.directory, self.cache_bytes) {
            Ok((db, marker)) => {
                *state = State::Open(Open { db, marker, lock });
                self.stuck.store(false, Ordering::Release);
                Ok(())
            }
            Err(why) => {
                let why = match self.directory.database().exists() {
                    true => why.into(),
                    false => EngineError::Deleted,
                };
                *state = State::Shut(lock, why.clone());
                self.stuck.store(true, Ordering::Release);
                Err(why)
            }
        }
    }

    /// Refuses a commit before the database meets a full disk, which costs it an opening.
    fn check_space(&self, writes: &Writes) -> Result<(), EngineError> {
        let row = |(key, value): (&Vec<u8>, &Option<Bytes>)| {
            key.len() + value.as_ref().map_or(0, Bytes::len)
        };
        let needed = 2 * writes.iter().map(row).sum::<usize>() as u64 + D::RESERVE_BYTES;
        match fs2::available_space(self.directory.path()) {
            Ok(left) if left < needed => Err(EngineError::Full),
            // A directory that is gone is found, and named, by `still_there`.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl<D: Database> Engine for OnDisk<D> {
    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        self.check_space(writes)?;
        self.noting_full(self.with(|open| open.db.apply(writes)))
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.noting_full(self.with(|open| {
            open.db.sync()?;
            still_there(open)
        }))
    }

    fn take_back(&self) -> Result<(), EngineError> {
        match self.stuck.load(Ordering::Acquire) {
            true => self.reopen(&mut self.state.write()),
            false => Ok(()),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.with(|open| open.db.get(key))
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError> {
        self.with(|open| open.db.scan(prefix, from, limit))
    }

    fn rewrite(&self) -> Result<Rewritten, EngineError> {
        self.rewrite_rows()
    }

    fn rewrite_if_bloated(&self, from_bytes: u64) {
        if !self.is_bloated(from_bytes) {
            return;
        }
        tracing::info!("the store has grown far beyond its last rewrite; rewriting its live rows");
        match self.rewrite() {
            Ok(done) => tracing::info!(?done, "the store was rewritten"),
            Err(error) => {
                tracing::warn!(?error, "the store was not rewritten and is used as it is")
            }
        }
    }

    fn damaged_blocks(&self) -> u64 {
        self.damaged_blocks
    }

    fn blocks(&self) -> bool {
        true
    }

    fn close(&self) {
        let closed = std::mem::replace(&mut *self.state.write(), State::Closed);
        if let State::Open(open) = closed {
            let _lock = open.let_go();
            // A store that was deleted is sealed by nobody.
            if let Err(error) = self.directory.seal()
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "the store is closed but not sealed; damage may go unnoticed");
            }
        }
    }
}

impl<D: Database> Drop for OnDisk<D> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<D: Database> State<D> {
    /// Closes the database and leaves the lock to the caller.
    fn let_go(&mut self) -> Result<Lock, EngineError> {
        match std::mem::replace(self, State::Closed) {
            State::Open(open) => Ok(open.let_go()),
            State::Shut(lock, _) => Ok(lock),
            State::Closed => Err(EngineError::Closed),
        }
    }
}

impl<D: Database> Open<D> {
    fn let_go(self) -> Lock {
        // If it panics, it has let go all the same.
        drop(guarded(|| {
            self.db.close();
            Ok(())
        }));
        self.lock
    }
}

/// What is damaged is opened all the same: the rest of it is good.
fn break_seal(directory: &Directory) -> Result<u64, OpenError> {
    let damaged = directory.break_seal().map_err(|why| OpenError::Io {
        path: directory.path().to_owned(),
        why: why.to_string(),
    })?;
    if damaged > 0 {
        let path = directory.database();
        tracing::error!(
            path = %path.display(),
            damaged,
            "files of the store changed while it was closed; records may be gone"
        );
    }
    Ok(damaged)
}

/// Opens the database that counts; creates the first.
fn open_database<D: Database>(
    directory: &Directory,
    cache_bytes: u64,
) -> Result<(D, File), Unopened> {
    directory.settle().map_err(Unopened::Io)?;
    if !directory.database().exists() {
        create_database::<D>(directory, cache_bytes)?;
    }
    open_existing(directory, cache_bytes)
}

/// Never creates: while a store runs, a database that is gone was deleted.
fn open_existing<D: Database>(
    directory: &Directory,
    cache_bytes: u64,
) -> Result<(D, File), Unopened> {
    directory.settle().map_err(Unopened::Io)?;
    let path = directory.database();
    let marker = File::open(path.join(D::MARKER)).map_err(Unopened::Io)?;
    let db = open_guarded::<D>(&path, cache_bytes)?;
    sync_tree(&path).map_err(Unopened::Io)?;
    Ok((db, marker))
}

/// Not under its name at once: what a crash leaves of it might not open ever again.
fn create_database<D: Database>(directory: &Directory, cache_bytes: u64) -> Result<(), Unopened> {
    let path = directory.fresh().map_err(Unopened::Io)?;
    open_guarded::<D>(&path, cache_bytes)?.close();
    sync_tree(&path).map_err(Unopened::Io)?;
    directory.swap_in_fresh().map_err(Unopened::Io)
}

fn remove_leftovers(directory: &Directory) {
    if let Err(error) = directory.remove_leftovers() {
        tracing::warn!(%error, "an old database is not removed yet; the next start tries again");
    }
}

/// A database whose files were deleted takes writes that nobody will ever read.
fn still_there<D>(open: &Open<D>) -> Result<(), EngineError> {
    let metadata = open.marker.metadata().map_err(|why| io_failed(&why))?;
    match metadata.nlink() {
        0 => Err(EngineError::Deleted),
        _ => Ok(()),
    }
}

fn open_guarded<D: Database>(path: &Path, cache_bytes: u64) -> Result<D, Unopened> {
    catch_unwind(AssertUnwindSafe(|| D::open(path, cache_bytes)))
        .unwrap_or_else(|_| Err(Unopened::Damaged("the engine panicked".into())))
}

fn guarded<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(EngineError::Failed("the engine panicked".into())))
}

impl From<Unopened> for EngineError {
    fn from(why: Unopened) -> EngineError {
        match why {
            Unopened::Damaged(why) => EngineError::Failed(why),
            Unopened::Io(why) => io_failed(&why),
        }
    }
}

pub(crate) fn io_failed(why: &io::Error) -> EngineError {
    match is_full(why) {
        true => EngineError::Full,
        false => EngineError::Failed(why.to_string()),
    }
}

/// As [`io_failed`], where what was applied is in doubt.
pub(crate) fn io_unsynced(why: &io::Error) -> EngineError {
    match is_full(why) {
        true => EngineError::Full,
        false => EngineError::Unsynced(why.to_string()),
    }
}

fn is_full(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
