//! The store's directory: its lock, its format, and syncing what holds names.
//!
//! ```text
//! <path>/lock      held while a process uses the store
//! <path>/format    the number of the store's format, checked before anything else is opened
//! <path>/sled/     the database
//! ```
//! The format is a file and not a row, because sled writes to its files when it opens them, and
//! an older version must leave a newer one's files untouched.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::OpenError;

/// The form of keys, envelopes and indexes. Raised when a reader of the old form would err.
pub(crate) const FORMAT: u32 = 1;

/// The directory of one store, locked while this lives.
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    pub fn open(path: &Path) -> Result<Directory, OpenError> {
        let io = |why: io::Error| OpenError::Io {
            path: path.to_owned(),
            why: why.to_string(),
        };
        create_synced(path).map_err(io)?;
        let lock = File::create(path.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = path.to_owned();
                return Err(OpenError::InUse { path });
            }
            Err(TryLockError::Error(why)) => return Err(io(why)),
        }
        check_format(path)?;
        Ok(Directory {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("sled")
    }

    /// Moves a database that cannot be opened out of the way.
    pub fn quarantine(&self, now_ms: u64, why: String) -> OpenError {
        let path = self.database();
        let moved_to = self.path.join(format!("quarantine-{now_ms}"));
        let moved = fs::rename(&path, &moved_to).and_then(|()| sync_directory(&self.path));
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

    /// Syncs every file and directory of a database, so that after a power cut they have names.
    pub fn sync_names(&self) -> io::Result<()> {
        let database = self.database();
        for entry in fs::read_dir(&database)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => sync_directory(&entry.path())?,
                false => File::open(entry.path())?.sync_all()?,
            }
        }
        sync_directory(&database)?;
        sync_directory(&self.path)
    }
}

fn check_format(path: &Path) -> Result<(), OpenError> {
    let file = path.join("format");
    let io = |why: String| OpenError::Io {
        path: file.clone(),
        why,
    };
    match fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse() {
            Ok(found) if found > FORMAT => Err(OpenError::Newer {
                path: path.to_owned(),
                found,
                known: FORMAT,
            }),
            Ok(_) => Ok(()),
            Err(_) => Err(io(format!("it holds no format number: {text:?}"))),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            write_format(path).map_err(|why| io(why.to_string()))
        }
        Err(why) => Err(io(why.to_string())),
    }
}

fn write_format(path: &Path) -> io::Result<()> {
    // Under another name first: half a number must never be read.
    let new = path.join("format.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&new, path.join("format"))?;
    sync_directory(path)
}

/// Creates a directory and what lies above it, each with its name synced.
fn create_synced(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let above = path.parent().unwrap_or(Path::new(""));
    create_synced(above)?;
    match fs::create_dir(path) {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(why),
        Ok(()) | Err(_) => {}
    }
    match above.as_os_str().is_empty() {
        true => sync_directory(Path::new(".")),
        false => sync_directory(above),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
