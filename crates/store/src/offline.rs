//! What an operator does to the store of a stopped node: look whether all of it is good, write
//! it to a file, make a store of such a file again, with any engine.
//!
//! The key ring lies beside the store and is not part of it: without it, what clients were given
//! (session ids, event ids, task ids, cursors) leads to none of these records.
//!
//! Everything here blocks, and nothing of it runs while a node uses the directory.

mod check;
mod copy;
mod export;
mod import;
mod stream;

use std::{
    io,
    path::{Path, PathBuf},
};

use ostler_env::Env;

use crate::{
    Config, OpenError, Store, StoreError,
    engine::files::{Lock, lock},
};

pub use check::{Damage, Finding, Report};
pub use export::{Exported, export};
pub use import::import;

use copy::Scratch;

/// Why nothing was done, or not all.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The operator's fault: this engine has no files.
    #[error("the memory engine keeps nothing on a disk")]
    NoFiles,
    /// The operator's fault: another directory was meant, or no node ever ran here.
    #[error("there is no store in {path}")]
    Missing { path: PathBuf },
    /// The operator's fault: what is there must not be mixed or replaced.
    #[error("{path} is not empty; an export can only become a store of its own")]
    Occupied { path: PathBuf },
    /// Its files are damaged, all of them are where they were, and nothing of them was exported.
    #[error("{path} could not be opened ({why}); nothing was changed")]
    Unopened { path: PathBuf, why: String },
    /// As [`OpenError`] says.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The platform's fault: the engine could not read or write.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is not what `export` wrote; another copy of it may be.
    #[error("this is not a whole export of a store (byte {at}: {why})")]
    Broken { at: u64, why: &'static str },
    /// The system would not let us.
    #[error("{path}: {why}")]
    Io { path: PathBuf, why: io::Error },
}

/// Reads every row and checks every record, its parts and its entry in the index of deadlines.
///
/// Opening a database may write to it, and one that cannot be opened is moved aside: this looks
/// at a copy, so it changes nothing, and needs as much room beside the store as the store takes.
pub fn verify(config: &Config, env: &Env) -> Result<Report, OfflineError> {
    let (copy, _no_node_starts) = copy_of(config, "verify")?;
    check_store(&config.at(copy.path()), env)
}

/// A copy of a store that no node uses, and the lock of the store.
fn copy_of(config: &Config, purpose: &str) -> Result<(Scratch, Lock), OfflineError> {
    let path = find(config)?;
    let lock = lock(path)?;
    let copy = Scratch::beside(path, purpose)?;
    copy.fill_from(path)?;
    Ok((copy, lock))
}

/// A store that cannot be opened is a finding, and moved aside.
fn check_store(config: &Config, env: &Env) -> Result<Report, OfflineError> {
    match Store::open(config, env) {
        Ok(store) => Ok(check::check(store.core())),
        Err(OpenError::Quarantined { why, .. }) => Ok(Report::of_a_closed_book(why)),
        Err(why) => Err(why.into()),
    }
}

/// Where a store is, with a database in it. Asking must not make one.
fn find(config: &Config) -> Result<&Path, OfflineError> {
    let path = config.engine.path().ok_or(OfflineError::NoFiles)?;
    let directory = config.engine.directory().ok_or(OfflineError::NoFiles)?;
    match directory.has_database()? {
        true => Ok(path),
        false => Err(OfflineError::Missing {
            path: path.to_owned(),
        }),
    }
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> OfflineError {
    move |why| OfflineError::Io {
        path: path.to_owned(),
        why,
    }
}
