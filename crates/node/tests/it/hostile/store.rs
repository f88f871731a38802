//! Layer store: a node on data that was damaged, forged or taken away.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ostler_store::{
    Batch, Key, KeyPrefix, Record, Store, Table,
    faults::{rows, scribble},
};
use ostler_testkit::{Killed, Modern, Script, Session, TestNode, TestWorker, m_ok, soon};
use ostler_types::{Shard, TenantId};
use serde_json::json;

use super::healthy;
use crate::world::World;

/// Entries with a test of their own.
pub const SINGLE: &[&str] = &[
    "STO-001", "STO-004", "STO-006", "STO-009", "STO-010", "STO-011", "STO-015", "STO-024",
];

async fn ping(session: &Session) -> u16 {
    session.ask(1, "ping", json!({})).await.status
}

/// A stored node, and its worker, which links anew after a restart.
async fn open() -> (TestNode, TestWorker) {
    let node = TestNode::stored().await;
    let worker = node.worker(&Script::new()).await;
    (node, worker)
}

/// STO-001: of each byte range of a session's row, one session has one bit flipped.
#[tokio::test]
async fn a_flipped_bit_costs_the_session_it_is_in_and_no_other() {
    const FLIPS: usize = 24;
    let (node, _worker) = open().await;
    let mut sessions = Vec::new();
    for _ in 0..=FLIPS {
        sessions.push(Session::open(&node.door(), json!({})).await);
    }
    let killed = node.kill().await;
    let store = killed.store();
    let mut found = rows(&store);
    found.retain(|(key, _)| key[0] == Table::Sessions as u8);
    assert_eq!(found.len(), sessions.len());
    for (n, (key, head)) in found.iter().take(FLIPS).enumerate() {
        let mut head = head.to_vec();
        let at = n * head.len() / FLIPS;
        head[at] ^= 1 << (n % 8);
        scribble(&store, key, Some(head.into()));
    }
    store.close().await;
    let node = killed.restart().await;
    let mut statuses = BTreeMap::<u16, usize>::new();
    for session in &sessions {
        *statuses.entry(ping(session).await).or_default() += 1;
    }
    assert_eq!(statuses, [(200, 1), (404, FLIPS)].into());
    let corrupt = "ostler_store_corrupt_records_total";
    node.reaches(corrupt, &[], FLIPS as f64).await;
    assert_eq!(node.metric(corrupt, &[]), FLIPS as f64);
    node.stop().await;
}

/// STO-004.
#[tokio::test]
async fn a_store_that_is_deleted_stops_what_needs_it_and_nothing_else() {
    let (node, _worker) = open().await;
    let before = Session::open(&node.door(), json!({})).await;
    fs::remove_dir_all(node.data()).expect("it is there");
    let initialize = Session::initialize(&node.door(), json!({}));
    for _ in 0..2 {
        let refused = node.door().send(&initialize).await;
        assert_eq!((refused.status, refused.code()), (503, -31011));
    }
    healthy(&node.door()).await;
    assert_eq!(ping(&before).await, 200, "it is live");
    let ready = node.readiness();
    let told = ready.send(&ready.request("GET")).await;
    assert_eq!(told.status, 503);
    assert!(told.text().contains("deleted"), "{told:?}");
    assert!(!node.data().exists(), "re-created in silence");
    node.kill().await;
}

/// STO-006.
#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_not_touched() {
    let (node, _worker) = open().await;
    Session::open(&node.door(), json!({})).await;
    let killed = node.kill().await;
    let format = killed.data().join("store").join("format");
    fs::write(&format, "999\n").expect("it is there");
    let before = contents(killed.data());
    let why = killed.fails().await;
    assert!(why.contains("newer version"), "{why}");
    assert!(contents(killed.data()) == before, "files were touched");
}

/// STO-009: the other half, a byte that changed, is STO-001.
#[tokio::test]
async fn a_session_whose_owner_is_taken_out_of_its_record_is_unknown() {
    let (node, _worker) = open().await;
    let session = Session::open(&node.door(), json!({})).await;
    let killed = node.kill().await;
    let store = killed.store();
    let (key, mut record) = all(&store, Table::Sessions).await.remove(0);
    record.owner.principal = [0; 32];
    put(&store, key, record).await;
    store.close().await;
    let node = killed.restart().await;
    assert_eq!(ping(&session).await, 404);
    node.stop().await;
}

