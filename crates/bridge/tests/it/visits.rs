//! An upstream of 2025-11-25 that refuses a call until its user has visited a page (-32042), and
//! what a client sees of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ostler_bridge::config::Table;
use ostler_testkit::{Modern, Replay, Seen, Session, Stub, TestNode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{Bridge, node, text};

/// What it says beside its answers.
struct News {
    tx: mpsc::Sender<String>,
    rx: Mutex<Option<mpsc::Receiver<String>>>,
}

struct World {
    news: Arc<News>,
    calls: Arc<AtomicUsize>,
    near: TestNode,
    bridge: Bridge,
    _stub: Stub,
}

impl World {
    /// The upstream refuses so many calls; its bridge waits so long for a page.
    async fn open(refusals: usize, visit_max_s: u64) -> World {
        let (tx, rx) = mpsc::channel(4);
        let rx = Mutex::new(Some(rx));
        let (news, calls) = (Arc::new(News { tx, rx }), Arc::new(AtomicUsize::new(0)));
        let (said, called) = (news.clone(), calls.clone());
        let stub = Stub::start(move |seen| match seen.about().as_str() {
            "tools/call" if called.fetch_add(1, Ordering::SeqCst) < refusals => refused(seen),
            "GET" => match said.rx.lock().take() {
                Some(rx) => Replay::fed(rx),
                None => Replay::status(409),
            },
            _ => answered(seen),
        })
        .await;
        let near = TestNode::anonymous().await;
        let member = Table {
            visit_max_s,
            ..node("far", stub.address, "legacy")
        };
        let bridge = Bridge::start(&near, vec![member]).await;
        World {
            news,
            calls,
            near,
            bridge,
            _stub: stub,
        }
    }

    async fn complete(&self, page: &str) {
        let method = "notifications/elicitation/complete";
        let said = json!({"jsonrpc": "2.0", "method": method, "params": {"elicitationId": page}});
        let sent = self.news.tx.send(format!("data: {said}\n\n")).await;
        sent.expect("somebody listens");
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn stop(self) {
        self.near.calls_close().await;
        self.bridge.stop().await;
        self.near.stop().await;
    }
}

fn refused(seen: &Seen) -> Replay {
    let page = json!({"mode": "url", "message": "Please sign in",
        "url": "https://example.com/sign-in", "elicitationId": "e-1"});
    let error =
        json!({"code": -32042, "message": "sign in first", "data": {"elicitations": [page]}});
    let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error});
    Replay::json(200, &body)
}

