//! The modern pipeline: [M-2] to [M-9], and the params of each method.

use super::*;
use crate::facet::Capability;

/// One thing wrong each, in the order of [M-9].
const DEFECTS: [(&str, i32); 6] = [
    ("meta", -32602),
    ("header", -32020),
    ("version", -32022),
    ("method", -32601),
    ("params", -32602),
    ("capability", -32021),
];

fn with_defects(defects: &[&str]) -> Post {
    let has = |defect| defects.contains(&defect);
    let method = if has("method") {
        "tasks/nope"
    } else {
        "tasks/update"
    };
    let version = if has("version") {
        "2027-01-01"
    } else {
        "2026-07-28"
    };
    let responses = if has("params") {
        json!(null)
    } else {
        json!({})
    };
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let capabilities = if has("capability") { json!({}) } else { tasks };
    let post = Post::modern(
        method,
        json!({ "taskId": "t", "inputResponses": responses }),
    )
    .meta(V, json!(version))
    .meta(CAPS, capabilities)
    .header("MCP-Protocol-Version", Some(version));
    let post = if has("header") {
        post.header("Mcp-Method", Some("tools/list"))
    } else {
        post
    };
    if has("meta") {
        post.meta(CAPS, json!(7))
    } else {
        post
    }
}

#[test]
fn checks_run_in_the_order_of_the_specification() {
    assert_eq!(with_defects(&[]).code(), 0);
    for (at, (first, code)) in DEFECTS.iter().enumerate() {
        let later: Vec<&str> = DEFECTS[at..].iter().map(|(defect, _)| *defect).collect();
        assert_eq!(with_defects(&[first]).code(), *code, "{first} alone");
        assert_eq!(with_defects(&later).code(), *code, "{later:?}");
        for second in &later[1..] {
            assert_eq!(
                with_defects(&[first, second]).code(),
                *code,
                "{first} and {second}"
            );
        }
    }
}

#[test]
fn meta_must_be_whole() {
    let list = || Post::modern("tools/list", json!({}));
    for post in [
        list().without("/params/_meta"),
        list().without("/params"),
        list().with("/params", json!(null)),
        list().with("/params", json!([1, 2])),
        list().with("/params/_meta", json!([])),
        list().with("/params/_meta", json!({})),
        list().with("/params/_meta", json!({ CAPS: {} })),
        list().with("/params/_meta", json!({ V: "2026-07-28" })),
        list().meta(V, json!(20260728)),
        list().meta(V, json!(null)),
        list().meta(CAPS, json!("x")),
        list().meta(CAPS, json!({ "sampling": true })),
        list().meta("progressToken", json!(1.5)),
        list().meta("progressToken", json!({})),
        list().meta("io.modelcontextprotocol/clientInfo", json!("me")),
    ] {
        let rejected = post.rejected();
        assert!(
            matches!(rejected.fault, Fault::InvalidParams(_)),
            "{} {rejected:?}",
            post.body
        );
        assert_eq!(
            (rejected.id.unwrap().as_raw(), rejected.era),
            ("1", Some(Era::Modern))
        );
    }
}

#[test]
fn meta_says_who_is_asking() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = Post::echo()
        .meta(
            CAPS,
            json!({ "sampling": {}, "elicitation": { "url": {} } }),
        )
        .meta("io.modelcontextprotocol/logLevel", json!("warning"))
        .meta("progressToken", json!("t\u{1}"))
        .meta("traceparent", json!(trace))
        .meta("tracestate", json!("bad"))
        .meta("x-tenant", json!("b"))
        .request();
    assert_eq!(request.id.as_raw(), "1");
    assert_eq!(request.revision, Revision::V2026_07_28);
    assert_eq!(
        request.meta.facet,
        ClientFacet::with(&[Capability::Sample, Capability::ElicitUrl])
    );
    assert_eq!(request.meta.log_level, Some(LogLevel::Warning));
    assert_eq!(
        request.meta.progress_token.unwrap().as_str(),
        r#""t\u0001""#
    );
    let expected = TraceContext {
        traceparent: trace.into(),
        tracestate: "".into(),
    };
    assert_eq!(request.meta.trace, Some(expected));
    let bare = Post::modern("server/discover", json!({}))
        .meta("traceparent", json!("x"))
        .request();
    assert_eq!(
        (
            bare.meta.log_level,
            bare.meta.progress_token,
            bare.meta.trace
        ),
        (None, None, None)
    );
}

#[test]
fn a_session_header_means_nothing() {
    let post = Post::echo().header("Mcp-Session-Id", Some("SID_A1"));
    assert!(matches!(post.parse(), Ok(Inbound::Modern(_))));
}

