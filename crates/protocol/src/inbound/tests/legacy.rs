//! The legacy pipeline: [LIF-1] to [LIF-6], [SES-2], and the params of each method.

use super::*;
use crate::facet::Capability;

fn opening(version: &str) -> Value {
    json!({ "protocolVersion": version, "capabilities": { "sampling": {} }, "clientInfo": { "name": "t", "version": "1" } })
}

fn opened(post: &Post) -> Initialize {
    match post.parse() {
        Ok(Inbound::Initialize(initialize)) => initialize,
        other => panic!("{} gave {other:?}", post.body),
    }
}

/// [LIF-2]: never what we do not serve, never the modern era by handshake.
#[test]
fn versions_are_negotiated_to_one_with_sessions() {
    for (requested, negotiated) in [
        ("2025-11-25", Revision::V2025_11_25),
        ("2025-06-18", Revision::V2025_06_18),
        ("2025-03-26", Revision::V2025_03_26),
        ("2024-11-05", Revision::V2024_11_05),
        ("2026-07-28", Revision::V2025_11_25),
        ("1999-01-01", Revision::V2025_11_25),
        ("", Revision::V2025_11_25),
    ] {
        for header in [None, Some("2025-11-25"), Some("2025-03-26")] {
            let post = Post::initialize(opening(requested)).header("MCP-Protocol-Version", header);
            let found = opened(&post.header("Mcp-Method", Some("initialize")));
            assert_eq!(
                (found.requested.as_str(), found.negotiated),
                (requested, negotiated)
            );
        }
    }
}

