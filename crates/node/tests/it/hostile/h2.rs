//! Layer http, HTTP/2: floods of frames, made by hand.

use ostler_node::Exit;
use ostler_testkit::soon;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::healthy;
use crate::world::World;

/// Entries with a test of their own.
pub const SINGLE: &[&str] = &["HTTP-017", "HTTP-018", "HTTP-019", "HTTP-022"];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len())
        .expect("a small frame")
        .to_be_bytes();
    let mut bytes = len[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// POST http /mcp of localhost: indexed fields and literals of the static table (RFC 7541).
fn head() -> Vec<u8> {
    [&[0x83], target().as_slice()].concat()
}

/// The same with all that lets the node wait for a body: `content-type` and `accept`.
fn head_of_a_body() -> Vec<u8> {
    let mut block = head();
    block.extend([0x0f, 0x10, 16]);
    block.extend(b"application/json");
    block.extend([0x0f, 0x04, 3]);
    block.extend(b"*/*");
    block
}

/// All but the method.
fn target() -> Vec<u8> {
    let mut block = vec![0x86, 0x04, 4];
    block.extend(b"/mcp");
    block.extend([0x01, 9]);
    block.extend(b"localhost");
    block
}

struct Peer(TcpStream);

impl Peer {
    async fn dial(world: &World) -> Self {
        let socket = TcpStream::connect(world.door().address).await;
        let mut socket = socket.expect("a node listens");
        let start = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
        socket.write_all(&start).await.expect("the node reads it");
        Self(socket)
    }

    /// Answers pings until the server closes; all frames that it sent.
    async fn wait(mut self) -> Vec<(u8, Vec<u8>)> {
        let (mut bytes, mut answered) = (Vec::new(), 0);
        while self.0.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            let frames = frames_of(&bytes);
            let pings = frames.iter().filter(|(kind, _)| *kind == PING);
            let pings: Vec<_> = pings.map(|(_, payload)| payload).collect();
            for payload in &pings[answered..] {
                let pong = frame(PING, ACK, 0, payload);
                // It may close meanwhile.
                let _ = self.0.write_all(&pong).await;
            }
            answered = pings.len();
        }
        frames_of(&bytes)
    }

    /// Writes while the server takes it, and reads all the time.
    async fn flood(self, frames: impl Iterator<Item = Vec<u8>>) -> Vec<(u8, Vec<u8>)> {
        let (mut reader, mut writer) = self.0.into_split();
        let write = async move {
            for bytes in frames {
                if writer.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            writer
        };
        let read = async move {
            let mut bytes = Vec::new();
            // A reset is an end too.
            let _ = reader.read_to_end(&mut bytes).await;
            bytes
        };
        let both = async { tokio::join!(write, read) };
        let (_writer, bytes) = soon("the end of the connection", both).await;
        frames_of(&bytes)
    }
}

fn frames_of(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while bytes.len() >= 9 {
        let len = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        let Some(payload) = bytes.get(9..9 + len) else {
            break;
        };
        frames.push((bytes[3], payload.to_vec()));
        bytes = &bytes[9 + len..];
    }
    frames
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().expect("four bytes"))
}

fn is_told_to_calm_down(frames: &[(u8, Vec<u8>)]) -> bool {
    frames
        .iter()
        .any(|(kind, payload)| *kind == GOAWAY && code(&payload[4..8]) == ENHANCE_YOUR_CALM)
}

fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| n * 2 + 1)
}

/// HTTP-017, CVE-2023-44487.
#[tokio::test]
async fn an_idle_connection_is_told_to_go_by_a_node_that_drains() {
    let world = World::open().await;
    let peer = Peer::dial(&world).await;
    // Its settings: the node knows by now what it talks to.
    peer.0.readable().await.expect("it says hello");
    let (exit, frames) = tokio::join!(world.node.end(), soon("its end", peer.wait()));
    let said: Vec<u32> = frames
        .iter()
        .filter(|(kind, _)| *kind == GOAWAY)
        .map(|(_, payload)| code(&payload[4..8]))
        .collect();
    assert!(said.contains(&0), "{said:?}");
    assert_eq!(exit, Exit::Drained);
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let world = World::open().await;
    let head = head();
    let flood = streams(5000).map(|stream| {
        let mut bytes = frame(HEADERS, END_HEADERS, stream, &head);
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        bytes
    });
    let told = Peer::dial(&world).await.flood(flood).await;
    assert!(is_told_to_calm_down(&told), "{told:?}");
    healthy(&world.door()).await;
    world.stop().await;
}

/// HTTP-018, CVE-2025-8671: the server itself is made to reset.
#[tokio::test]
async fn provoked_resets_end_the_connection() {
    let world = World::open().await;
    let head = head();
    let flood = streams(2000).map(|stream| {
        let mut bytes = frame(HEADERS, END_HEADERS, stream, &head);
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes()));
        bytes
    });
    let told = Peer::dial(&world).await.flood(flood).await;
    // Stricter than asked: the first of them is an error of the whole connection.
    let goaways = told.iter().filter(|(kind, _)| *kind == GOAWAY);
    assert_eq!(goaways.count(), 1, "{told:?}");
    healthy(&world.door()).await;
    world.stop().await;
}

/// HTTP-019.
#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let world = World::open().await;
    let mut block = vec![0x00, 1, b'x', 0x7f, 0x80, 0x7f];
    block.extend(vec![b'a'; 16_000]);
    let flood = (0..2000).map(|n| match n {
        0 => frame(HEADERS, 0, 1, &head()),
        _ => frame(CONTINUATION, 0, 1, &block),
    });
    Peer::dial(&world).await.flood(flood).await;
    healthy(&world.door()).await;
    world.stop().await;
}

/// HTTP-022: no body ends, so that all streams stay open until the server refuses some.
#[tokio::test]
async fn streams_above_the_limit_are_refused() {
    let world = World::open().await;
    let mut peer = Peer::dial(&world).await;
    let head = head_of_a_body();
    let last = 2 * 150 - 1;
    for stream in streams(150) {
        let bytes = frame(HEADERS, END_HEADERS, stream, &head);
        peer.0.write_all(&bytes).await.unwrap();
    }
    let mut bytes = Vec::new();
    let refused = async {
        loop {
            let mut piece = [0; 4096];
            let read = peer.0.read(&mut piece).await.unwrap();
            assert!(read > 0, "the connection stays");
            bytes.extend_from_slice(&piece[..read]);
            let is_refusal = |(kind, payload): &(u8, Vec<u8>)| {
                *kind == RST_STREAM && code(payload) == REFUSED_STREAM
            };
            if frames_of(&bytes).iter().any(is_refusal) {
                return;
            }
        }
    };
    soon(format!("a refusal up to stream {last}"), refused).await;
    drop(peer);
    healthy(&world.door()).await;
    world.stop().await;
}

/// RFC 9110 9.3.2: a client takes a body for an error of the connection.
#[tokio::test]
async fn a_response_to_head_has_no_body() {
    let world = World::open().await;
    let method = [b"\x02\x04HEAD".as_slice(), &target()].concat();
    let asked = frame(HEADERS, END_HEADERS | END_STREAM, 1, &method);
    let enough = frame(GOAWAY, 0, 0, &[0; 8]);
    let told = Peer::dial(&world).await.flood([asked, enough].into_iter());
    let told = told.await;
    let of_kind = |kind: u8| told.iter().filter(move |(it, _)| *it == kind);
    assert_eq!(of_kind(HEADERS).count(), 1, "{told:?}");
    assert!(of_kind(DATA).all(|(_, data)| data.is_empty()), "{told:?}");
    world.stop().await;
}
