//! What all links of a worker have in common, and how nodes are reached.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use super::{
    calls::{Bounds, Calls},
    outbox::Outbox,
    worker::{Dial, Worker, WorkerError},
};
use crate::server::Server;

/// One worker, as its links see it.
pub(crate) struct Shared {
    pub env: Env,
    pub id: WorkerId,
    pub bearer: Option<MetadataValue<Ascii>>,
    pub offers: Vec<Offer>,
    pub calls: Arc<Calls>,
    pub capacity: u32,
    epoch: InstanceEpoch,
    dial: Dial,
    phase: watch::Sender<Phase>,
    /// Some node has taken this worker, so that what is wrong with it can pass.
    ever_welcomed: AtomicBool,
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
    pub fn new(worker: Worker) -> Result<Arc<Self>, WorkerError> {
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
            ever_welcomed: AtomicBool::new(false),
            outboxes: Mutex::default(),
            env,
        }))
    }

    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub fn was_ever_welcomed(&self) -> bool {
        self.ever_welcomed.load(Ordering::Relaxed)
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
        self.ever_welcomed.store(true, Ordering::Relaxed);
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
            // Both end the pause.
            biased;
            () = self.env.sleep(span) => {}
            _ = closing => {}
        }
    }

    pub fn drain(&self) {
        self.calls.drain();
        let outboxes = self.outboxes.lock();
        self.phase.send_replace(Phase::Draining);
        for outbox in outboxes.iter().filter_map(Weak::upgrade) {
            outbox.control(Frame::Leaving(wire::Leaving {}));
        }
    }

    pub fn close(&self) {
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

pub(crate) async fn dial_tcp(hub: String) -> Result<Channel, String> {
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
