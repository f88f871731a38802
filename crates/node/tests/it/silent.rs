//! A worker that keeps silent where an answer is due.

use std::time::Duration;

use bytes::Bytes;
use ostler_rpc::worker_v1::{
    self as wire, FromWorker, ToWorker, from_worker::Frame as From, to_worker::Frame as To,
    workers_client::WorkersClient,
};
use ostler_testkit::{Modern, TestNode, soon};
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

/// A worker of the protocol's own words, with one tool. It answers pings, and else says what a test says.
struct Worker {
    to_hub: mpsc::Sender<FromWorker>,
    frames: Streaming<ToWorker>,
}

fn inline(bytes: impl Into<Bytes>) -> Option<wire::Payload> {
    let inline = bytes.into();
    Some(wire::Payload {
        inline,
        transfer: 0,
    })
}

fn hello() -> wire::Hello {
    let catalog = wire::Catalog {
        server_info: Bytes::from_static(br#"{"name":"silent","version":"1"}"#),
        tools: vec![wire::Tool {
            definition: Bytes::from_static(br#"{"name":"ask","inputSchema":{"type":"object"}}"#),
            declarations: None,
        }],
        ..wire::Catalog::default()
    };
    wire::Hello {
        protocol_min: 1,
        protocol_max: 1,
        worker_id: "silent".to_owned(),
        instance_epoch: 1,
        sdk: "scripted".to_owned(),
        servers: vec![wire::ServerOffer {
            tenant: "default".to_owned(),
            server: "default".to_owned(),
            catalog: inline(catalog.encode_to_vec()),
        }],
        capacity: 10,
        calls: None,
        calls_truncated: false,
    }
}

impl Worker {
    async fn link(node: &TestNode) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", node.workers));
        let channel = endpoint.expect("an address").connect().await;
        let mut client = WorkersClient::new(channel.expect("the node listens"));
        let (to_hub, outgoing) = mpsc::channel(16);
        let said = to_hub.send(From::Hello(hello()).into()).await;
        said.expect("the other end is there");
        let attached = client.attach(ReceiverStream::new(outgoing)).await;
        let mut worker = Self {
            to_hub,
            frames: attached.expect("it may link").into_inner(),
        };
        worker.until(|frame| matches!(frame, To::Welcome(_))).await;
        worker
    }

    async fn say(&self, frame: From) {
        let said = self.to_hub.send(frame.into()).await;
        said.expect("the link stands");
    }

    /// The next frame that is this.
    async fn until(&mut self, is_it: impl Fn(&To) -> bool) -> To {
        let found = async {
            loop {
                let frame = self.frames.message().await.expect("the link stands");
                let frame = frame.and_then(|frame| frame.frame);
                match frame.expect("the link goes on") {
                    To::Ping(wire::Ping { nonce }) => {
                        self.say(From::Pong(wire::Pong { nonce })).await;
                    }
                    frame if is_it(&frame) => return frame,
                    _ => {}
                }
            }
        };
        soon("a frame of the node", found).await
    }
}

/// The response to a call that is parked does not wait for its worker: it becomes a stream in time.
#[tokio::test]
async fn a_worker_that_does_not_say_that_it_keeps_a_call_holds_no_response_up() {
    let node = TestNode::with(|config| {
        config.edge.stream_after = Duration::from_millis(20);
    })
    .await;
    let mut worker = Worker::link(&node).await;
    let door = node.door();
    let call = Modern::call("ask", json!({})).can(json!({"roots": {}}));
    let sent = door.begin(&call.to(&door)).await;
    let To::Call(wire::Call { call, attempt, .. }) =
        worker.until(|frame| matches!(frame, To::Call(_))).await
    else {
        unreachable!("nothing else is let through");
    };
    worker
        .say(From::Ask(wire::Ask {
            call,
            attempt,
            questions: vec![wire::Question {
                key: "roots".to_owned(),
                kind: wire::QuestionKind::Roots.into(),
                params: inline("{}"),
            }],
        }))
        .await;
    worker.until(|frame| matches!(frame, To::Keep(_))).await;
    let mut live = sent.head().await;
    assert!(live.head().is_stream(), "{:?}", live.head());
    worker.say(From::Kept(wire::Kept { call, attempt })).await;
    let asked = live.message().await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(live.event().await, None);
    drop(worker);
    node.end().await;
}
