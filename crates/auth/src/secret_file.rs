//! Secrets of the node's own, each in a file that nobody else may read.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ostler_env::Env;

/// The text of `path`. If there is none it is made of what `new` says, with mode 0600.
pub(crate) fn read_or_create(
    path: &Path,
    env: &Env,
    new: impl FnOnce() -> String,
) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path, env, &new())?;
            fs::read_to_string(path)
        }
        Ok(text) => {
            warn_if_open(path)?;
            Ok(text)
        }
        Err(error) => Err(error),
    }
}

/// A file that was there already may be as whoever put it there left it.
fn warn_if_open(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.mode() & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(%path, "others may read this secret; take that away (chmod 600)");
    }
    Ok(())
}

/// Writes a new file beside `path` and links it into place, so that two nodes that start at once
/// end up with the same file and nobody reads half of it.
fn create(path: &Path, env: &Env, text: &str) -> io::Result<()> {
    let parent = parent_of(path);
    fs::create_dir_all(&parent)?;
    let temporary = parent.join(format!(".secret-{:016x}", env.random_u64()));
    let linked = write_new(&temporary, text).and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => removed.and_then(|()| fs::File::open(&parent)?.sync_all()),
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_went_wrong_is_told_and_not_what_followed_from_it() {
        // Nobody makes files there, whoever it is.
        let told = create(Path::new("/sys/secret"), &Env::seeded(1), "ours");
        assert_ne!(told.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_used() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "theirs").unwrap();
        create(&path, &Env::seeded(1), "ours").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    }
}
