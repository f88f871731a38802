//! A worker: its Servers, its nodes, its end.

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::{BoxFuture, try_join_all};
use ostler_env::Env;
use ostler_rpc::{
    PROTOCOL_MAX, PROTOCOL_MIN,
    convert::Writer,
    worker_v1::{self as wire, from_worker::Frame},
};
use ostler_types::{BadName, InstanceEpoch, Secret, ServerName, TenantId, WorkerId};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use super::{
    calls::{Bounds, Calls},
    link,
    outbox::Outbox,
};
use crate::server::Server;

/// How a node is reached: its address to a channel, or why there is none.
pub type Dial = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Channel, String>> + Send + Sync>;

/// A worker process: serves Servers to the nodes it dials.
pub struct Worker {
    hubs: Vec<String>,
    token: Option<Secret>,
    id: Option<String>,
    offers: Vec<(String, String, Server)>,
    capacity: u32,
    held_bytes_max: usize,
    drain_max: Duration,
    env: Option<Env>,
    dial: Dial,
}

/// Why a worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("{0}")]
    BadName(#[from] BadName),
    #[error("a worker token is printable ASCII text")]
    BadToken,
    #[error("a worker serves at least one Server")]
    NoServer,
    #[error("capacity is 1 to 100000 calls")]
    BadCapacity,
    #[error("the node {hub} refused this worker: {why}")]
    Refused { hub: String, why: String },
    #[error("a link failed unexpectedly: {0}")]
    Link(String),
}

impl Worker {
    /// A worker for the node at `hub`, such as `http://127.0.0.1:7070`.
    pub fn new(hub: impl Into<String>) -> Self {
        Self {
            hubs: vec![hub.into()],
            token: None,
            id: None,
            offers: Vec::new(),
            capacity: 256,
            held_bytes_max: 64 << 20,
            drain_max: Duration::from_secs(30),
            env: None,
            dial: Arc::new(|hub| Box::pin(dial_tcp(hub))),
        }
    }

    /// Links to one more node.
    pub fn hub(mut self, hub: impl Into<String>) -> Self {
        self.hubs.push(hub.into());
        self
    }

    /// Proves to nodes who this worker is.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Secret::new(token));
        self
    }

    /// The stable name of this worker; without one it is made up at each start.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Serves `server` as `name` of `tenant`.
    pub fn serve(mut self, tenant: &str, name: &str, server: Server) -> Self {
        self.offers
            .push((tenant.to_owned(), name.to_owned(), server));
        self
    }

    /// Calls taken at once; more are refused, and nodes choose another worker. 256 unless told.
    pub fn capacity(mut self, calls: u32) -> Self {
        self.capacity = calls;
        self
    }

    /// Bytes of unrecorded outcomes held; at the bound no call is taken. 64 MiB unless told.
    pub fn held_bytes_max(mut self, bytes: usize) -> Self {
        self.held_bytes_max = bytes;
        self
    }

    /// How long running calls may go on after the end was asked for. 30 s unless told.
    pub fn drain_max(mut self, span: Duration) -> Self {
        self.drain_max = span;
        self
    }

    /// The world to run in, for tests and for a worker inside another process.
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// Another way to reach nodes than TCP, for tests and tunnels.
    pub fn dial_with(mut self, dial: Dial) -> Self {
        self.dial = dial;
        self
    }

    /// Runs until the process is told to end (ctrl-c, SIGTERM).
    pub async fn run(self) -> Result<(), WorkerError> {
        self.run_until(end_signal()).await
    }

    /// Runs until `shutdown` ends: then takes no more calls, finishes the running ones within
    /// the limit and leaves. Lost nodes are dialled again and again. Dropping this ends all
    /// at once.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let (hubs, drain_max) = (self.hubs.clone(), self.drain_max);
        let shared = Shared::new(self)?;
        let _calls = DropCalls(shared.calls.clone());
        let start = |hub: String| {
            let link = link::run(shared.clone(), hub);
            let link = AbortOnDropHandle::new(shared.env.spawn("worker link", link));
            async move {
                link.await
                    .map_err(|why| WorkerError::Link(why.to_string()))?
            }
        };
        let links = try_join_all(hubs.into_iter().map(start));
        tokio::pin!(links);
        let work = async {
            shutdown.await;
            shared.drain();
            let limit = shared.env.now() + drain_max;
            let idle = shared.env.until(limit, shared.calls.idle()).await;
            if idle.is_none() {
                tracing::warn!("calls still ran at the end");
            }
        };
        tokio::select! {
            ended = &mut links => return ended.map(drop),
            () = work => {}
            never = shared.calls.watch_lost() => match never {},
        }
        shared.close();
        let goodbye = shared.env.now() + GOODBYE_MAX;
        let ended = shared.env.until(goodbye, links).await;
        ended.map_or(Ok(()), |ended| ended.map(drop))
    }
}

/// How long the last frames may take to leave.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// A worker that is dropped leaves no call running.
struct DropCalls(Arc<Calls>);

impl Drop for DropCalls {
    fn drop(&mut self) {
        self.0.drop_all();
    }
}

/// What all links of a worker have in common.
pub(crate) struct Shared {
    pub env: Env,
    pub id: WorkerId,
    pub bearer: Option<MetadataValue<Ascii>>,
    pub offers: Vec<Offer>,
    pub calls: Arc<Calls>,
    epoch: InstanceEpoch,
    capacity: u32,
    dial: Dial,
    phase: watch::Sender<Phase>,
    /// One per link that stands; at most as many as nodes.
    outboxes: Mutex<Vec<Weak<Outbox>>>,
}

