//! Layer http: what is wrong before any JSON-RPC is read.

use std::time::Duration;

use ostler_testkit::{Door, Live, Modern, Request, Response, m_ok};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Case, check, healthy};
use crate::world::World;

/// Entries with a test of their own.
pub const SINGLE: &[&str] = &[
    "HTTP-001", "HTTP-004", "HTTP-005", "HTTP-007", "HTTP-008", "HTTP-010", "HTTP-012", "HTTP-016",
    "HTTP-030", "HTTP-040", "HTTP-045", "HTTP-048", "HTTP-050",
];

pub fn table(door: &Door) -> Vec<Case> {
    let ok = || m_ok().to(door);
    let typed = |kind: &str| ok().header("Content-Type", kind);
    let evil = "https://evil.example";
    let preflight = door.request("OPTIONS").also("Origin", evil);
    let upgrade = door
        .request("GET")
        .also("Upgrade", "websocket")
        .also("Connection", "Upgrade");
    let long = Request {
        target: format!("/mcp?x={}", "a".repeat(100 << 10)),
        ..ok()
    };
    let forged = ok()
        .also("X-Forwarded-For", "10.0.0.1")
        .also("X-Forwarded-Host", "evil.example")
        .also("X-Forwarded-Proto", "http")
        .also("Forwarded", "host=evil");
    vec![
        ("HTTP-002", long, 414, 0),
        ("HTTP-024", door.request("PUT"), 405, 0),
        ("HTTP-024", door.request("PATCH"), 405, 0),
        ("HTTP-024", door.request("TRACE"), 405, 0),
        ("HTTP-024", door.request("OPTIONS"), 405, 0),
        ("HTTP-029", ok().header("Host", "evil.example"), 421, 0),
        (
            "HTTP-034",
            ok().also("Origin", "http://localhost").also("Origin", evil),
            403,
            0,
        ),
        ("HTTP-035", typed("text/plain"), 415, 0),
        (
            "HTTP-036",
            typed("application/json; charset=utf-16"),
            415,
            0,
        ),
        (
            "HTTP-036",
            typed("application/x-www-form-urlencoded"),
            415,
            0,
        ),
        ("HTTP-036", typed("multipart/form-data"), 415, 0),
        ("HTTP-036", ok().without("Content-Type"), 415, 0),
        ("HTTP-036", typed("application/json; charset=utf-8"), 200, 0),
        (
            "HTTP-038",
            preflight.also("Access-Control-Request-Method", "POST"),
            403,
            0,
        ),
        ("HTTP-039", forged, 200, 0),
        (
            "HTTP-043",
            upgrade.clone().also("MCP-Protocol-Version", "2026-07-28"),
            405,
            0,
        ),
        ("HTTP-043", upgrade.also("Accept", "text/html"), 406, 0),
    ]
}

#[tokio::test]
async fn the_table_holds() {
    let world = World::open().await;
    check(&world, &world.door(), table(&world.door())).await;
    let refused = world.door().send(&world.door().request("PUT")).await;
    assert!(refused.header("allow").is_some(), "{refused:?}");
    world.stop().await;
}

/// A world whose deadlines for bytes are short.
async fn hasty() -> World {
    World::with(|config| {
        config.edge.first_byte_timeout = Duration::from_secs(1);
        config.edge.header_timeout = Duration::from_secs(1);
        config.edge.body_timeout = Duration::from_secs(1);
    })
    .await
}

/// Each of these byte strings is refused and the connection closed; nothing is executed.
async fn check_raw(rows: Vec<(&str, Vec<u8>, &[u16])>) {
    let world = hasty().await;
    let door = world.door();
    for (entry, bytes, allowed) in rows {
        let responses = door.raw(&bytes).await;
        let statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
        assert!(statuses.len() <= 1, "{entry}: {statuses:?}");
        let fits = statuses.iter().all(|status| allowed.contains(status));
        let may_be_silent = allowed.contains(&0);
        assert!(
            fits && (may_be_silent || !statuses.is_empty()),
            "{entry}: {statuses:?}"
        );
        healthy(&door).await;
    }
    assert_eq!(world.script.count("delete_all"), 0);
    world.stop().await;
}

/// The head of M-OK with other framing lines, then `body`.
fn framed(door: &Door, lines: &str, body: &[u8]) -> Vec<u8> {
    let ok = m_ok()
        .to(door)
        .header("Content-Length", "0")
        .body("")
        .to_bytes();
    let head = String::from_utf8(ok).expect("M-OK is text");
    let head = head.replace("Content-Length: 0\r\n", lines);
    [head.as_bytes(), body].concat()
}

fn nowhere() -> Door {
    Door {
        address: "127.0.0.1:80".parse().expect("an address"),
        path: "/mcp".to_owned(),
        key: None,
    }
}

/// HTTP-001, HTTP-040.
#[tokio::test]
async fn what_is_no_http_is_refused_and_closed() {
    let noise: Vec<u8> = (0..512_u32).map(|n| (n * 7919 % 251) as u8).collect();
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].to_vec();
    let ok = m_ok().to(&nowhere()).to_bytes();
    let proxy_v1 = [b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n".as_slice(), &ok].concat();
    let proxy_v2 = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(),
        &[0; 12],
        &ok,
    ]
    .concat();
    check_raw(vec![
        ("HTTP-001", noise, &[0, 400]),
        ("HTTP-001", hello, &[0, 400]),
        ("HTTP-040", proxy_v1, &[400]),
        ("HTTP-040", proxy_v2, &[400]),
    ])
    .await;
}

