use std::{fs, sync::atomic::Ordering};

use bytes::Bytes;
use tempfile::TempDir;

use super::{Database, OnDisk};
use crate::engine::{Engine, EngineError, Writes, fjall::Fjall, sled::Sled};

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
    engine.apply(&writes()).unwrap();
    assert!(!engine.stuck.load(Ordering::Acquire), "{}", D::NAME);
    assert_eq!(engine.get(b"key"), Ok(Some(Bytes::from_static(b"row"))));
}

#[test]
fn a_database_that_met_a_full_disk_is_opened_anew_at_the_next_commit() {
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
        let refused = engine.apply(&writes());
        assert_eq!(refused, Err(EngineError::Deleted), "{}", D::NAME);
    }
    assert!(!dir.path().join("store").exists(), "{}", D::NAME);
}

#[test]
fn a_database_deleted_while_the_disk_is_full_is_not_created_again() {
    is_not_created_again::<Sled>();
    is_not_created_again::<Fjall>();
}