/// STO-010.
#[tokio::test]
async fn an_event_that_is_gone_is_a_gap_and_never_jumped_over() {
    let (killed, session, cursors) = updates().await;
    let store = killed.store();
    let events = all(&store, Table::Events).await;
    let lost = &events[events.len() - cursors.len() + 5].0;
    let mut batch = Batch::new();
    batch.delete(lost.clone());
    store.commit(batch).await.expect("it commits");
    store.close().await;
    let node = killed.restart().await;
    for before in [1, 4] {
        let refused = session.resume(&cursors[before]).await.finish().await;
        assert_eq!((refused.status, refused.code()), (400, -31010));
    }
    let mut resumed = session.resume(&cursors[5]).await;
    let event = resumed.event().await.expect("what is left");
    assert_eq!(event.id.as_ref(), Some(&cursors[6]));
    drop(resumed);
    node.kill().await;
}

/// STO-011: of two events with one number, both are never shown. What they say is not known any
/// more, so it is a gap.
#[tokio::test]
async fn an_event_that_was_put_beside_another_is_not_shown() {
    let (killed, session, cursors) = updates().await;
    let store = killed.store();
    let events = all(&store, Table::Events).await;
    let (key, mut record) = events[events.len() - 3].clone();
    let bytes = key.as_bytes();
    let (names, place) = bytes.split_at(bytes.len() - 16);
    let tenant = TenantId::parse("default").expect("a label");
    let id = &names[names.len() - 32..];
    let numbers: Vec<u64> = place
        .chunks(8)
        .map(|n| u64::from_be_bytes(n.try_into().expect("eight bytes")))
        .collect();
    let forged = Key::new(Table::Events, Shard(bytes[1]), &tenant).bytes(id);
    let forged = forged.u64(numbers[0] + 1).u64(numbers[1]);
    record.epoch += 1;
    put(&store, forged, record).await;
    assert_eq!(all(&store, Table::Events).await.len(), events.len() + 1);
    store.close().await;
    let node = killed.restart().await;
    let refused = session.resume(&cursors[1]).await.finish().await;
    assert_eq!((refused.status, refused.code()), (400, -31010));
    node.kill().await;
}

/// STO-015.
#[tokio::test]
async fn a_second_node_on_the_same_data_ends_and_the_first_does_not_notice() {
    let (node, _worker) = open().await;
    let why = soon("its end", Box::pin(node.second_fails())).await;
    assert!(why.contains("in use"), "{why}");
    let session = Session::open(&node.door(), json!({})).await;
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

/// STO-024: said to the client and to nobody kept.
#[tokio::test]
async fn a_result_beyond_the_limit_is_refused_whole() {
    let world = World::with(|config| {
        config.workers.hub.outcome_bytes_max = 100_000;
        config.edge.stream_after = Duration::ZERO;
    })
    .await;
    let session = Session::open(&world.door(), json!({})).await;
    let call = json!({"name": "big", "arguments": {"count": 300_000}});
    let legacy = session.ask(1, "tools/call", call).await;
    let big = Modern::call("big", json!({"count": 300_000}));
    let modern = big.send(&world.door()).await;
    for response in [legacy, modern] {
        let last = response.messages().pop().unwrap_or_else(|| response.json());
        assert_eq!(last["error"]["code"], -31005, "{last}");
    }
    m_ok().result(&world.door()).await;
    world.end(session).await;
}

/// A session with ten stored events on its standalone stream, and their ids; the node is killed.
async fn updates() -> (Killed, Session, Vec<String>) {
    let (node, worker) = open().await;
    let session = Session::open(&node.door(), json!({})).await;
    let uri = json!({"uri": "mem://text"});
    session.result(1, "resources/subscribe", uri).await;
    let mut live = session.listen().await;
    let touch = json!({"name": "touch", "arguments": {"text": "mem://text"}});
    let mut cursors = Vec::new();
    for id in 2..12 {
        session.result(id, "tools/call", touch.clone()).await;
        let mut event = live.event().await.expect("an update");
        while event.is_priming() {
            event = live.event().await.expect("an update");
        }
        cursors.push(event.id.expect("stored"));
    }
    drop(live);
    let killed = node.kill().await;
    drop(worker);
    (killed, session, cursors)
}

async fn all(store: &Store, table: Table) -> Vec<(Key, Record)> {
    let found = store.scan(&KeyPrefix::table(table), None, 4_096).await;
    found.expect("it reads")
}

async fn put(store: &Store, key: Key, record: Record) {
    let mut batch = Batch::new();
    batch.put(key, record, None);
    store.commit(batch).await.expect("it commits");
}

/// Every file below a directory.
pub(super) fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).expect("a directory") {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(path).expect("it reads"))),
        }
    }
    found
}
