//! Rewriting live rows to fresh files, and what a crash on the way leaves.

use std::{fs, path::Path};

use ostler_env::Env;
use ostler_store::{Batch, CompactError, Config, Store, compact};
use tempfile::TempDir;

use crate::world::{ENGINES, Engine, assert_holds, copy_tree, fill, key, names, put};

async fn delete(store: &Store, numbers: std::ops::Range<u64>) {
    let mut batch = Batch::new();
    for n in numbers {
        batch.delete(key(n));
    }
    store.commit(batch).await.unwrap();
}

fn quiet(engine: Engine) -> Vec<String> {
    let mut names = ["format", "lock", "seal", engine.name()]
        .map(String::from)
        .to_vec();
    names.sort();
    names
}

#[tokio::test]
async fn a_rewrite_while_the_store_runs_keeps_what_is_live_and_frees_the_rest() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let store = engine.must_open(dir.path(), &env);
        fill(&store, 0..1_500, 1_000).await;
        fill(&store, 0..1_500, 900).await;
        fill(&store, 2_000..2_006, 4 << 20).await;
        delete(&store, 1_400..1_500).await;
        delete(&store, 2_000..2_006).await;
        let rewritten = store.compact().await.unwrap();
        assert_eq!(rewritten.rows, 1_400, "{engine:?}");
        if engine == Engine::Sled {
            assert!(
                rewritten.bytes_after < rewritten.bytes_before / 2,
                "{rewritten:?}"
            );
        }
        assert_holds(&store, 0..1_400, 900, "after the rewrite").await;
        fill(&store, 1_400..1_410, 900).await;
        store.close().await;
        let store = engine.must_open(dir.path(), &env);
        assert_holds(&store, 0..1_410, 900, "after reopening").await;
        assert_eq!(store.get(&key(1_450)).await.unwrap(), None);
        store.close().await;
    }
}

#[tokio::test]
async fn commits_and_reads_go_on_around_a_rewrite() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let store = engine.must_open(dir.path(), &env);
        fill(&store, 0..2_000, 1_000).await;
        let rewrite = store.clone();
        let rewrite = env.spawn("rewrite", async move { rewrite.compact().await });
        for n in 2_000..2_100 {
            let before = store.get(&key(n - 2_000)).await.unwrap();
            assert!(before.is_some(), "{engine:?} lost a record for a moment");
            store.commit(put(n, 1_000)).await.unwrap();
        }
        rewrite.await.unwrap().unwrap();
        assert_holds(&store, 0..2_100, 1_000, engine.name()).await;
        let seconds = "ostler_store_rewrite_seconds_count";
        assert_eq!(env.metrics().value(seconds, &[]), Some(1.0));
        store.close().await;
    }
}

#[tokio::test]
async fn a_store_in_memory_has_nothing_to_free() {
    let env = Env::seeded(1);
    let store = Store::open(&Config::memory(), &env).unwrap();
    fill(&store, 0..10, 10).await;
    assert_eq!(store.compact().await.unwrap().rows, 10);
    store.clone().close().await;
    let closed = store.compact().await;
    assert!(matches!(closed, Err(CompactError::Closed)), "{closed:?}");
}

#[tokio::test]
async fn one_rewrite_waits_at_most() {
    let env = Env::seeded(1);
    let store = Store::open(&Config::memory(), &env).unwrap();
    store.pause();
    let waits = store.clone();
    let waits = env.spawn("waits", async move { waits.compact().await });
    tokio::task::yield_now().await;
    let second = store.compact().await;
    assert!(matches!(second, Err(CompactError::Waiting)), "{second:?}");
    store.resume();
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_that_no_node_uses_is_rewritten_and_one_in_use_is_refused() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let config = engine.config(dir.path());
        let store = engine.must_open(dir.path(), &env);
        fill(&store, 0..100, 1_000).await;
        let refused = compact(&config, &env);
        assert!(matches!(refused, Err(CompactError::Open(_))), "{refused:?}");
        store.close().await;
        assert_eq!(compact(&config, &env).unwrap().rows, 100);
        let store = engine.must_open(dir.path(), &env);
        assert_holds(&store, 0..100, 1_000, engine.name()).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_that_grew_far_beyond_its_last_rewrite_is_rewritten_at_open() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let config = Config {
        rewrite_from_bytes: 16 << 20,
        ..Engine::Sled.config(dir.path())
    };
    let open = || Store::open(&config, &env).unwrap();
    let rewritten = || fs::read_to_string(dir.path().join("rewritten")).ok();
    let store = open();
    fill(&store, 0..10, 1_000).await;
    store.close().await;
    open().close().await;
    assert_eq!(rewritten(), None, "too small");

    let store = open();
    fill(&store, 10..18, 4 << 20).await;
    delete(&store, 10..18).await;
    store.close().await;
    let store = open();
    assert_holds(&store, 0..10, 1_000, "after the rewrite").await;
    store.close().await;
    let first = rewritten().expect("it was rewritten");
    assert!(first.trim().parse::<u64>().unwrap() < 16 << 20);
    open().close().await;
    assert_eq!(rewritten(), Some(first), "rewritten again in vain");
}

