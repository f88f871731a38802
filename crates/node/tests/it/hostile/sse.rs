//! Layer sse: cursors that are wrong, and streams that are asked for wrongly, in each revision that
//! has them.

use ostler_testkit::{Door, Modern, Session, m_ok};
use serde_json::{Value, json};

use super::{Case, check};
use crate::world::{World, text};

/// Entries with a test of their own.
pub const SINGLE: &[&str] = &[
    "SSE-001", "SSE-003", "SSE-005", "SSE-006", "SSE-009", "SSE-012", "SSE-021", "SSE-024",
];

const STREAMABLE: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

pub fn table(door: &Door) -> Vec<Case> {
    let with_cursor = m_ok().to(door).also("Last-Event-ID", "5");
    vec![("SSE-013", with_cursor, 200, 0)]
}

#[tokio::test]
async fn the_table_holds() {
    let world = World::open().await;
    check(&world, &world.door(), table(&world.door())).await;
    world.stop().await;
}

/// SSE-001, SSE-005. An empty stream would be asked for again and again.
#[tokio::test]
async fn a_cursor_that_was_never_given_is_a_gap_and_no_stream() {
    let world = World::open().await;
    for version in STREAMABLE {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        let long = "A".repeat(64 << 10);
        for (cursor, status) in [
            ("never-issued", 400),
            ("-1", 400),
            ("18446744073709551616", 400),
            ("0x10", 400),
            ("\u{e9}", 400),
            (long.as_str(), 431),
        ] {
            let get = session.get().also("Last-Event-ID", cursor);
            let refused = session.door.send(&get).await;
            let about = format!("{version} {cursor:.20}: {}", refused.text());
            assert_eq!(refused.status, status, "{about}");
            if status == 400 {
                assert_eq!(refused.code(), -31010, "{about}");
            }
        }
        // Bytes that end a line end no header of ours.
        for bytes in [b"a\0b".as_slice(), b"a\nb"] {
            let get = session.get().also("Last-Event-ID", bytes);
            assert_eq!(session.door.send(&get).await.status, 400);
        }
        let fresh = session.resume("").await;
        assert_eq!(fresh.head().status, 200, "no cursor at all");
        assert_eq!(session.result(1, "ping", json!({})).await, json!({}));
        drop(fresh);
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// SSE-003: whoever it is, it looks as one that was never given, and its owner loses nothing.
#[tokio::test]
async fn a_cursor_of_a_stranger_is_an_unknown_one() {
    let world = World::tenants().await;
    let [a1, a2, b1] = world.principals();
    let can = json!({"sampling": {}});
    for version in STREAMABLE {
        let owner = Session::open_as(version, &a1, can.clone()).await;
        let mut live = owner.door.open(&owner.call(1, "sample", json!({}))).await;
        let asked = loop {
            let event = live.event().await.expect("a question");
            if !event.is_priming() {
                break event;
            }
        };
        let cursor = asked.id.clone().expect("stored");
        for door in [&a1, &a2, &b1] {
            let stranger = Session::open_as(version, door, can.clone()).await;
            let told = async |cursor: &str| {
                let refused = stranger.resume(cursor).await.finish().await;
                (refused.status, refused.text().to_owned())
            };
            let refused = told(&cursor).await;
            assert_eq!(refused.0, 400, "{refused:?}");
            assert_eq!(refused, told("never-issued").await);
            assert_eq!(stranger.delete().await.status, 204);
        }
        drop(live);
        let mut resumed = owner.resume(&cursor).await;
        let reply = json!({"role": "assistant", "model": "m",
            "content": {"type": "text", "text": "hi"}});
        assert_eq!(owner.answer(&asked.json(), reply).await.status, 202);
        assert_eq!(resumed.message().await["id"], 1);
        assert_eq!(owner.delete().await.status, 204);
    }
    world.stop().await;
}

/// SSE-006.
#[tokio::test]
async fn a_cursor_from_before_what_is_kept_is_a_gap_that_says_what_is() {
    let world = World::with(|config| config.session.stream_events_max = 3).await;
    for version in STREAMABLE {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        let uri = json!({"uri": "mem://text"});
        session.result(1, "resources/subscribe", uri).await;
        let mut live = session.listen().await;
        let touch = json!({"name": "touch", "arguments": {"text": "mem://text"}});
        let mut cursors = Vec::new();
        for id in 2..8 {
            session.result(id, "tools/call", touch.clone()).await;
            let mut event = live.event().await.expect("an update");
            while event.is_priming() {
                event = live.event().await.expect("an update");
            }
            cursors.push(event.id.expect("stored"));
        }
        drop(live);
        let refused = session.resume(&cursors[0]).await.finish().await;
        assert_eq!((refused.status, refused.code()), (400, -31010), "{version}");
        let oldest = refused.json()["error"]["data"]["oldest"].clone();
        assert_eq!(oldest, cursors[3].as_str(), "{version}");
        let mut resumed = session.resume(&cursors[3]).await;
        for expected in &cursors[4..] {
            let event = resumed.event().await.expect("what is kept");
            assert_eq!(event.id.as_ref(), Some(expected));
        }
        drop(resumed);
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// SSE-009.
#[tokio::test]
async fn what_a_post_delivered_no_get_repeats() {
    let world = World::open().await;
    for version in STREAMABLE {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        let params = json!({"name": "progress", "arguments": {"count": 1},
            "_meta": {"progressToken": 1}});
        let answered = session.ask(1, "tools/call", params).await;
        assert!(answered.is_stream());
        let mut live = session.listen().await;
        let change = json!({"name": "change", "arguments": {"text": version}});
        session.result(2, "tools/call", change).await;
        let first = live.message().await;
        assert_eq!(
            first["method"], "notifications/tools/list_changed",
            "{first}"
        );
        drop(live);
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// SSE-012.
#[tokio::test]
async fn a_stream_needs_a_session_and_a_client_that_takes_one() {
    let world = World::open().await;
    for version in STREAMABLE {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        let nowhere = session.get().without("Mcp-Session-Id");
        let refused = session.door.send(&nowhere).await;
        assert_eq!((refused.status, refused.code()), (400, -32600));
        assert_eq!(refused.json()["id"], Value::Null);
        let json_only = session.get().header("Accept", "application/json");
        assert_eq!(session.door.send(&json_only).await.status, 406);
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// SSE-024: what floods a call reaches its client at a rate, and holds its answer up no longer.
#[tokio::test]
async fn a_flood_of_progress_is_thinned_out_in_either_era() {
    const SENT: usize = 20_000;
    let world = World::with(|config| {
        config.limits.chatter_per_second_max = 5;
        config.edge.limits.chatter_per_second_max = 5;
        config.session.chatter_per_second_max = 5;
    })
    .await;
    let session = Session::open(&world.door(), json!({})).await;
    let params = json!({"name": "progress", "arguments": {"count": SENT},
        "_meta": {"progressToken": 1}});
    let legacy = session.ask(1, "tools/call", params).await;
    let call = Modern::call("progress", json!({"count": SENT})).meta("progressToken", 1);
    let modern = call.send(&world.door()).await;
    for response in [&legacy, &modern] {
        let messages = response.messages();
        let (last, steps) = messages.split_last().expect("an answer");
        assert_eq!(text(&last["result"]), "done");
        assert!(
            !steps.is_empty() && steps.len() < SENT / 100,
            "{}",
            steps.len()
        );
        let steps = steps
            .iter()
            .filter_map(|m| m["params"]["progress"].as_f64());
        assert!(steps.is_sorted_by(|one, next| one < next), "it only grows");
    }
    let dropped = world.node.metric("ostler_edge_chatter_dropped_total", &[]);
    assert!(dropped > 0.0);
    world.end(session).await;
}

/// SSE-021: a blank line would end the event early.
#[tokio::test]
async fn line_breaks_of_a_worker_break_no_event() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let params = json!({"name": "broken_lines", "_meta": {"progressToken": 1}});
    let legacy = session.ask(1, "tools/call", params).await;
    let call = Modern::call("broken_lines", json!({})).meta("progressToken", 1);
    let modern = call.send(&world.door()).await;
    for response in [&legacy, &modern] {
        assert!(response.is_stream(), "{response:?}");
        assert!(!response.body.contains(&b'\r'));
        let last = response.messages().pop().expect("an answer");
        assert_eq!(text(&last["result"]), "a\nb");
    }
    world.end(session).await;
}
