//! The scripted worker.

use ostler_protocol::call::Outcome;
use ostler_rpc::{
    convert::Writer,
    transfer::{Assembler, AssemblerLimits, TransferNumbers},
    worker_v1::{
        self as wire, FromWorker, ToWorker, from_worker::Frame as From, to_worker::Frame as To,
    },
};
use ostler_types::CallId;
use prost::Message;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::{Rig, id, inline};

/// A worker that does what a test says, frame by frame.
pub struct Worker {
    pub welcome: wire::Welcome,
    to_hub: mpsc::Sender<FromWorker>,
    frames: Streaming<ToWorker>,
    pub assembler: Assembler,
    pub numbers: TransferNumbers,
}

const LIMITS: AssemblerLimits = AssemblerLimits {
    payload_bytes_max: 64 << 20,
    open_bytes_max: 64 << 20,
    open_len_max: 1_024,
};

impl Worker {
    pub fn new(to_hub: mpsc::Sender<FromWorker>, frames: Streaming<ToWorker>) -> Self {
        Self {
            welcome: wire::Welcome::default(),
            to_hub,
            frames,
            assembler: Assembler::new(LIMITS),
            numbers: TransferNumbers::default(),
        }
    }

    pub async fn send(&self, frame: From) {
        self.to_hub.send(frame.into()).await.unwrap();
    }

    /// Sends if the hub still listens.
    pub async fn try_send(&self, frame: From) -> bool {
        self.to_hub.send(frame.into()).await.is_ok()
    }

    /// Everything, as it comes; an error is how the hub ended the link.
    pub async fn raw_next(&mut self) -> Result<Option<To>, Status> {
        let frame = self.frames.message().await?;
        Ok(frame.map(|frame| frame.frame.expect("no newer frames here")))
    }

    /// The next frame that is not a ping (it is answered), a grant or a part (it is kept).
    pub async fn next(&mut self) -> To {
        self.next_unless_ended().await.expect("the link stands")
    }

    /// `None` when the hub has ended the link.
    pub async fn next_unless_ended(&mut self) -> Option<To> {
        loop {
            match self.raw_next().await.ok()?? {
                To::Ping(wire::Ping { nonce }) => self.send(From::Pong(wire::Pong { nonce })).await,
                To::Grant(_) => {}
                To::Part(part) => {
                    self.assembler.add(&part).unwrap();
                    let bytes = wire::ToWorker::from(To::Part(part)).encoded_len() as u64;
                    self.send(From::Consumed(wire::Consumed { bytes })).await;
                }
                frame => return Some(frame),
            }
        }
    }

    pub async fn next_call(&mut self) -> wire::Call {
        match self.next().await {
            To::Call(call) => call,
            other => panic!("{other:?} is not a call"),
        }
    }

    /// Answers one ping, ignores anything else; false when the link has ended.
    pub async fn raw_pong(&mut self) -> bool {
        match self.raw_next().await {
            Ok(Some(To::Ping(wire::Ping { nonce }))) => {
                self.try_send(From::Pong(wire::Pong { nonce })).await
            }
            Ok(Some(_)) => true,
            Ok(None) | Err(_) => false,
        }
    }

    /// Waits until the hub has read all that was sent: it answers an outcome of no call.
    pub async fn settle(&mut self, rig: &Rig) {
        let marker = u128::from(rig.env.random_u64()) << 64;
        self.ok(marker).await;
        loop {
            if let To::Forget(forget) = self.next().await
                && forget.call == id(marker)
            {
                return;
            }
        }
    }

    /// How the hub ends the link; `None` for a normal end.
    pub async fn end(&mut self) -> Option<Code> {
        loop {
            match self.raw_next().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status.code()),
            }
        }
    }

    pub async fn started(&self, call: u128) {
        let call = id(call);
        self.send(From::Started(wire::Started { call, attempt: 1 }))
            .await;
    }

    pub async fn kept(&self, call: u128) {
        let call = id(call);
        self.send(From::Kept(wire::Kept { call, attempt: 1 })).await;
    }

    pub async fn ask(&self, call: u128, key: &str) {
        let question = wire::Question {
            key: key.to_owned(),
            kind: wire::QuestionKind::Roots.into(),
            params: inline("{}"),
        };
        let (call, questions) = (id(call), vec![question]);
        let attempt = 1;
        self.send(From::Ask(wire::Ask {
            call,
            attempt,
            questions,
        }))
        .await;
    }

    pub async fn progress(&self, call: u128, progress: f64) {
        let progress = wire::Progress {
            call: id(call),
            attempt: 1,
            progress,
            ..wire::Progress::default()
        };
        self.send(From::Progress(progress)).await;
    }

    /// A result as text, good or bad, in one frame.
    pub async fn result(&self, call: u128, text: &str) {
        let result = inline(text.to_owned()).unwrap();
        self.outcome_frame(call, wire::outcome::Outcome::Result(result))
            .await;
    }

    pub async fn ok(&self, call: u128) {
        self.result(call, "{}").await;
    }

    pub async fn outcome_frame(&self, call: u128, outcome: wire::outcome::Outcome) {
        let outcome = wire::Outcome {
            call: id(call),
            attempt: 1,
            outcome: Some(outcome),
        };
        self.send(From::Outcome(outcome)).await;
    }

    /// An outcome of any size, its parts ahead of it.
    pub async fn outcome(&self, call: u128, outcome: &Outcome) {
        let mut writer = Writer::new(&self.numbers);
        let frame = writer.outcome(CallId(call), 1, outcome);
        for mut transfer in writer.into_transfers() {
            while let Some(part) = transfer.next_part() {
                self.send(From::Part(part)).await;
            }
        }
        self.send(From::Outcome(frame)).await;
    }

    /// The worker ends its side in order.
    pub fn finish(&mut self) {
        let (nowhere, _) = mpsc::channel(1);
        self.to_hub = nowhere;
    }

    /// The connection breaks.
    pub fn cut(self) {}
}