/// HTTP-008, HTTP-010, HTTP-012: nobody can disagree with us about where a request ends.
#[tokio::test]
async fn doubtful_framing_is_refused_and_closed() {
    let body = m_ok().message().to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let one = |lines| framed(&nowhere(), lines, chunked.as_bytes());
    let second = Modern::call("delete_all", serde_json::json!({})).to(&nowhere());
    let smuggled = |lines| [one(lines), second.to_bytes()].concat();
    let extended = format!("1;{}\r\n \r\n", "x".repeat(16 << 10)).repeat(1000);
    check_raw(vec![
        // The HTTP library drops the length unseen and closes, as RFC 9112 6.3 allows.
        (
            "HTTP-008",
            smuggled("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            &[200],
        ),
        (
            "HTTP-008",
            smuggled("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            &[200],
        ),
        (
            "HTTP-010",
            one("Transfer-Encoding: xchunked\r\n"),
            &[400, 501],
        ),
        (
            "HTTP-010",
            one("Transfer-Encoding:\x0bchunked\r\n"),
            &[400, 501],
        ),
        (
            "HTTP-010",
            one("Transfer-Encoding: chunked, identity\r\n"),
            &[400, 501],
        ),
        (
            "HTTP-012",
            framed(
                &nowhere(),
                "Transfer-Encoding: chunked\r\n",
                extended.as_bytes(),
            ),
            &[0, 400, 413],
        ),
    ])
    .await;
}

/// HTTP-030, HTTP-045.
#[tokio::test]
async fn malformed_header_lines_are_refused_and_closed() {
    let with = |line: &str| {
        let lines = format!("Content-Length: 0\r\nConnection: close\r\n{line}");
        framed(&nowhere(), &lines, b"")
    };
    let hostless = m_ok()
        .to(&nowhere())
        .without("Host")
        .also("Connection", "close");
    check_raw(vec![
        ("HTTP-030", hostless.to_bytes(), &[400]),
        ("HTTP-030", with("Host: localhost\r\n"), &[400]),
        ("HTTP-045", with("X-a: b\r\n c\r\n"), &[400]),
        ("HTTP-045", with("X-a: \0\r\n"), &[400]),
        ("HTTP-045", with("X-a : b\r\n"), &[400]),
    ])
    .await;
}

/// HTTP-007: the first is truncated JSON, the surplus no request.
#[tokio::test]
async fn a_body_longer_than_its_length_executes_nothing() {
    let world = hasty().await;
    let door = world.door();
    let echoed = world.script.count("echo");
    let body = m_ok().message().to_string();
    let lines = format!("Content-Length: {}\r\n", body.len() - 10);
    let responses = door.raw(&framed(&door, &lines, body.as_bytes())).await;
    let told: Vec<u16> = responses.iter().map(|response| response.status).collect();
    assert_eq!(told, [400, 400]);
    assert_eq!(responses[0].code(), -32700);
    assert_eq!(world.script.count("echo"), echoed);
    world.stop().await;
}

/// HTTP-016: refused by its head alone.
#[tokio::test]
async fn an_expected_body_that_is_too_large_is_never_asked_for() {
    let world = World::open().await;
    let door = world.door();
    let head = m_ok()
        .to(&door)
        .header("Content-Length", "67108864")
        .body("");
    for request in [head.clone().also("Expect", "100-continue"), head] {
        let live: Live = door.open(&request).await;
        assert_eq!(live.head().status, 413);
    }
    world.stop().await;
}

/// HTTP-004, HTTP-005: `bytes` come, then nothing more.
#[tokio::test]
async fn a_silent_or_slow_connection_is_closed() {
    let world = hasty().await;
    let door = world.door();
    for bytes in [
        b"".as_slice(),
        b"P",
        b"PRI * HT",
        b"POST /mcp HTTP/1.1\r\nX-a: ",
    ] {
        let responses: Vec<Response> = door.raw(bytes).await;
        let refused = responses.iter().all(|response| response.status == 408);
        assert!(refused, "{}: {responses:?}", bytes.escape_ascii());
    }
    let closed = "ostler_edge_connections_closed_total";
    world
        .node
        .reaches(closed, &[("reason", "silent")], 1.0)
        .await;
    let body = framed(&door, "Content-Length: 100\r\n", b"{");
    let responses = door.raw(&body).await;
    assert_eq!(responses[0].status, 408);
    healthy(&door).await;
    world.stop().await;
}

/// HTTP-048.
#[tokio::test]
async fn one_address_gets_no_more_than_its_connections() {
    let world = World::with(|config| config.edge.limits.connections_per_address_max = 2).await;
    let door = world.door();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(door.address).await.unwrap();
        let request = m_ok().to(&door).to_bytes();
        socket.write_all(&request).await.unwrap();
        let mut first = [0; 12];
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(socket);
    }
    assert_eq!(door.raw(&m_ok().to(&door).to_bytes()).await, []);
    drop(held);
    let closed = "ostler_edge_connections_closed_total";
    world.node.reaches(closed, &[("reason", "full")], 1.0).await;
    world
        .node
        .reaches(closed, &[("reason", "served")], 2.0)
        .await;
    healthy(&door).await;
    world.stop().await;
}

/// HTTP-050: `stop` finds nothing left.
#[tokio::test]
async fn uploads_that_break_off_leave_nothing() {
    let world = World::open().await;
    let door = world.door();
    let bytes = m_ok().to(&door).to_bytes();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(door.address).await.unwrap();
        socket.write_all(&bytes[..bytes.len() / 2]).await.unwrap();
        socket.set_zero_linger().unwrap();
    }
    healthy(&door).await;
    assert_eq!(world.script.count("echo"), 1);
    world.stop().await;
}