pub(crate) struct Offer {
    tenant: TenantId,
    name: ServerName,
    pub server: Server,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// No new calls; running ones finish.
    Draining,
    /// The links end.
    Closing,
}

impl Shared {
    fn new(worker: Worker) -> Result<Arc<Self>, WorkerError> {
        let env = worker.env.unwrap_or_else(Env::system);
        if worker.offers.is_empty() {
            return Err(WorkerError::NoServer);
        }
        if !(1..=100_000).contains(&worker.capacity) {
            return Err(WorkerError::BadCapacity);
        }
        let offers = worker.offers.into_iter().map(|(tenant, name, server)| {
            Ok(Offer {
                tenant: TenantId::parse(&tenant)?,
                name: ServerName::parse(&name)?,
                server,
            })
        });
        let offers = offers.collect::<Result<Vec<_>, BadName>>()?;
        let made_up = || format!("{}-{:08x}", offers[0].name, env.random_u64() as u32);
        let id = WorkerId::parse(&worker.id.unwrap_or_else(made_up))?;
        let bounds = Bounds {
            capacity: worker.capacity as usize,
            held_bytes_max: worker.held_bytes_max,
        };
        Ok(Arc::new(Self {
            id,
            bearer: worker.token.map(|token| bearer(&token)).transpose()?,
            offers,
            calls: Calls::new(env.clone(), bounds),
            epoch: instance_epoch(&env),
            capacity: worker.capacity,
            dial: worker.dial,
            phase: watch::Sender::new(Phase::Serving),
            outboxes: Mutex::default(),
            env,
        }))
    }

    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub async fn dial(&self, hub: &str) -> Result<Channel, String> {
        (self.dial)(hub.to_owned()).await
    }

    pub fn hello(
        &self,
        writer: &mut Writer<'_>,
        calls: wire::KnownCalls,
        calls_truncated: bool,
    ) -> wire::Hello {
        let offers = self.offers.iter().map(|offer| wire::ServerOffer {
            tenant: offer.tenant.to_string(),
            server: offer.name.to_string(),
            catalog: writer.bytes(offer.server.catalog()),
        });
        wire::Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            worker_id: self.id.to_string(),
            instance_epoch: self.epoch.0,
            sdk: concat!("ostler-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            servers: offers.collect(),
            capacity: self.capacity,
            calls: writer.bytes(calls.encode_to_vec().into()),
            calls_truncated,
        }
    }

    /// A link stands.
    pub fn linked(&self, outbox: &Arc<Outbox>) {
        let mut outboxes = self.outboxes.lock();
        outboxes.retain(|known| known.strong_count() > 0);
        outboxes.push(Arc::downgrade(outbox));
        if self.phase() != Phase::Serving {
            outbox.control(Frame::Leaving(wire::Leaving {}));
        }
    }

    /// A pause before the next attempt; shorter when the worker is about to end.
    pub async fn pause(&self, span: Duration) {
        let mut phase = self.phase.subscribe();
        let closing = phase.wait_for(|phase| *phase == Phase::Closing);
        tokio::select! {
            () = self.env.sleep(span) => {}
            _ = closing => {}
        }
    }

    fn drain(&self) {
        self.calls.drain();
        let outboxes = self.outboxes.lock();
        self.phase.send_replace(Phase::Draining);
        for outbox in outboxes.iter().filter_map(Weak::upgrade) {
            outbox.control(Frame::Leaving(wire::Leaving {}));
        }
    }

    fn close(&self) {
        self.calls.drop_all();
        let outboxes = self.outboxes.lock();
        self.phase.send_replace(Phase::Closing);
        for outbox in outboxes.iter().filter_map(Weak::upgrade) {
            outbox.close();
        }
    }
}

/// Grows from start to start of a process, also when the clock stands still in between.
fn instance_epoch(env: &Env) -> InstanceEpoch {
    let noise = env.random_u64() & 0xffff;
    InstanceEpoch((env.wall().0 << 16) | noise)
}

fn bearer(token: &Secret) -> Result<MetadataValue<Ascii>, WorkerError> {
    let value = format!("Bearer {}", token.expose());
    let mut value = MetadataValue::try_from(value).map_err(|_| WorkerError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Large enough that the calls a node may have out fill less than half of it (design 4.1).
const STREAM_WINDOW: u32 = 2 << 20;
const DIAL_MAX: Duration = Duration::from_secs(5);
/// Frees the connection of a node that vanished without a word; links notice earlier.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

async fn dial_tcp(hub: String) -> Result<Channel, String> {
    let hub = match hub.contains("://") {
        true => hub,
        false => format!("http://{hub}"),
    };
    let endpoint = Endpoint::from_shared(hub).map_err(|why| chain(&why))?;
    let endpoint = endpoint
        .connect_timeout(DIAL_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(DIAL_MAX);
    endpoint.connect().await.map_err(|why| chain(&why))
}

/// An error with all that caused it; tonic's own text alone says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(unix)]
async fn end_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return drop(tokio::signal::ctrl_c().await);
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn end_signal() {
    drop(tokio::signal::ctrl_c().await);
}
