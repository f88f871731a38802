//! Layer sse: readers that are slow, stuck, gone without a word, or back too often.

use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use ostler_testkit::{Modern, Parser, Request, Session, cut_cable, soon};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::world::{World, text};

/// Entries with a test of their own.
pub const SINGLE: &[&str] = &["SSE-014", "SSE-015", "SSE-016", "SSE-019", "SSE-027"];

const ENDED: &str = "ostler_edge_streams_ended_total";

/// Streams that do not move are cut soon, and nothing thins out what floods them.
async fn impatient() -> World {
    World::with(|config| {
        config.edge.keep_alive = Duration::from_millis(300);
        config.edge.stall_timeout = Duration::from_secs(1);
        config.edge.stream_after = Duration::from_millis(20);
        config.edge.limits.chatter_per_second_max = 100_000;
        config.session.chatter_per_second_max = 100_000;
    })
    .await
}

async fn ends(world: &World, kind: &str, reason: &str) {
    let labels = [("kind", kind), ("reason", reason)];
    world.node.reaches(ENDED, &labels, 1.0).await;
}

fn flood(session: &Session, gate: &str) -> Request {
    let params = json!({"name": "flood", "arguments": {"gate": gate},
        "_meta": {"progressToken": 1}});
    session.request(1, "tools/call", params)
}

fn modern_flood(gate: &str) -> Modern {
    Modern::call("flood", json!({"gate": gate})).meta("progressToken", 1)
}

/// SSE-014.
#[tokio::test]
async fn a_client_that_comes_back_in_a_loop_is_told_to_wait() {
    const AT_ONCE: usize = 5;
    let world = World::with(|config| {
        config.edge.limits.reconnects_at_once_max = AT_ONCE;
    })
    .await;
    let session = Session::open(&world.door(), json!({})).await;
    let mut live = session.listen().await;
    let cursor = live.event().await.unwrap().id.unwrap();
    let start = world.node.env.now();
    let mut taken = 1;
    for _ in 0..200 {
        let again = session.resume(&cursor).await;
        match again.head().status {
            200 => taken += 1,
            429 => {
                let refused = again.finish().await;
                assert_eq!(refused.code(), -31001);
                assert_eq!(refused.header("retry-after"), Some("1"));
            }
            status => panic!("{status}"),
        }
    }
    let seconds = world.node.env.now().since(start).as_secs() as usize;
    assert!(
        (AT_ONCE..=AT_ONCE + seconds + 1).contains(&taken),
        "{taken}"
    );
    let busy = [("reason", "busy")];
    let refused = world.node.metric("ostler_edge_refused_total", &busy);
    assert_eq!(refused, (201 - taken) as f64);
    // Neither the rest of this session nor another one feels it.
    session.result(1, "ping", json!({})).await;
    let other = Session::open(&world.door(), json!({})).await;
    assert_eq!(other.listen().await.head().status, 200);
    assert_eq!(other.delete().await.status, 204);
    world.end(session).await;
}

/// SSE-015: what was stored is not lost with the reader.
#[tokio::test]
async fn a_legacy_reader_that_takes_nothing_is_cut_and_comes_back() {
    let world = impatient().await;
    let session = Session::open(&world.door(), json!({})).await;
    let mut live = session.door.open(&flood(&session, "g")).await;
    let priming = live.event().await.unwrap().id.unwrap();
    ends(&world, "session", "stalled").await;
    world.script.open("g");
    world.script.seen("passed:g").await;
    let resumed = session.resume(&priming).await.finish().await;
    let last = resumed.json();
    assert_eq!(
        (&last["id"], text(&last["result"])),
        (&json!(1), "passed g")
    );
    assert_eq!(world.script.count("cancelled:g"), 0);
    drop(live);
    world.end(session).await;
}

/// SSE-015: to a modern call it is the end of its client [MS-3].
#[tokio::test]
async fn a_modern_reader_that_takes_nothing_is_cut_and_its_call_cancelled() {
    let world = impatient().await;
    let live = modern_flood("g").open(&world.door()).await;
    ends(&world, "response", "stalled").await;
    world.script.seen("cancelled:g").await;
    drop(live);
    world.stop().await;
}

