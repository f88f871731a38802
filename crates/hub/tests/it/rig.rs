//! A hub behind a real tonic server, on wires in memory, so that a paused clock drives it all.

mod worker;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use ostler_auth::{
    CredentialKind, NewKey, Serves, WorkerAccess, WorkerGrant, WorkerToken, WorkerTokens, mint,
};
use ostler_catalog::Catalogs;
use ostler_env::Env;
use ostler_hub::{
    Attempt, AttemptEnd, AttemptEvent, Backlog, Config, Hub, NewAttempt, NotStarted, Orphans,
    Placement, WorkerRef,
};
use ostler_protocol::{
    Raw,
    call::{Answer, CallEvent},
    facet::ClientFacet,
};
use ostler_rpc::{
    FRAME_BYTES_MAX,
    convert::Writer,
    transfer::TransferNumbers,
    worker_v1::{
        self as wire, from_worker::Frame as From, to_worker::Frame as To,
        workers_client::WorkersClient,
    },
};
use ostler_types::{
    CallId, CallKind, Caller, Identity, InstanceEpoch, Instant, Principal, ServerId, ServerName,
    SessionAlias, TenantId, WorkerId,
};
use parking_lot::Mutex;
use prost::Message;
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};

pub use worker::Worker;

pub const SERVER: &str = "calc";

pub struct Rig {
    pub env: Env,
    pub hub: Hub,
    pub catalogs: Catalogs,
    pub tokens: Arc<WorkerTokens>,
    pub found: Arc<Found>,
    key: NewKey,
    other_key: NewKey,
    wires: mpsc::Sender<io::Result<DuplexStream>>,
}

/// What a test may want of a call.
pub struct Wanted {
    pub attempt: u32,
    pub kind: CallKind,
    pub target: String,
    pub arguments: Raw,
    pub client: ClientFacet,
    pub deadline: Instant,
    pub wants_progress: bool,
    pub answers: Vec<Answer>,
}

/// Orphans that were offered.
pub struct Found {
    calls: Mutex<Vec<(CallId, Placement)>>,
    newcomers: Mutex<Vec<(String, u64, bool)>>,
    backlog: Mutex<Backlog>,
}

impl Orphans for Found {
    fn orphan(&self, call: CallId, placement: Placement) {
        self.calls.lock().push((call, placement));
    }

    fn newcomer(&self, worker: &WorkerId, instance: InstanceEpoch, grant: &Arc<WorkerGrant>) {
        let newcomer = (worker.to_string(), instance.0, grant.may_serve(&server()));
        self.newcomers.lock().push(newcomer);
    }

    fn backlog(&self) -> Backlog {
        *self.backlog.lock()
    }
}

impl Default for Found {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            newcomers: Mutex::default(),
            backlog: Mutex::new(Backlog::Empty),
        }
    }
}

impl Found {
    pub fn take(&self) -> Vec<(CallId, Placement)> {
        std::mem::take(&mut self.calls.lock())
    }

    /// Each with its epoch, and whether it may serve the Server of the tests.
    pub fn newcomers(&self) -> Vec<(String, u64, bool)> {
        std::mem::take(&mut self.newcomers.lock())
    }

    pub fn set_backlog(&self, backlog: Backlog) {
        *self.backlog.lock() = backlog;
    }
}

fn token(key: &NewKey, tenants: &[&str]) -> WorkerToken {
    let serves = |name: &&str| Serves::Tenant(TenantId::parse(name).unwrap());
    WorkerToken {
        id: key.id.clone(),
        hash: key.hash.clone(),
        serves: tenants.iter().map(serves).collect(),
        workers: Vec::new(),
        valid_until: None,
    }
}

impl Rig {
    pub fn new() -> Rig {
        Self::with(|_| ())
    }

    pub fn with(configure: impl FnOnce(&mut Config)) -> Rig {
        Self::made(1, configure)
    }

    pub fn seeded(seed: u64) -> Rig {
        Self::made(seed, |_| ())
    }

