//! A directory beside a store, for a copy of it or for one in the making.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{OfflineError, io_at};
use crate::engine::files::{OWNER_ONLY, sync_directory};

/// Deleted at the end, if it was not put in a store's place. What a killed process left is
/// deleted by the next of its purpose.
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Fresh and empty, with the store's name and a purpose.
    pub fn beside(store: &Path, purpose: &str) -> Result<Scratch, OfflineError> {
        let path = store.with_extension(purpose);
        let scratch = Scratch { path };
        scratch.clear().map_err(io_at(&scratch.path))?;
        let mut builder = DirBuilder::new();
        let created = builder
            .recursive(true)
            .mode(OWNER_ONLY)
            .create(&scratch.path);
        created.map_err(io_at(&scratch.path))?;
        Ok(scratch)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies a store whose lock the caller holds.
    pub fn fill_from(&self, store: &Path) -> Result<(), OfflineError> {
        let needed = size_of(store).map_err(io_at(store))?;
        let left = fs2::available_space(&self.path).map_err(io_at(&self.path))?;
        if left < needed {
            let why = format!("a copy needs {needed} bytes and {left} are left");
            return Err(io_at(&self.path)(io::Error::new(
                io::ErrorKind::StorageFull,
                why,
            )));
        }
        copy(store, &self.path).map_err(io_at(store))
    }

    /// Makes it the store. Fails if there is something by now.
    pub fn becomes(self, store: &Path) -> Result<(), OfflineError> {
        fs::rename(&self.path, store).map_err(|why| match why.kind() {
            io::ErrorKind::DirectoryNotEmpty => OfflineError::Occupied {
                path: store.to_owned(),
            },
            _ => io_at(store)(why),
        })?;
        let above = store.parent().filter(|above| *above != Path::new(""));
        sync_directory(above.unwrap_or(Path::new("."))).map_err(io_at(store))
    }

    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(why) = self.clear() {
            tracing::warn!(path = %self.path.display(), %why, "a directory of ours is left over");
        }
    }
}

/// Without what was moved aside earlier.
fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.retain(|entry| {
        !entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(b"quarantine-")
    });
    Ok(entries)
}

fn size_of(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in entries(directory)? {
        bytes += match entry.file_type()?.is_dir() {
            true => size_of(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in entries(from)? {
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => {
                fs::create_dir_all(&to)?;
                copy(&entry.path(), &to)?;
            }
            false => drop(fs::copy(entry.path(), &to)?),
        }
    }
    Ok(())
}
