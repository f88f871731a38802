//! Connections that break, at a server whose every byte is settled.

use ostler_testkit::{Replay, Seen, Stub};
use serde_json::{Value, json};

use crate::world::run;

fn ok(seen: &Seen, result: Value) -> Replay {
    Replay::json(
        200,
        &json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}),
    )
}

/// A legacy server whose call breaks off after its first event.
async fn breaking(rest: fn(&Seen) -> Replay) -> Stub {
    Stub::start(move |seen| match seen.about().as_str() {
        "server/discover" => Replay::status(400),
        "initialize" => ok(
            seen,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}),
        )
        .header("Mcp-Session-Id", "s"),
        "notifications/initialized" => Replay::status(202),
        "tools/list" => ok(seen, json!({"tools": [{"name": "t", "inputSchema": {"type": "object"}}]})),
        "tools/call" => Replay::stream(&["id: 1\nretry: 1\ndata: \n\n"]).cut(),
        "DELETE" => Replay::status(204),
        _ => rest(seen),
    })
    .await
}

#[tokio::test]
async fn a_call_goes_on_after_its_connection_broke() {
    let stub = breaking(|seen| {
        assert_eq!(seen.header("last-event-id"), Some("1"));
        let result = json!({"jsonrpc": "2.0", "id": 3, "result": {"content": [{"type": "text", "text": "done"}]}});
        Replay::stream(&[&format!("id: 2\ndata: {result}\n\n")])
    })
    .await;
    let ran = run(&stub.url("/mcp"), &["call", "t"]).await.exits(0);
    assert_eq!(ran.out, "done\n");
    assert!(ran.err.contains("taken up again"), "{ran:?}");
}

#[tokio::test]
async fn a_call_whose_rest_is_lost_says_that_it_may_have_been_done() {
    let stub = breaking(|_| Replay::status(400)).await;
    run(&stub.url("/mcp"), &["call", "t"]).await.exits(5);
    let stub = Stub::start(|seen| match seen.about().as_str() {
        "server/discover" => ok(
            seen,
            json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}),
        ),
        "tools/list" => ok(seen, json!({"tools": [{"name": "t"}]})),
        _ => Replay::stream(&[": ka\n\n"]).cut(),
    })
    .await;
    let ran = run(&stub.url("/mcp"), &["call", "t"]).await.exits(6);
    assert!(ran.err.contains("may have been done"), "{ran:?}");
}
