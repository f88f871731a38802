//! A hub that does what a test tells it to.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use hyper_util::rt::TokioIo;
use ostler_env::Env;
use ostler_rpc::{
    frame::Frame as _,
    transfer::{Assembler, AssemblerLimits, Packer, TransferNumbers},
    worker_v1::{
        self as wire, CallId, FromWorker, Payload, ToWorker, Welcome,
        from_worker::Frame as Inbound,
        to_worker::Frame,
        workers_server::{Workers, WorkersServer},
    },
};
use ostler_worker::{Dial, Server, Worker, WorkerError};
use serde_json::Value;
use tokio::{
    io::DuplexStream,
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming, transport::Endpoint};

/// So long that nothing a test does not ask for happens.
pub const NEVER_MS: u32 = 3_600_000;

/// Where workers dial in.
pub struct Hub {
    links: mpsc::Receiver<Link>,
    wires: mpsc::Sender<io::Result<DuplexStream>>,
    service: WorkersServer<Service>,
}

#[derive(Clone)]
struct Service {
    attached: mpsc::Sender<Link>,
    greeting: Greeting,
}

#[derive(Clone, Copy)]
enum Greeting {
    Takes,
    Refuses(Code),
}

/// One attached worker.
pub struct Link {
    pub hello: wire::Hello,
    pub authorization: Option<String>,
    frames: Streaming<FromWorker>,
    to_worker: mpsc::Sender<Result<ToWorker, Status>>,
    assembler: Assembler,
    numbers: TransferNumbers,
    /// Bytes taken in that no grant covers; granted as they come if `grants`.
    taken: u64,
    pub grants: bool,
}

type ToWorkerStream = ReceiverStream<Result<ToWorker, Status>>;

#[tonic::async_trait]
impl Workers for Service {
    type AttachStream = ToWorkerStream;

    async fn attach(
        &self,
        request: Request<Streaming<FromWorker>>,
    ) -> Result<Response<ToWorkerStream>, Status> {
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        if let Greeting::Refuses(code) = self.greeting {
            return Err(Status::new(code, "no such token"));
        }
        let (to_worker, outgoing) = mpsc::channel(1024);
        let mut link = Link {
            hello: wire::Hello::default(),
            authorization,
            frames: request.into_inner(),
            to_worker,
            assembler: Assembler::new(LIMITS),
            numbers: TransferNumbers::default(),
            taken: 0,
            grants: false,
        };
        let Some(Inbound::Hello(hello)) = link.next().await else {
            return Err(Status::invalid_argument("hello first"));
        };
        link.hello = hello;
        self.attached
            .send(link)
            .await
            .map_err(|_| Status::cancelled("over"))?;
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

const LIMITS: AssemblerLimits = AssemblerLimits {
    payload_bytes_max: 64 << 20,
    open_bytes_max: 64 << 20,
    open_len_max: 1024,
};

impl Hub {
    pub fn new() -> Self {
        Self::greeting(Greeting::Takes)
    }

    /// One that knows nobody's credential.
    pub fn refusing(code: Code) -> Self {
        Self::greeting(Greeting::Refuses(code))
    }

    fn greeting(greeting: Greeting) -> Self {
        let (attached, links) = mpsc::channel(16);
        let (wires, incoming) = mpsc::channel(16);
        let service = WorkersServer::new(Service { attached, greeting });
        let serve = tonic::transport::Server::builder()
            .serve_with_incoming(service.clone(), ReceiverStream::new(incoming));
        spawn(async { serve.await.unwrap() });
        Self {
            links,
            wires,
            service,
        }
    }

    /// The same hub on a real socket.
    pub async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let service = self.service.clone();
        let serve = tonic::transport::Server::builder().serve_with_incoming(service, incoming);
        spawn(async { serve.await.unwrap() });
        addr
    }

    /// An in-memory wire to this hub.
    pub fn dial(&self) -> Dial {
        dial(self.wires.clone())
    }

    /// A worker of this hub that serves `server` as default/test.
    pub fn worker(&self, server: Server) -> Worker {
        Worker::new("http://hub")
            .id("tester")
            .serve("default", "test", server)
            .env(Env::seeded(1))
            .dial_with(self.dial())
    }

    /// The next worker that attaches, not welcomed yet.
    pub async fn attached(&mut self) -> Link {
        self.links.recv().await.unwrap()
    }

    /// The next worker that attaches, welcomed.
    pub async fn linked(&mut self) -> Link {
        let mut link = self.attached().await;
        link.welcome().await;
        link
    }

    /// Starts a worker and welcomes it.
    pub async fn start(&mut self, worker: Worker) -> (Running, Link) {
        let running = Running::start(worker);
        let link = self.linked().await;
        (running, link)
    }
}

impl Link {
    pub async fn welcome(&mut self) {
        self.welcome_with(8 << 20, NEVER_MS).await;
    }