/// One way in which a crash may leave the files: made from a whole store, whose database is
/// `db`, with `other` a database that holds something else.
struct Crash {
    at: &'static str,
    leave: fn(db: &Path, new: &Path, old: &Path, other: &Path),
}

const CRASHES: [Crash; 6] = [
    Crash {
        at: "while the new one is written",
        leave: |_, new, _, _| {
            fs::create_dir(new).unwrap();
            fs::write(new.join("db"), "half").unwrap();
            fs::write(new.join("version"), "").unwrap();
        },
    },
    Crash {
        at: "just before the swap",
        leave: |_, new, _, other| copy_tree(other, new),
    },
    Crash {
        at: "between the renames",
        leave: |db, new, old, other| {
            fs::rename(db, new).unwrap();
            copy_tree(other, old);
        },
    },
    Crash {
        at: "just after the swap",
        leave: |_, _, old, other| copy_tree(other, old),
    },
    Crash {
        at: "while the old one is removed",
        leave: |_, _, old, _| {
            fs::create_dir(old).unwrap();
            fs::write(old.join("db"), "half").unwrap();
        },
    },
    Crash {
        at: "nowhere",
        leave: |_, _, _, _| {},
    },
];

#[tokio::test]
async fn a_crash_anywhere_in_a_rewrite_leaves_every_acknowledged_record() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let (whole, other) = (dir.path().join("whole"), dir.path().join("other"));
        let store = engine.must_open(&whole, &env);
        fill(&store, 0..50, 20_000).await;
        store.close().await;
        let store = engine.must_open(&other, &env);
        fill(&store, 0..50, 7).await;
        store.close().await;
        for (n, crash) in CRASHES.iter().enumerate() {
            let path = dir.path().join(n.to_string());
            copy_tree(&whole, &path);
            let beside = |suffix| path.join(format!("{}.{suffix}", engine.name()));
            let db = path.join(engine.name());
            (crash.leave)(
                &db,
                &beside("new"),
                &beside("old"),
                &other.join(engine.name()),
            );
            let store = engine.must_open(&path, &env);
            assert_holds(&store, 0..50, 20_000, crash.at).await;
            fill(&store, 50..60, 20_000).await;
            store.close().await;
            assert_eq!(names(&path), quiet(engine), "{engine:?} {}", crash.at);
            let store = engine.must_open(&path, &env);
            assert_holds(&store, 0..60, 20_000, crash.at).await;
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_crash_while_the_first_database_is_created_leaves_an_empty_store() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let whole = dir.path().join("whole");
        engine.must_open(&whole, &env).close().await;
        let files: Vec<_> = crate::world::contents(&whole.join(engine.name()))
            .into_keys()
            .collect();
        // What was created last is not there yet, and what is there may be empty.
        for (n, file) in files.iter().enumerate() {
            let path = dir.path().join(n.to_string());
            copy_tree(&whole, &path);
            let new = path.join(format!("{}.new", engine.name()));
            fs::rename(path.join(engine.name()), &new).unwrap();
            let lost = file.strip_prefix(whole.join(engine.name())).unwrap();
            fs::remove_file(new.join(lost)).unwrap();
            let store = engine.must_open(&path, &env);
            fill(&store, 0..3, 100).await;
            store.close().await;
            assert_eq!(names(&path), quiet(engine), "{engine:?} {lost:?}");
        }
    }
}
