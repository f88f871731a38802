//! Which era a request belongs to, and in which order it is checked ([ERA-2], [M-9]).

use ostler_testkit::{Door, Modern, Request, Session, m_ok};
use serde_json::{Value, json};

use crate::world::World;

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// What is there or not: the version header, the version in `_meta`, a live session.
struct Row {
    number: u32,
    method: &'static str,
    header: Option<&'static str>,
    meta: Option<&'static str>,
    session: bool,
    /// Status and JSON-RPC code; 0 is a result.
    wanted: (u16, i64),
}

const fn row(
    number: u32,
    method: &'static str,
    header: Option<&'static str>,
    meta: Option<&'static str>,
    session: bool,
    wanted: (u16, i64),
) -> Row {
    Row {
        number,
        method,
        header,
        meta,
        session,
        wanted,
    }
}

const LIST: &str = "tools/list";
const INIT: &str = "initialize";

const TABLE: &[Row] = &[
    row(1, LIST, Some(MODERN), Some(MODERN), false, (200, 0)),
    row(1, LIST, Some(MODERN), Some(MODERN), true, (200, 0)),
    row(2, LIST, None, Some(MODERN), false, (400, -32020)),
    row(2, LIST, None, Some(MODERN), true, (400, -32020)),
    row(
        3,
        LIST,
        Some(MODERN),
        Some("2027-01-01"),
        false,
        (400, -32020),
    ),
    row(3, LIST, Some(LEGACY), Some(MODERN), true, (400, -32020)),
    row(
        4,
        LIST,
        Some("2027-01-01"),
        Some("2027-01-01"),
        false,
        (400, -32022),
    ),
    row(4, LIST, Some("x"), Some("x"), false, (400, -32022)),
    row(5, LIST, Some(MODERN), None, false, (400, -32602)),
    row(6, INIT, None, None, false, (200, 0)),
    row(6, INIT, Some(LEGACY), None, false, (200, 0)),
    row(7, INIT, Some(MODERN), Some(MODERN), false, (404, -32601)),
    row(7, INIT, Some(MODERN), None, false, (404, -32601)),
    row(8, LIST, None, None, true, (200, 0)),
    row(8, LIST, Some(LEGACY), None, true, (200, 0)),
    row(9, LIST, None, None, false, (400, -32600)),
    row(10, LIST, Some("x"), None, false, (400, -32022)),
    row(10, LIST, Some("x"), None, true, (400, -32600)),
    row(11, LIST, Some(MODERN), None, true, (400, -32602)),
    row(12, LIST, Some(LEGACY), Some(LEGACY), false, (400, -32022)),
    row(12, LIST, Some(LEGACY), Some(LEGACY), true, (400, -32022)),
];

fn request(door: &Door, session: &Session, row: &Row) -> Request {
    let mut params = json!({
        "protocolVersion": LEGACY,
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    });
    if let Some(version) = row.meta {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
    }
    let message = json!({"jsonrpc": "2.0", "id": "era", "method": row.method, "params": params});
    let mut request = door
        .request("POST")
        .also("Content-Type", "application/json")
        .also("Accept", "application/json, text/event-stream")
        // No era signal: the official suite sends it with a legacy `initialize`.
        .also("Mcp-Method", row.method)
        .body(message.to_string());
    if let Some(version) = row.header {
        request = request.also("MCP-Protocol-Version", version);
    }
    if row.session {
        request = request.also("Mcp-Session-Id", &session.id);
    }
    request
}

#[tokio::test]
async fn the_era_table_holds_in_every_row() {
    let world = World::open().await;
    let door = world.door();
    let session = Session::open(&door, json!({})).await;
    for row in TABLE {
        let response = door.send(&request(&door, &session, row)).await;
        let body = response.json();
        let about = format!("row {} {:?} {:?}: {body}", row.number, row.header, row.meta);
        assert_eq!((response.status, response.code()), row.wanted, "{about}");
        assert_eq!(body["id"], "era", "{about}");
        let is_legacy = row.method == INIT && row.wanted.0 == 200;
        assert_eq!(
            response.header("mcp-session-id").is_some(),
            is_legacy,
            "{about}"
        );
    }
    world.end(session).await;
}

/// [ERA-5] and the guard of row 12.
#[tokio::test]
async fn an_unsupported_version_is_told_what_is_supported() {
    let world = World::open().await;
    let door = world.door();
    let discovered = Modern::new("server/discover", json!({}))
        .result(&door)
        .await;
    let served = discovered["supportedVersions"].as_array().unwrap();
    for (version, modern_only) in [("2027-01-01", false), (LEGACY, true)] {
        let bent = m_ok().meta("io.modelcontextprotocol/protocolVersion", version);
        let request = bent.to(&door).header("MCP-Protocol-Version", version);
        let error = door.send(&request).await.json()["error"].clone();
        let supported = error["data"]["supported"].as_array().unwrap();
        assert!(
            !supported.is_empty() && supported.iter().all(|v| served.contains(v)),
            "{error}"
        );
        assert_eq!(error["data"]["requested"], version);
        assert_eq!(supported == &[json!(MODERN)], modern_only, "{error}");
        assert_eq!(
            error["message"].as_str().unwrap().contains("initialize"),
            modern_only
        );
    }
    world.stop().await;
}

/// Each request has two defects; the one that is checked first is told.
#[tokio::test]
async fn checks_are_made_in_their_order() {
    let world = World::open().await;
    let door = world.door();
    let meta_then_header = m_ok()
        .without_meta("io.modelcontextprotocol/clientCapabilities")
        .to(&door)
        .without("Mcp-Method");
    let version = "io.modelcontextprotocol/protocolVersion";
    let header_then_version = m_ok()
        .meta(version, "2027-01-01")
        .to(&door)
        .header("MCP-Protocol-Version", "2027-01-01")
        .header("Mcp-Name", "other");
    let version_then_method = Modern::new("no/such", json!({}))
        .meta(version, "2027-01-01")
        .to(&door)
        .header("MCP-Protocol-Version", "2027-01-01");
    let method_then_params = Modern::new("resources/subscribe", json!({"uri": 7})).to(&door);
    let params_then_capability =
        Modern::new("tools/call", json!({"name": "needs", "arguments": []})).to(&door);
    let parse_then_header = m_ok().to(&door).without("Mcp-Method").body("{");
    let rows = [
        ("parse", parse_then_header, (400, -32700)),
        ("_meta", meta_then_header, (400, -32602)),
        ("header", header_then_version, (400, -32020)),
        ("version", version_then_method, (400, -32022)),
        ("method", method_then_params, (404, -32601)),
        ("params", params_then_capability, (400, -32602)),
        (
            "capability",
            Modern::call("needs", json!({})).to(&door),
            (400, -32021),
        ),
    ];
    for (first, request, wanted) in rows {
        let response = door.send(&request).await;
        assert_eq!(
            (response.status, response.code()),
            wanted,
            "{first}: {}",
            response.text()
        );
    }
    assert_eq!(m_ok().result(&door).await["isError"], Value::Null);
    world.stop().await;
}