    fn made(seed: u64, configure: impl FnOnce(&mut Config)) -> Rig {
        let env = Env::seeded(seed);
        let key = mint(&env, CredentialKind::Worker);
        let other_key = mint(&env, CredentialKind::Worker);
        let access = WorkerAccess {
            tokens: vec![
                token(&key, &["acme"]),
                token(&other_key, &["acme", "umbrella"]),
            ],
            anonymous: vec![Serves::Everything],
        };
        let tokens = Arc::new(WorkerTokens::new(&env, &access).unwrap());
        let mut config = Config {
            links_per_ten_seconds_max: 1_000,
            ..Config::default()
        };
        configure(&mut config);
        let catalogs = Catalogs::new(&env);
        let found = Arc::new(Found::default());
        let hub = Hub::new(
            &env,
            config,
            catalogs.clone(),
            tokens.clone(),
            found.clone(),
        );
        drop(env.spawn("test-sweep", hub.sweep()));
        let (wires, incoming) = mpsc::channel(16);
        let server = tonic::transport::Server::builder()
            .serve_with_incoming(hub.service(), ReceiverStream::new(incoming));
        drop(env.spawn("test-server", async { server.await.unwrap() }));
        Rig {
            env,
            hub,
            catalogs,
            tokens,
            found,
            key,
            other_key,
            wires,
        }
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.key.shown.expose())
    }

    pub fn other_bearer(&self) -> String {
        format!("Bearer {}", self.other_key.shown.expose())
    }

    /// A connection to the hub under any name.
    pub async fn dial(&self, authority: &'static str) -> Channel {
        let wires = self.wires.clone();
        let connector = tower::service_fn(move |_| {
            let wires = wires.clone();
            async move {
                let (near, far) = tokio::io::duplex(1 << 20);
                wires.send(Ok(far)).await.map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(near))
            }
        });
        let endpoint = Endpoint::from_static(authority);
        endpoint.connect_with_connector(connector).await.unwrap()
    }

    /// Sends these frames and waits for the hub's answer to the attempt to link.
    pub async fn attach(
        &self,
        authorization: Option<&str>,
        frames: Vec<From>,
    ) -> Result<Worker, Status> {
        let channel = self.dial("http://hub").await;
        let authorization = authorization.map(|value| ("authorization", value));
        attach(channel, authorization.as_slice(), frames).await
    }

    /// A worker linked as the default `Hello` says, but for what `edit` changes.
    pub async fn try_worker(&self, edit: impl FnOnce(&mut wire::Hello)) -> Result<Worker, Status> {
        let mut hello = hello();
        edit(&mut hello);
        let mut worker = self
            .attach(Some(&self.bearer()), vec![From::Hello(hello)])
            .await?;
        match worker.next().await {
            To::Welcome(welcome) => worker.welcome = welcome,
            other => panic!("{other:?} came before Welcome"),
        }
        Ok(worker)
    }

    pub async fn worker(&self) -> Worker {
        self.try_worker(|_| ()).await.unwrap()
    }

    /// The worker of a test with one only.
    pub fn only(&self) -> WorkerRef {
        let [only] = &*self.hub.candidates(&server()) else {
            panic!("not one worker");
        };
        only.clone()
    }

    pub fn start(&self, call: u128) -> Attempt {
        self.start_with(call, |_| ())
    }

    pub fn start_with(&self, call: u128, edit: impl FnOnce(&mut Wanted)) -> Attempt {
        self.try_start(call, edit).unwrap()
    }

    pub fn try_start(
        &self,
        call: u128,
        edit: impl FnOnce(&mut Wanted),
    ) -> Result<Attempt, NotStarted> {
        self.start_at(&self.only(), call, edit)
    }

    pub fn try_start_at(&self, worker: &WorkerRef, call: u128) -> Result<Attempt, NotStarted> {
        self.start_at(worker, call, |_| ())
    }

    fn start_at(
        &self,
        worker: &WorkerRef,
        call: u128,
        edit: impl FnOnce(&mut Wanted),
    ) -> Result<Attempt, NotStarted> {
        let mut wanted = Wanted {
            attempt: 1,
            kind: CallKind::Tool,
            target: "add".to_owned(),
            arguments: Raw::empty_object(),
            client: ClientFacet::default(),
            deadline: self.env.now() + Duration::from_secs(3_600),
            wants_progress: false,
            answers: Vec::new(),
        };
        edit(&mut wanted);
        let new = NewAttempt {
            call: CallId(call),
            attempt: wanted.attempt,
            server: &server(),
            kind: wanted.kind,
            target: &wanted.target,
            arguments: &wanted.arguments,
            client: &wanted.client,
            caller: &caller(wanted.deadline),
            deadline: wanted.deadline,
            wants_progress: wanted.wants_progress,
            answers: &wanted.answers,
        };
        self.hub.start(worker, &new)
    }

    /// Claims the first attempt of a call at the default worker.
    pub fn claim(&self, call: u128) -> Option<Attempt> {
        let placement = Placement {
            worker: WorkerId::parse("w1").unwrap(),
            instance: InstanceEpoch(7),
            attempt: 1,
        };
        self.hub.attach(CallId(call), &placement)
    }

    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let name = format!("ostler_hub_{name}");
        self.env.metrics().value(&name, labels).unwrap_or_default()
    }

    /// How attempts ended, by the counter.
    pub fn ended(&self, end: &str) -> f64 {
        self.metric("calls_ended_total", &[("end", end)])
    }
}