/// Vanished clients are noticed soon.
async fn watchful() -> World {
    World::with(|config| {
        config.edge.keep_alive = Duration::from_millis(300);
        config.edge.peer_timeout = Duration::from_secs(1);
    })
    .await
}

/// SSE-016: nothing of the node reaches the client's machine any more.
#[tokio::test]
async fn a_reader_that_vanishes_without_a_word_is_noticed() {
    let world = watchful().await;
    let session = Session::open(&world.door(), json!({})).await;
    let mut live = session.listen().await;
    assert!(live.event().await.unwrap().is_priming());
    live.vanish();
    ends(&world, "session", "half_open").await;
    // The session is kept for whoever comes back.
    session.result(1, "ping", json!({})).await;
    drop(live);
    world.end(session).await;
}

/// SSE-016, over HTTP/2.
#[tokio::test]
async fn a_vanished_client_ends_all_its_streams() {
    let world = watchful().await;
    let door = world.door();
    let (near, far) = cable(&world).await;
    let shared = Shared::over(far, WINDOW).await;
    let listen = json!({"notifications": {"toolsListChanged": true}});
    let listen = Modern::new("subscriptions/listen", listen).to(&door);
    let streams = [shared.open(&listen).await, shared.open(&listen).await];
    cut_cable(&near);
    let labels = [("kind", "listen"), ("reason", "half_open")];
    world.node.reaches(ENDED, &labels, 2.0).await;
    drop((streams, shared));
    world.stop().await;
}

/// A connection to the node, as its client and as whoever pulls the plug.
async fn cable(world: &World) -> (TcpStream, TcpStream) {
    let socket = TcpStream::connect(world.door().address).await;
    let socket = socket
        .and_then(TcpStream::into_std)
        .expect("a node listens");
    let again = socket.try_clone().expect("there is room for one more");
    let both = [again, socket].map(TcpStream::from_std);
    let [near, far] = both.map(|socket| socket.expect("it is in a runtime"));
    (near, far)
}

/// An HTTP/2 connection with streams of their own pace.
struct Shared(SendRequest<Bytes>);

impl Shared {
    /// The connection's window is large, that of each stream so many bytes.
    async fn dial(world: &World, window: u32) -> Self {
        let socket = TcpStream::connect(world.door().address).await;
        Self::over(socket.expect("a node listens"), window).await
    }

    async fn over(socket: TcpStream, window: u32) -> Self {
        let dialed = h2::client::Builder::new()
            .initial_connection_window_size(64 << 20)
            .initial_window_size(window)
            .handshake(socket);
        let (send, connection) = dialed.await.expect("it speaks HTTP/2");
        let env = ostler_env::Env::system();
        env.spawn("test.h2", async {
            // It ends as the test likes.
            let _ = connection.await;
        });
        Self(send)
    }

    /// The body of the response; nothing of it is read yet.
    async fn open(&self, request: &Request) -> RecvStream {
        let mut head = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("http://localhost{}", request.target));
        for (name, value) in &request.headers {
            if !name.eq_ignore_ascii_case("host") {
                head = head.header(name, value.as_slice());
            }
        }
        let head = head.body(()).expect("a good request");
        let send = soon("room for a stream", self.0.clone().ready()).await;
        let sent = send.expect("it is open").send_request(head, false);
        let (response, mut body) = sent.expect("a good request");
        let sent = body.send_data(request.body.clone().into(), true);
        sent.expect("there is room for it");
        let response = soon("the head of a response", response).await;
        let response = response.expect("the server answers");
        assert_eq!(response.status(), 200);
        response.into_body()
    }

    /// The last message of a response that is read to its end.
    async fn last(&self, request: &Request) -> Value {
        let mut body = self.open(request).await;
        let mut bytes = Vec::new();
        while let Some(piece) = soon("more of a body", body.data()).await {
            let piece = piece.expect("it ends well");
            let released = body.flow_control().release_capacity(piece.len());
            released.expect("it was taken");
            bytes.extend(piece);
        }
        let mut parser = Parser::default();
        parser.feed(&bytes);
        match std::iter::from_fn(|| parser.next_event()).last() {
            Some(event) => event.json(),
            None => serde_json::from_slice(&bytes).expect("JSON"),
        }
    }
}