fn answered(seen: &Seen) -> Replay {
    let result = match seen.about().as_str() {
        "initialize" => json!({"protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "stub", "version": "1"}}),
        "tools/list" => json!({"tools": [{"name": "mail", "inputSchema": {"type": "object"}}]}),
        "tools/call" => json!({"content": [{"type": "text", "text": "3 letters"}]}),
        "ping" => json!({}),
        _ => return Replay::status(202),
    };
    let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
    Replay::json(200, &body).header("mcp-session-id", "s")
}

fn pages() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

/// The only question of a round, answered so.
fn answers(asked: &Value, action: &str) -> Value {
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let requests = asked["inputRequests"].as_object().expect("questions");
    assert_eq!(requests.len(), 1, "{asked}");
    let answers = requests.iter().map(|(key, request)| {
        assert_eq!(request["params"]["mode"], "url", "{request}");
        assert_eq!(request["params"]["url"], "https://example.com/sign-in");
        (key.clone(), json!({"action": action}))
    });
    answers.collect()
}

#[tokio::test]
async fn a_modern_client_is_asked_and_its_call_goes_on_when_the_page_is_done() {
    let world = World::open(1, 3600).await;
    let door = world.near.door();
    let call = Modern::call("mail", json!({})).can(pages());
    let asked = call.result(&door).await;
    // It may be done before anybody has agreed to go; of the other nobody knows.
    world.complete("e-2").await;
    world.complete("e-1").await;
    let done = call
        .retry(&asked, answers(&asked, "accept"))
        .result(&door)
        .await;
    assert_eq!((text(&done), world.calls()), ("3 letters", 2), "{done}");
    world.stop().await;
}

#[tokio::test]
async fn a_page_that_is_never_said_to_be_done_is_waited_for_no_longer_than_allowed() {
    let world = World::open(1, 0).await;
    let door = world.near.door();
    let call = Modern::call("mail", json!({})).can(pages());
    let asked = call.result(&door).await;
    let done = call
        .retry(&asked, answers(&asked, "accept"))
        .result(&door)
        .await;
    assert_eq!((text(&done), world.calls()), ("3 letters", 2), "{done}");
    world.stop().await;
}

#[tokio::test]
async fn a_legacy_client_is_asked_on_its_stream_and_told_when_the_page_is_done() {
    let world = World::open(1, 3600).await;
    let door = world.near.door();
    let session = Session::open(&door, pages()).await;
    let mut live = door.open(&session.call(7, "mail", json!({}))).await;
    let asked = live.message().await;
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    assert_eq!(asked["params"]["url"], "https://example.com/sign-in");
    let accept = json!({"action": "accept"});
    assert_eq!(session.answer(&asked, accept).await.status, 202);
    world.complete("e-1").await;
    let told = live.message().await;
    assert_eq!(told["method"], "notifications/elicitation/complete");
    let id = &asked["params"]["elicitationId"];
    assert_eq!(&told["params"]["elicitationId"], id, "{told}");
    let done = live.message().await;
    assert_eq!((text(&done["result"]), world.calls()), ("3 letters", 2));
    drop(live);
    assert_eq!(session.delete().await.status, 204);
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_cannot_be_sent_to_pages_is_told_what_it_lacks() {
    let world = World::open(2, 3600).await;
    let door = world.near.door();
    let form = json!({"elicitation": {"form": {}}});
    let lacks = Modern::call("mail", json!({}))
        .can(form.clone())
        .send(&door)
        .await;
    let data = &lacks.json()["error"]["data"];
    assert_eq!(lacks.code(), -32021, "{lacks:?}");
    let wanted = json!({"elicitation": {"url": {}}});
    assert_eq!(data["requiredCapabilities"], wanted, "{data}");
    let session = Session::open(&door, form).await;
    let call = json!({"name": "mail", "arguments": {}});
    let lacks = session.ask(7, "tools/call", call).await.json();
    let said = text(&lacks["result"]).to_lowercase();
    assert!(said.contains("url"), "{lacks}");
    assert_eq!(lacks["result"]["isError"], true);
    assert_eq!(world.calls(), 2, "neither is made again");
    assert_eq!(session.delete().await.status, 204);
    world.stop().await;
}

#[tokio::test]
async fn who_will_not_go_has_a_tool_that_failed() {
    for action in ["decline", "cancel"] {
        let world = World::open(1, 3600).await;
        let door = world.near.door();
        let call = Modern::call("mail", json!({})).can(pages());
        let asked = call.result(&door).await;
        let done = call
            .retry(&asked, answers(&asked, action))
            .result(&door)
            .await;
        assert_eq!((&done["isError"], world.calls()), (&json!(true), 1));
        let said = "far needs a page visited first, which was not done: sign in first";
        assert_eq!(text(&done), said, "{done}");
        world.stop().await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_never_content_is_left() {
    let world = World::open(usize::MAX, 0).await;
    let door = world.near.door();
    let mut call = Modern::call("mail", json!({})).can(pages());
    let mut rounds = 0;
    let code = loop {
        let response = call.send(&door).await;
        let Some(asked) = response.json().get("result").cloned() else {
            break response.code();
        };
        rounds += 1;
        call = call.retry(&asked, answers(&asked, "accept"));
    };
    assert_eq!((code, rounds, world.calls()), (-31006, 16, 16));
    world.stop().await;
}