#[test]
fn answers_and_batches_are_refused() {
    let response = Post::echo().without("/method").with("/result", json!({}));
    assert_eq!((response.code(), response.rejected().id), (-32600, None));
    let post = Post::echo();
    let batch = post
        .parse_text(&format!("[{},{}]", post.body, post.body))
        .unwrap_err();
    assert_eq!(
        (batch.fault.code(Revision::LATEST_MODERN), batch.id),
        (-32600, None)
    );
}

#[test]
fn notifications_are_accepted_when_their_versions_agree() {
    let note = || Post::modern("notifications/cancelled", json!({ "requestId": 1 })).without("/id");
    let bare = note().without("/params/_meta").header("Mcp-Method", None);
    let Ok(Inbound::ModernNotification { method }) = bare.parse() else {
        panic!("{bare:?}")
    };
    assert_eq!(method, "notifications/cancelled");
    assert_eq!(note().code(), 0);
    assert_eq!(note().header("MCP-Protocol-Version", None).code(), -32020);
    assert_eq!(
        note()
            .header("MCP-Protocol-Version", Some("2025-11-25"))
            .code(),
        -32020
    );
    assert_eq!(note().with("/params", json!([1])).code(), -32600);
}

fn method(name: &str, params: Value) -> ModernMethod {
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    Post::modern(name, params)
        .meta(CAPS, tasks)
        .request()
        .method
}

#[test]
fn lists_take_a_cursor_and_the_empty_one_is_a_cursor() {
    for (name, kind) in [
        ("tools/list", ListKind::Tools),
        ("prompts/list", ListKind::Prompts),
        ("resources/list", ListKind::Resources),
        ("resources/templates/list", ListKind::Templates),
    ] {
        for (params, expected) in [
            (json!({}), None),
            (json!({ "cursor": null }), None),
            (json!({ "cursor": "" }), Some("")),
            (json!({ "cursor": "c\u{e9}" }), Some("c\u{e9}")),
        ] {
            let ModernMethod::List {
                kind: found,
                cursor,
            } = method(name, params)
            else {
                panic!()
            };
            assert_eq!((found, cursor.as_deref()), (kind, expected));
        }
        assert_eq!(Post::modern(name, json!({ "cursor": 7 })).code(), -32602);
    }
}

