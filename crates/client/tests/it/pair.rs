//! The two endpoints of 2024-11-05.

use std::sync::Arc;

use ostler_client::{EraChoice, Error, ListKind};
use ostler_protocol::Revision;
use ostler_testkit::{Replay, Stub, soon};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{Ear, call, connect, form, initialized, result, run};

/// What one server of 2024-11-05 keeps: the way into its open stream, and the call that waits.
#[derive(Default)]
struct Open {
    stream: Option<mpsc::Sender<String>>,
    waiting: Option<Value>,
}

impl Open {
    fn say(&self, message: &Value) {
        let stream = self.stream.as_ref().expect("the stream is open");
        let event = format!("event: message\ndata: {message}\n\n");
        stream.try_send(event).expect("there is room");
    }
}

async fn server(endpoint: &'static str) -> Stub {
    let open: Arc<Mutex<Open>> = Arc::default();
    Stub::start(move |seen| {
        let mut open = open.lock();
        if seen.method == "GET" {
            let (tx, rx) = mpsc::channel(16);
            tx.try_send(format!("event: endpoint\ndata: {endpoint}\n\n"))
                .expect("room");
            open.stream = Some(tx);
            return Replay::fed(rx);
        }
        if seen.target != "/messages?s=1" {
            return Replay::status(405);
        }
        match seen.about().as_str() {
            "initialize" => open.say(&result(seen, initialized("2024-11-05"))),
            "tools/list" => open.say(&result(seen, json!({"tools": [{"name": "a"}]}))),
            "tools/call" => {
                open.waiting = Some(result(seen, json!({"content": []})));
                open.say(
                    &json!({"jsonrpc": "2.0", "id": 7, "method": "roots/list", "params": form()}),
                );
            }
            "response" => {
                let waiting = open.waiting.take().expect("a call waits");
                open.say(&waiting);
            }
            _ => {}
        }
        Replay::status(202)
    })
    .await
}

#[tokio::test]
async fn a_server_of_the_first_revision_is_found_by_its_endpoint_event() {
    let stub = server("/messages?s=1").await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    assert_eq!(client.facts().revision, Revision::V2024_11_05);
    assert!(client.facts().is_pair);
    let mut ear = Ear::new();
    let tools = soon("tools", client.list(ListKind::Tools, &mut ear))
        .await
        .unwrap();
    assert_eq!(tools.len(), 1);
    // It asks in the middle of a call; what was not declared is refused.
    let called = run(&client, &call("a"), &mut ear).await.unwrap();
    assert_eq!(called, json!({"content": []}));
    let answer = stub
        .seen()
        .into_iter()
        .find(|seen| seen.about() == "response")
        .unwrap();
    assert_eq!(answer.json()["error"]["code"], -32601);
    for seen in stub
        .seen()
        .iter()
        .filter(|seen| seen.target.starts_with("/messages"))
    {
        assert_eq!(seen.header("mcp-session-id"), None);
        assert_eq!(seen.header("mcp-protocol-version"), None);
        assert_eq!(seen.header("authorization"), Some("Bearer secret"));
    }
}

#[tokio::test]
async fn an_endpoint_at_another_origin_gets_nothing() {
    let stub = server("http://attacker.invalid/messages?s=1").await;
    let refused = connect(&stub, EraChoice::Auto).await.err();
    assert!(
        matches!(refused, Some(Error::NoEndpoint { .. })),
        "{refused:?}"
    );
}

/// A server that answers two calls once both are there, the later one first.
async fn patient() -> Stub {
    let open: Arc<Mutex<Open>> = Arc::default();
    Stub::start(move |seen| {
        let mut open = open.lock();
        if seen.method == "GET" {
            let (tx, rx) = mpsc::channel(16);
            tx.try_send("event: endpoint\ndata: /messages?s=1\n\n".to_owned())
                .expect("room");
            open.stream = Some(tx);
            return Replay::fed(rx);
        }
        if seen.target != "/messages?s=1" {
            return Replay::status(405);
        }
        match seen.about().as_str() {
            "initialize" => open.say(&result(seen, initialized("2024-11-05"))),
            "tools/call" => {
                let named = json!({"content": [], "of": seen.json()["params"]["name"]});
                let answer = result(seen, named);
                match open.waiting.take() {
                    None => open.waiting = Some(answer),
                    Some(first) => {
                        open.say(&answer);
                        open.say(&first);
                    }
                }
            }
            _ => {}
        }
        Replay::status(202)
    })
    .await
}

#[tokio::test]
async fn requests_at_once_share_the_stream() {
    let stub = patient().await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let (mut one, mut two) = (Ear::new(), Ear::new());
    let (first, second) = (call("one"), call("two"));
    let (first, second) = tokio::join!(
        run(&client, &first, &mut one),
        run(&client, &second, &mut two)
    );
    assert_eq!(first.unwrap()["of"], "one");
    assert_eq!(second.unwrap()["of"], "two");
}

#[tokio::test]
async fn a_call_given_up_is_cancelled_and_the_stream_goes_on() {
    let stub = patient().await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let (call, mut ear) = (call("t"), Ear::new());
    let posted = async {
        while !stub.abouts().contains(&"tools/call".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = posted => {}
        ended = client.run(&call, &mut ear) => panic!("{ended:?}"),
    }
    let cancelled = async {
        while !stub
            .abouts()
            .contains(&"notifications/cancelled".to_owned())
        {
            tokio::task::yield_now().await;
        }
    };
    soon("the goodbye", cancelled).await;
    // The one that was given up is answered too; nobody minds.
    let ran = run(&client, &call, &mut ear).await;
    assert_eq!(ran.unwrap()["of"], "t");
}