    pub async fn welcome_with(&mut self, byte_credit: u64, heartbeat_ms: u32) {
        self.send(Frame::Welcome(Welcome {
            protocol: 1,
            heartbeat_ms,
            byte_credit,
            outcome_bytes_max: 16 << 20,
            refusals: Vec::new(),
        }))
        .await;
    }

    pub async fn send(&self, frame: Frame) {
        assert!(self.offer(frame).await, "the link stands");
    }

    /// The same on a link that may have ended; whether it stands.
    pub async fn offer(&self, frame: Frame) -> bool {
        let frame = ToWorker { frame: Some(frame) };
        self.to_worker.send(Ok(frame)).await.is_ok()
    }

    /// Calls a tool; the payload travels as it must.
    pub async fn call(&self, id: u64, tool: &str, arguments: Value) {
        self.call_with(id, tool, arguments, |_| {}).await;
    }

    pub async fn call_with(
        &self,
        id: u64,
        tool: &str,
        arguments: Value,
        edit: impl FnOnce(&mut wire::Call),
    ) {
        let mut packer = Packer::new(&self.numbers);
        let arguments = Some(packer.pack(arguments.to_string().into()));
        let mut call = wire::Call {
            call: Some(call_id(id)),
            attempt: 1,
            kind: wire::CallKind::Tool.into(),
            target: tool.to_owned(),
            arguments,
            ..wire::Call::default()
        };
        edit(&mut call);
        for mut transfer in packer.into_transfers() {
            while let Some(part) = transfer.next_part() {
                self.send(Frame::Part(part)).await;
            }
        }
        self.send(Frame::Call(call)).await;
    }

    pub async fn answer(&self, id: u64, key: &str, value: Value) {
        self.send(Frame::Answers(wire::Answers {
            call: Some(call_id(id)),
            answers: vec![answer(key, value)],
        }))
        .await;
    }

    /// The next frame but for parts, which are put together.
    pub async fn next(&mut self) -> Option<Inbound> {
        loop {
            let frame = self.frames.next().await?.ok()?;
            self.taken += frame.cost() as u64;
            if self.grants {
                let bytes = std::mem::take(&mut self.taken);
                self.send(Frame::Grant(wire::Grant { bytes })).await;
            }
            match frame.frame? {
                Inbound::Part(part) => self.assembler.add(&part).unwrap(),
                frame => return Some(frame),
            }
        }
    }

