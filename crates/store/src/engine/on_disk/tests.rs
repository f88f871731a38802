use std::{fs, io, ops::Bound, path::Path, path::PathBuf, sync::atomic::Ordering};

use bytes::Bytes;
use tempfile::TempDir;

use super::{Database, OnDisk, Unopened};
use crate::engine::{Engine, EngineError, Rows, Writes, fjall::Fjall, memory::Memory, sled::Sled};

fn writes() -> Writes {
    [(b"key".to_vec(), Some(Bytes::from_static(b"row")))].into()
}

fn open<D: Database>(dir: &TempDir) -> OnDisk<D> {
    let Ok(engine) = OnDisk::open(&dir.path().join("store"), 1 << 20, 0) else {
        panic!("{} does not open", D::NAME);
    };
    engine
}

fn is_opened_anew_after_a_full_disk<D: Database>() {
    let dir = TempDir::new().unwrap();
    let engine = open::<D>(&dir);
    engine.apply(&writes()).unwrap();
    engine.sync().unwrap();
    engine.stuck.store(true, Ordering::Release);
    engine.take_back().unwrap();
    assert!(!engine.stuck.load(Ordering::Acquire), "{}", D::NAME);
    assert_eq!(engine.get(b"key"), Ok(Some(Bytes::from_static(b"row"))));
}

#[test]
fn a_database_that_met_a_full_disk_is_opened_anew() {
    is_opened_anew_after_a_full_disk::<Sled>();
    is_opened_anew_after_a_full_disk::<Fjall>();
}

/// A full disk makes people delete things.
fn is_not_created_again<D: Database>() {
    let dir = TempDir::new().unwrap();
    let engine = open::<D>(&dir);
    engine.apply(&writes()).unwrap();
    engine.sync().unwrap();
    engine.stuck.store(true, Ordering::Release);
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    for _ in 0..2 {
        let refused = engine.take_back();
        assert_eq!(refused, Err(EngineError::Deleted), "{}", D::NAME);
    }
    assert!(!dir.path().join("store").exists(), "{}", D::NAME);
}

#[test]
fn a_database_deleted_while_the_disk_is_full_is_not_created_again() {
    is_not_created_again::<Sled>();
    is_not_created_again::<Fjall>();
}

/// A database of at most one row, which meets a full disk as sled does: what it took can be read,
/// and then it does not get it on the disk.
struct Small {
    rows: Memory,
    path: PathBuf,
}

/// A file beside the store: its disk is full.
const FULL: &str = "../../full";
/// Nothing can be opened either.
const SHUT: &str = "../../shut";

impl Database for Small {
    const NAME: &'static str = "small";
    const MARKER: &'static str = "row";
    const RESERVE_BYTES: u64 = 0;
    const SHRINKS: bool = true;

    fn open(path: &Path, _cache_bytes: u64) -> Result<Small, Unopened> {
        if path.join(SHUT).exists() {
            return Err(Unopened::Io(io::Error::other("too many open files")));
        }
        let small = Small {
            rows: Memory::default(),
            path: path.to_owned(),
        };
        match fs::read(path.join(Self::MARKER)) {
            Ok(row) if !row.is_empty() => {
                small
                    .rows
                    .write(&[(b"key".to_vec(), Some(row.into()))].into());
            }
            Ok(_) => {}
            Err(_) => fs::write(path.join(Self::MARKER), "").map_err(Unopened::Io)?,
        }
        Ok(small)
    }

    fn apply(&self, writes: &Writes) -> Result<(), EngineError> {
        self.rows.apply(writes)
    }

    fn sync(&self) -> Result<(), EngineError> {
        if self.path.join(FULL).exists() {
            return Err(EngineError::Full);
        }
        let row = self.rows.get(b"key")?.unwrap_or_default();
        fs::write(self.path.join(Self::MARKER), row).map_err(|why| super::io_failed(&why))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.rows.get(key)
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Rows, EngineError> {
        self.rows.scan(prefix, from, limit)
    }

    fn close(self) {}
}

#[test]
fn what_a_full_disk_refused_is_not_read_any_more_and_a_later_commit_opens_what_was_shut() {
    let dir = TempDir::new().unwrap();
    let engine = open::<Small>(&dir);
    let (full, shut) = (dir.path().join("full"), dir.path().join("shut"));
    let row = |text: &'static str| Writes::from([(b"key".to_vec(), Some(text.into()))]);
    engine.apply(&row("one")).unwrap();
    engine.sync().unwrap();
    fs::write(&full, "").unwrap();
    engine.apply(&row("two")).unwrap();
    assert_eq!(engine.sync(), Err(EngineError::Full));
    engine.take_back().unwrap();
    assert_eq!(engine.get(b"key"), Ok(Some("one".into())));

    engine.apply(&row("three")).unwrap();
    assert_eq!(engine.sync(), Err(EngineError::Full));
    fs::write(&shut, "").unwrap();
    let why = Err(EngineError::Failed("too many open files".into()));
    assert_eq!(engine.take_back(), why);
    assert_eq!(engine.get(b"key").map(drop), why);
    fs::remove_file(&shut).unwrap();
    engine.take_back().unwrap();
    assert_eq!(engine.get(b"key"), Ok(Some("one".into())));
}
