//! Batches ([BAT-1] to [BAT-8]), and what HTTP+SSE posts ([A-2], [A-3]).

use super::*;

fn request(id: i32, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method })
}

fn note(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": method })
}

fn response(id: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": {} })
}

/// A body of a session, whatever its revision: that is not known here.
fn batch(body: Value) -> Post {
    let mut post = Post::legacy("ping", json!({})).header("MCP-Protocol-Version", None);
    post.body = body;
    post
}

/// What each message is.
fn kinds(messages: &[LegacyMessage]) -> Vec<String> {
    let kind = |message: &LegacyMessage| match message {
        LegacyMessage::Request { id, method, .. } => match method {
            LegacyMethod::Refused(fault) => format!("{id} {}", fault.code(Revision::LATEST_LEGACY)),
            _ => id.to_string(),
        },
        LegacyMessage::Notification(_) => "note".to_owned(),
        LegacyMessage::Response { id, .. } => format!("to {id}"),
    };
    messages.iter().map(kind).collect()
}

fn check(body: Value, expected: &[&str]) {
    let Posted::Batch(messages) = batch(body.clone()).in_session().posted else {
        panic!("{body}")
    };
    assert_eq!(kinds(&messages), expected, "{body}");
}

#[test]
fn requests_and_notifications_or_responses_are_a_batch() {
    let (one, two) = (request(1, "ping"), request(2, "tools/list"));
    check(json!([one]), &["1"]);
    check(json!([one, two, note("x")]), &["1", "2", "note"]);
    check(json!([note("x"), note("y")]), &["note", "note"]);
    check(
        json!([response("a"), response("b")]),
        &["to \"a\"", "to \"b\""],
    );
    check(json!([response("a"), note("x")]), &["to \"a\"", "note"]);
}

#[test]
fn what_is_wrong_with_one_request_is_told_to_that_one() {
    let mut no_name = request(2, "tools/call");
    no_name["params"] = json!([]);
    let body = json!([request(1, "no/such"), no_name, request(3, "ping")]);
    check(body, &["1 -32601", "2 -32602", "3"]);
}

#[test]
fn what_is_no_batch_is_refused_as_a_whole_and_without_an_id() {
    let one = request(1, "ping");
    for body in [
        json!([]),
        json!([one, 7]),
        json!([one, [one]]),
        json!([one, { "id": 2, "method": "ping" }]),
        json!([one, { "jsonrpc": "2.0", "id": null, "method": "ping" }]),
        json!([one, response("a")]),
        json!([request(1, "initialize")]),
        json!([one, request(2, "initialize")]),
        json!(vec![note("x"); 101]),
    ] {
        let rejected = batch(body.clone()).rejected();
        let told = (
            rejected.fault.code(Revision::LATEST_LEGACY),
            rejected.id,
            rejected.era,
        );
        assert_eq!(told, (-32600, None, Some(Era::Legacy)), "{body}");
    }
    check(json!(vec![note("x"); 100]), &["note"; 100]);
}

/// [BAT-6]: with every header, but in a session whose own revision decides.
#[test]
fn a_batch_needs_a_session() {
    let headers = [
        (None, None),
        (Some("2025-03-26"), None),
        (Some("2026-07-28"), None),
        (Some("2026-07-28"), Some("SID")),
        (Some("garbage"), None),
        (Some("garbage"), Some("SID")),
    ];
    for (version, session) in headers {
        let post = batch(json!([request(1, "ping")])).header("Mcp-Session-Id", session);
        let rejected = post.header("MCP-Protocol-Version", version).rejected();
        let told = (rejected.fault.code(Revision::LATEST_MODERN), rejected.id);
        assert_eq!(told, (-32600, None), "{version:?} {session:?}");
    }
}

/// The session is named by the URI, and headers mean nothing.
fn posted(body: &Value) -> Result<Inbound, Rejected> {
    parse_in_session("SID", body.to_string().into(), &Limits::default())
}

#[test]
fn http_sse_posts_messages_openings_and_batches() {
    let Ok(Inbound::InSession(message)) = posted(&request(1, "ping")) else {
        panic!("a message")
    };
    assert_eq!(
        (message.session.as_str(), message.version_header),
        ("SID", None)
    );
    assert!(matches!(message.posted, Posted::Message(_)));
    let Ok(Inbound::InSession(batch)) = posted(&json!([request(1, "ping")])) else {
        panic!("a batch")
    };
    assert!(matches!(batch.posted, Posted::Batch(_)));
    let mut initialize = request(0, "initialize");
    initialize["params"] = json!({ "protocolVersion": "2024-11-05", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } });
    let Ok(Inbound::Initialize(opening)) = posted(&initialize) else {
        panic!("an opening")
    };
    assert_eq!(opening.negotiated, Revision::V2024_11_05);
    assert_eq!(opening.session.as_deref(), Some("SID"));
}

#[test]
fn what_http_sse_cannot_take_is_told() {
    let opening = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {} });
    for (body, code) in [
        (opening, -32602),
        (json!([]), -32600),
        (json!([request(1, "initialize")]), -32600),
        (json!({ "id": 1 }), -32600),
        (json!(7), -32600),
    ] {
        let rejected = posted(&body).expect_err("refused");
        assert_eq!(rejected.fault.code(Revision::LATEST_LEGACY), code, "{body}");
        assert_eq!(rejected.era, Some(Era::Legacy), "{body}");
    }
    let unparsable = parse_in_session("SID", "{x".into(), &Limits::default());
    assert_eq!(code(&unparsable), -32700);
}
