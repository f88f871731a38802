//! Layer session: ids that are wrong, foreign, forged or missing; floods; sleep and restart.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use ostler_testkit::{Door, Script, Session, TestNode, until};
use serde_json::{Value, json};

use crate::world::{World, text};

/// Entries with a test of their own.
pub const SINGLE: &[&str] = &[
    "SES-001", "SES-004", "SES-005", "SES-006", "SES-007", "SES-008", "SES-012", "SES-016",
    "SES-018", "SES-022",
];

/// The same session under another id, which may be no id at all.
fn under(session: &Session, id: &str) -> Session {
    Session {
        id: id.to_owned(),
        ..session.clone()
    }
}

/// Asks, says and listens; each is answered with this status, and as for a session that never was.
async fn refused(session: &Session, status: u16) {
    let requests = [
        session.request(7, "ping", json!({})),
        session.call(8, "echo", json!({"text": "hi"})),
        session.get(),
    ];
    for request in requests {
        let response = session.door.send(&request).await;
        let about = format!("{:?}: {}", request.headers, response.text());
        assert_eq!(response.status, status, "{about}");
        if status == 404 {
            assert_eq!(response.code(), -32600, "{about}");
        }
    }
}

/// SES-001. Its client opens a new one.
#[tokio::test]
async fn an_unknown_session_is_not_found_and_its_client_can_begin_anew() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let stale = under(&session, "2a7f0f4e-4c53-4c9b-9d0c-0d7c6a1b2c3d");
    let refused = stale.ask(5, "ping", json!({})).await;
    assert_eq!((refused.status, refused.code()), (404, -32600));
    assert_eq!(refused.json()["id"], 5);
    let again = Session::initialize(&world.door(), json!({})).also("Mcp-Session-Id", &stale.id);
    let opened = world.door().send(&again).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    world.end(session).await;
}

/// SES-004: two API keys of one person are two clients of it.
#[tokio::test]
async fn another_client_of_the_same_subject_is_a_stranger() {
    let node = TestNode::tenants_with(|config| {
        config.access.tenants[0].1.keys[1].subject = Some("a1".to_owned());
    })
    .await;
    let _worker = node.worker_of("wa", "a", "main", &Script::new()).await;
    let [one, other] = [&node.access.a1, &node.access.a2].map(|key| node.door_of("a", key));
    let session = Session::open(&one, json!({})).await;
    let door = other;
    let stranger = Session {
        door,
        ..session.clone()
    };
    refused(&stranger, 404).await;
    assert_eq!(stranger.delete().await.status, 404);
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

/// SES-005.
#[tokio::test]
async fn a_session_belongs_to_the_server_that_opened_it() {
    let world = World::tenants().await;
    let _worker = world
        .node
        .worker_of("wx", "a", "permissive", &Script::new())
        .await;
    let [strict, ..] = world.principals();
    let session = Session::open(&strict, json!({})).await;
    let door = Door {
        path: "/a/permissive/mcp".to_owned(),
        ..strict
    };
    let elsewhere = Session {
        door,
        ..session.clone()
    };
    refused(&elsewhere, 404).await;
    assert_eq!(elsewhere.delete().await.status, 404);
    world.end(session).await;
}

/// SES-006.
#[tokio::test]
async fn malformed_session_ids_are_unknown_or_refused() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let id = &session.id;
    for unknown in [
        id.to_lowercase(),
        id.to_uppercase(),
        id[..id.len() - 1].to_owned(),
        format!("{id}A"),
        "x".to_owned(),
    ] {
        refused(&under(&session, &unknown), 404).await;
    }
    for illegal in [
        format!("{id} {id}"),
        format!("{id}\u{7f}"),
        format!("{id}\u{e9}"),
    ] {
        refused(&under(&session, &illegal), 400).await;
    }
    let long = "A".repeat(16 << 10);
    let status = |response: ostler_testkit::Response| response.status;
    let too_long = under(&session, &long).ask(1, "ping", json!({})).await;
    assert_eq!(status(too_long), 431);
    let twice = session
        .request(1, "ping", json!({}))
        .also("Mcp-Session-Id", id);
    assert_eq!(status(session.door.send(&twice).await), 400);
    world.end(session).await;
}

/// SES-007.
#[tokio::test]
async fn a_request_without_a_session_joins_none() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    for request in [
        session.call(1, "echo", json!({"text": "hi"})),
        session.request(2, "tools/list", json!({})),
        session.get(),
    ] {
        let lost = request.without("Mcp-Session-Id");
        let response = session.door.send(&lost).await;
        assert_eq!((response.status, response.code()), (400, -32600));
    }
    world.end(session).await;
}

