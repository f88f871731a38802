//! What an operator does to the store of a stopped node.

use std::{fs, path::Path, time::Duration};

use ostler_env::Env;
use ostler_store::{
    CompactError, Config, OpenError, Store, Table, compact,
    faults::{rows, scribble},
    offline::{self, Damage, OfflineError, Report},
};
use tempfile::TempDir;

use crate::world::{contents, key, record as record_of};

/// A stopped store: forty records, half of them with deadlines, some long.
async fn stopped(path: &Path, env: &Env) {
    let store = Store::open(&Config::sled(path), env).unwrap();
    for n in 0..40_u64 {
        let mut batch = ostler_store::Batch::new();
        let len = if n % 4 == 0 { 50_000 } else { 300 };
        let deadline = (n % 2 == 0).then(|| env.wall() + Duration::from_secs(3_600));
        batch.put(key(n), record_of(n, len), deadline);
        store.commit(batch).await.unwrap();
    }
    store.close().await;
}

/// Opens a stopped store, does that to it, and stops it again.
async fn tamper(path: &Path, env: &Env, change: impl FnOnce(&Store)) {
    let store = Store::open(&Config::sled(path), env).unwrap();
    change(&store);
    store.close().await;
}

fn verify(path: &Path, env: &Env) -> Report {
    offline::verify(&Config::sled(path), env).unwrap()
}

fn export(path: &Path, env: &Env) -> Vec<u8> {
    let mut exported = Vec::new();
    let told = offline::export(&Config::sled(path), env, &mut exported).unwrap();
    assert_eq!((told.records, told.damaged), (40, 0));
    exported
}

#[tokio::test]
async fn a_good_store_is_called_good_and_not_touched() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    stopped(&path, &env).await;
    let before = contents(dir.path());
    let report = verify(&path, &env);
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.records, [(Table::Tasks, 40)].into());
    assert_eq!(report.stale_entries, 0);
    assert!(contents(dir.path()) == before, "files were touched");
}

#[tokio::test]
async fn every_kind_of_damage_is_found_named_and_left_alone() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    stopped(&path, &env).await;
    tamper(&path, &env, |store| {
        let row = |n: u64| {
            let rows = rows(store);
            let found = rows.into_iter().find(|(row, _)| row == key(n).as_bytes());
            found.expect("it is stored").1
        };
        // A head, a part, the whole of one record but its entry and parts, an entry, a stranger.
        let mut flipped = row(1).to_vec();
        flipped[40] ^= 4;
        scribble(store, key(1).as_bytes(), Some(flipped.into()));
        let part = [&[255], key(4).as_bytes(), &[0, 2]].concat();
        scribble(store, &part, None);
        scribble(store, key(8).as_bytes(), None);
        let is_entry =
            |row: &[u8]| row[0] == Table::Deadlines as u8 && row.ends_with(key(10).as_bytes());
        let entry = rows(store).into_iter().find(|(row, _)| is_entry(row));
        scribble(store, &entry.expect("it has a deadline").0, None);
        scribble(store, &[99, 1], Some(row(1)));
    })
    .await;
    let before = contents(dir.path());
    let report = verify(&path, &env);
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.table, f.damage))
        .collect();
    let expected = [
        ("tasks", Damage::Unverified),
        ("tasks", Damage::Unverified),
        ("tasks", Damage::NoEntry),
        ("tasks", Damage::NoRecord),
        ("unknown", Damage::Unknown),
        ("tasks", Damage::NoHead),
    ];
    assert_eq!(found, expected, "{report:?}");
    assert_eq!(report.damaged[&("tasks", Damage::Unverified)], 2);
    assert_eq!(report.records, [(Table::Tasks, 37)].into());
    assert!(contents(dir.path()) == before, "files were touched");
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_a_finding_and_stays_where_it_is() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    stopped(&path, &env).await;
    fs::write(path.join("sled").join("conf"), "segment_size: many\nxxxx").unwrap();
    let before = contents(dir.path());
    let report = verify(&path, &env);
    assert_eq!(report.findings[0].damage, Damage::Unopened, "{report:?}");
    let refused = offline::export(&Config::sled(&path), &env, &mut Vec::new()).unwrap_err();
    let is_unopened = matches!(refused, OfflineError::Unopened { .. });
    assert!(is_unopened, "{refused}");
    assert!(
        refused.to_string().contains(path.to_str().unwrap()),
        "{refused}"
    );
    assert!(contents(dir.path()) == before, "files were touched");
}

#[tokio::test]
async fn a_file_that_changed_while_the_store_was_closed_is_a_finding() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    stopped(&path, &env).await;
    let db = path.join("sled").join("db");
    let mut bytes = fs::read(&db).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&db, bytes).unwrap();
    let before = contents(dir.path());
    for _ in 0..2 {
        let report = verify(&path, &env);
        assert_eq!(report.findings[0].damage, Damage::Changed, "{report:?}");
        let told = offline::export(&Config::sled(&path), &env, &mut Vec::new()).unwrap();
        assert_eq!(told.damaged_blocks, 1);
        let refused = compact(&Config::sled(&path), &env);
        let is_damaged = matches!(refused, Err(CompactError::Damaged { blocks: 1 }));
        assert!(is_damaged, "{refused:?}");
    }
    assert!(contents(dir.path()) == before, "files were touched");
}

