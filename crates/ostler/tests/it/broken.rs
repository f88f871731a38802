//! Connections that break, at a server whose every byte is settled.

use ostler_testkit::{Replay, Seen, Stub, soon};
use serde_json::{Value, json};

use crate::world::{command, finish, run};

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

/// A modern server with these tools, whatever else it says.
async fn modern(tools: Value, rest: fn(&Seen) -> Replay) -> Stub {
    Stub::start(move |seen| match seen.about().as_str() {
        "server/discover" => ok(
            seen,
            json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}, "resources": {}}}),
        ),
        "tools/list" => ok(seen, json!({"tools": tools})),
        _ => rest(seen),
    })
    .await
}

#[tokio::test]
async fn what_is_done_is_done_though_nobody_hears_the_goodbye() {
    let stub = Stub::start(|seen| match seen.about().as_str() {
        "initialize" => ok(
            seen,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}),
        )
        .header("Mcp-Session-Id", "s"),
        "notifications/initialized" => Replay::status(202),
        "tools/list" => ok(seen, json!({"tools": []})),
        _ => Replay::silence(),
    })
    .await;
    let list = ["list", "tools", "--era", "legacy", "--timeout", "1"];
    let ran = run(&stub.url("/mcp"), &list).await.exits(0);
    assert!(ran.out.contains("tools (0)"), "{ran:?}");
}

#[tokio::test]
async fn a_blob_that_cannot_be_read_is_a_failure() {
    let stub = modern(json!([]), |seen| {
        ok(seen, json!({"contents": [{"uri": "a:b", "blob": "!"}]}))
    })
    .await;
    let ran = run(&stub.url("/mcp"), &["read", "a:b"]).await.exits(5);
    assert!(ran.err.contains("base64"), "{ran:?}");
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_a_failure() {
    let stub = modern(json!([]), |_| Replay::status(500)).await;
    let mut list = command(&stub.url("/mcp"), &["list", "tools"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    list.stdout(full.expect("Linux has it"));
    let child = list.spawn().expect("the binary runs");
    let ended = soon("the end", child.wait_with_output()).await;
    let ended = ended.expect("it runs");
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("cannot be written"), "{said}");
}

#[tokio::test]
async fn arguments_that_never_come_do_not_hold_the_end_back() {
    let tool = json!([{"name": "t", "inputSchema": {"type": "object"}}]);
    let stub = modern(tool, |_| Replay::status(500)).await;
    let mut call = command(
        &stub.url("/mcp"),
        &["call", "t", "--args", "-", "--timeout", "1"],
    );
    let (kept, input) = std::io::pipe()
        .map(|(read, write)| (write, read))
        .expect("a pipe");
    call.stdin(input);
    finish(call).await.exits(8);
    drop(kept);
}

#[tokio::test]
async fn an_era_that_is_not_spoken_has_no_server() {
    let stub = Stub::start(|_| Replay::status(404)).await;
    run(&stub.url("/mcp"), &["list", "--era", "modern"])
        .await
        .exits(4);
}

#[tokio::test]
async fn a_call_that_is_late_is_late_whatever_was_not_answered() {
    let (hold, held) = tokio::sync::mpsc::channel(1);
    let schema = json!({"properties": {"name": {"type": "string"}}, "required": ["name"]});
    let params = json!({"message": "who?", "requestedSchema": schema});
    let ask =
        json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params});
    hold.try_send(format!("data: {ask}\n\n")).expect("room");
    let held = std::sync::Mutex::new(Some(held));
    let tools = json!([{"name": "t", "inputSchema": {"type": "object"}}]);
    let stub = Stub::start(move |seen| match seen.about().as_str() {
        "initialize" => ok(
            seen,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}),
        ),
        "tools/list" => ok(seen, json!({"tools": tools})),
        "tools/call" => Replay::fed(held.lock().expect("no panic").take().expect("one call")),
        _ => Replay::status(202),
    })
    .await;
    let call = [
        "call",
        "t",
        "--era",
        "legacy",
        "--answer",
        "color=red",
        "--timeout",
        "1",
    ];
    run(&stub.url("/mcp"), &call).await.exits(8);
    assert!(
        stub.abouts().contains(&"response".to_owned()),
        "it was declined"
    );
    drop(hold);
}