fn call(name: &str, params: Value) -> CallParams {
    match method(name, params) {
        ModernMethod::Call(call) => call,
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_carry_raw_arguments() {
    let post = Post::echo();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments": {"n":9007199254740993, "f":1.50,"o":{"z":1,"a":2}} ,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let Ok(Inbound::Modern(request)) = post.parse_text(body) else {
        panic!()
    };
    let ModernMethod::Call(call) = request.method else {
        panic!()
    };
    assert_eq!((call.kind, call.target.as_str()), (CallKind::Tool, "echo"));
    assert_eq!(
        call.arguments.as_str(),
        r#"{"n":9007199254740993, "f":1.50,"o":{"z":1,"a":2}}"#
    );
    assert_eq!((call.input_responses, call.request_state), (None, None));
}

#[test]
fn absent_arguments_are_an_empty_object() {
    for params in [
        json!({ "name": "a" }),
        json!({ "name": "a", "arguments": null }),
    ] {
        assert_eq!(call("tools/call", params.clone()).arguments.as_str(), "{}");
        assert_eq!(call("prompts/get", params).arguments.as_str(), "{}");
    }
    let read = call(
        "resources/read",
        json!({ "uri": "mem://a", "arguments": { "a": 1 } }),
    );
    assert_eq!(
        (read.kind, read.target.as_str()),
        (CallKind::Resource, "mem://a")
    );
    assert_eq!(read.arguments.as_str(), "{}");
}

#[test]
fn bad_call_params_are_told() {
    for (name, params) in [
        ("tools/call", json!({})),
        ("tools/call", json!({ "name": 7 })),
        ("tools/call", json!({ "name": "a", "arguments": "x" })),
        ("tools/call", json!({ "name": "a", "arguments": [] })),
        ("tools/call", json!({ "name": "a", "arguments": 7 })),
        ("tools/call", json!({ "name": "a", "requestState": 7 })),
        ("tools/call", json!({ "name": "a", "requestState": null })),
        ("tools/call", json!({ "name": "a", "inputResponses": null })),
        ("tools/call", json!({ "name": "a", "inputResponses": 7 })),
        ("tools/call", json!({ "name": "a", "inputResponses": [] })),
        (
            "prompts/get",
            json!({ "name": "a", "arguments": { "x": 1 } }),
        ),
        ("resources/read", json!({})),
        ("resources/read", json!({ "uri": ["a"] })),
    ] {
        assert_eq!(
            Post::modern(name, params.clone()).code(),
            -32602,
            "{name} {params}"
        );
    }
}

/// [MR-4], [MR-7], [MR-8]
#[test]
fn a_retry_brings_its_answers_with_or_without_a_state() {
    let answers = json!({ "user_name": { "action": "accept" }, "junk": 7 });
    let retry = call(
        "tools/call",
        json!({ "name": "a", "inputResponses": answers }),
    );
    let found = retry.input_responses.unwrap();
    assert_eq!(found["user_name"].as_str(), r#"{"action":"accept"}"#);
    assert_eq!(found["junk"].as_str(), "7");
    assert_eq!(retry.request_state, None);
    let retry = call("prompts/get", json!({ "name": "a", "requestState": "s" }));
    assert_eq!(
        (retry.input_responses, retry.request_state.as_deref()),
        (None, Some("s"))
    );
}

#[test]
fn completions_are_checked_and_keep_their_raw_form() {
    let argument = json!({ "name": "a", "value": "x" });
    let good = json!({ "ref": { "type": "ref/prompt", "name": "p" }, "argument": argument, "context": { "arguments": { "b": "c" } } });
    let ModernMethod::Complete(found) = method("completion/complete", good) else {
        panic!()
    };
    assert_eq!(found.target, CompleteTarget::Prompt { name: "p".into() });
    assert_eq!(
        found.reference.as_str(),
        r#"{"name":"p","type":"ref/prompt"}"#
    );
    assert_eq!(
        found.arguments.as_str(),
        r#"{"argument":{"name":"a","value":"x"},"context":{"arguments":{"b":"c"}}}"#
    );
    let resource =
        json!({ "ref": { "type": "ref/resource", "uri": "mem://{a}" }, "argument": argument });
    let ModernMethod::Complete(found) = method("completion/complete", resource) else {
        panic!()
    };
    assert_eq!(
        found.target,
        CompleteTarget::Resource {
            uri: "mem://{a}".into()
        }
    );
    let reference = json!({ "type": "ref/prompt", "name": "p" });
    for bad in [
        json!({ "argument": argument }),
        json!({ "ref": reference }),
        json!({ "ref": { "type": "ref/tool", "name": "p" }, "argument": argument }),
        json!({ "ref": { "type": "ref/prompt" }, "argument": argument }),
        json!({ "ref": reference, "argument": { "name": "a" } }),
        json!({ "ref": reference, "argument": argument, "context": 7 }),
        json!({ "ref": reference, "argument": argument, "context": { "arguments": { "b": 1 } } }),
    ] {
        assert_eq!(
            Post::modern("completion/complete", bad.clone()).code(),
            -32602,
            "{bad}"
        );
    }
}

#[test]
fn a_listen_says_what_it_wants() {
    let all = json!({ "notifications": {
        "toolsListChanged": true, "promptsListChanged": false, "resourcesListChanged": true,
        "resourceSubscriptions": ["mem://a"], "taskIds": [] } });
    let ModernMethod::Listen(filter) = method("subscriptions/listen", all) else {
        panic!()
    };
    let expected = ListenFilter {
        tools: true,
        prompts: false,
        resources: true,
        uris: vec!["mem://a".into()],
        tasks: Some(Vec::new()),
    };
    assert_eq!(filter, expected);
    let none = json!({ "notifications": {} });
    let ModernMethod::Listen(filter) = method("subscriptions/listen", none) else {
        panic!()
    };
    assert_eq!(filter, ListenFilter::default());
    for bad in [
        json!({}),
        json!({ "notifications": null }),
        json!({ "notifications": [] }),
        json!({ "notifications": { "toolsListChanged": 1 } }),
        json!({ "notifications": { "resourceSubscriptions": "mem://a" } }),
        json!({ "notifications": { "resourceSubscriptions": {} } }),
        json!({ "notifications": { "resourceSubscriptions": [7] } }),
        json!({ "notifications": { "taskIds": [null] } }),
    ] {
        assert_eq!(
            Post::modern("subscriptions/listen", bad.clone()).code(),
            -32602,
            "{bad}"
        );
    }
}

#[test]
fn a_listen_names_a_thousand_resources_and_no_more() {
    let uris = |count: usize| vec!["mem://a"; count];
    let listen = |count| {
        Post::modern(
            "subscriptions/listen",
            json!({ "notifications": { "resourceSubscriptions": uris(count) } }),
        )
    };
    assert_eq!((listen(1_000).code(), listen(1_001).code()), (0, -32602));
}

/// [TK-4], [L-7]
#[test]
fn task_methods_need_the_extension_before_anything_else_about_the_task() {
    for (name, params) in [
        ("tasks/get", json!({ "taskId": "t" })),
        (
            "tasks/update",
            json!({ "taskId": "t", "inputResponses": {} }),
        ),
        ("tasks/cancel", json!({ "taskId": "t" })),
        (
            "subscriptions/listen",
            json!({ "notifications": { "taskIds": [] } }),
        ),
    ] {
        let rejected = Post::modern(name, params).rejected();
        assert_eq!(
            rejected.fault,
            Fault::MissingCapability(vec![Capability::Tasks]),
            "{name}"
        );
        let data = rejected.fault.data().unwrap();
        let expected =
            r#"{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#;
        assert_eq!(data.as_str(), expected);
    }
    let ModernMethod::TaskGet { task } = method("tasks/get", json!({ "taskId": "t" })) else {
        panic!()
    };
    assert_eq!(task, "t");
    let update = json!({ "taskId": "t", "inputResponses": { "a": {}, "junk": [1] } });
    let ModernMethod::TaskUpdate { answers, .. } = method("tasks/update", update) else {
        panic!()
    };
    assert_eq!(answers.len(), 2);
    let ModernMethod::TaskCancel { .. } = method("tasks/cancel", json!({ "taskId": "t" })) else {
        panic!()
    };
}

/// [EX-4]
#[test]
fn skills_and_their_directories_are_asked_for_by_uri() {
    let uri = || json!({ "uri": "skill://a" });
    assert!(matches!(
        method("skills/list", json!({})),
        ModernMethod::List {
            kind: ListKind::Skills,
            ..
        }
    ));
    assert!(
        matches!(method("skills/get", uri()), ModernMethod::Skill { uri } if uri == "skill://a")
    );
    let directory = method("resources/directory/read", uri());
    assert!(matches!(
        directory,
        ModernMethod::Directory { cursor: None, .. }
    ));
    for name in ["skills/get", "resources/directory/read"] {
        assert_eq!(Post::modern(name, json!({})).code(), -32602, "{name}");
    }
}

#[test]
fn methods_of_the_other_era_are_unknown_and_say_which_versions_there_are() {
    for name in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
    ] {
        let rejected = Post::modern(name, json!({})).rejected();
        assert_eq!(
            rejected.fault.code(Revision::LATEST_MODERN),
            -32601,
            "{name}"
        );
        assert!(
            rejected.fault.message(Era::Modern).contains("2026-07-28"),
            "{name}"
        );
    }
    assert_eq!(Post::modern("unknown/method", json!({})).code(), -32601);
}

/// A member is found wherever it stands and however its name is spelled.
#[test]
fn members_are_read_in_any_order_and_spelling() {
    let body = r#"{
        "p\u0061rams": {
            "arguments": {"_meta": {"x": [1, {"name": "no"}]}, "text": "a\"}"},
            "_m\u0065ta": {
                "progressToken": "t", "io.modelcontextprotocol/clientCapabilities": {"roots": {}},
                "io.modelcontextprotocol/protocolVersion": "2026-07-28"
            },
            "n\u0061me": "echo"
        },
        "m\u0065thod": "tools/call", "x": [{"id": 2}], "id": 7, "jsonrpc": "2.0"
    }"#;
    let Ok(Inbound::Modern(request)) = Post::echo().parse_text(body) else {
        panic!("it is a good request");
    };
    assert_eq!(request.id.as_raw(), "7");
    assert!(request.meta.facet.roots);
    assert_eq!(request.meta.progress_token.unwrap().as_str(), r#""t""#);
    let ModernMethod::Call(call) = request.method else {
        panic!("it is a call");
    };
    assert_eq!(call.target, "echo");
    // Compacted, since there are line breaks between its tokens.
    let arguments = r#"{"_meta":{"x":[1,{"name":"no"}]},"text":"a\"}"}"#;
    assert_eq!(call.arguments.as_str(), arguments);
}

#[test]
fn what_is_no_object_says_nothing() {
    let post = Post::modern("tools/list", json!({}));
    for bare in ["null", "7", "[]", r#""x""#] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"params":{{"_meta":{bare},"cursor":null}},"method":"tools/list"}}"#
        );
        assert_eq!(code(&post.parse_text(&body)), -32602, "{bare}");
    }
}
