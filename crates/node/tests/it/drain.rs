//! How a node ends: new work is refused, every kind of open thing ends in its own way, and all of
//! it in time (promises.md 4.2).

use std::time::Duration;

use ostler_node::Exit;
use ostler_testkit::{
    Door, Modern, Pair, Request, Response, Script, Session, TestNode, TestWorker, m_ok, soon,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::text;

/// A node that takes connections while it drains, and its worker.
async fn world(change: impl FnOnce(&mut ostler_node::Config)) -> (TestNode, Script, TestWorker) {
    let node = TestNode::with(|config| {
        config.edge.stream_after = Duration::from_millis(20);
        config.drain_notice = Duration::from_secs(8);
        config.drain_timeout = Duration::from_secs(30);
        change(config);
    });
    let node = node.await;
    let script = Script::new();
    let worker = node.worker(&script).await;
    (node, script, worker)
}

async fn check(about: &str, door: &Door, request: &Request) {
    let response = door.send(request).await;
    let told = (response.status, response.code());
    assert_eq!(told, (503, -31007), "{about}: {}", response.text());
    assert!(response.header("retry-after").is_some(), "{about}");
    assert_eq!(response.header("connection"), Some("close"), "{about}");
}

#[tokio::test]
async fn new_work_is_refused_and_what_is_known_can_be_asked_for() {
    let (mut node, script, _worker) = world(|_| {}).await;
    let door = node.door();
    let session = Session::open(&door, json!({})).await;
    let params = json!({"name": "job_only", "arguments": {"gate": "g"}, "task": {}});
    let task = session.result("t", "tools/call", params.clone()).await["task"]["taskId"].clone();
    script.seen("started:g").await;
    let held = door
        .begin(&Modern::call("hold", json!({"gate": "h"})).to(&door))
        .await;
    script.seen("started:h").await;
    node.drain().await;

    let echo = json!({"text": "hi"});
    let listen = Modern::new("subscriptions/listen", json!({"notifications": {}}));
    let sse = Door {
        path: "/sse".to_owned(),
        ..door.clone()
    };
    let wait = json!({"taskId": task});
    for (about, door, request) in [
        (
            "modern call",
            &door,
            Modern::call("echo", echo.clone()).to(&door),
        ),
        ("listen", &door, listen.to(&door)),
        ("initialize", &door, Session::initialize(&door, json!({}))),
        ("legacy call", &door, session.call(1, "echo", echo)),
        (
            "legacy task",
            &door,
            session.request(2, "tools/call", params),
        ),
        (
            "task waiter",
            &door,
            session.request(3, "tasks/result", wait.clone()),
        ),
        (
            "HTTP+SSE",
            &sse,
            sse.request("GET").also("Accept", "text/event-stream"),
        ),
    ] {
        check(about, door, &request).await;
    }
    assert_eq!(session.result(4, "ping", json!({})).await, json!({}));
    assert_eq!(
        session.result(5, "tasks/get", wait).await["status"],
        "working"
    );
    script.open("h");
    assert_eq!(
        text(&held.head().await.finish().await.json()["result"]),
        "passed h"
    );
    assert_eq!(node.end().await, Exit::Drained);
}

/// Each in its own way: no client is left to find out by itself.
#[tokio::test]
async fn every_kind_of_open_thing_ends() {
    let (node, script, _worker) = world(|config| config.drain_notice = Duration::ZERO).await;
    let door = node.door();
    let session = Session::open(&door, json!({"elicitation": {}})).await;
    let standalone = session.listen().await;
    let mut post = door
        .open(&session.call("p", "hold", json!({"gate": "p"})))
        .await;
    assert!(post.event().await.is_some_and(|event| event.is_priming()));
    let params = json!({"name": "job_only", "arguments": {"gate": "t"}, "task": {}});
    let task = session.result("t", "tools/call", params).await["task"]["taskId"].clone();
    let wait = session.request("w", "tasks/result", json!({"taskId": task}));
    let waiter = door.open(&wait).await;
    let pair = Pair::open("2024-11-05", &door, json!({})).await;
    let listen = Modern::new("subscriptions/listen", json!({"notifications": {}}));
    let listen = listen.open(&door).await;
    let ask = Modern::call("transfer", json!({"amount": 1})).can(json!({"elicitation": {}}));
    let parked = ask.result(&door).await;
    assert_eq!(parked["resultType"], "input_required");
    let (mut silent, mut kept) = (dial(&door).await, dial(&door).await);
    keep_alive(&door, &mut kept).await;
    for gate in ["p", "t"] {
        script.seen(&format!("started:{gate}")).await;
    }

    let ends = async {
        for (about, stream) in [("GET", standalone), ("POST", post), ("waiter", waiter)] {
            let events = stream.finish().await.events();
            let retry = events.last().and_then(|event| event.retry_ms);
            assert!(
                retry.is_some_and(|ms| (1_000..=10_000).contains(&ms)),
                "{about}: {events:?}"
            );
        }
        let last = listen.finish().await.json();
        assert_eq!(last["result"]["resultType"], "complete", "{last}");
        pair.live.finish().await;
        for socket in [&mut silent, &mut kept] {
            // What is left of an answer, and the end.
            let ended = socket.read_to_end(&mut Vec::new()).await;
            ended.expect("no reset");
        }
    };
    let both = Box::pin(async { tokio::join!(node.end(), ends) });
    let (exit, ()) = soon("the end of all, before the limit", both).await;
    assert_eq!(exit, Exit::Drained);
}

async fn dial(door: &Door) -> TcpStream {
    TcpStream::connect(door.address).await.expect("it listens")
}

/// Leaves a connection that was used and may be used again.
async fn keep_alive(door: &Door, socket: &mut TcpStream) {
    let call = m_ok().to(door);
    socket.write_all(&call.to_bytes()).await.expect("it reads");
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("\"hi\"") {
        assert_ne!(socket.read_buf(&mut said).await.expect("it answers"), 0);
    }
}

/// Its call was there before the drain, and its stream is not.
#[tokio::test]
async fn a_stream_that_opens_late_is_told_too() {
    let late = |config: &mut ostler_node::Config| {
        config.edge.stream_after = Duration::from_millis(700);
        config.drain_notice = Duration::ZERO;
    };
    let (node, script, _worker) = world(late).await;
    let session = Session::open(&node.door(), json!({})).await;
    let sent = session
        .door
        .begin(&session.call(1, "hold", json!({"gate": "g"})))
        .await;
    script.seen("started:g").await;
    let told = async { sent.head().await.finish().await.events() };
    let (exit, events) = tokio::join!(node.end(), told);
    assert!(events[0].is_priming(), "{events:?}");
    assert!(
        events
            .last()
            .is_some_and(|event| event.retry_ms >= Some(1_000)),
        "{events:?}"
    );
    assert_eq!(exit, Exit::Drained);
}

#[tokio::test]
async fn a_call_that_does_not_end_is_ended_at_the_limit_and_told_so() {
    let short = |config: &mut ostler_node::Config| {
        config.drain_timeout = Duration::from_millis(500);
    };
    let (node, script, _worker) = world(short).await;
    let door = node.door();
    let call = |gate: &str| Modern::call("hold", json!({"gate": gate})).to(&door);
    let stream = door.open(&call("stream")).await;
    script.seen("started:stream").await;
    let old = Session::open_as("2025-06-18", &door, json!({})).await;
    let old = door
        .open(&old.call(1, "hold", json!({"gate": "old"})))
        .await;
    script.seen("started:old").await;
    let (exit, last) = tokio::join!(node.end(), stream.finish());
    check_cut("stream", &last);
    assert_eq!(
        exit,
        Exit::Cut,
        "the old client had no way back, and waited to the end"
    );
    script.seen("cancelled:stream").await;
    assert_eq!(script.count("cancelled:old"), 0, "its session has it");
    drop(old);
}

/// A worker was running it, and it may have had its effect: no 503, which invites to try again.
fn check_cut(about: &str, response: &Response) {
    let told = (response.status, response.code());
    assert_eq!(told, (200, -31007), "{about}: {}", response.text());
    assert_eq!(
        response.json()["error"]["data"]["executed"],
        "unknown",
        "{about}"
    );
    assert!(response.header("retry-after").is_none(), "{about}");
}

#[tokio::test]
async fn a_call_cut_before_its_stream_began_is_an_outcome_too() {
    let late = |config: &mut ostler_node::Config| {
        config.edge.stream_after = Duration::from_secs(5);
        config.drain_timeout = Duration::from_millis(500);
        config.drain_notice = Duration::ZERO;
    };
    let (node, script, _worker) = world(late).await;
    let door = node.door();
    let call = Modern::call("hold", json!({"gate": "g"})).to(&door);
    let sent = door.begin(&call).await;
    script.seen("started:g").await;
    let told = async { sent.head().await.finish().await };
    let (_, response) = tokio::join!(node.end(), told);
    check_cut("call", &response);
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_at_the_limit() {
    let short = |config: &mut ostler_node::Config| {
        config.drain_timeout = Duration::from_millis(500);
    };
    let (node, script, _worker) = world(short).await;
    let door = node.door();
    let call = Modern::call("big", json!({"count": 12 << 20})).to(&door);
    let _unread = door.begin(&call).await;
    node.reaches(
        "ostler_dispatch_calls_ended_total",
        &[("outcome", "ok")],
        1.0,
    )
    .await;
    let env = node.env.clone();
    assert_eq!(node.end().await, Exit::Cut);
    let cut = env
        .metrics()
        .value("ostler_edge_connections_closed_total", &[("reason", "cut")]);
    assert_eq!(cut, Some(1.0));
    let took = env.metrics().value("ostler_node_drain_seconds", &[]);
    assert!(took.is_some_and(|took| took >= 0.5), "{took:?}");
    drop(script);
}

#[tokio::test]
async fn an_operator_with_the_token_drains_a_node_from_outside() {
    let node = TestNode::stored().await;
    let token = std::fs::read_to_string(node.data().join("admin-token")).expect("it is made");
    let mut admin = node.door();
    (admin.address, admin.path) = (node.admin, "/drain".to_owned());
    assert_eq!(admin.send(&admin.request("POST")).await.status, 401);
    admin.key = Some(token.trim().to_owned());
    assert_eq!(admin.send(&admin.request("POST")).await.status, 202);
    assert_eq!(node.ended().await, Exit::Drained);
}
