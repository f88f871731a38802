//! The store's directory: its lock, its format, and which database in it counts.
//!
//! ```text
//! <path>/lock          held while a process uses the store
//! <path>/format        the number of the store's format, checked before anything else is opened
//! <path>/rewritten     bytes the database took when it was last rewritten
//! <path>/seal          what the closed database looks like, see `seal`
//! <path>/<engine>/     the database
//! <path>/<engine>.new/ one being written, see `swap`
//! <path>/<engine>.old/ one just replaced, see `swap`
//! <path>/quarantine-*  what could not be opened, and what it had replaced
//! ```
//! The format is a file and not a row, because engines write to their files when they open them,
//! and an older version must leave a newer one's files untouched.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::OpenError;

/// The form of keys, envelopes and indexes. Raised when a reader of the old form would err.
pub(crate) const FORMAT: u32 = 1;

/// The mode of directories made here: they hold what clients and workers said.
pub(crate) const OWNER_ONLY: u32 = 0o700;

/// The engines that keep files, by the names of their directories.
const ENGINES: [&str; 2] = ["sled", "fjall"];

/// The directory of one store.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    path: PathBuf,
    engine: &'static str,
}

/// Keeps other processes out of a directory while it lives.
pub(crate) struct Lock {
    _file: File,
}

impl Directory {
    /// Makes the directory if need be, locks it, and refuses what this version or this engine
    /// must not touch.
    pub fn open(path: &Path, engine: &'static str) -> Result<(Directory, Lock), OpenError> {
        create_synced(path).map_err(|why| io_error(path, &why))?;
        let lock = lock(path)?;
        check_format(path)?;
        check_engine(path, engine)?;
        Ok((Directory::at(path, engine), lock))
    }

    /// The directory without its lock: to look whether something is there.
    pub fn at(path: &Path, engine: &'static str) -> Directory {
        let path = path.to_owned();
        Directory { path, engine }
    }

    /// Whether there is a database to open, or one that a cut swap left. Refuses what another
    /// engine wrote.
    pub fn has_database(&self) -> Result<bool, OpenError> {
        check_engine(&self.path, self.engine)?;
        let is_there = self.database().exists() || self.beside("old").exists();
        Ok(is_there && self.path.join("format").is_file())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self) -> PathBuf {
        self.path.join(self.engine)
    }

    pub fn beside(&self, suffix: &str) -> PathBuf {
        self.path.join(format!("{}.{suffix}", self.engine))
    }

    /// Moves a database that cannot be opened out of the way, and first the one that it replaced
    /// if that is still there: without the database, the next start would take a swap for cut.
    pub fn quarantine(&self, now_ms: u64, why: String) -> OpenError {
        let path = self.database();
        let moved_to = self.path.join(format!("quarantine-{now_ms}"));
        let moved = self
            .move_replaced(now_ms)
            .and_then(|()| fs::rename(&path, &moved_to))
            .and_then(|()| sync_directory(&self.path));
        match moved {
            Ok(()) => OpenError::Quarantined {
                path,
                moved_to,
                why,
            },
            Err(also) => OpenError::Io {
                path,
                why: format!("{why}; and it could not be moved aside: {also}"),
            },
        }
    }

    fn move_replaced(&self, now_ms: u64) -> io::Result<()> {
        let replaced = self.beside("old");
        if replaced.exists() {
            fs::rename(
                &replaced,
                self.path.join(format!("quarantine-{now_ms}.old")),
            )?;
            sync_directory(&self.path)?;
        }
        Ok(())
    }

    /// What the database took when it was last rewritten; `None` if that is not known.
    pub fn rewritten_bytes(&self) -> Option<u64> {
        let text = fs::read_to_string(self.path.join("rewritten")).ok()?;
        text.trim().parse().ok()
    }

    pub fn note_rewritten(&self, bytes: u64) -> io::Result<()> {
        write_number(&self.path, "rewritten", bytes)
    }
}

fn io_error(path: &Path, why: &io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

pub(crate) fn lock(path: &Path) -> Result<Lock, OpenError> {
    let file = File::create(path.join("lock")).map_err(|why| io_error(path, &why))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(why)) => Err(io_error(path, &why)),
    }
}

fn check_format(path: &Path) -> Result<(), OpenError> {
    let file = path.join("format");
    match fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse() {
            Ok(FORMAT) => Ok(()),
            Ok(found) if found > FORMAT => Err(OpenError::Newer {
                path: path.to_owned(),
                found,
                known: FORMAT,
            }),
            Ok(_) | Err(_) => Err(OpenError::Io {
                path: file,
                why: format!("it holds no format number: {text:?}"),
            }),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            write_number(path, "format", FORMAT.into()).map_err(|why| io_error(&file, &why))
        }
        Err(why) => Err(io_error(&file, &why)),
    }
}

/// An engine that does not see another one's files would begin with nothing, and say nothing.
fn check_engine(path: &Path, engine: &'static str) -> Result<(), OpenError> {
    let has =
        |other: &&&str| path.join(other).exists() || path.join(format!("{other}.old")).exists();
    let others = ENGINES.iter().filter(|other| **other != engine);
    match others.into_iter().find(has) {
        Some(found) => Err(OpenError::OtherEngine {
            path: path.to_owned(),
            found,
            wanted: engine,
        }),
        None => Ok(()),
    }
}

fn write_number(path: &Path, name: &str, number: u64) -> io::Result<()> {
    // Under another name first: half a number must never be read.
    let new = path.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    writeln!(file, "{number}")?;
    file.sync_all()?;
    fs::rename(&new, path.join(name))?;
    sync_directory(path)
}

/// Creates a directory and what lies above it, each with its name synced.
fn create_synced(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let above = path.parent().unwrap_or(Path::new(""));
    create_synced(above)?;
    match DirBuilder::new().mode(OWNER_ONLY).create(path) {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(why),
        Ok(()) | Err(_) => {}
    }
    match above.as_os_str().is_empty() {
        true => sync_directory(Path::new(".")),
        false => sync_directory(above),
    }
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Syncs every file and directory from `path` down, so that after a power cut they have
/// contents and names. An engine may remove files meanwhile.
pub(crate) fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let synced = match entry.file_type()?.is_dir() {
            true => sync_tree(&entry.path()),
            false => File::open(entry.path()).and_then(|file| file.sync_all()),
        };
        match synced {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Ok(()) | Err(_) => synced?,
        }
    }
    sync_directory(path)
}

/// What everything from `path` down takes on the disk. Files may come and go meanwhile.
pub(crate) fn disk_bytes(path: &Path) -> u64 {
    const BLOCK_BYTES: u64 = 512;
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    let entry_bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * BLOCK_BYTES,
        Err(_) => 0,
    };
    entries.flatten().map(entry_bytes).sum()
}

pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        Ok(()) | Err(_) => Ok(()),
    }
}
