//! `ostler store`, on the data directory that a node left.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use ostler_env::Env;
use ostler_store::{
    Batch, Config, Key, Owner, Record, Store, Table,
    faults::{rows, scribble},
};
use ostler_types::{Shard, TenantId};
use tempfile::TempDir;

use crate::world::{Ran, finish, program};

fn key(n: u64) -> Key {
    Key::new(Table::Tasks, Shard(1), &tenant()).u64(n)
}

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a label")
}

fn open(data: &Path) -> Store {
    Store::open(&Config::sled(data.join("store")), &Env::system()).expect("it opens")
}

async fn fill(data: &Path) {
    let store = open(data);
    for n in 0..3 {
        let record = Record {
            kind: 1,
            version: 1,
            epoch: 1,
            owner: Owner {
                tenant: tenant(),
                principal: [1; 32],
            },
            payload: vec![n as u8; 40_000].into(),
        };
        let mut batch = Batch::new();
        batch.put(key(n), record, None);
        store.commit(batch).await.expect("it commits");
    }
    store.close().await;
}

async fn store(data: &Path, arguments: &[&str]) -> Ran {
    let mut command = program();
    command.args(["store", arguments[0], "--data"]).arg(data);
    command.args(&arguments[1..]);
    finish(command).await
}

#[tokio::test]
async fn a_store_is_verified_exported_and_imported_elsewhere() {
    let dir = TempDir::new().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    let file = dir.path().join("export");
    let file_name = file.to_str().unwrap();
    fill(&data).await;
    let ran = store(&data, &["verify"]).await.exits(0);
    assert_eq!(ran.out, "tasks              3 good\ngood\n");
    let ran = store(&data, &["export", file_name]).await.exits(0);
    assert!(ran.err.starts_with("3 records exported\n"), "{ran:?}");
    let keys = data.join("keys");
    assert!(ran.err.contains(keys.to_str().unwrap()), "{ran:?}");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let ran = store(&data, &["export", file_name]).await.exits(1);
    assert!(ran.err.contains("exists already"), "{ran:?}");

    let ran = store(&other, &["import", "--engine", "sled", file_name])
        .await
        .exits(0);
    assert!(ran.err.contains("key ring"), "{ran:?}");
    let (one, two) = (open(&data), open(&other));
    assert!(rows(&one) == rows(&two));
    one.close().await;
    two.close().await;
    let ran = store(&other, &["import", file_name]).await.exits(1);
    assert!(ran.err.contains("not empty"), "{ran:?}");
}

#[tokio::test]
async fn an_export_goes_through_a_pipe() {
    let dir = TempDir::new().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    fill(&data).await;
    let mut export = program();
    export.args(["store", "export", "-", "--data"]).arg(&data);
    let mut export = export.spawn().unwrap();
    let piped: Stdio = export.stdout.take().unwrap().try_into().unwrap();
    let mut import = program();
    import.args(["store", "import", "-", "--data"]).arg(&other);
    import.stdin(piped);
    finish(import).await.exits(0);
    assert!(export.wait().await.unwrap().success());
    store(&other, &["verify"]).await.exits(0);
}

#[tokio::test]
async fn what_is_damaged_is_named_and_the_exit_status_says_so() {
    let dir = TempDir::new().unwrap();
    fill(dir.path()).await;
    let damaged = open(dir.path());
    scribble(
        &damaged,
        key(1).as_bytes(),
        Some(b"no envelope".as_slice().into()),
    );
    damaged.close().await;
    let ran = store(dir.path(), &["verify"]).await.exits(1);
    let lines: Vec<_> = ran.out.lines().collect();
    assert!(lines[0].starts_with("tasks 0401"), "{ran:?}");
    assert!(lines[0].contains("is not what was written"), "{ran:?}");
    assert_eq!(lines.last(), Some(&"damaged"));
    let file = dir.path().join("export");
    let ran = store(dir.path(), &["export", file.to_str().unwrap()])
        .await
        .exits(1);
    assert!(
        ran.err.contains("2 records") && ran.err.contains("1 damaged"),
        "{ran:?}"
    );
    assert!(file.is_file(), "the rest is there");
}

#[tokio::test]
async fn files_that_changed_while_the_store_was_closed_are_told_by_every_command_each_time() {
    let dir = TempDir::new().unwrap();
    fill(dir.path()).await;
    let db = dir.path().join("store/sled/db");
    let mut bytes = fs::read(&db).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&db, bytes).unwrap();
    // What a killed export left, for all to read.
    let file = dir.path().join("export");
    fs::write(dir.path().join("export.partial"), "left").unwrap();
    let file_name = file.to_str().unwrap();
    for _ in 0..2 {
        store(dir.path(), &["verify"]).await.exits(1);
        let ran = store(dir.path(), &["compact"]).await.exits(1);
        assert!(ran.err.contains("1 blocks"), "{ran:?}");
        let ran = store(dir.path(), &["export", file_name]).await.exits(1);
        assert!(ran.err.contains("1 blocks"), "{ran:?}");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(&file).unwrap();
    }
}

#[tokio::test]
async fn a_store_in_use_is_left_alone() {
    let dir = TempDir::new().unwrap();
    fill(dir.path()).await;
    let node = open(dir.path());
    let file = dir.path().join("export");
    for arguments in [&["verify"][..], &["export", file.to_str().unwrap()]] {
        let ran = store(dir.path(), arguments).await.exits(1);
        assert!(ran.err.contains("in use by another process"), "{ran:?}");
    }
    assert!(!file.exists() && fs::read_dir(dir.path()).unwrap().count() == 1);
    node.close().await;
    let nowhere = dir.path().join("nowhere");
    let ran = store(&nowhere, &["verify"]).await.exits(1);
    assert!(ran.err.contains("there is no store"), "{ran:?}");
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn half_an_export_is_refused() {
    let dir = TempDir::new().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    let file = dir.path().join("export");
    fill(&data).await;
    store(&data, &["export", file.to_str().unwrap()])
        .await
        .exits(0);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let ran = store(&other, &["import", file.to_str().unwrap()])
        .await
        .exits(1);
    assert!(ran.err.contains("ends early"), "{ran:?}");
    assert!(!other.join("store").exists());
}

#[tokio::test]
async fn a_compacted_store_holds_the_same() {
    let dir = TempDir::new().unwrap();
    fill(dir.path()).await;
    fill(dir.path()).await;
    let ran = store(dir.path(), &["compact"]).await.exits(0);
    // Three records of three rows.
    assert!(ran.out.starts_with("9 rows rewritten"), "{ran:?}");
    store(dir.path(), &["verify"]).await.exits(0);
    let nowhere = dir.path().join("nowhere");
    let ran = store(&nowhere, &["compact"]).await.exits(1);
    assert!(ran.err.contains("there is no store"), "{ran:?}");
}
