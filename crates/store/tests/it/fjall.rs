//! What holds for fjall only.

use std::fs;

use ostler_env::Env;
use ostler_store::{Batch, OpenError};
use tempfile::TempDir;

use crate::world::{Engine, assert_holds, contents, copy_tree, fill, key, record};

#[tokio::test]
async fn another_version_of_the_library_is_named_and_its_files_untouched() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    Engine::Fjall.must_open(dir.path(), &env).close().await;
    let version = dir.path().join("fjall").join("version");
    fs::write(version, b"FJL\x02").unwrap();
    let before = contents(dir.path());
    let Err(error) = Engine::Fjall.open(dir.path(), &env) else {
        panic!("opened another version");
    };
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains("Version"), "{error}");
    assert!(contents(dir.path()) == before, "files were touched");
}

#[tokio::test]
async fn rows_beyond_what_is_kept_in_memory_are_all_there() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = Engine::Fjall.must_open(dir.path(), &env);
    for n in 0..24 {
        fill(&store, n * 64..(n + 1) * 64, 40_000).await;
    }
    assert_holds(&store, 0..24 * 64, 40_000, "while it runs").await;
    store.close().await;
    let tables = dir.path().join("fjall/keyspaces/1/tables");
    assert!(fs::read_dir(tables).unwrap().count() > 0, "nothing flushed");
    let store = Engine::Fjall.must_open(dir.path(), &env);
    assert_holds(&store, 0..24 * 64, 40_000, "after reopening").await;
    store.close().await;
}

/// Where the two commits of `two_commits` end in the journal.
struct Ends {
    first: usize,
    second: usize,
}

/// A store with two commits in its journal, closed.
async fn two_commits(path: &std::path::Path, env: &Env) -> Ends {
    let store = Engine::Fjall.must_open(path, env);
    let used = || {
        let journal = fs::read(Engine::Fjall.data_file(path)).unwrap();
        journal.iter().rposition(|byte| *byte != 0).unwrap() + 1
    };
    fill(&store, 1..21, 10_000).await;
    let first = used();
    fill(&store, 21..41, 10_000).await;
    let second = used();
    store.close().await;
    Ends { first, second }
}

fn punch(path: &std::path::Path, at: usize) {
    let file = Engine::Fjall.data_file(path);
    let mut journal = fs::read(&file).unwrap();
    let page = at & !4_095;
    journal[page..page + 4_096].fill(0);
    fs::write(&file, journal).unwrap();
}

/// The kernel writes the pages of a file in any order, so a power cut in the middle of a sync
/// may leave any of them out.
#[tokio::test]
async fn a_hole_in_the_last_commit_drops_that_commit_and_nothing_else() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let whole = dir.path().join("whole");
    let ends = two_commits(&whole, &env).await;
    for at in (ends.first + 4_096..ends.second - 4_096).step_by(3 * 4_096) {
        let path = dir.path().join(at.to_string());
        copy_tree(&whole, &path);
        punch(&path, at);
        let store = Engine::Fjall.must_open(&path, &env);
        assert_holds(&store, 1..21, 10_000, "acknowledged before").await;
        assert_eq!(store.get(&key(21)).await.unwrap(), None, "half a batch");
        fill(&store, 21..41, 10_000).await;
        store.close().await;
        let store = Engine::Fjall.must_open(&path, &env);
        assert_holds(&store, 1..41, 10_000, "after").await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_hole_in_a_commit_that_others_followed_is_damage_and_named() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let whole = dir.path().join("whole");
    let ends = two_commits(&whole, &env).await;
    for at in (0..ends.first).step_by(5 * 4_096) {
        let path = dir.path().join(at.to_string());
        copy_tree(&whole, &path);
        punch(&path, at);
        let Err(error) = Engine::Fjall.open(&path, &env) else {
            panic!("dropped acknowledged commits in silence");
        };
        assert!(matches!(error, OpenError::Quarantined { .. }), "{error}");
        assert!(error.to_string().contains("0.jnl is damaged at"), "{error}");
    }
}

/// What a client sent may look like the end of a batch.
#[tokio::test]
async fn a_payload_like_a_trailer_makes_no_damage_of_a_commit_cut_short() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = Engine::Fjall.must_open(dir.path(), &env);
    fill(&store, 1..2, 10_000).await;
    let mut record = record(2, 0);
    record.payload = b"FJL\x03".repeat(5_000).into();
    let mut batch = Batch::new();
    batch.put(key(2), record, None);
    store.commit(batch).await.unwrap();
    store.close().await;
    let journal = fs::read(Engine::Fjall.data_file(dir.path())).unwrap();
    let end = journal.iter().rposition(|byte| *byte != 0).unwrap();
    punch(dir.path(), end - 10_000);
    let store = Engine::Fjall.must_open(dir.path(), &env);
    assert_holds(&store, 1..2, 10_000, "acknowledged before").await;
    assert_eq!(store.get(&key(2)).await.unwrap(), None, "half a batch");
    store.close().await;
}
