//! Layer headers: the lines that mirror the body (protocol.md 5.2).

use ostler_testkit::{Door, Modern, Request, m_ok};
use serde_json::{Value, json};

use super::{Case, check};
use crate::world::World;

/// `region_query` with these arguments and their header lines.
fn query(door: &Door, arguments: Value, lines: &[(&str, &[u8])]) -> Request {
    let call = Modern::call("region_query", arguments).to(door);
    lines
        .iter()
        .fold(call, |request, (name, value)| request.also(name, value))
}

fn region(door: &Door, value: &str) -> Request {
    let lines: [(&str, &[u8]); 1] = [("Mcp-Param-Region", value.as_bytes())];
    query(door, json!({"region": "Hello"}), &lines)
}

fn count(door: &Door, body: Value, value: &str) -> Request {
    query(
        door,
        json!({"count": body}),
        &[("Mcp-Param-Count", value.as_bytes())],
    )
}

fn flag(door: &Door, value: &str) -> Request {
    query(
        door,
        json!({"flag": true}),
        &[("Mcp-Param-Flag", value.as_bytes())],
    )
}

pub fn table(door: &Door) -> Vec<Case> {
    [mirrors(door), encodings(door), params(door), versions(door)].concat()
}

fn mirrors(door: &Door) -> Vec<Case> {
    let ok = || m_ok().to(door);
    let region: &[u8] = b"us";
    let cased = query(
        door,
        json!({"region": "us"}),
        &[("mcp-PARAM-region", region)],
    )
    .without("Mcp-Method")
    .also("mCp-MeThOd", "tools/call")
    .without("Mcp-Name")
    .also("MCP-NAME", "region_query");
    let read = Modern::new("resources/read", json!({"uri": "mem://text"})).to(door);
    let get = Modern::new("prompts/get", json!({"name": "plain"})).to(door);
    let delete = Modern::call("delete_all", json!({})).to(door);
    vec![
        ("HDR-001", ok().without("Mcp-Method"), 400, -32020),
        (
            "HDR-002",
            ok().header("Mcp-Method", "tools/list"),
            400,
            -32020,
        ),
        (
            "HDR-003",
            ok().header("Mcp-Method", "Tools/Call"),
            400,
            -32020,
        ),
        ("HDR-004", cased, 200, 0),
        ("HDR-005", ok().without("Mcp-Name"), 400, -32020),
        ("HDR-005", read.without("Mcp-Name"), 400, -32020),
        ("HDR-005", get.without("Mcp-Name"), 400, -32020),
        ("HDR-006", delete.header("Mcp-Name", "echo"), 400, -32020),
        (
            "HDR-016",
            Modern::call("é", json!({})).to(door),
            400,
            -32020,
        ),
    ]
}

fn encodings(door: &Door) -> Vec<Case> {
    let bad = [
        ("HDR-009", "=?base64?SGVsbG8?="),
        ("HDR-009", "=?base64?SGVsbG8===?="),
        ("HDR-009", "=?base64?SGVsbG9=?="),
        ("HDR-010", "=?base64?SGVs bG8=?="),
        ("HDR-010", "=?base64?SGVs\tbG8=?="),
        ("HDR-011", "=?base64?//79?="),
    ];
    let bad = bad.map(|(entry, value)| (entry, region(door, value), 400, -32020));
    let good = ("HDR-009", region(door, "=?base64?SGVsbG8=?="), 200, 0);
    bad.into_iter().chain([good]).collect()
}

fn params(door: &Door) -> Vec<Case> {
    let us: (&str, &[u8]) = ("Mcp-Param-Region", b"us-west1");
    let eu: (&str, &[u8]) = ("Mcp-Param-Region", b"eu-1");
    let west = || json!({"region": "us-west1"});
    let mut cases = vec![
        ("HDR-018", query(door, west(), &[]), 400, -32020),
        ("HDR-019", query(door, json!({}), &[us]), 400, -32020),
        (
            "HDR-019",
            query(door, json!({"region": null}), &[us]),
            400,
            -32020,
        ),
        ("HDR-020", count(door, json!(42), "42"), 200, 0),
        ("HDR-020", count(door, json!(42), "42.0"), 200, 0),
        ("HDR-020", count(door, json!(0), "-0"), 200, 0),
        (
            "HDR-021",
            count(door, json!(9_007_199_254_740_993_i64), "9007199254740993"),
            400,
            -32602,
        ),
        ("HDR-023", query(door, west(), &[us, eu]), 400, -32020),
        ("HDR-023", query(door, west(), &[us, us]), 400, -32020),
        (
            "HDR-024",
            m_ok().to(door).also("Mcp-Param-Unknown", "x"),
            200,
            0,
        ),
        ("HDR-025", thousand(door), 431, 0),
    ];
    for value in ["042", "4.2e1", "0x2A", "４２"] {
        cases.push(("HDR-020", count(door, json!(42), value), 400, -32020));
    }
    for value in ["True", "1", "yes"] {
        cases.push(("HDR-022", flag(door, value), 400, -32020));
    }
    cases.push(("HDR-022", flag(door, "true"), 200, 0));
    cases
}

fn thousand(door: &Door) -> Request {
    (0..1000).fold(m_ok().to(door), |request, n| {
        request.also(&format!("Mcp-Param-{n}"), "x")
    })
}

fn versions(door: &Door) -> Vec<Case> {
    let version = "MCP-Protocol-Version";
    let old = m_ok().meta("io.modelcontextprotocol/protocolVersion", "1900-01-01");
    let delete = || {
        Modern::call("delete_all", json!({}))
            .to(door)
            .header("Mcp-Name", "echo")
    };
    vec![
        ("HDR-027", m_ok().to(door).without(version), 400, -32020),
        (
            "HDR-029",
            old.to(door).header(version, "1900-01-01"),
            400,
            -32022,
        ),
        (
            "HDR-030",
            delete().header(version, "2025-03-26"),
            400,
            -32020,
        ),
        ("HDR-030", delete().without(version), 400, -32020),
    ]
}

#[tokio::test]
async fn the_table_holds() {
    let world = World::open().await;
    check(&world, &world.door(), table(&world.door())).await;
    world.stop().await;
}
