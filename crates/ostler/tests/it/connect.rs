//! `ostler connect`, as a desktop host runs it.

use std::time::Duration;

use ostler_testkit::{Modern, Replay, Script, Stub, TestNode, TestWorker};
use serde_json::{Value, json};

use crate::{
    host::{Host, call, initialize, request, text},
    world::url,
};

async fn world() -> (TestNode, Script, TestWorker) {
    let node = TestNode::anonymous().await;
    let script = Script::new();
    let worker = node.worker(&script).await;
    (node, script, worker)
}

const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

#[tokio::test]
async fn a_legacy_host_lists_calls_and_hears_of_progress() {
    let (node, _script, _worker) = world().await;
    for version in LEGACY {
        let mut host = Host::open(&url(&node), version, json!({})).await;
        let listed = host.ask(request(1, "tools/list", json!({}))).await;
        assert!(listed.to_string().contains("region_query"), "{listed}");
        let echo = host.ask(call("a", "echo", json!({"text": "hi"}))).await;
        assert_eq!(text(&echo), "hi");
        let meta = json!({"progressToken": "p"});
        let params = json!({"name": "progress", "arguments": {"count": 2}, "_meta": meta});
        let done = host.ask(request(2, "tools/call", params)).await;
        assert_eq!(text(&done), "done");
        let last = host.others.pop().expect("progress");
        assert_eq!(last["params"]["progressToken"], "p", "{last}");
        host.close().await;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_modern_host_lists_calls_and_hears_of_progress() {
    let (node, script, _worker) = world().await;
    let mut host = Host::start(&url(&node));
    let found = host
        .ask(Modern::new("server/discover", json!({})).id("d").message())
        .await;
    assert_eq!(
        found["result"]["supportedVersions"][0], "2026-07-28",
        "{found}"
    );
    // Nobody listed the tool before: its headers are learned when they are missed.
    let query = Modern::call("region_query", json!({"region": "eu", "count": 3}));
    let queried = host.ask(query.id(1).message()).await;
    assert!(text(&queried).contains("eu"), "{queried}");
    assert_eq!(script.count("region_query"), 1);
    let listed = host
        .ask(Modern::new("tools/list", json!({})).id(2).message())
        .await;
    assert!(listed.to_string().contains("region_query"), "{listed}");
    let progress = Modern::call("progress", json!({"count": 2})).meta("progressToken", "p");
    let done = host.ask(progress.id(3).message()).await;
    assert_eq!(text(&done), "done");
    let last = host.others.pop().expect("progress");
    assert_eq!(last["params"]["progressToken"], "p", "{last}");
    host.close().await;
    node.stop().await;
}

#[tokio::test]
async fn a_host_is_asked_in_its_own_way() {
    let (node, _script, _worker) = world().await;
    let accepted = json!({"action": "accept", "content": {"ok": true}});
    let mut host = Host::open(&url(&node), "2025-11-25", json!({"elicitation": {}})).await;
    host.send(&call(1, "transfer", json!({"amount": 3}))).await;
    let asked = host.told("elicitation/create").await;
    assert_eq!(asked["params"]["message"], "Transfer 3?");
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": accepted});
    host.send(&answer).await;
    assert_eq!(
        text(&host.answer(&json!(1)).await),
        r#"3: accept {"ok":true}"#
    );
    host.close().await;

    let mut host = Host::start(&url(&node));
    let transfer = Modern::call("transfer", json!({"amount": 3})).can(json!({"elicitation": {}}));
    let asked = host.ask(transfer.message()).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let again = transfer.retry(&asked["result"], json!({"confirm": accepted}));
    let done = host.ask(again.message()).await;
    assert_eq!(text(&done), r#"3: accept {"ok":true}"#);
    host.close().await;
    node.stop().await;
}

#[tokio::test]
async fn a_cancelled_call_ends_at_the_worker_and_is_not_answered() {
    let (node, script, _worker) = world().await;
    let mut host = Host::open(&url(&node), "2025-11-25", json!({})).await;
    host.send(&call(1, "hold", json!({"gate": "l"}))).await;
    script.seen("started:l").await;
    host.notify("notifications/cancelled", json!({"requestId": 1}))
        .await;
    script.seen("cancelled:l").await;
    let pong = host.ask(request(2, "ping", json!({}))).await;
    assert_eq!(pong["result"], json!({}));
    assert!(host.others.is_empty(), "{:?}", host.others);
    host.close().await;

    let mut host = Host::start(&url(&node));
    host.send(&Modern::call("hold", json!({"gate": "m"})).message())
        .await;
    script.seen("started:m").await;
    host.notify("notifications/cancelled", json!({"requestId": 1}))
        .await;
    script.seen("cancelled:m").await;
    let found = host
        .ask(Modern::new("server/discover", json!({})).id(2).message())
        .await;
    assert!(found["result"].is_object(), "{found}");
    assert!(host.others.is_empty(), "{:?}", host.others);
    host.close().await;
    node.stop().await;
}

#[tokio::test]
async fn changes_are_heard_of() {
    let (node, _script, _worker) = world().await;
    let mut host = Host::open(&url(&node), "2025-11-25", json!({})).await;
    host.send(&call(1, "change", json!({"text": "one"}))).await;
    host.told("notifications/tools/list_changed").await;
    host.close().await;

    let mut host = Host::start(&url(&node));
    let filter = json!({"notifications": {"toolsListChanged": true}});
    host.send(
        &Modern::new("subscriptions/listen", filter)
            .id("l")
            .message(),
    )
    .await;
    host.told("notifications/subscriptions/acknowledged").await;
    host.send(&Modern::call("change", json!({"text": "two"})).message())
        .await;
    let changed = host.told("notifications/tools/list_changed").await;
    assert!(
        changed.to_string().contains(r#"subscriptionId":"l""#),
        "{changed}"
    );
    host.close().await;
    node.stop().await;
}

#[tokio::test]
async fn the_two_endpoints_of_old_are_spoken_too() {
    let (node, script, _worker) = world().await;
    let sse = format!("http://{}/sse", node.edge);
    let mut host = Host::open(&sse, "2024-11-05", json!({})).await;
    host.send(&call(1, "hold", json!({"gate": "g"}))).await;
    script.seen("started:g").await;
    let echo = host.ask(call(2, "echo", json!({"text": "hi"}))).await;
    assert_eq!(text(&echo), "hi");
    script.open("g");
    assert_eq!(text(&host.answer(&json!(1)).await), "passed g");
    host.close().await;
    node.stop().await;
}

/// A stored node whose responses become streams at once.
async fn stored() -> (TestNode, Script, TestWorker) {
    let node = TestNode::stored_with(|config| {
        config.edge.stream_after = Duration::from_millis(20);
    })
    .await;
    let script = Script::new();
    let worker = node.worker(&script).await;
    (node, script, worker)
}

#[tokio::test]
async fn a_node_that_crashes_in_a_call_costs_its_host_nothing() {
    let (node, script, _worker) = stored().await;
    let mut host = Host::open(&url(&node), "2025-11-25", json!({"elicitation": {}})).await;
    let mut modern = Host::start(&url(&node));
    let filter = json!({"notifications": {"toolsListChanged": true}});
    modern
        .send(
            &Modern::new("subscriptions/listen", filter)
                .id("l")
                .message(),
        )
        .await;
    modern
        .told("notifications/subscriptions/acknowledged")
        .await;
    host.send(&call(1, "ask_then_hold", json!({"gate": "g"})))
        .await;
    // With the question its stream is there, and a place to take it up again.
    let asked = host.told("elicitation/create").await;
    let accepted = json!({"action": "accept", "content": {"go": true}});
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": accepted});
    host.send(&answer).await;
    script.seen("started:g").await;
    let node = node.crash().await;
    script.open("g");
    assert_eq!(text(&host.answer(&json!(1)).await), "passed g");
    let echo = host.ask(call(2, "echo", json!({"text": "hi"}))).await;
    assert_eq!(text(&echo), "hi");
    assert!(host.others.is_empty(), "{:?}", host.others);
    // What changed meanwhile was not heard, so the host is told to look.
    let changed = modern.told("notifications/tools/list_changed").await;
    assert!(
        changed.to_string().contains(r#"subscriptionId":"l""#),
        "{changed}"
    );
    assert!(modern.others.is_empty(), "{:?}", modern.others);
    host.close().await;
    modern.close().await;
    node.stop().await;
}

#[tokio::test]
async fn a_session_that_is_gone_is_opened_anew_and_its_calls_end() {
    let (node, script, _worker) = world().await;
    let mut host = Host::open(&url(&node), "2025-11-25", json!({"elicitation": {}})).await;
    let uri = json!({"uri": "mem://text"});
    host.ask(request("s", "resources/subscribe", uri)).await;
    host.send(&call(1, "hold", json!({"gate": "g"}))).await;
    script.seen("started:g").await;
    let node = node.crash().await;
    let lost = host.answer(&json!(1)).await;
    assert_eq!(lost["error"]["code"], -31003, "{lost}");
    assert_eq!(lost["error"]["data"]["executed"], "unknown", "{lost}");
    // It has no state to take up, so the host is told to look again.
    let echo = host.ask(call(2, "echo", json!({"text": "hi"}))).await;
    assert_eq!(text(&echo), "hi");
    let told =
        |host: &Host, method: &str| host.others.iter().any(|other| other["method"] == method);
    assert!(
        told(&host, "notifications/tools/list_changed"),
        "{:?}",
        host.others
    );
    // The new session asks, and knows what the old one was asked for.
    host.send(&call(3, "transfer", json!({"amount": 3}))).await;
    let asked = host.told("elicitation/create").await;
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}});
    host.send(&answer).await;
    assert_eq!(text(&host.answer(&json!(3)).await), "3: decline");
    host.send(&call(4, "touch", json!({"text": "mem://text"})))
        .await;
    host.told("notifications/resources/updated").await;
    script.open("g");
    let log = host.close().await;
    assert!(log.contains("another one"), "{log}");
    node.stop().await;
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_the_rest_goes_on() {
    let (node, _script, _worker) = world().await;
    let mut host = Host::open(&url(&node), "2025-11-25", json!({})).await;
    host.write("garbage").await;
    let refused = host.line().await;
    assert_eq!(
        (&refused["error"]["code"], &refused["id"]),
        (&json!(-32700), &Value::Null)
    );
    host.write("").await;
    host.write("[]").await;
    assert_eq!(host.line().await["error"]["code"], -32600);
    host.write(r#"{"jsonrpc":"2.0","id":9}"#).await;
    assert_eq!(host.line().await["error"]["code"], -32600);
    let batch = json!([request(1, "ping", json!({})), request(2, "ping", json!({}))]);
    host.send(&batch).await;
    let mut ids = [
        host.line().await["id"].clone(),
        host.line().await["id"].clone(),
    ];
    ids.sort_by_key(Value::as_i64);
    assert_eq!(ids, [json!(1), json!(2)]);
    host.close().await;
    node.stop().await;
}

#[tokio::test]
async fn a_credential_comes_from_the_environment_or_a_file() {
    let node = TestNode::tenants().await;
    let script = Script::new();
    let _worker = node.worker_of("w", "a", "main", &script).await;
    let key = node.access.a1.clone();
    let mut host = Host::start(&url(&node));
    let refused = host.ask(initialize("2025-11-25", json!({}))).await;
    let said = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(
        said.contains("401") && said.contains("OSTLER_TOKEN"),
        "{refused}"
    );
    let log = host.close().await;
    assert!(log.contains("OSTLER_TOKEN"), "{log}");

    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let token = dir.path().join("token");
    std::fs::write(&token, &key).expect("the directory is ours");
    let headers = dir.path().join("headers");
    std::fs::write(&headers, format!("Authorization: Bearer {key}\n\n")).expect("it is ours");
    let token = token.display().to_string();
    let headers = headers.display().to_string();
    for (arguments, token) in [
        (vec![], Some(key.as_str())),
        (vec!["--token-file", token.as_str()], None),
        (vec!["--header-file", headers.as_str()], None),
    ] {
        let mut host = Host::start_with(&url(&node), &arguments, token);
        let who = host.ask(Modern::call("whoami", json!({})).message()).await;
        assert!(text(&who).starts_with("a/"), "{who}");
        host.close().await;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_remote_that_is_not_there_is_named_to_the_host() {
    let mut host = Host::start("http://127.0.0.1:1/mcp");
    let refused = host.ask(initialize("2025-11-25", json!({}))).await;
    let said = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(
        said.contains("127.0.0.1:1") && said.contains("doctor"),
        "{refused}"
    );
    let log = host.close().await;
    assert!(log.contains("cannot reach"), "{log}");

    let stub = Stub::start(|_| Replay::status(404)).await;
    let mut host = Host::start(&stub.url("/"));
    let refused = host
        .ask(Modern::new("server/discover", json!({})).message())
        .await;
    // By this a host knows to go on with `initialize`.
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    let refused = host.ask(initialize("2025-11-25", json!({}))).await;
    let said = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("check the path"), "{refused}");
    host.close().await;
}
