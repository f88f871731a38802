//! What other servers get wrong, as measured (conformance.md 6.4), and the right answer.

use std::collections::HashSet;

use ostler_testkit::{Door, Modern, Request, Response, Session, m_ok};
use serde_json::{Value, json};

use crate::world::{World, text};

async fn check(about: &str, door: &Door, request: &Request, wanted: (u16, i64)) -> Response {
    let response = door.send(request).await;
    let told = format!("{about}: {:?}", response.text());
    assert_eq!(response.status, wanted.0, "{told}");
    if wanted.1 != 0 {
        assert_eq!(response.code(), wanted.1, "{told}");
    }
    response
}

/// [LIF-2].
#[tokio::test]
async fn a_handshake_never_gives_a_version_that_is_not_served_so() {
    let world = World::open().await;
    let newest = "2025-11-25";
    for (asked, given) in [
        ("1999-01-01", newest),
        ("2026-07-28", newest),
        ("x", newest),
        (newest, newest),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2024-11-05"),
    ] {
        let params = json!({"protocolVersion": asked, "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let request = Session::initialize(&world.door(), json!({})).body(message.to_string());
        let response = check(asked, &world.door(), &request, (200, 0)).await;
        let result = &response.json()["result"];
        assert_eq!(result["protocolVersion"], given, "{asked}");
    }
    world.stop().await;
}

/// [LIF-6], [LIF-7], [SES-4].
#[tokio::test]
async fn initialize_is_forgiving_to_the_lost_and_strict_to_the_living() {
    let world = World::open().await;
    let door = world.door();
    let session = Session::start(&door, json!({})).await;
    assert_eq!(
        text(&session.result(1, "tools/call", echo()).await),
        "hi",
        "before initialized"
    );
    let again = Session::initialize(&door, json!({})).also("Mcp-Session-Id", &session.id);
    let refused = check("a live session", &door, &again, (400, -32600)).await;
    assert_eq!(refused.json()["id"], 0);
    assert_eq!(
        session.result(2, "ping", json!({})).await,
        json!({}),
        "untouched"
    );
    assert_eq!(session.delete().await.status, 204);
    let fresh = check("a stale session", &door, &again, (200, 0)).await;
    assert_ne!(fresh.header("mcp-session-id"), Some(session.id.as_str()));
    world.stop().await;
}

fn echo() -> Value {
    json!({"name": "echo", "arguments": {"text": "hi"}})
}

/// [RPC-1], [RPC-6], [BAT-6], [SES-2], [LIF-5], [ERA-3].
#[tokio::test]
async fn what_is_malformed_is_refused_in_the_era_it_came_in() {
    let world = World::open().await;
    let door = world.door();
    let session = Session::open(&door, json!({})).await;
    let ok = session.request(1, "ping", json!({}));
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let null = r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#;
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let modern_null = m_ok().id(Value::Null).to(&door);
    let rows = [
        ("unparsable, legacy", ok.clone().body("{x"), (400, -32700)),
        (
            "unparsable, modern",
            m_ok().to(&door).body("{x"),
            (400, -32700),
        ),
        ("null id, legacy", ok.clone().body(null), (400, -32600)),
        ("null id, modern", modern_null, (400, -32600)),
        (
            "batch, legacy",
            ok.clone().body(format!("[{ping}]")),
            (400, -32600),
        ),
        (
            "batch, modern",
            m_ok().to(&door).body(format!("[{}]", m_ok().message())),
            (400, -32600),
        ),
        (
            "no session",
            ok.clone().without("Mcp-Session-Id"),
            (400, -32600),
        ),
        (
            "bogus session",
            ok.clone().header("Mcp-Session-Id", "bogus"),
            (404, 0),
        ),
        (
            "bad version",
            ok.clone().header("MCP-Protocol-Version", "x"),
            (400, -32600),
        ),
        (
            "a response to a modern server",
            m_ok().to(&door).body(response),
            (400, -32600),
        ),
        (
            "JSON only, legacy",
            ok.clone().header("Accept", "application/json"),
            (406, 0),
        ),
        (
            "JSON only, modern",
            m_ok().to(&door).header("Accept", "application/json"),
            (406, 0),
        ),
    ];
    for (about, request, wanted) in rows {
        check(about, &door, &request, wanted).await;
    }
    world.end(session).await;
}

/// [R-2], [T-9], [M-8].
#[tokio::test]
async fn what_is_unknown_is_told_in_the_words_of_its_era() {
    let world = World::open().await;
    let door = world.door();
    let session = Session::open(&door, json!({})).await;
    let uri = json!({"uri": "mem://nowhere"});
    let read = Modern::new("resources/read", uri.clone()).to(&door);
    let tool = json!({"name": "nothing", "arguments": {}});
    let rows = [
        (
            "resource, legacy",
            session.request(1, "resources/read", uri),
            (200, -32002),
        ),
        (
            "tool, legacy",
            session.request(2, "tools/call", tool),
            (200, -32602),
        ),
        (
            "method, legacy",
            session.request(3, "no/such", json!({})),
            (200, -32601),
        ),
        ("resource, modern", read, (400, -32602)),
        (
            "tool, modern",
            Modern::call("nothing", json!({})).to(&door),
            (400, -32602),
        ),
        (
            "method, modern",
            Modern::new("no/such", json!({})).to(&door),
            (404, -32601),
        ),
    ];
    for (about, request, wanted) in rows {
        let response = check(about, &door, &request, wanted).await;
        let data = &response.json()["error"]["data"];
        if about == "resource, modern" {
            assert_eq!(data["uri"], "mem://nowhere", "{data}");
        }
    }
    world.end(session).await;
}

/// [SSE-9].
#[tokio::test]
async fn a_second_standalone_stream_takes_the_place_of_the_first() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let mut first = session.listen().await;
    assert!(first.event().await.unwrap().is_priming());
    let mut second = session.listen().await;
    assert!(second.event().await.unwrap().is_priming());
    let rest = first.finish().await;
    assert!(rest.messages().is_empty(), "{rest:?}");
    assert!(
        rest.events().iter().any(|event| event.retry_ms.is_some()),
        "{rest:?}"
    );
    let change = json!({"name": "change", "arguments": {"text": "added"}});
    session.result(1, "tools/call", change).await;
    assert_eq!(
        second.message().await["method"],
        "notifications/tools/list_changed"
    );
    drop(second);
    world.end(session).await;
}

/// [SSE-3].
#[tokio::test]
async fn event_ids_are_unique_across_the_streams_of_a_session() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let mut live = session.listen().await;
    let mut ids = vec![live.event().await.unwrap().id.unwrap()];
    for id in 0..3 {
        let response = session.door.send(&session.call(id, "log", json!({}))).await;
        ids.extend(response.events().into_iter().filter_map(|event| event.id));
    }
    assert!(ids.len() >= 7, "{ids:?}");
    assert_eq!(
        ids.iter().collect::<HashSet<_>>().len(),
        ids.len(),
        "{ids:?}"
    );
    drop(live);
    world.end(session).await;
}

