//! All of {header, version in `_meta`, session, message} against an oracle that reads [ERA-2] row
//! by row, and bodies broken at random.

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// Header values; two lines where there is a `|`.
const HEADERS: [Option<&str>; 8] = [
    None,
    Some("2025-11-25"),
    Some("2025-06-18"),
    Some("2026-07-28"),
    Some("2027-01-01"),
    Some("garbage"),
    Some("2025-11-25|2025-11-25"),
    Some("2025-11-25|2026-07-28"),
];

/// Versions in `_meta`: `Null` stands for none.
fn versions() -> [Value; 6] {
    [
        json!(null),
        json!("2026-07-28"),
        json!("2025-11-25"),
        json!("2027-01-01"),
        json!("garbage"),
        json!(20260728),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sent {
    Initialize,
    Known,
    Unknown,
    Notification,
    Response,
}

const SENT: [Sent; 5] = [
    Sent::Initialize,
    Sent::Known,
    Sent::Unknown,
    Sent::Notification,
    Sent::Response,
];

fn build(header: Option<&str>, version: &Value, session: bool, sent: Sent) -> Post {
    let method = match sent {
        Sent::Initialize => "initialize",
        Sent::Known => "tools/list",
        Sent::Unknown => "unknown/method",
        Sent::Notification | Sent::Response => "notifications/x",
    };
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let mut post = Post::modern(method, params).header("MCP-Protocol-Version", None);
    for line in header.into_iter().flat_map(|lines| lines.split('|')) {
        post.headers = post.headers.add("MCP-Protocol-Version", line.as_bytes());
    }
    let post = post.header("Mcp-Session-Id", session.then_some("SID"));
    let post = match version {
        Value::Null => post.without("/params/_meta"),
        version => post.meta(V, version.clone()),
    };
    match sent {
        Sent::Notification => post.without("/id"),
        Sent::Response => post.without("/method").with("/result", json!({})),
        Sent::Initialize | Sent::Known | Sent::Unknown => post,
    }
}

/// What the table says: a code, or 0.
fn oracle(header: Option<&str>, version: &Value, session: bool, sent: Sent) -> i32 {
    let repeated = header.is_some_and(|h| h.contains('|'));
    let modern_header =
        header.is_some_and(|h| h.split('|').any(|h| ("2026-07-28".."3").contains(&h)));
    if !version.is_null() || modern_header {
        return modern_oracle(header.filter(|_| !repeated), version, sent);
    }
    match header {
        Some("garbage") | Some("2025-11-25|2025-11-25") if session => -32600, // row 10
        Some("garbage") | Some("2025-11-25|2025-11-25") => -32022,            // row 10
        _ if sent == Sent::Initialize => 0,                                   // row 6
        _ if session && sent == Sent::Unknown => -32601,                      // [RPC-8]
        _ if session => 0,                                                    // row 8, [LIF-5]
        _ => -32600,                                                          // row 9
    }
}

/// `header` is the only one, or nothing.
fn modern_oracle(header: Option<&str>, version: &Value, sent: Sent) -> i32 {
    let same = header.is_some() && header == version.as_str();
    match (sent, version) {
        (Sent::Response, _) => -32600,             // [M-2]
        (Sent::Initialize, Value::Null) => -32601, // row 7
        (_, Value::Number(_)) => -32602,           // row 5
        (Sent::Notification, Value::Null) => match header {
            None => -32020,
            Some("2026-07-28") => 0,
            Some(_) => -32022,
        },
        (_, Value::Null) => -32602,                      // rows 5 and 11
        _ if !same => -32020,                            // rows 2 and 3
        _ if header != Some("2026-07-28") => -32022,     // rows 4 and 12
        (Sent::Initialize | Sent::Unknown, _) => -32601, // row 7
        (Sent::Known | Sent::Notification, _) => 0,
    }
}

fn for_all(check: impl Fn(&Post, Option<&str>, &Value, bool, Sent)) {
    for header in HEADERS {
        for version in versions() {
            for session in [false, true] {
                for sent in SENT {
                    check(
                        &build(header, &version, session, sent),
                        header,
                        &version,
                        session,
                        sent,
                    );
                }
            }
        }
    }
}

#[test]
fn every_combination_is_answered_as_the_table_says() {
    for_all(|post, header, version, session, sent| {
        let expected = oracle(header, version, session, sent);
        assert_eq!(
            post.code(),
            expected,
            "{header:?} {version} session {session} {sent:?}"
        );
    });
}

#[test]
fn every_combination_gets_its_id_back_exactly_when_it_is_a_request() {
    for_all(|post, header, version, session, sent| {
        if let Err(rejected) = post.parse() {
            let is_request = !matches!(sent, Sent::Notification | Sent::Response);
            let id = rejected.id.as_ref().map(|id| id.as_raw());
            let what = format!("{header:?} {version} session {session} {sent:?}");
            assert_eq!(id, is_request.then_some("1"), "{what}");
            assert!(rejected.era.is_some(), "{what}");
        }
    });
}

/// [ERA-3]
#[test]
fn legacy_shaped_input_never_gets_a_modern_code() {
    for_all(|post, header, version, session, sent| {
        let legacy_header = header.is_none_or(|h| h.starts_with("2025") && !h.contains("2026"));
        let garbage_without_session = header.is_some_and(|h| h.contains('|')) && !session;
        if version.is_null() && (session || legacy_header) && !garbage_without_session {
            let modern_header = header.is_some_and(|h| h.contains("2026") || h.contains("2027"));
            let code = post.code();
            let is_modern_code = (-32099..=-32020).contains(&code);
            let what = format!("{header:?} session {session} {sent:?} gave {code}");
            assert!(!is_modern_code || modern_header, "{what}");
        }
    });
}

/// Rows 4, 10 and 12 differ in what they show as supported ([ERA-5]).
#[test]
fn the_supported_list_leads_no_client_in_a_circle() {
    let data = |header: Option<&str>, version: Value| {
        let rejected = build(header, &version, false, Sent::Known).rejected();
        (
            rejected.fault.data().unwrap().to_string(),
            rejected.fault.message(Era::Modern),
        )
    };
    let (unknown, message) = data(Some("2027-01-01"), json!("2027-01-01"));
    assert_eq!(
        unknown,
        r#"{"requested":"2027-01-01","supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]}"#
    );
    assert!(message.contains("2026-07-28"), "{message}");
    let (legacy, message) = data(Some("2025-11-25"), json!("2025-11-25"));
    assert_eq!(
        legacy,
        r#"{"requested":"2025-11-25","supported":["2026-07-28"]}"#
    );
    assert!(message.contains("initialize"), "{message}");
    let (garbage, _) = data(Some("garbage"), json!(null));
    assert_eq!(
        garbage,
        r#"{"requested":"garbage","supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]}"#
    );
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1_024,
        rng_seed: RngSeed::Fixed(11),
        failure_persistence: None,
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn broken_bodies_are_judged_without_panic(
        modern in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let post = match modern {
            true => Post::echo(),
            false => Post::legacy("tools/call", json!({ "name": "echo", "arguments": {} })),
        };
        let mut body = post.body.to_string().into_bytes();
        for (at, byte) in edits {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body.truncate(cut.index(body.len() * 4).max(1));
        let _ = post.parse_bytes(&body);
    }
}
