//! Upstreams that start anew in the middle of a call, and know no session of before.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use ostler_testkit::{Modern, Replay, Seen, Stub, TestNode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::world::{Bridge, node};

/// What the first call comes to before the restart.
#[derive(Debug, Clone, Copy)]
enum First {
    /// Its stream breaks.
    Breaks,
    /// Its question is answered to one who did not ask it.
    Asks,
}

/// A legacy server over HTTP that ends in the middle of the first call, and is there again at once.
struct Upstream {
    first: First,
    sessions: AtomicU32,
    /// The session it knows.
    session: Mutex<Option<String>>,
    runs: AtomicU32,
}

fn ok(seen: &Seen, result: Value) -> Replay {
    let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
    Replay::json(200, &body)
}

impl Upstream {
    fn answer(&self, seen: &Seen) -> Replay {
        let about = seen.about();
        if about == "initialize" {
            return self.open(seen);
        }
        if about == "response" {
            self.session.lock().take();
        }
        let is_known = self.session.lock().as_deref() == seen.header("mcp-session-id");
        match about.as_str() {
            _ if !is_known => Replay::status(404),
            "tools/list" => {
                let tool = json!({"name": "work", "inputSchema": {"type": "object"}});
                ok(seen, json!({"tools": [tool]}))
            }
            "tools/call" => self.call(seen),
            "GET" => Replay::status(405),
            "DELETE" => Replay::status(204),
            _ => Replay::status(202),
        }
    }

    fn open(&self, seen: &Seen) -> Replay {
        let id = format!("s-{}", self.sessions.fetch_add(1, Ordering::SeqCst));
        *self.session.lock() = Some(id.clone());
        let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "stub", "version": "1"}});
        ok(seen, result).header("Mcp-Session-Id", &id)
    }

    fn call(&self, seen: &Seen) -> Replay {
        if self.runs.fetch_add(1, Ordering::SeqCst) > 0 {
            return ok(seen, json!({"content": [{"type": "text", "text": "done"}]}));
        }
        match self.first {
            First::Breaks => {
                self.session.lock().take();
                Replay::stream(&["id: 1\nretry: 1\ndata: \n\n"]).cut()
            }
            First::Asks => {
                let form = json!({"message": "who?", "requestedSchema":
                    {"type": "object", "properties": {"name": {"type": "string"}}}});
                let ask = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create",
                    "params": form});
                Replay::stream(&[&format!("id: 1\ndata: {ask}\n\n")])
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_a_restart_met_runs_once_and_may_have_run() {
    for first in [First::Breaks, First::Asks] {
        let upstream = Arc::new(Upstream {
            first,
            sessions: AtomicU32::new(0),
            session: Mutex::new(None),
            runs: AtomicU32::new(0),
        });
        let server = upstream.clone();
        let stub = Stub::start(move |seen| server.answer(seen)).await;
        let near = TestNode::anonymous().await;
        let bridge = Bridge::start(&near, vec![node("far", stub.address, "legacy")]).await;
        let door = near.door();
        let call = Modern::call("work", json!({})).can(json!({"elicitation": {}}));
        let mut sent = call.send(&door).await;
        if let Some(asked) = sent.json()["result"]["inputRequests"].as_object() {
            let answer = json!({"action": "accept", "content": {"name": "Ada"}});
            let answers = asked.keys().map(|key| (key.clone(), answer.clone()));
            let again = call.retry(&sent.json()["result"], answers.collect());
            sent = again.send(&door).await;
        }
        let error = &sent.json()["error"];
        assert_eq!(error["code"], -31003, "{first:?}: {sent:?}");
        assert_eq!(error["data"]["executed"], "unknown", "{first:?}: {error}");
        assert_eq!(upstream.runs.load(Ordering::SeqCst), 1, "{first:?}");
        // The next call finds out that the session is gone, did not begin, and goes through another.
        let next = call.result(&door).await;
        assert_eq!(next["content"][0]["text"], "done", "{first:?}: {next}");
        assert_eq!(upstream.runs.load(Ordering::SeqCst), 2, "{first:?}");
        near.calls_close().await;
        bridge.stop().await;
        near.stop().await;
    }
}