/// SES-008.
#[tokio::test]
async fn nobody_chooses_the_id_of_a_session() {
    let world = World::tenants().await;
    let [a1, a2, _] = world.principals();
    let theirs = Session::open(&a1, json!({})).await;
    for chosen in ["deadbeef", &theirs.id] {
        let fixed = Session::initialize(&a2, json!({})).also("Mcp-Session-Id", chosen);
        let opened = a2.send(&fixed).await;
        assert_eq!(opened.status, 200, "{}", opened.text());
        let id = opened.header("mcp-session-id").expect("an id");
        assert!(id != chosen && !id.contains(chosen), "{id}");
    }
    world.end(theirs).await;
}

/// SES-012: 192 bits of the system's randomness and a MAC; no part of them is the same in all.
#[tokio::test]
async fn ids_are_random_in_every_place() {
    const COUNT: usize = 2_000;
    let world = World::with(|config| config.edge.limits.requests_per_second_max = COUNT * 9).await;
    let door = world.door();
    let open = async |_| {
        let opened = door.send(&Session::initialize(&door, json!({}))).await;
        opened.header("mcp-session-id").expect("an id").to_owned()
    };
    let mut ids = HashSet::new();
    for _ in 0..COUNT / 50 {
        ids.extend(join_all((0..50).map(open)).await);
    }
    assert_eq!(ids.len(), COUNT);
    for place in 0..43 {
        let seen: HashSet<u8> = ids.iter().map(|id| id.as_bytes()[place]).collect();
        // The last one holds four bits.
        let least = if place < 42 { 60 } else { 16 };
        assert!(seen.len() >= least, "{} at {place}", seen.len());
    }
    world.stop().await;
}

/// SES-016: nothing is made or stored for whoever has no credential.
#[tokio::test]
async fn a_flood_without_credentials_costs_no_session() {
    let world = World::tenants().await;
    let [a1, ..] = world.principals();
    let nobody = Door { key: None, ..a1 };
    let knock = async |_| nobody.send(&Session::initialize(&nobody, json!({}))).await;
    for _ in 0..20 {
        for response in join_all((0..50).map(knock)).await {
            assert_eq!(response.status, 401);
            assert_eq!(response.header("mcp-session-id"), None);
        }
    }
    for (metric, labels) in [
        ("ostler_session_created_total", [].as_slice()),
        ("ostler_actor_live", &[("kind", "session")]),
        (
            "ostler_actor_activations_total",
            &[("kind", "session"), ("outcome", "live")],
        ),
        ("ostler_store_commits_total", &[]),
    ] {
        assert_eq!(world.node.metric(metric, labels), 0.0, "{metric}");
    }
    world.stop().await;
}

/// Waits until no session is live.
async fn asleep(node: &TestNode) {
    let live = || node.metric("ostler_actor_live", &[("kind", "session")]);
    until("all sessions to sleep", || (live() == 0.0).then_some(())).await;
}

/// SES-018; how fast is measured by `loadtests`.
#[tokio::test]
async fn a_sleeping_session_wakes_with_what_it_was_to_tell() {
    let node = TestNode::stored_with(|config| config.session.linger = Duration::from_millis(1));
    let node = node.await;
    let script = Script::new();
    let _worker = node.worker(&script).await;
    let session = Session::open(&node.door(), json!({})).await;
    let other = Session::open(&node.door(), json!({})).await;
    asleep(&node).await;
    let change = json!({"name": "change", "arguments": {"text": "more"}});
    other.result(1, "tools/call", change).await;
    asleep(&node).await;
    let mut live = session.listen().await;
    let told = live.message().await;
    assert_eq!(told["method"], "notifications/tools/list_changed");
    let echo = json!({"name": "echo", "arguments": {"text": "hi"}});
    let answered = session.result(1, "tools/call", echo).await;
    assert_eq!(text(&answered), "hi");
    drop(live);
    assert_eq!(session.delete().await.status, 204);
    assert_eq!(other.delete().await.status, 204);
    node.stop().await;
}

/// SES-022; `loadtests` does it with 100,000.
#[tokio::test]
async fn every_session_is_there_after_a_crash() {
    let node = TestNode::stored().await;
    let script = Script::new();
    let _worker = node.worker(&script).await;
    let door = node.door();
    let open = async |_| Session::open(&door, json!({})).await;
    let sessions = join_all((0..200).map(open)).await;
    let node = node.crash().await;
    let woken = sessions.iter().map(async |session| {
        let answered = session.ask(1, "ping", json!({})).await;
        (answered.status, answered.json()["result"].clone())
    });
    for answered in join_all(woken).await {
        assert_eq!(answered, (200, Value::from(serde_json::Map::new())));
    }
    node.stop().await;
}
