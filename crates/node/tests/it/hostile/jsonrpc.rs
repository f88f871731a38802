//! Layer jsonrpc: messages that are wrong, and right ones at the wrong time.

use std::time::Duration;

use ostler_testkit::{Door, Modern, Request, Session, TestNode, m_ok};
use serde_json::{Value, json};

use super::{Case, check, healthy};
use crate::world::{World, text};

/// Entries with a test of their own.
pub const SINGLE: &[&str] = &[
    "RPC-017", "RPC-024", "RPC-032", "RPC-034", "RPC-035", "RPC-038", "RPC-039", "RPC-045",
    "RPC-046", "RPC-047", "RPC-057", "RPC-060",
];

pub fn table(door: &Door) -> Vec<Case> {
    [bytes(door), members(door), methods(door), params(door)].concat()
}

fn body(door: &Door, body: impl Into<Vec<u8>>) -> Request {
    m_ok().to(door).body(body)
}

/// M-OK with another text for one member of its message.
fn bent(door: &Door, member: &str, text: &str) -> Request {
    let mut message = m_ok().message();
    message[member] = json!("@@");
    body(door, message.to_string().replace(r#""@@""#, text))
}

fn bytes(door: &Door) -> Vec<Case> {
    let ok = m_ok().message().to_string();
    let with_bom = [b"\xef\xbb\xbf", ok.as_bytes()].concat();
    let not_utf8 = [
        br#"{"jsonrpc":"2.0","id":1,"method":""#.as_slice(),
        b"\xff\"}",
    ]
    .concat();
    let many = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"},"#.repeat(10_000);
    let many = format!("[{}]", many.trim_end_matches(','));
    vec![
        ("RPC-001", body(door, ""), 400, -32700),
        ("RPC-002", body(door, &ok.as_bytes()[..40]), 400, -32700),
        ("RPC-003", body(door, with_bom), 400, -32700),
        ("RPC-004", body(door, not_utf8), 400, -32700),
        ("RPC-007", bent(door, "id", "NaN"), 400, -32700),
        ("RPC-007", bent(door, "id", "0x1"), 400, -32700),
        ("RPC-007", body(door, "{/*c*/}"), 400, -32700),
        ("RPC-007", body(door, "{'a':1}"), 400, -32700),
        ("RPC-010", body(door, format!("[{ok},{ok}]")), 400, -32600),
        ("RPC-011", body(door, "[]"), 400, -32600),
        ("RPC-011", body(door, many), 400, -32600),
    ]
}

fn members(door: &Door) -> Vec<Case> {
    let twice = |inner: &str| {
        let ok = m_ok().message().to_string();
        body(door, ok.replace(r#""text":"hi""#, inner))
    };
    let named = m_ok()
        .message()
        .to_string()
        .replace(r#""name":"echo""#, r#""name":"a","name":"echo""#);
    let cased = m_ok()
        .message()
        .to_string()
        .replacen('{', r#"{"Method":"tools/call","#, 1);
    vec![
        ("RPC-013", bent(door, "jsonrpc", r#""1.0""#), 400, -32600),
        ("RPC-013", bent(door, "jsonrpc", "2.0"), 400, -32600),
        (
            "RPC-013",
            body(door, r#"{"id":1,"method":"ping"}"#),
            400,
            -32600,
        ),
        ("RPC-014", bent(door, "id", "null"), 400, -32600),
        ("RPC-015", bent(door, "id", "1.5"), 400, -32600),
        ("RPC-015", bent(door, "id", "true"), 400, -32600),
        ("RPC-015", bent(door, "id", "{}"), 400, -32600),
        ("RPC-015", bent(door, "id", "[]"), 400, -32600),
        ("RPC-019", twice(r#""text":"hi","text":"ho""#), 400, -32600),
        ("RPC-019", body(door, named), 400, -32600),
        ("RPC-020", body(door, cased), 400, -32600),
    ]
}

fn methods(door: &Door) -> Vec<Case> {
    let long = format!("\"{}\"", "m".repeat(1 << 20));
    let none = json!({"jsonrpc": "2.0", "id": 1}).to_string();
    let mut cases = vec![
        ("RPC-023", body(door, none), 400, -32600),
        ("RPC-023", bent(door, "method", "7"), 400, -32600),
        ("RPC-023", bent(door, "method", &long), 400, -32600),
        ("RPC-023", Modern::new("", json!({})).to(door), 404, -32601),
    ];
    for method in ["rpc.shutdown", "tools/Call", "../tools/call"] {
        cases.push((
            "RPC-024",
            Modern::new(method, json!({})).to(door),
            404,
            -32601,
        ));
    }
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
    ] {
        cases.push((
            "RPC-030",
            Modern::new(method, json!({})).to(door),
            404,
            -32601,
        ));
    }
    cases
}

fn params(door: &Door) -> Vec<Case> {
    let meta = |name: &str| format!("io.modelcontextprotocol/{name}");
    let forged = m_ok()
        .meta(&meta("subscriptionId"), "x")
        .meta(&meta("serverInfo"), json!({"name": "evil"}))
        .meta("x-tenant", "b");
    let arguments = |value: Value| {
        let params = json!({"name": "echo", "arguments": value});
        Modern::new("tools/call", params).to(door)
    };
    let uris: Vec<String> = (0..1001).map(|n| format!("mem://doc/{n}")).collect();
    let filter = json!({"notifications": {"resourceSubscriptions": uris}});
    let complete = json!({"ref": {"type": "ref/prompt", "name": "greet"},
        "argument": {"name": "name", "value": "a".repeat(1_000_000)}});
    let get = Modern::new("tasks/get", json!({"taskId": "x"})).can_follow(json!({}));
    let loud = m_ok().meta(&meta("logLevel"), "LOUD");
    let no_capabilities = m_ok().without_meta(&meta("clientCapabilities"));
    vec![
        ("RPC-025", bent(door, "params", "[1,2]"), 400, -32602),
        ("RPC-025", bent(door, "params", "7"), 400, -32602),
        ("RPC-027", no_capabilities.to(door), 400, -32602),
        (
            "RPC-027",
            m_ok().meta(&meta("protocolVersion"), 20_260_728).to(door),
            400,
            -32602,
        ),
        (
            "RPC-028",
            m_ok().without_meta(&meta("clientInfo")).to(door),
            200,
            0,
        ),
        ("RPC-029", forged.to(door), 200, 0),
        ("RPC-044", arguments(json!("x")), 400, -32602),
        ("RPC-044", arguments(json!([])), 400, -32602),
        ("RPC-044", arguments(json!(7)), 400, -32602),
        (
            "RPC-049",
            Modern::new("completion/complete", complete).to(door),
            400,
            -32602,
        ),
        (
            "RPC-056",
            Modern::new("subscriptions/listen", filter).to(door),
            400,
            -32602,
        ),
        ("RPC-059", get.to(door).header("Mcp-Name", "y"), 400, -32020),
        ("RPC-060", loud.to(door), 400, -32602),
    ]
}

#[tokio::test]
async fn the_table_holds() {
    let world = World::open().await;
    check(&world, &world.door(), table(&world.door())).await;
    world.stop().await;
}

/// RPC-060: the flood.
#[tokio::test]
async fn a_flood_is_refused_to_who_sends_it_and_to_nobody_else() {
    let node = TestNode::tenants_with(|config| {
        config.edge.limits.requests_per_second_max = 1;
    });
    let node = node.await;
    let door = |tenant, key| node.door_of(tenant, key);
    let key = "io.modelcontextprotocol/logLevel";
    let levels = ["debug", "error"].map(|level| m_ok().meta(key, level));
    let flooding = door("a", &node.access.a1);
    // Bounded, for a machine too slow to send two requests within a second.
    let mut flood = levels.iter().cycle().take(1_000);
    let refused = loop {
        let next = flood.next().expect("two requests came within a second");
        let response = next.send(&flooding).await;
        if response.status == 429 {
            break response;
        }
    };
    assert_eq!(refused.code(), -31001);
    assert_eq!(refused.header("retry-after"), Some("1"));
    for other in [door("a", &node.access.a2), door("b", &node.access.b1)] {
        assert_eq!(m_ok().send(&other).await.status, 503, "no worker is linked");
    }
    let busy = node.metric("ostler_edge_refused_total", &[("reason", "busy")]);
    assert_eq!(busy, 1.0);
    node.stop().await;
}

/// RPC-060: whatever it is made of; and its bodies are not even read.
#[tokio::test]
async fn a_flood_of_any_method_is_refused_unread() {
    let world = World::with(|config| config.edge.limits.requests_per_second_max = 1).await;
    let door = world.door();
    let get = door.request("GET").also("Accept", "text/event-stream");
    let delete = door.request("DELETE").also("Mcp-Session-Id", "x");
    // Its body never comes.
    let post = m_ok().to(&door).also("Content-Length", "1000").body("");
    for request in [get, delete, post] {
        let counted = door.request("GET").to_bytes();
        let mut tries = 0..50;
        let refused = loop {
            tries.next().expect("two requests came within a second");
            // Together, so that no second passes between them.
            let bytes = [counted.clone(), request.to_bytes()].concat();
            let mut responses = door.raw_until(&bytes, 2).await;
            let last = responses.pop().expect("two responses");
            if last.status == 429 {
                break last;
            }
        };
        assert_eq!(refused.code(), -31001, "{}", request.method);
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_hostile_id_is_refused_or_comes_back_escaped() {
    let world = World::open().await;
    let door = world.door();
    let long = m_ok().id("i".repeat(1 << 20)).send(&door).await;
    assert_eq!((long.status, long.code()), (400, -32600));
    let id = "\0\n\u{1b}[2J";
    let response = m_ok().id(id).send(&door).await;
    assert_eq!(response.json()["id"], id);
    assert!(!response.body.contains(&b'\n') && !response.body.contains(&0x1b));
    world.stop().await;
}

/// RPC-024 in the legacy era, where 404 would say that the session is gone.
#[tokio::test]
async fn an_unknown_method_of_a_session_is_answered_with_200() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    for method in [
        "rpc.shutdown",
        "tools/Call",
        "../tools/call",
        "server/discover",
    ] {
        let response = session.ask(1, method, json!({})).await;
        assert_eq!(
            (response.status, response.code()),
            (200, -32601),
            "{method}"
        );
    }
    world.end(session).await;
}

/// RPC-032.
#[tokio::test]
async fn an_answer_to_no_question_is_taken_and_dropped() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({"elicitation": {}})).await;
    let call = session.call(1, "transfer", json!({"amount": 1}));
    let mut live = session.door.open(&call).await;
    let question = live.message().await;
    let stray = session
        .answer(&json!({"id": "srv-999"}), json!({"action": "decline"}))
        .await;
    assert_eq!((stray.status, stray.body.len()), (202, 0));
    let rejected = "ostler_session_answers_rejected_total";
    world
        .node
        .reaches(rejected, &[("fate", "unmatched")], 1.0)
        .await;
    let yes = json!({"action": "accept", "content": {"ok": true}});
    session.answer(&question, yes.clone()).await;
    assert_eq!(
        text(&live.message().await["result"]),
        r#"1: accept {"ok":true}"#
    );
    assert_eq!(
        session.answer(&question, yes).await.status,
        202,
        "answered twice"
    );
    world.end(session).await;
}

/// RPC-034.
#[tokio::test]
async fn an_id_in_flight_is_not_taken_twice() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let first = session
        .door
        .begin(&session.call(5, "hold", json!({"gate": "g"})))
        .await;
    world.script.seen("started:g").await;
    let second = session
        .door
        .send(&session.call(5, "echo", json!({"text": "x"})))
        .await;
    assert_eq!(
        (second.status, second.code()),
        (400, -32600),
        "{}",
        second.text()
    );
    world.script.open("g");
    let done = first.head().await.finish().await.json();
    assert_eq!(text(&done["result"]), "passed g");
    world.end(session).await;
}

/// RPC-035.
#[tokio::test]
async fn modern_requests_with_one_id_get_each_their_own_result() {
    let world = World::open().await;
    let door = world.door();
    let mut sent = Vec::new();
    for number in 0..10 {
        let call = Modern::call("echo", json!({"text": format!("{number}")}));
        sent.push(door.begin(&call.to(&door)).await);
    }
    for (number, sent) in sent.into_iter().enumerate() {
        let answered = sent.head().await.finish().await.json();
        assert_eq!(text(&answered["result"]), number.to_string());
    }
    world.stop().await;
}

/// RPC-038: one answer or none, never two; `stop` closes the books.
#[tokio::test]
async fn a_cancel_that_races_the_result_gives_one_answer_or_none() {
    let world = World::with(|config| config.edge.stream_after = Duration::from_millis(1)).await;
    let session = Session::open(&world.door(), json!({})).await;
    for id in 0..100 {
        let gate = format!("g{id}");
        let call = session.call(id, "hold", json!({"gate": gate}));
        let sent = session.door.begin(&call).await;
        world.script.seen(&format!("started:{gate}")).await;
        world.script.open(&gate);
        session
            .notify("notifications/cancelled", json!({"requestId": id}))
            .await;
        let response = sent.head().await.finish().await;
        let answers = match response.is_stream() {
            true => response.messages().len(),
            false => usize::from(!response.body.is_empty()),
        };
        assert!(answers <= 1, "{response:?}");
    }
    world.end(session).await;
}

/// RPC-039, where [LIF-7] decides otherwise: requests before `initialized` are served.
#[tokio::test]
async fn a_request_before_initialized_is_served() {
    let world = World::open().await;
    let session = Session::start(&world.door(), json!({})).await;
    let echo = json!({"name": "echo", "arguments": {"text": "hi"}});
    assert_eq!(text(&session.result(1, "tools/call", echo).await), "hi");
    world.end(session).await;
}

/// RPC-045 [T-8].
#[tokio::test]
async fn arguments_that_do_not_fit_are_told_to_the_model() {
    let world = World::open().await;
    let result = Modern::call("echo", json!({"text": 7}))
        .result(&world.door())
        .await;
    assert_eq!(result["isError"], true, "{result}");
    assert!(text(&result).contains("text"), "{result}");
    assert_eq!(world.script.count("echo"), 0);
    world.stop().await;
}

fn read(uri: &str) -> Modern {
    Modern::new("resources/read", json!({"uri": uri}))
}

/// RPC-046, RPC-047.
#[tokio::test]
async fn a_hostile_uri_reaches_no_worker() {
    let world = World::open().await;
    let door = world.door();
    let backtracking = format!("mem://u/{}X/", "u,".repeat(25_000));
    for uri in [
        "file:///../../etc/passwd",
        "mem://doc/..%2f..%2fx",
        "mem://doc/../x",
        "mem://doc/%00",
        &backtracking,
    ] {
        let request = read("x").param("uri", uri).to(&door);
        let response = door.send(&request).await;
        let shown = &uri[..uri.len().min(40)];
        assert_eq!(
            (response.status, response.code()),
            (400, -32602),
            "{shown}: {}",
            response.text()
        );
    }
    assert_eq!(world.script.count("doc"), 0);
    healthy(&door).await;
    world.stop().await;
}

/// RPC-057.
#[tokio::test]
async fn a_listen_leaves_out_what_is_not_offered() {
    let world = World::open().await;
    let uris = json!(["mem://of-b", "mem://text"]);
    let filter = json!({"notifications": {"resourceSubscriptions": uris}});
    let listen = Modern::new("subscriptions/listen", filter);
    let mut live = listen.open(&world.door()).await;
    let acknowledged = live.message().await;
    let honored = &acknowledged["params"]["notifications"]["resourceSubscriptions"];
    assert_eq!(honored, &json!(["mem://text"]), "{acknowledged}");
    drop(live);
    world.stop().await;
}
