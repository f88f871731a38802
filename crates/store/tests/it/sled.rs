use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ostler_env::Env;
use ostler_store::{
    Batch, Config, Health, Key, KeyPrefix, OpenError, Owner, Record, Store, StoreError, Table,
    conformance,
};
use ostler_types::{Shard, TenantId};
use tempfile::TempDir;

fn open(path: &Path, env: &Env) -> Result<Store, OpenError> {
    let config = Config {
        cache_bytes: 4 << 20,
        ..Config::sled(path)
    };
    Store::open(&config, env)
}

fn key(n: u64) -> Key {
    Key::new(Table::Tasks, Shard(1), &tenant()).u64(n)
}

fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn put(n: u64, len: usize) -> Batch {
    let record = Record {
        kind: 1,
        version: 1,
        epoch: 1,
        owner: Owner {
            tenant: tenant(),
            principal: [1; 32],
        },
        payload: vec![n as u8; len].into(),
    };
    let mut batch = Batch::new();
    batch.put(key(n), record, None);
    batch
}

/// Every file below a directory, with its contents.
fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn sled_conforms() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let stores = std::cell::Cell::new(0);
    conformance::run(|| {
        stores.set(stores.get() + 1);
        open(&dir.path().join(stores.get().to_string()), &env).unwrap()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sled_keeps_what_it_acknowledged() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("new").join("store");
    conformance::run_durable(|| open(&path, &env).unwrap()).await;
    assert_eq!(env.tasks_alive(), 0);
}

/// What a kill leaves are the files of this moment.
#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_at_once_and_batches_are_whole() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("live"), &env).unwrap();
    for round in 0..5_u64 {
        let mut batch = Batch::new();
        for n in 0..20 {
            batch.append(put(round * 20 + n, 20_000 * (round as usize % 2)));
        }
        store.commit(batch).await.unwrap();
        let copy = dir.path().join(round.to_string());
        copy_files(&dir.path().join("live"), &copy);
        let killed = open(&copy, &env).unwrap();
        let prefix = KeyPrefix::table(Table::Tasks);
        let found = killed.scan(&prefix, None, 1_000).await.unwrap();
        assert_eq!(found.len() as u64, (round + 1) * 20);
        killed.close().await;
    }
    store.close().await;
}

fn copy_files(from: &Path, to: &Path) {
    for (path, bytes) in contents(from) {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn what_gathered_shares_one_commit() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), &env).unwrap();
    store.pause();
    let tickets: Vec<_> = (0..500).map(|n| store.submit(put(n, 300))).collect();
    store.resume();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    let value = |name| env.metrics().value(name, &[]).unwrap();
    assert_eq!(value("ostler_store_batches_total"), 500.0);
    assert_eq!(value("ostler_store_commits_total"), 1.0);
    store.close().await;
}

#[tokio::test]
async fn long_payloads_stay_out_of_sleds_side_files() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), &env).unwrap();
    for n in 0..6 {
        store.commit(put(n % 3, 4 << 20)).await.unwrap();
        store.commit(put(n % 3, 1 << 20)).await.unwrap();
    }
    let blobs = dir.path().join("sled").join("blobs");
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 0);
    store.close().await;
    let store = open(dir.path(), &env).unwrap();
    for n in 0..3 {
        let found = store.get(&key(n)).await.unwrap().unwrap();
        assert_eq!(found.payload.len(), 1 << 20);
    }
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 0);
    store.close().await;
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_its_user_not_disturbed() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), &env).unwrap();
    let Err(second) = open(dir.path(), &env) else {
        panic!("opened twice");
    };
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    assert!(second.to_string().contains("another process"), "{second}");
    store.commit(put(1, 10)).await.unwrap();
    store.close().await;
    open(dir.path(), &env).unwrap().close().await;
}

#[tokio::test]
async fn a_newer_format_is_refused_and_its_files_untouched() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), &env).unwrap();
    store.commit(put(1, 10)).await.unwrap();
    store.close().await;
    fs::write(dir.path().join("format"), "2\n").unwrap();
    let before = contents(dir.path());
    let Err(error) = open(dir.path(), &env) else {
        panic!("opened a newer format");
    };
    assert!(
        matches!(error, OpenError::Newer { found: 2, .. }),
        "{error}"
    );
    assert!(contents(dir.path()) == before, "files were touched");
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_moved_aside_and_the_next_start_works() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), &env).unwrap();
    store.commit(put(1, 10)).await.unwrap();
    store.close().await;
    // Not what sled wrote, and it says so in different ways.
    fs::write(
        dir.path().join("sled").join("conf"),
        "segment_size: many\nxxxx",
    )
    .unwrap();
    let Err(error) = open(dir.path(), &env) else {
        panic!("opened garbage");
    };
    let OpenError::Quarantined { path, moved_to, .. } = &error else {
        panic!("{error}");
    };
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(text.contains(moved_to.to_str().unwrap()), "{text}");
    assert!(moved_to.join("db").exists() && !path.exists());
    let store = open(dir.path(), &env).unwrap();
    assert_eq!(store.get(&key(1)).await.unwrap(), None);
    store.close().await;
}

#[tokio::test]
async fn a_store_deleted_while_it_runs_takes_no_more_writes() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    let store = open(&path, &env).unwrap();
    store.commit(put(1, 10)).await.unwrap();
    fs::remove_dir_all(&path).unwrap();
    let refused = store.commit(put(2, 10)).await;
    assert!(
        matches!(refused, Err(StoreError::Poisoned(_))),
        "{refused:?}"
    );
    assert!(matches!(store.health(), Health::Poisoned(_)));
    assert!(!path.exists(), "re-created in silence");
    store.close().await;
}

/// A torn tail is what a crash in the middle of a write leaves.
#[tokio::test]
async fn a_database_cut_short_or_scribbled_over_opens_or_is_moved_aside_but_never_panics() {
    let env = Env::seeded(1);
    for damage in 0..24_u64 {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path(), &env).unwrap();
        for n in 0..40 {
            store.commit(put(n, 2_000)).await.unwrap();
        }
        store.close().await;
        let file = dir.path().join("sled").join("db");
        let mut bytes = fs::read(&file).unwrap();
        match damage % 2 {
            0 => bytes.truncate(bytes.len() - 4_096 * damage as usize),
            _ => {
                let at = (env.random_u64() % 120_000) as usize;
                bytes[at] ^= 1;
            }
        }
        fs::write(&file, bytes).unwrap();
        match open(dir.path(), &env) {
            Ok(store) => {
                for n in 0..40 {
                    let found = store.get(&key(n)).await;
                    let whole = |record: &Record| record.payload == vec![n as u8; 2_000];
                    assert!(
                        !matches!(&found, Ok(Some(record)) if !whole(record)),
                        "damage {damage} handed out"
                    );
                }
                store.close().await;
            }
            Err(error) => assert!(
                matches!(error, OpenError::Quarantined { .. }),
                "damage {damage}: {error}"
            ),
        }
    }
}
