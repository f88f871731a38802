//! What holds for every engine that keeps files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use ostler_env::Env;
use ostler_store::{Batch, Health, KeyPrefix, OpenError, Record, StoreError, Table, conformance};
use tempfile::TempDir;

use crate::world::{ENGINES, Engine, contents, copy_tree, key, put};

async fn conforms(engine: Engine) {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let stores = std::cell::Cell::new(0);
    conformance::run(|| {
        stores.set(stores.get() + 1);
        engine.must_open(&dir.path().join(stores.get().to_string()), &env)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sled_conforms() {
    conforms(Engine::Sled).await;
}

#[tokio::test(start_paused = true)]
async fn fjall_conforms() {
    conforms(Engine::Fjall).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_there_after_a_restart() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("new").join("store");
        conformance::run_durable(|| engine.must_open(&path, &env)).await;
        assert_eq!(env.tasks_alive(), 0);
    }
}

/// What a kill leaves are the files of this moment.
#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_at_once_and_batches_are_whole() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let store = engine.must_open(&dir.path().join("live"), &env);
        for round in 0..5_u64 {
            let mut batch = Batch::new();
            for n in 0..20 {
                batch.append(put(round * 20 + n, 20_000 * (round as usize % 2)));
            }
            store.commit(batch).await.unwrap();
            let copy = dir.path().join(round.to_string());
            copy_tree(&dir.path().join("live"), &copy);
            let killed = engine.must_open(&copy, &env);
            let prefix = KeyPrefix::table(Table::Tasks);
            let found = killed.scan(&prefix, None, 1_000).await.unwrap();
            assert_eq!(found.len() as u64, (round + 1) * 20, "{engine:?}");
            killed.close().await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn what_gathered_shares_one_commit() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let store = engine.must_open(dir.path(), &env);
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
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_its_user_not_disturbed() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let store = engine.must_open(dir.path(), &env);
        let Err(second) = engine.open(dir.path(), &env) else {
            panic!("{engine:?} opened twice");
        };
        assert!(matches!(second, OpenError::InUse { .. }), "{second}");
        assert!(second.to_string().contains("another process"), "{second}");
        store.commit(put(1, 10)).await.unwrap();
        store.close().await;
        engine.must_open(dir.path(), &env).close().await;
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_its_files_untouched() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let store = engine.must_open(dir.path(), &env);
        store.commit(put(1, 10)).await.unwrap();
        store.close().await;
        fs::write(dir.path().join("format"), "2\n").unwrap();
        let before = contents(dir.path());
        let Err(error) = engine.open(dir.path(), &env) else {
            panic!("{engine:?} opened a newer format");
        };
        assert!(
            matches!(error, OpenError::Newer { found: 2, .. }),
            "{error}"
        );
        assert!(contents(dir.path()) == before, "files were touched");
    }
}

/// A kill while sled writes a snapshot leaves an empty one that never got its name.
#[tokio::test]
async fn an_unfinished_snapshot_costs_nothing() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = Engine::Sled.must_open(dir.path(), &env);
    store.commit(put(1, 10)).await.unwrap();
    store.close().await;
    let unfinished = dir.path().join("sled/snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(&unfinished, "").unwrap();
    let store = Engine::Sled.must_open(dir.path(), &env);
    assert!(store.get(&key(1)).await.unwrap().is_some());
    store.close().await;
}

#[tokio::test]
async fn a_format_that_never_was_is_refused() {
    let env = Env::seeded(1);
    for text in ["0\n", "-1\n", "", "one\n"] {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("format"), text).unwrap();
        let refused = Engine::Sled.open(dir.path(), &env).err();
        assert!(matches!(refused, Some(OpenError::Io { .. })), "{text:?}");
    }
}

#[tokio::test]
async fn another_engines_store_is_refused_and_named() {
    for (engine, other) in [(Engine::Sled, Engine::Fjall), (Engine::Fjall, Engine::Sled)] {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        other.must_open(dir.path(), &env).close().await;
        let Err(error) = engine.open(dir.path(), &env) else {
            panic!("{engine:?} opened a store of {other:?}");
        };
        let text = error.to_string();
        assert!(matches!(error, OpenError::OtherEngine { .. }), "{text}");
        assert!(text.contains(other.name()), "{text}");
        other.must_open(dir.path(), &env).close().await;
    }
}

