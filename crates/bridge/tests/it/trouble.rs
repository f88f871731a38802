//! An upstream with trouble beside its calls.

use std::{
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use ostler_testkit::{Modern, Replay, Seen, Stub, TestNode, until};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{Bridge, node, text};

/// Pieces of a stream that a request gets.
struct Feed {
    tx: mpsc::Sender<String>,
    rx: Mutex<Option<mpsc::Receiver<String>>>,
}

impl Feed {
    fn new() -> Feed {
        let (tx, rx) = mpsc::channel(4);
        let rx = Mutex::new(Some(rx));
        Feed { tx, rx }
    }

    fn replay(&self) -> Replay {
        match self.rx.lock().take() {
            Some(rx) => Replay::fed(rx),
            None => Replay::status(409),
        }
    }

    async fn send(&self, message: &Value) {
        let sent = self.tx.send(format!("data: {message}\n\n")).await;
        sent.expect("somebody reads");
    }
}

/// A legacy server whose lists can become bad.
struct Upstream {
    call: Feed,
    news: Feed,
    /// Lists that were bad, if they are.
    bad: Mutex<Option<u32>>,
    calls: AtomicU32,
}

impl Upstream {
    fn new() -> Arc<Upstream> {
        Arc::new(Upstream {
            call: Feed::new(),
            news: Feed::new(),
            bad: Mutex::new(None),
            calls: AtomicU32::new(0),
        })
    }

    async fn start(self: &Arc<Self>) -> Stub {
        let server = self.clone();
        Stub::start(move |seen| server.answer(seen)).await
    }

    /// Until it has its first call.
    async fn called(&self) {
        let calls = || (self.calls.load(Ordering::SeqCst) == 1).then_some(());
        until("a call", calls).await;
    }

    /// Answers its call, which is among what was seen.
    async fn finish(&self, seen: &[Seen]) {
        let call = seen.iter().find(|seen| seen.about() == "tools/call");
        let id = call.expect("it was seen").json()["id"].clone();
        let result = json!({"content": [{"type": "text", "text": "done"}]});
        let reply = json!({"jsonrpc": "2.0", "id": id, "result": result});
        self.call.send(&reply).await;
    }

    fn answer(&self, seen: &Seen) -> Replay {
        let ok = |result: Value| {
            let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
            Replay::json(200, &body)
        };
        match seen.about().as_str() {
            "initialize" => ok(json!({"protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "stub", "version": "1"}}))
            .header("mcp-session-id", "s"),
            "tools/list" => match self.bad.lock().as_mut() {
                None => ok(json!({"tools": [{"name": "work", "inputSchema": {"type": "object"}}]})),
                Some(count) => {
                    *count += 1;
                    match *count {
                        1 => Replay::status(502),
                        2 => Replay::status(503),
                        _ => ok(json!({"nothing": "of the kind"})),
                    }
                }
            },
            "tools/call" => {
                self.calls.fetch_add(1, Ordering::SeqCst);
                self.call.replay()
            }
            "GET" => self.news.replay(),
            "ping" => ok(json!({})),
            _ => Replay::status(202),
        }
    }
}

#[tokio::test]
async fn bad_lists_end_nobodys_call() {
    let upstream = Upstream::new();
    let stub = upstream.start().await;
    let near = TestNode::anonymous().await;
    let bridge = Bridge::start(&near, vec![node("far", stub.address, "legacy")]).await;
    let door = near.door();
    let call = Modern::call("work", json!({}));
    let trouble = async {
        upstream.called().await;
        *upstream.bad.lock() = Some(0);
        let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        upstream.news.send(&changed).await;
        let bad = || upstream.bad.lock().filter(|count| *count >= 3).map(drop);
        until("three bad lists", bad).await;
        upstream.finish(&stub.seen()).await;
    };
    let (result, ()) = tokio::join!(call.result(&door), trouble);
    assert_eq!(text(&result), "done");
    let abouts = stub.abouts();
    let count = |what: &str| abouts.iter().filter(|about| *about == what).count();
    assert_eq!((count("initialize"), count("DELETE")), (1, 0), "{abouts:?}");
    assert!(bridge.up("far"));
    near.calls_close().await;
    bridge.stop().await;
    near.stop().await;
}

#[tokio::test]
async fn a_call_that_reaches_nobody_ends_nobody_elses() {
    let upstream = Upstream::new();
    let stub = upstream.start().await;
    let near = TestNode::anonymous().await;
    let bridge = Bridge::start(&near, vec![node("far", stub.address, "legacy")]).await;
    let door = near.door();
    let call = Modern::call("work", json!({}));
    let trouble = async {
        upstream.called().await;
        let (seen, address) = (stub.seen(), stub.address);
        // What it has taken it still answers.
        drop(stub);
        let is_closed = || TcpStream::connect(address).is_err().then_some(());
        until("a closed port", is_closed).await;
        for _ in 0..2 {
            assert_eq!(call.send(&door).await.code(), -31008);
        }
        let metrics = bridge.env.metrics();
        let opened = metrics.value("ostler_bridge_upstreams_opened_total", &[]);
        assert_eq!(opened, Some(1.0), "it has the connection that it had");
        assert!(bridge.up("far"));
        upstream.finish(&seen).await;
    };
    let (result, ()) = tokio::join!(call.result(&door), trouble);
    assert_eq!(text(&result), "done");
    // Now that nobody calls, who answers no ping is gone.
    let down = || (!bridge.up("far")).then_some(());
    until("a member that is down", down).await;
    near.calls_close().await;
    bridge.stop().await;
    near.stop().await;
}