    /// The next frame but for flow control, as text: what it is and what matters in it.
    pub async fn said(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Inbound::Consumed(_)) => {}
                Some(frame) => return self.show(frame),
                None => return "end".to_owned(),
            }
        }
    }

    fn show(&mut self, frame: Inbound) -> String {
        match frame {
            Inbound::Started(s) => format!("started {}", number(s.call)),
            Inbound::Kept(k) => format!("kept {}", number(k.call)),
            Inbound::Progress(p) => {
                format!(
                    "progress {} {} {:?} {}",
                    number(p.call),
                    p.progress,
                    p.total,
                    p.message
                )
            }
            Inbound::Log(l) => {
                let data = self.text(l.data.clone());
                format!(
                    "log {} {} {}",
                    number(l.call),
                    l.level().as_str_name(),
                    data
                )
            }
            Inbound::Ask(ask) => {
                let id = number(ask.call);
                let questions = ask.questions.into_iter().map(|question| {
                    let kind = question.kind().as_str_name().to_owned();
                    format!("{} {} {}", question.key, kind, self.text(question.params))
                });
                format!("ask {id} {}", questions.collect::<Vec<_>>().join(" | "))
            }
            Inbound::Visited(v) => format!("visited {} {}", number(v.call), v.key),
            Inbound::BecomeTask(b) => format!("task {}", number(b.call)),
            Inbound::Outcome(outcome) => {
                let id = number(outcome.call);
                format!("outcome {id} {}", self.outcome(outcome))
            }
            Inbound::Refused(r) => {
                format!("refused {} {}", number(r.call), r.reason().as_str_name())
            }
            Inbound::Pong(p) => format!("pong {}", p.nonce),
            Inbound::Leaving(_) => "leaving".to_owned(),
            Inbound::ResourceUpdated(u) => format!("updated {}", u.uri),
            frame => format!("{frame:?}"),
        }
    }

    fn outcome(&mut self, outcome: wire::Outcome) -> String {
        match outcome.outcome {
            Some(wire::outcome::Outcome::Result(payload)) => self.text(Some(payload)),
            Some(wire::outcome::Outcome::Failure(failure)) => {
                format!("{} {}", failure.kind().as_str_name(), failure.message)
            }
            None => "nothing".to_owned(),
        }
    }

    pub fn bytes(&mut self, payload: Option<Payload>) -> bytes::Bytes {
        self.assembler.finish(payload.unwrap_or_default()).unwrap()
    }

    fn text(&mut self, payload: Option<Payload>) -> String {
        String::from_utf8(self.bytes(payload).to_vec()).unwrap()
    }

    /// What the hello said of earlier calls: number and state, in order.
    pub fn known(&mut self) -> Vec<String> {
        let payload = self.hello.calls.take();
        let calls: wire::KnownCalls = prost::Message::decode(self.bytes(payload)).unwrap();
        let show = |call: &wire::KnownCall| {
            format!("{} {}", number(call.call), call.state().as_str_name())
        };
        let mut shown: Vec<_> = calls.calls.iter().map(show).collect();
        shown.sort();
        shown
    }

    pub fn catalog(&mut self) -> wire::Catalog {
        let payload = self.hello.servers[0].catalog.take();
        prost::Message::decode(self.bytes(payload)).unwrap()
    }
}

/// In-memory wires, whose far ends go to `wires`.
pub fn dial(wires: mpsc::Sender<io::Result<DuplexStream>>) -> Dial {
    Arc::new(move |_hub| {
        let wires = wires.clone();
        let connector = tower::service_fn(move |_| {
            let wires = wires.clone();
            async move {
                let (near, far) = tokio::io::duplex(4 << 20);
                wires.send(Ok(far)).await.map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(near))
            }
        });
        Box::pin(async move {
            let endpoint = Endpoint::from_static("http://hub");
            let channel = endpoint.connect_with_connector(connector).await;
            channel.map_err(|why| why.to_string())
        })
    })
}

pub fn call_id(id: u64) -> CallId {
    CallId { hi: 0, lo: id }
}

fn number(id: Option<CallId>) -> u64 {
    id.unwrap().lo
}

pub fn answer(key: &str, value: Value) -> wire::Answer {
    let payload = Payload {
        inline: value.to_string().into(),
        transfer: 0,
    };
    wire::Answer {
        key: key.to_owned(),
        answer: Some(wire::answer::Answer::Value(payload)),
    }
}

/// A worker at work, and the way to end it.
pub struct Running {
    shutdown: Option<oneshot::Sender<()>>,
    worker: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    pub fn start(worker: Worker) -> Self {
        let (shutdown, asked) = oneshot::channel::<()>();
        let worker = spawn(worker.run_until(async { drop(asked.await) }));
        Self {
            shutdown: Some(shutdown),
            worker,
        }
    }

    pub fn shut_down(&mut self) {
        drop(self.shutdown.take());
    }

    /// Drops the worker without a word.
    pub async fn abort(self) {
        self.worker.abort();
        assert!(self.worker.await.is_err());
    }

    pub async fn ended(self) -> Result<(), WorkerError> {
        self.worker.await.unwrap()
    }
}

#[allow(clippy::disallowed_methods, reason = "the test itself owns its tasks")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}