#[tokio::test]
async fn a_directory_without_its_database_is_no_good_and_no_empty_store() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    stopped(&path, &env).await;
    fs::remove_dir_all(path.join("sled")).unwrap();
    let config = Config::sled(&path);
    let before = contents(dir.path());
    let missing = offline::verify(&config, &env).unwrap_err();
    assert!(matches!(missing, OfflineError::Missing { .. }), "{missing}");
    let missing = offline::export(&config, &env, &mut Vec::new()).unwrap_err();
    assert!(matches!(missing, OfflineError::Missing { .. }), "{missing}");
    let missing = compact(&config, &env).unwrap_err();
    assert!(matches!(missing, CompactError::Missing { .. }), "{missing}");
    assert!(contents(dir.path()) == before, "files were touched");
}

#[tokio::test]
async fn what_damage_left_behind_and_was_dealt_with_is_no_finding() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    stopped(&path, &env).await;
    let store = Store::open(&Config::sled(&path), &env).unwrap();
    scribble(
        &store,
        key(2).as_bytes(),
        Some(b"no envelope".as_slice().into()),
    );
    assert_eq!(store.get(&key(2)).await.unwrap(), None);
    store.close().await;
    let report = verify(&path, &env);
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.stale_entries, 1);
    assert_eq!(
        report.records,
        [(Table::Tasks, 39), (Table::Aside, 1)].into()
    );
}

#[tokio::test]
async fn a_store_in_use_or_not_there_is_refused_and_none_is_made() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    let config = Config::sled(&path);
    let missing = offline::verify(&config, &env).unwrap_err();
    assert!(matches!(missing, OfflineError::Missing { .. }), "{missing}");
    let missing = offline::export(&config, &env, &mut Vec::new()).unwrap_err();
    assert!(matches!(missing, OfflineError::Missing { .. }), "{missing}");
    assert!(!path.exists());
    let node = Store::open(&config, &env).unwrap();
    for refused in [
        offline::verify(&config, &env).unwrap_err(),
        offline::export(&config, &env, &mut Vec::new()).unwrap_err(),
    ] {
        let in_use = matches!(refused, OfflineError::Open(OpenError::InUse { .. }));
        assert!(in_use, "{refused}");
    }
    node.close().await;
    let none = offline::verify(&Config::memory(), &env).unwrap_err();
    assert!(matches!(none, OfflineError::NoFiles), "{none}");
}

#[tokio::test]
async fn an_export_becomes_the_same_store() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let (path, other) = (dir.path().join("store"), dir.path().join("other"));
    stopped(&path, &env).await;
    let exported = export(&path, &env);
    // What an import that was killed left.
    fs::create_dir_all(other.with_extension("import").join("sled")).unwrap();
    let report = offline::import(&Config::sled(&other), &env, &mut exported.as_slice()).unwrap();
    assert_eq!(report, verify(&path, &env));
    let mut all = Vec::new();
    for path in [&path, &other] {
        let store = Store::open(&Config::sled(path), &env).unwrap();
        all.push(rows(&store));
        store.close().await;
    }
    assert!(all[0] == all[1], "a row differs");
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "something is left over"
    );
    let refused = offline::import(&Config::sled(&path), &env, &mut exported.as_slice());
    assert!(
        matches!(refused, Err(OfflineError::Occupied { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_damaged_record_is_left_out_of_an_export_and_counted() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    stopped(&path, &env).await;
    let part = [&[255], key(4).as_bytes(), &[0, 1]].concat();
    tamper(&path, &env, |store| scribble(store, &part, None)).await;
    let mut exported = Vec::new();
    let told = offline::export(&Config::sled(&path), &env, &mut exported).unwrap();
    assert_eq!((told.records, told.damaged), (39, 1));
    let other = Config::sled(dir.path().join("other"));
    let report = offline::import(&other, &env, &mut exported.as_slice()).unwrap();
    assert_eq!(report.records, [(Table::Tasks, 39)].into());
}

#[tokio::test]
async fn a_broken_export_is_refused_and_leaves_nothing() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    stopped(&path, &env).await;
    let exported = export(&path, &env);
    let other = dir.path().join("other");
    let import = |exported: &[u8]| offline::import(&Config::sled(&other), &env, &mut &*exported);
    let is_broken = |exported: &[u8], what: &str| {
        let refused = import(exported);
        assert!(
            matches!(refused, Err(OfflineError::Broken { .. })),
            "{what}: {refused:?}"
        );
        assert!(!other.exists(), "{what}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{what}");
    };
    let len = exported.len();
    for cut in [0, 5, 24, 25, 30, len / 2, len - 30, len - 1] {
        is_broken(&exported[..cut], &format!("cut at {cut}"));
    }
    for at in [0, 17, 23, 24, 26, 28, 60, len / 3, len - 2, len - 20] {
        let mut flipped = exported.clone();
        flipped[at] ^= 1;
        is_broken(&flipped, &format!("flipped at {at}"));
    }
    is_broken(&[&exported[..], &[0]].concat(), "something behind its end");
    // The second entry is taken out; the rest is whole.
    let first = 24 + entry_len(&exported[24..]);
    let second = first + entry_len(&exported[first..]);
    let dropped = [&exported[..first], &exported[second..]].concat();
    is_broken(&dropped, "an entry dropped");
    let twice = [&exported[..first], &exported[24..]].concat();
    is_broken(&twice, "an entry twice");
    import(&exported).unwrap();
}

/// How long the entry at the start of these bytes is.
fn entry_len(bytes: &[u8]) -> usize {
    let short = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let (key_len, rows) = (short(1), short(3));
    let mut at = 5 + key_len;
    for _ in 0..rows {
        at += 2 + short(at);
    }
    at + 4
}