/// Bytes of a stream's window in these tests: less than a flood says at once.
const WINDOW: u32 = 8 << 10;

/// SSE-027.
#[tokio::test]
async fn an_unread_stream_hurts_no_other_on_its_connection() {
    let world = impatient().await;
    let door = world.door();
    let shared = Shared::dial(&world, WINDOW).await;
    let mut stuck = shared.open(&modern_flood("stuck").to(&door)).await;
    world.script.seen("started:stuck").await;
    let progress = Modern::call("progress", json!({"count": 20})).meta("progressToken", 1);
    let progress = progress.to(&door);
    let others = (0..50).map(|_| shared.last(&progress));
    for last in futures_util::future::join_all(others).await {
        assert_eq!(text(&last["result"]), "done");
    }
    ends(&world, "response", "stalled").await;
    world.script.seen("cancelled:stuck").await;
    let cut = loop {
        match soon("the end of the stuck stream", stuck.data()).await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    let cut = cut.expect("a reset").expect_err("no good end");
    assert_eq!(cut.reason(), Some(h2::Reason::CANCEL), "{cut}");
    let last = shared.last(&ostler_testkit::m_ok().to(&door)).await;
    assert_eq!(text(&last["result"]), "hi", "the connection goes on");
    drop(shared);
    world.stop().await;
}

/// A response that needs no stream is held for its client no longer than one that does.
#[tokio::test]
async fn an_unread_body_is_cut_and_a_read_one_is_whole() {
    const BYTES: usize = 1 << 20;
    let world = World::with(|config| {
        config.edge.keep_alive = Duration::from_millis(300);
        config.edge.stall_timeout = Duration::from_secs(1);
        // However slow the worker is.
        config.edge.stream_after = Duration::from_secs(60);
    })
    .await;
    let door = world.door();
    let big = Modern::call("big", json!({"count": BYTES}));
    let shared = Shared::dial(&world, WINDOW).await;
    let mut stuck = shared.open(&big.to(&door)).await;
    let mut read = 0;
    let cut = loop {
        match soon("the end of the stuck body", stuck.data()).await {
            Some(Ok(piece)) => read += piece.len(),
            end => break end,
        }
    };
    let cut = cut.expect("a reset").expect_err("no good end");
    assert_eq!(
        (cut.reason(), read),
        (Some(h2::Reason::CANCEL), WINDOW as usize)
    );
    let last = shared.last(&big.to(&door)).await;
    assert_eq!(text(&last["result"]).len(), BYTES);
    drop(shared);
    let whole = big.send(&door).await;
    let length = whole.header("content-length").map(str::to_owned);
    assert_eq!(length, Some(whole.body.len().to_string()));
    assert_eq!(text(&whole.json()["result"]).len(), BYTES);
    world.stop().await;
}

/// SSE-019: the window is full before the result is there, so that nothing of it is ever written.
#[tokio::test]
async fn a_result_that_was_stored_and_not_written_is_resumed() {
    let world = World::with(|config| {
        config.edge.stream_after = Duration::from_millis(20);
        config.session.chatter_per_second_max = 100_000;
    })
    .await;
    let session = Session::open(&world.door(), json!({})).await;
    let shared = Shared::dial(&world, WINDOW).await;
    let mut body = shared.open(&flood(&session, "g")).await;
    let mut parser = Parser::default();
    let mut read = 0;
    while read < WINDOW as usize {
        let piece = soon("a full window", body.data()).await.unwrap().unwrap();
        read += piece.len();
        parser.feed(&piece);
    }
    let priming = parser.next_event().expect("an event in the window");
    let stored = "ostler_session_events_stored_total";
    let before = world.node.metric(stored, &[]);
    world.script.open("g");
    world.node.reaches(stored, &[], before + 1.0).await;
    drop((body, shared));
    let cursor = priming.id.expect("a cursor");
    for _ in 0..2 {
        let mut resumed = session.resume(&cursor).await;
        let last = resumed.message().await;
        assert_eq!(
            (&last["id"], text(&last["result"])),
            (&json!(1), "passed g")
        );
        assert_eq!(resumed.event().await, None);
    }
    assert_eq!(world.script.count("started:g"), 1);
    world.end(session).await;
}