#[test]
fn an_opening_keeps_what_the_client_says_of_itself() {
    let found =
        opened(&Post::initialize(opening("2025-11-25")).header("Mcp-Session-Id", Some("old")));
    assert_eq!(found.capabilities.as_str(), r#"{"sampling":{}}"#);
    assert_eq!(found.client_info.as_str(), r#"{"name":"t","version":"1"}"#);
    assert_eq!(found.facet, ClientFacet::with(&[Capability::Sample]));
    assert_eq!(found.session.as_deref(), Some("old"));
    for none in [None, Some(""), Some("no id")] {
        let post = Post::initialize(opening("2025-11-25")).header("Mcp-Session-Id", none);
        assert_eq!(opened(&post).session, None);
    }
}

#[test]
fn a_malformed_opening_is_told() {
    for (member, value) in [
        ("protocolVersion", json!(null)),
        ("protocolVersion", json!(20251125)),
        ("capabilities", json!(null)),
        ("capabilities", json!([])),
        ("capabilities", json!({ "roots": 1 })),
        ("clientInfo", json!(null)),
        ("clientInfo", json!({ "name": "t" })),
        ("clientInfo", json!({ "name": 1, "version": "1" })),
    ] {
        let post =
            Post::initialize(opening("2025-11-25")).with(&format!("/params/{member}"), value);
        let rejected = post.rejected();
        assert!(
            matches!(rejected.fault, Fault::InvalidParams(_)),
            "{}",
            post.body
        );
        assert_eq!(
            (rejected.id.unwrap().as_raw(), rejected.era),
            ("1", Some(Era::Legacy))
        );
    }
    let note = Post::initialize(opening("2025-11-25")).without("/id");
    assert_eq!(note.rejected().fault, Fault::SessionRequired);
}

#[test]
fn messages_name_their_session_and_maybe_a_version() {
    let post = || Post::legacy("ping", json!({}));
    let found = post().in_session();
    assert_eq!(
        (found.session.as_str(), found.version_header),
        ("SID_A1", Some(Revision::V2025_11_25))
    );
    let found = post().header("MCP-Protocol-Version", None).in_session();
    assert_eq!(found.version_header, None);
    // Another than the negotiated one changes nothing [LIF-5].
    let other = post().header("MCP-Protocol-Version", Some("2025-03-26"));
    let found = other.in_session().version_header;
    assert_eq!(found, Some(Revision::V2025_03_26));
    for unsupported in ["garbage", "2025-06-19", "2025-11-26"] {
        let rejected = post()
            .header("MCP-Protocol-Version", Some(unsupported))
            .rejected();
        assert!(
            matches!(rejected.fault, Fault::InvalidRequest(_)),
            "{unsupported}"
        );
        assert_eq!(
            (rejected.id.unwrap().as_raw(), rejected.era),
            ("1", Some(Era::Legacy))
        );
    }
}

#[test]
fn a_session_header_is_one_line_of_visible_ascii() {
    let mut twice = Post::legacy("ping", json!({}));
    twice.headers = twice.headers.add("mcp-session-id", b"other");
    assert!(matches!(twice.rejected().fault, Fault::InvalidRequest(_)));
    for illegal in [b"\xFF".as_slice(), b"", b"a b", b"a\x7f"] {
        let mut odd = Post::legacy("ping", json!({})).header("mcp-session-id", None);
        odd.headers = odd.headers.add("mcp-session-id", illegal);
        assert!(matches!(odd.rejected().fault, Fault::InvalidRequest(_)));
    }
}

#[test]
fn requests_without_a_session_are_told_to_open_one() {
    for header in [None, Some("2025-11-25")] {
        let post = Post::legacy("tools/list", json!({})).header("Mcp-Session-Id", None);
        let rejected = post.header("MCP-Protocol-Version", header).rejected();
        assert_eq!(
            (&rejected.fault, rejected.era),
            (&Fault::SessionRequired, Some(Era::Legacy))
        );
        assert_eq!(
            (
                rejected.id.unwrap().as_raw(),
                rejected.fault.code(Revision::LATEST_LEGACY)
            ),
            ("1", -32600)
        );
    }
}

#[test]
fn every_method_is_read() {
    let method = |name: &str, params: Value| Post::legacy(name, params).legacy_method();
    assert!(matches!(method("ping", json!({})), LegacyMethod::Ping));
    let level = method("logging/setLevel", json!({ "level": "debug" }));
    assert!(matches!(level, LegacyMethod::SetLevel(LogLevel::Debug)));
    let list = method("resources/templates/list", json!({ "cursor": "c" }));
    let LegacyMethod::List {
        kind: ListKind::Templates,
        cursor,
    } = list
    else {
        panic!()
    };
    assert_eq!(cursor.as_deref(), Some("c"));
    let LegacyMethod::Call(call) = method(
        "tools/call",
        json!({ "name": "a", "task": {}, "requestState": 7 }),
    ) else {
        panic!()
    };
    assert_eq!(
        (call.kind, call.target.as_str(), call.arguments.as_str()),
        (CallKind::Tool, "a", "{}")
    );
    assert_eq!((call.input_responses, call.request_state), (None, None));
    assert_eq!(call.task.as_ref().map(|task| task.as_str()), Some("{}"));
    let LegacyMethod::Call(call) = method(
        "prompts/get",
        json!({ "name": "p", "arguments": { "a": "b" }, "task": {} }),
    ) else {
        panic!()
    };
    assert_eq!(
        (call.kind, call.arguments.as_str()),
        (CallKind::Prompt, r#"{"a":"b"}"#)
    );
    assert_eq!(call.task, None, "only tools can be asked for as tasks");
    let LegacyMethod::Call(call) = method("resources/read", json!({ "uri": "u" })) else {
        panic!()
    };
    assert_eq!((call.kind, call.target.as_str()), (CallKind::Resource, "u"));
    let LegacyMethod::Subscribe { uri } = method("resources/subscribe", json!({ "uri": "u" }))
    else {
        panic!()
    };
    assert_eq!(uri, "u");
    let LegacyMethod::Unsubscribe { .. } = method("resources/unsubscribe", json!({ "uri": "u" }))
    else {
        panic!()
    };
    let complete = json!({ "ref": { "type": "ref/prompt", "name": "p" }, "argument": { "name": "a", "value": "" } });
    assert!(matches!(
        method("completion/complete", complete),
        LegacyMethod::Complete(_)
    ));
    for name in [
        "tools/Call",
        "server/discover",
        "subscriptions/listen",
        "notifications/initialized",
        "",
    ] {
        let LegacyMethod::Refused(fault) = method(name, json!({})) else {
            panic!("{name}")
        };
        let method = name.to_owned();
        assert_eq!(fault, Fault::MethodNotFound { method });
    }
}

#[test]
fn methods_of_tasks_name_their_task() {
    let params = json!({ "taskId": "t", "_meta": { "io.modelcontextprotocol/related-task": {} } });
    let method = |name: &str| Post::legacy(name, params.clone()).legacy_method();
    for (found, name) in [
        (method("tasks/get"), "get"),
        (method("tasks/result"), "result"),
        (method("tasks/cancel"), "cancel"),
    ] {
        let (task, read) = match found {
            LegacyMethod::TaskGet { task } => (task, "get"),
            LegacyMethod::TaskResult { task } => (task, "result"),
            LegacyMethod::TaskCancel { task } => (task, "cancel"),
            other => panic!("{name} gave {other:?}"),
        };
        assert_eq!((task.as_str(), read), ("t", name));
    }
    // Not declared, so not there [CAP-3].
    assert!(matches!(
        method("tasks/list"),
        LegacyMethod::Refused(Fault::MethodNotFound { .. })
    ));
}

#[test]
fn bad_params_are_told_with_the_legacy_form_in_mind() {
    for (name, params) in [
        ("tools/call", json!({})),
        ("tools/call", json!({ "name": "a", "arguments": [] })),
        ("tools/list", json!({ "cursor": 1 })),
        ("logging/setLevel", json!({ "level": "LOUD" })),
        ("logging/setLevel", json!({})),
        ("resources/subscribe", json!({})),
        ("tasks/get", json!({})),
        ("tasks/result", json!({ "taskId": 7 })),
        ("tools/list", json!({ "_meta": 7 })),
        ("tools/list", json!({ "_meta": { "progressToken": true } })),
        ("tools/list", json!([])),
    ] {
        let method = Post::legacy(name, params.clone()).legacy_method();
        assert!(
            matches!(method, LegacyMethod::Refused(Fault::InvalidParams(_))),
            "{name} {params}"
        );
    }
    let method = Post::legacy("tools/list", json!(null)).legacy_method();
    assert!(matches!(method, LegacyMethod::List { .. }));
}

#[test]
fn progress_tokens_keep_their_spelling() {
    for token in [json!(7), json!("7"), json!("")] {
        let post = Post::legacy("tools/list", json!({ "_meta": { "progressToken": token } }));
        let LegacyMessage::Request { progress_token, .. } = post.legacy_message() else {
            panic!()
        };
        assert_eq!(progress_token.unwrap().as_str(), token.to_string());
    }
}

#[test]
fn notifications_are_told_apart_and_odd_ones_dropped() {
    let note = |method: &str, params: Value| match Post::legacy(method, params)
        .without("/id")
        .legacy_message()
    {
        LegacyMessage::Notification(notification) => notification,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        note("notifications/initialized", json!({})),
        LegacyNotification::Initialized
    ));
    assert!(matches!(
        note("notifications/roots/list_changed", json!({})),
        LegacyNotification::RootsChanged
    ));
    let cancelled = note(
        "notifications/cancelled",
        json!({ "requestId": "5", "reason": "enough" }),
    );
    let LegacyNotification::Cancelled { id, reason } = cancelled else {
        panic!()
    };
    assert_eq!((id.as_raw(), reason.as_deref()), ("\"5\"", Some("enough")));
    for (method, params) in [
        ("notifications/cancelled", json!({})),
        ("notifications/cancelled", json!({ "requestId": null })),
        ("notifications/progress", json!({})),
        ("tools/call", json!({ "name": "delete_all" })),
    ] {
        assert!(
            matches!(note(method, params), LegacyNotification::Other { .. }),
            "{method}"
        );
    }
}

#[test]
fn answers_of_the_client_are_matched_by_its_raw_id() {
    let answer = |members: Value| {
        let mut post = Post::legacy("x", json!({}));
        post.body = members;
        post
    };
    let good = answer(json!({ "jsonrpc": "2.0", "id": "srv-1", "result": { "action": "accept" } }));
    let LegacyMessage::Response { id, result } = good.legacy_message() else {
        panic!()
    };
    assert_eq!(
        (id.as_raw(), result.unwrap().as_str()),
        ("\"srv-1\"", r#"{"action":"accept"}"#)
    );
    let error =
        answer(json!({ "jsonrpc": "2.0", "id": 2, "error": { "code": -1, "message": "no" } }));
    let LegacyMessage::Response { result, .. } = error.legacy_message() else {
        panic!()
    };
    assert_eq!(
        result,
        Err(ClientError {
            code: -1,
            message: "no".into()
        })
    );
    for bad in [
        json!({ "jsonrpc": "2.0", "id": 1 }),
        json!({ "jsonrpc": "2.0", "result": {} }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": {}, "error": {} }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "result": {} }),
        json!({ "jsonrpc": "2.0", "id": null, "result": {} }),
        json!({}),
        json!(7),
    ] {
        assert_eq!(answer(bad.clone()).code(), -32600, "{bad}");
    }
}

/// [P-2]
#[test]
fn the_context_of_a_completion_is_for_revisions_that_know_it() {
    let argument = json!({ "name": "b", "value": "x" });
    let params = json!({
        "ref": { "type": "ref/prompt", "name": "p" },
        "argument": argument,
        "context": { "arguments": { "a": "1" } },
    });
    let method = Post::legacy("completion/complete", params).legacy_method();
    let LegacyMethod::Complete(params) = method else {
        panic!("a completion")
    };
    let known_to = |revision| -> Value {
        let known = params.clone().known_to(revision);
        known.arguments.to().unwrap()
    };
    let whole = json!({ "argument": argument, "context": { "arguments": { "a": "1" } } });
    assert_eq!(known_to(Revision::V2025_06_18), whole);
    assert_eq!(known_to(Revision::V2025_11_25), whole);
    assert_eq!(
        known_to(Revision::V2025_03_26),
        json!({ "argument": argument })
    );
    assert_eq!(
        known_to(Revision::V2024_11_05),
        json!({ "argument": argument })
    );
}