/// Sends these frames with this metadata.
pub async fn attach(
    channel: Channel,
    metadata: &[(&'static str, &str)],
    frames: Vec<From>,
) -> Result<Worker, Status> {
    let mut client = WorkersClient::new(channel).max_decoding_message_size(FRAME_BYTES_MAX);
    let (to_hub, outgoing) = mpsc::channel(4_096);
    for frame in frames {
        to_hub.send(frame.into()).await.unwrap();
    }
    let mut request = Request::new(ReceiverStream::new(outgoing));
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let frames = client.attach(request).await?.into_inner();
    Ok(Worker::new(to_hub, frames))
}

pub fn server() -> ServerId {
    ServerId {
        tenant: TenantId::parse("acme").unwrap(),
        name: ServerName::parse(SERVER).unwrap(),
    }
}

pub fn caller(deadline: Instant) -> Caller {
    let identity = Identity {
        tenant: TenantId::parse("acme").unwrap(),
        principal: Principal {
            issuer: "key".into(),
            subject: "ann".into(),
            client: "k1".into(),
        },
        scopes: Arc::new(["read".into()]),
        valid_until: None,
        credential: "k1".into(),
    };
    Caller {
        identity: Arc::new(identity),
        session: Some(SessionAlias([0xab; 16])),
        trace: None,
        deadline,
    }
}

pub fn raw(text: &str) -> Raw {
    Raw::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

pub fn inline(bytes: impl Into<Bytes>) -> Option<wire::Payload> {
    let inline = bytes.into();
    Some(wire::Payload {
        inline,
        transfer: 0,
    })
}

pub fn tool(name: &str) -> wire::Tool {
    let definition = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    wire::Tool {
        definition: definition.into(),
        declarations: None,
    }
}

pub fn catalog(tools: &[&str]) -> wire::Catalog {
    wire::Catalog {
        server_info: Bytes::from_static(br#"{"name":"calc","version":"1"}"#),
        tools: tools.iter().map(|name| tool(name)).collect(),
        resource_watch: true,
        ..wire::Catalog::default()
    }
}

pub fn offer(tenant: &str, server: &str, catalog: &wire::Catalog) -> wire::ServerOffer {
    wire::ServerOffer {
        tenant: tenant.to_owned(),
        server: server.to_owned(),
        catalog: inline(catalog.encode_to_vec()),
    }
}

pub fn hello() -> wire::Hello {
    wire::Hello {
        protocol_min: 1,
        protocol_max: 1,
        worker_id: "w1".to_owned(),
        instance_epoch: 7,
        sdk: "scripted".to_owned(),
        servers: vec![offer("acme", SERVER, &catalog(&["add"]))],
        capacity: 100,
        calls: None,
        calls_truncated: false,
    }
}

/// The default `Hello` under another worker id.
pub fn named(worker: &'static str) -> impl FnOnce(&mut wire::Hello) {
    move |hello| hello.worker_id = worker.to_owned()
}

/// The frames of a `Hello` with a catalog of any size, its parts ahead of it.
pub fn hello_with(catalog: &wire::Catalog) -> Vec<From> {
    let numbers = TransferNumbers::default();
    let mut writer = Writer::new(&numbers);
    let mut hello = hello();
    hello.servers[0].catalog = writer.bytes(catalog.encode_to_vec().into());
    let mut frames = Vec::new();
    for mut transfer in writer.into_transfers() {
        frames.extend(std::iter::from_fn(|| transfer.next_part()).map(From::Part));
    }
    frames.push(From::Hello(hello));
    frames
}

/// What a worker says in its `Hello` about calls, all in their first attempt.
pub fn known(calls: &[(u128, wire::KnownCallState)]) -> Option<wire::Payload> {
    let first = |(call, state): &(u128, wire::KnownCallState)| (*call, 1, *state);
    known_attempts(&calls.iter().map(first).collect::<Vec<_>>())
}

pub fn known_attempts(calls: &[(u128, u32, wire::KnownCallState)]) -> Option<wire::Payload> {
    let known = |(call, attempt, state): &(u128, u32, wire::KnownCallState)| wire::KnownCall {
        call: Some(CallId(*call).into()),
        attempt: *attempt,
        state: (*state).into(),
    };
    let calls = calls.iter().map(known).collect();
    inline(wire::KnownCalls { calls }.encode_to_vec())
}

pub fn id(call: u128) -> Option<wire::CallId> {
    Some(CallId(call).into())
}

// ---- attempts ----------------------------------------------------------------------

pub fn ok() -> AttemptEnd {
    AttemptEnd::Outcome(Ok(Raw::empty_object()))
}

pub fn failed(failure: ostler_protocol::call::Failure) -> AttemptEnd {
    AttemptEnd::Outcome(Err(failure))
}

pub async fn event(attempt: &mut Attempt) -> CallEvent {
    match attempt.next().await {
        Some(AttemptEvent::Event(event)) => event,
        other => panic!("{other:?} is not an event"),
    }
}

pub async fn end(attempt: &mut Attempt) -> AttemptEnd {
    match attempt.next().await {
        Some(AttemptEvent::Ended(end)) => {
            assert_eq!(attempt.next().await, None, "an end is the last item");
            end
        }
        other => panic!("{other:?} is not an end"),
    }
}

/// The end, after whatever comes before it.
pub async fn end_at_last(attempt: &mut Attempt) -> AttemptEnd {
    loop {
        if let Some(AttemptEvent::Ended(end)) = attempt.next().await {
            return end;
        }
    }
}