/// Not what the engine wrote.
fn spoil(engine: Engine, path: &Path) {
    match engine {
        Engine::Sled => {
            let conf = path.join("sled").join("conf");
            fs::write(conf, "segment_size: many\nxxxx").unwrap();
        }
        Engine::Fjall => fs::write(path.join("fjall").join("version"), "xxxx").unwrap(),
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_moved_aside_and_the_next_start_works() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let store = engine.must_open(dir.path(), &env);
        store.commit(put(1, 10)).await.unwrap();
        store.close().await;
        spoil(engine, dir.path());
        let Err(error) = engine.open(dir.path(), &env) else {
            panic!("{engine:?} opened garbage");
        };
        let OpenError::Quarantined { path, moved_to, .. } = &error else {
            panic!("{error}");
        };
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert!(text.contains(moved_to.to_str().unwrap()), "{text}");
        assert!(moved_to.exists() && !path.exists());
        let store = engine.must_open(dir.path(), &env);
        assert_eq!(store.get(&key(1)).await.unwrap(), None);
        store.close().await;
    }
}

/// The start after a rewrite that was cut just behind its swap.
#[tokio::test]
async fn what_it_replaced_is_moved_aside_with_a_database_that_cannot_be_opened() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        engine.must_open(dir.path(), &env).close().await;
        let replaced = dir.path().join(format!("{}.old", engine.name()));
        copy_tree(&dir.path().join(engine.name()), &replaced);
        spoil(engine, dir.path());
        let Some(OpenError::Quarantined { moved_to, .. }) = engine.open(dir.path(), &env).err()
        else {
            panic!("{engine:?} opened garbage");
        };
        assert!(moved_to.with_extension("old").exists() && !replaced.exists());
        engine.must_open(dir.path(), &env).close().await;
    }
}

#[tokio::test]
async fn only_its_owner_may_look_into_a_store() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("data").join("store");
    Engine::Sled.must_open(&path, &env).close().await;
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_store_deleted_while_it_runs_takes_no_more_writes() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("store");
        let store = engine.must_open(&path, &env);
        store.commit(put(1, 10)).await.unwrap();
        fs::remove_dir_all(&path).unwrap();
        for _ in 0..2 {
            let refused = store.commit(put(2, 10)).await;
            assert_eq!(refused, Err(StoreError::Deleted), "{engine:?}");
        }
        assert_eq!(store.health(), Health::Deleted);
        assert!(!path.exists(), "re-created in silence");
        store.close().await;
    }
}

/// A torn tail is what a crash in the middle of a write leaves.
#[tokio::test]
async fn a_database_cut_short_or_scribbled_over_opens_or_is_moved_aside_but_never_panics() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        for damage in 0..24_u64 {
            let dir = TempDir::new().unwrap();
            let store = engine.must_open(dir.path(), &env);
            for n in 0..40 {
                store.commit(put(n, 2_000)).await.unwrap();
            }
            store.close().await;
            damage_file(&engine.data_file(dir.path()), damage, &env);
            match engine.open(dir.path(), &env) {
                Ok(store) => {
                    for n in 0..40 {
                        let found = store.get(&key(n)).await;
                        let whole = |record: &Record| record.payload == vec![n as u8; 2_000];
                        assert!(
                            !matches!(&found, Ok(Some(record)) if !whole(record)),
                            "damage {damage} handed out by {engine:?}"
                        );
                    }
                    store.close().await;
                }
                Err(error) => assert!(
                    matches!(error, OpenError::Quarantined { .. }),
                    "damage {damage} of {engine:?}: {error}"
                ),
            }
        }
    }
}

fn damage_file(file: &Path, damage: u64, env: &Env) {
    let mut bytes = fs::read(file).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    match damage % 2 {
        0 => bytes.truncate(used.saturating_sub(3_000 * damage as usize)),
        _ => bytes[env.random_u64() as usize % used] ^= 1,
    }
    fs::write(file, bytes).unwrap();
}
