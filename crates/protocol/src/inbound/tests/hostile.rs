//! The entries of the hostile corpus that parsing alone decides, by their ids. Entries that need
//! a session, a worker, a store or a socket are run over HTTP elsewhere.

use super::*;
use crate::schema_rules::{ParamKind, ParamRule};

/// The id of the corpus, the POST, and the JSON-RPC code; 0 means accepted.
type Case = (&'static str, Post, i32);

fn check(cases: Vec<Case>) {
    for (entry, post, expected) in cases {
        let parsed = post.parse();
        assert_eq!(
            code(&parsed),
            expected,
            "{entry}: {:?} {}",
            post.headers,
            post.body
        );
        if let Err(Rejected {
            id,
            fault: Fault::HeaderMismatch(_) | Fault::UnsupportedVersion { .. },
            ..
        }) = parsed
        {
            assert_eq!(id.expect(entry).as_raw(), "1", "{entry}");
        }
    }
}

fn check_bodies(cases: &[(&str, &[u8], i32)]) {
    for (entry, body, expected) in cases {
        let parsed = Post::echo().parse_bytes(body);
        assert_eq!(code(&parsed), *expected, "{entry}: {}", body.escape_ascii());
        assert_eq!(
            parsed.unwrap_err().id,
            None,
            "{entry}: {}",
            body.escape_ascii()
        );
    }
}

fn read() -> Post {
    Post::modern("resources/read", json!({ "uri": "mem://doc/1" }))
}

fn prompt() -> Post {
    Post::modern("prompts/get", json!({ "name": "p" }))
}

fn line(post: Post, name: &'static str, value: &[u8]) -> Post {
    let mut post = post.header(name, None);
    post.headers = post.headers.add(name, value);
    post
}

fn named(name: &str, header: &[u8]) -> Post {
    line(
        Post::echo().with("/params/name", json!(name)),
        "Mcp-Name",
        header,
    )
}

#[test]
fn headers_that_do_not_mirror_the_body() {
    let version = |header| Post::echo().header("MCP-Protocol-Version", header);
    let delete = || Post::echo().with("/params/name", json!("delete_all"));
    check(vec![
        ("HDR-001", Post::echo().header("Mcp-Method", None), -32020),
        (
            "HDR-002",
            Post::echo().header("Mcp-Method", Some("tools/list")),
            -32020,
        ),
        (
            "HDR-003",
            Post::echo().header("Mcp-Method", Some("Tools/Call")),
            -32020,
        ),
        ("HDR-005", Post::echo().header("Mcp-Name", None), -32020),
        ("HDR-005", read().header("Mcp-Name", None), -32020),
        ("HDR-005", prompt().header("Mcp-Name", None), -32020),
        ("HDR-006", delete(), -32020),
        ("HDR-009", named("Hello", b"=?base64?SGVsbG8?="), -32020),
        ("HDR-009", named("Hello", b"=?base64?SGVsbG8===?="), -32020),
        ("HDR-009", named("Hello", b"=?base64?SGVsbG9=?="), -32020),
        ("HDR-010", named("Hello", b"=?base64?SGVs bG8=?="), -32020),
        ("HDR-010", named("Hello", b"=?base64?SGVs\tbG8=?="), -32020),
        ("HDR-011", named("x", b"=?base64?//79?="), -32020),
        ("HDR-016", named("é", "é".as_bytes()), -32020),
        ("HDR-027", version(None), -32020),
        (
            "HDR-029",
            version(Some("1900-01-01")).meta(V, json!("1900-01-01")),
            -32022,
        ),
        (
            "HDR-030",
            delete().header("MCP-Protocol-Version", Some("2025-03-26")),
            -32020,
        ),
        (
            "HDR-030",
            delete().header("MCP-Protocol-Version", None),
            -32020,
        ),
        (
            "RPC-059",
            Post::modern("tasks/get", json!({ "taskId": "t" })).header("Mcp-Name", Some("u")),
            -32020,
        ),
    ]);
}

#[test]
fn header_names_in_any_case() {
    let mut post = Post::echo();
    for (name, _) in &mut post.headers.0 {
        *name = match *name {
            "Mcp-Method" => "mCp-MeThOd",
            "Mcp-Name" => "MCP-NAME",
            _ => "mcp-protocol-VERSION",
        };
    }
    check(vec![("HDR-004", post, 0)]);
}

/// HDR-018 to HDR-024; the numbers of HDR-020 and HDR-021 have their table beside the comparison.
#[test]
fn param_headers() {
    let rule = |header: &str, kind| ParamRule {
        header: header.into(),
        path: vec![header.to_lowercase()],
        kind,
    };
    let rules = [
        rule("Region", ParamKind::String),
        rule("Count", ParamKind::Integer),
        rule("Flag", ParamKind::Boolean),
    ];
    for (entry, lines, arguments, expected) in [
        ("HDR-018", &[][..], r#"{"region":"us-west1"}"#, -32020),
        ("HDR-019", &[("Mcp-Param-Region", "us-west1")], "{}", -32020),
        (
            "HDR-019",
            &[("Mcp-Param-Region", "us-west1")],
            r#"{"region":null}"#,
            -32020,
        ),
        (
            "HDR-020",
            &[("Mcp-Param-Count", "42.0")],
            r#"{"count":42}"#,
            0,
        ),
        (
            "HDR-020",
            &[("Mcp-Param-Count", "042")],
            r#"{"count":42}"#,
            -32020,
        ),
        (
            "HDR-021",
            &[("Mcp-Param-Count", "9007199254740993")],
            r#"{"count":9007199254740993}"#,
            -32602,
        ),
        (
            "HDR-022",
            &[("Mcp-Param-Flag", "True")],
            r#"{"flag":true}"#,
            -32020,
        ),
        (
            "HDR-023",
            &[
                ("Mcp-Param-Region", "us-west1"),
                ("Mcp-Param-Region", "eu-1"),
            ],
            r#"{"region":"us-west1"}"#,
            -32020,
        ),
        ("HDR-024", &[("Mcp-Param-Unknown", "x")], "{}", 0),
    ] {
        let lines = Lines(
            lines
                .iter()
                .map(|(n, v)| (*n, v.as_bytes().to_vec()))
                .collect(),
        );
        let arguments = Raw::parse(arguments.to_owned().into(), 64).unwrap();
        let checked = check_param_headers(&lines, &rules, &arguments);
        assert_eq!(
            checked.map_or_else(|f| f.code(Revision::LATEST_MODERN), |()| 0),
            expected,
            "{entry} {lines:?}"
        );
    }
}

#[test]
fn bodies_that_are_not_json() {
    let good = Post::echo().body.to_string();
    let bom = [b"\xEF\xBB\xBF", good.as_bytes()].concat();
    let bomb = "[".repeat(100_000);
    check_bodies(&[
        ("RPC-001", b"", -32700),
        ("RPC-002", &good.as_bytes()[..40], -32700),
        ("RPC-003", &bom, -32700),
        (
            "RPC-004",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools\xFF\"}",
            -32700,
        ),
        (
            "RPC-007",
            b"{\"jsonrpc\":\"2.0\",\"id\":NaN,\"method\":\"ping\"}",
            -32700,
        ),
        (
            "RPC-007",
            b"{\"jsonrpc\":\"2.0\",\"id\":Infinity,\"method\":\"ping\"}",
            -32700,
        ),
        (
            "RPC-007",
            b"{\"jsonrpc\":\"2.0\",\"id\":0x1,\"method\":\"ping\"}",
            -32700,
        ),
        ("RPC-007", b"{/*c*/}", -32700),
        ("RPC-007", b"{'a':1}", -32700),
        ("RPC-010", b"[{},{}]", -32600),
        ("RPC-011", b"[]", -32600),
        ("depth", bomb.as_bytes(), -32700),
    ]);
}

#[test]
fn a_huge_batch_is_refused_whole() {
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let batch = format!("[{}]", vec![note; 10_000].join(","));
    check_bodies(&[("RPC-011", batch.as_bytes(), -32600)]);
}

#[test]
fn bodies_that_are_no_message() {
    let echo = Post::echo;
    let long = "x".repeat(1 << 20);
    check(vec![
        ("RPC-013", echo().with("/jsonrpc", json!("1.0")), -32600),
        ("RPC-013", echo().with("/jsonrpc", json!(2.0)), -32600),
        ("RPC-013", echo().without("/jsonrpc"), -32600),
        ("RPC-014", echo().with("/id", json!(null)), -32600),
        ("RPC-015", echo().with("/id", json!(1.5)), -32600),
        ("RPC-015", echo().with("/id", json!(true)), -32600),
        ("RPC-015", echo().with("/id", json!({})), -32600),
        ("RPC-015", echo().with("/id", json!([])), -32600),
        ("RPC-017", echo().with("/id", json!(long)), -32600),
        ("RPC-017", echo().with("/id", json!("\u{0}\n\u{1b}[2J")), 0),
        (
            "RPC-020",
            echo().with("/Method", json!("tools/call")),
            -32600,
        ),
        ("RPC-020", echo().with("/PARAMS", json!({})), -32600),
        ("RPC-020", echo().with("/Id", json!(1)), -32600),
        ("RPC-023", echo().without("/method"), -32600),
        ("RPC-023", echo().with("/method", json!(7)), -32600),
        ("RPC-023", echo().with("/method", json!(long)), -32600),
        ("RPC-023", Post::modern("", json!({})), -32601),
        ("RPC-024", Post::modern("rpc.shutdown", json!({})), -32601),
        ("RPC-024", Post::modern("tools/Call", json!({})), -32601),
        ("RPC-024", Post::modern("../tools/call", json!({})), -32601),
        ("RPC-025", echo().with("/params", json!([1, 2])), -32602),
        ("RPC-025", echo().with("/params", json!(7)), -32602),
    ]);
}

#[test]
fn duplicate_members_at_any_depth() {
    let good = Post::echo().body.to_string();
    let twice = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        good.replacen(from, to, 1).into_bytes()
    };
    check_bodies(&[
        (
            "RPC-019",
            &twice(r#""text":"hi""#, r#""amount":1,"amount":2"#),
            -32600,
        ),
        (
            "RPC-019",
            &twice(r#""name":"echo""#, r#""name":"echo","name":"delete_all""#),
            -32600,
        ),
        (
            "RPC-019",
            &twice(
                r#""name":"echo""#,
                r#""name":"echo","n\u0061me":"delete_all""#,
            ),
            -32600,
        ),
        (
            "RPC-019",
            &twice(r#""method":"#, r#""method":"tools/list","method":"#),
            -32600,
        ),
    ]);
}

#[test]
fn meta_that_is_broken_or_forged() {
    let meta = "io.modelcontextprotocol";
    check(vec![
        ("RPC-027", Post::echo().meta(V, json!(20260728)), -32602),
        (
            "RPC-029",
            Post::echo().meta(&format!("{meta}/subscriptionId"), json!(9)),
            0,
        ),
        (
            "RPC-029",
            Post::echo().meta(&format!("{meta}/serverInfo"), json!("x")),
            0,
        ),
        ("RPC-029", Post::echo().meta("x-tenant", json!("b")), 0),
        (
            "RPC-060",
            Post::echo().meta(&format!("{meta}/logLevel"), json!("LOUD")),
            -32602,
        ),
        (
            "RPC-060",
            Post::legacy("logging/setLevel", json!({ "level": "LOUD" })),
            -32602,
        ),
    ]);
    let mut bare = Post::echo();
    bare.body["params"]["_meta"]
        .as_object_mut()
        .unwrap()
        .remove(CAPS);
    check(vec![("RPC-027", bare, -32602)]);
    let mut unnamed = Post::echo();
    let info = format!("{meta}/clientInfo");
    assert!(
        unnamed.body["params"]["_meta"]
            .as_object_mut()
            .unwrap()
            .remove(&info)
            .is_some()
    );
    check(vec![("RPC-028", unnamed, 0)]);
}

#[test]
fn methods_that_the_modern_era_removed() {
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
    ] {
        let rejected = Post::modern(method, json!({})).rejected();
        assert_eq!(
            rejected.fault.code(Revision::LATEST_MODERN),
            -32601,
            "RPC-030 {method}"
        );
        let message = rejected.fault.message(Era::Modern);
        assert!(
            message.contains("2026-07-28") && message.contains("2025-11-25"),
            "RPC-030 {message}"
        );
    }
}

#[test]
fn params_of_the_wrong_type_or_size() {
    let arguments = |value| Post::echo().with("/params/arguments", value);
    let complete = |length| {
        let argument = json!({ "name": "a", "value": "x".repeat(length) });
        Post::modern(
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "p" }, "argument": argument }),
        )
    };
    let uris: Vec<String> = (0..100_000).map(|n| format!("mem://doc/{n}")).collect();
    let listen = json!({ "notifications": { "resourceSubscriptions": uris } });
    check(vec![
        ("RPC-044", arguments(json!("x")), -32602),
        ("RPC-044", arguments(json!([])), -32602),
        ("RPC-044", arguments(json!(7)), -32602),
        (
            "RPC-044",
            Post::legacy("tools/call", json!({ "name": "echo", "arguments": "x" })),
            -32602,
        ),
        ("RPC-049", complete(1_000_000), -32602),
        ("RPC-049", complete(60_000), 0),
        (
            "RPC-056",
            Post::modern("subscriptions/listen", listen),
            -32602,
        ),
    ]);
}

/// RPC-040 is the edge's to refuse; here the session that is named along must not get lost. And
/// RPC-039 does not hold: requests before `initialized` are served ([LIF-7]).
#[test]
fn a_second_initialize_shows_the_session_it_came_with() {
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let Ok(Inbound::Initialize(initialize)) = Post::legacy("initialize", params).parse() else {
        panic!("RPC-040")
    };
    assert_eq!(initialize.session.as_deref(), Some("SID_A1"));
}

/// RPC-032: dropped later, as nothing waits for it; it is no error here.
#[test]
fn an_answer_nobody_waits_for_is_a_message() {
    let mut post = Post::legacy("x", json!({}));
    post.body = json!({ "jsonrpc": "2.0", "id": "srv-999", "result": {} });
    let LegacyMessage::Response { id, .. } = post.legacy_message() else {
        panic!("RPC-032")
    };
    assert_eq!(id.as_raw(), "\"srv-999\"");
}