/// [OR-1] to [OR-3].
#[tokio::test]
async fn origin_and_host_are_checked_each_for_itself() {
    let world = World::open().await;
    let door = world.door();
    let session = Session::open(&door, json!({})).await;
    for request in [
        m_ok().to(&door),
        session.request(1, "ping", json!({})),
        session.get(),
    ] {
        let evil = request.clone().also("Origin", "http://evil.example");
        check("an evil Origin", &door, &evil, (403, 0)).await;
        check(
            "no Origin at all",
            &door,
            &request.clone().also("Origin", "null"),
            (403, 0),
        )
        .await;
        let evil = request.clone().header("Host", "evil.example");
        check("an evil Host", &door, &evil, (421, 0)).await;
        let local = request.also("Origin", "http://localhost:3000");
        let live = door.open(&local).await;
        assert_eq!(live.head().status, 200);
        let allowed = live.head().header("access-control-allow-origin");
        assert_eq!(allowed, Some("http://localhost:3000"));
    }
    world.end(session).await;
}

/// [M-1], [M-2], [P-3], [P-5], [L-1], [L-7].
#[tokio::test]
async fn a_modern_request_is_taken_at_its_word() {
    let world = World::open().await;
    let door = world.door();
    let bodiless = |method| {
        door.request(method)
            .also("Accept", "text/event-stream")
            .also("MCP-Protocol-Version", "2026-07-28")
    };
    check("GET", &door, &bodiless("GET"), (405, 0)).await;
    check("DELETE", &door, &bodiless("DELETE"), (405, 0)).await;
    let with_session = m_ok()
        .to(&door)
        .also("Mcp-Session-Id", "x")
        .also("Last-Event-ID", "y");
    let response = check("a session id", &door, &with_session, (200, 0)).await;
    assert_eq!(response.header("mcp-session-id"), None);
    let listen = |params| Modern::new("subscriptions/listen", params).to(&door);
    let cursor = Modern::new("tools/list", json!({"cursor": "forged"})).to(&door);
    let level = m_ok()
        .meta("io.modelcontextprotocol/logLevel", "LOUD")
        .to(&door);
    let tasks = listen(json!({"notifications": {"taskIds": ["x"]}}));
    let rows = [
        ("a forged cursor", cursor, (400, -32602)),
        ("a level that is none", level, (400, -32602)),
        (
            "a listen without a filter",
            listen(json!({})),
            (400, -32602),
        ),
        ("tasks that were not declared", tasks, (400, -32021)),
    ];
    for (about, request, wanted) in rows {
        check(about, &door, &request, wanted).await;
    }
    world.stop().await;
}

/// [LIF-5]: what a POST refuses, a GET and a DELETE refuse too.
#[tokio::test]
async fn a_version_nobody_knows_is_refused_with_every_method() {
    let world = World::open().await;
    let door = world.door();
    let session = Session::open(&door, json!({})).await;
    for (version, wanted) in [("abc", 400), ("2025-03-27", 400), ("2026-07-28", 405)] {
        let get = session.get().without("MCP-Protocol-Version");
        let get = get.also("MCP-Protocol-Version", version);
        check(version, &door, &get, (wanted, 0)).await;
    }
    assert_eq!(session.delete().await.status, 204, "still there");
    world.stop().await;
}

/// [SES-2]: a client that gets anything else would keep its dead session.
#[tokio::test]
async fn a_bad_message_of_a_dead_session_says_that_the_session_is_gone() {
    let world = World::open().await;
    let door = world.door();
    let session = Session::open(&door, json!({})).await;
    let bad = session.request(7, "tools/call", json!({}));
    check("alive", &door, &bad, (200, -32602)).await;
    assert_eq!(session.delete().await.status, 204);
    check("dead", &door, &bad, (404, -32600)).await;
    world.stop().await;
}
