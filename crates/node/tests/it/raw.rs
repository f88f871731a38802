//! A worker of the protocol's own words. It answers pings, and else says what a test says, be it right or
//! wrong.

use bytes::Bytes;
use ostler_rpc::{
    convert::Writer,
    transfer::TransferNumbers,
    worker_v1::{
        self as wire, FromWorker, ToWorker, from_worker::Frame as From, to_worker::Frame as To,
        workers_client::WorkersClient,
    },
};
use ostler_testkit::{TestNode, soon};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming, transport::Endpoint};

pub struct Worker {
    to_hub: mpsc::Sender<FromWorker>,
    frames: Streaming<ToWorker>,
    numbers: TransferNumbers,
}

pub fn inline(bytes: impl Into<Bytes>) -> Option<wire::Payload> {
    let inline = bytes.into();
    Some(wire::Payload {
        inline,
        transfer: 0,
    })
}

/// Of a worker of the default Server with one tool.
pub fn hello(id: &str, tool: &str) -> wire::Hello {
    let definition = format!(r#"{{"name":"{tool}","inputSchema":{{"type":"object"}}}}"#);
    let catalog = wire::Catalog {
        server_info: Bytes::from_static(br#"{"name":"raw","version":"1"}"#),
        tools: vec![wire::Tool {
            definition: definition.into(),
            declarations: None,
        }],
        logging: true,
        ..wire::Catalog::default()
    };
    wire::Hello {
        protocol_min: 1,
        protocol_max: 1,
        worker_id: id.to_owned(),
        instance_epoch: 1,
        sdk: "scripted".to_owned(),
        servers: vec![wire::ServerOffer {
            tenant: "default".to_owned(),
            server: "default".to_owned(),
            catalog: inline(catalog.encode_to_vec()),
        }],
        capacity: 100,
        calls: None,
        calls_truncated: false,
    }
}

impl Worker {
    pub async fn link(node: &TestNode, hello: wire::Hello) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", node.workers));
        let channel = endpoint.expect("an address").connect().await;
        let mut client = WorkersClient::new(channel.expect("the node listens"));
        let (to_hub, outgoing) = mpsc::channel(16);
        let said = to_hub.send(From::Hello(hello).into()).await;
        said.expect("the other end is there");
        let attached = client.attach(ReceiverStream::new(outgoing)).await;
        let mut worker = Self {
            to_hub,
            frames: attached.expect("it may link").into_inner(),
            numbers: TransferNumbers::default(),
        };
        worker.until(|frame| matches!(frame, To::Welcome(_))).await;
        worker
    }

    pub async fn say(&self, frame: From) {
        assert!(self.try_say(frame).await, "the link stands");
    }

    /// False when the link has ended.
    pub async fn try_say(&self, frame: From) -> bool {
        self.to_hub.send(frame.into()).await.is_ok()
    }

    /// The next frame that is this.
    pub async fn until(&mut self, is_it: impl Fn(&To) -> bool) -> To {
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

    pub async fn call(&mut self) -> wire::Call {
        match self.until(|frame| matches!(frame, To::Call(_))).await {
            To::Call(call) => call,
            other => unreachable!("{other:?} is not let through"),
        }
    }

    /// Ends a call with these bytes as its result, of any length.
    pub async fn result(&self, call: &wire::Call, result: impl Into<Bytes>) {
        let mut writer = Writer::new(&self.numbers);
        let payload = writer.bytes(result.into()).expect("it is there");
        for mut transfer in writer.into_transfers() {
            while let Some(part) = transfer.next_part() {
                self.say(From::Part(part)).await;
            }
        }
        self.outcome(call, wire::outcome::Outcome::Result(payload))
            .await;
    }

    pub async fn outcome(&self, call: &wire::Call, outcome: wire::outcome::Outcome) {
        let outcome = wire::Outcome {
            call: call.call,
            attempt: call.attempt,
            outcome: Some(outcome),
        };
        self.say(From::Outcome(outcome)).await;
    }

    /// Waits until the node has read all that was said: it answers an outcome of no call.
    pub async fn settle(&mut self) {
        let nobodys = wire::Call {
            call: Some(wire::CallId { hi: 7, lo: 7 }),
            ..wire::Call::default()
        };
        self.result(&nobodys, "{}").await;
        self.until(|frame| matches!(frame, To::Forget(_))).await;
    }

    /// Reads nothing but the end of the link, and gives its status.
    pub async fn end(&mut self) -> Code {
        loop {
            match self.frames.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    }
}
