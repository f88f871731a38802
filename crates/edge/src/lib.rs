//! The HTTP door: one endpoint for clients of both eras, and a pair for those of the first revision.
//!
//! Invariant: a request is checked from the outside in (Host, Origin, sizes, credential, media
//! types, JSON, era) and nothing is allocated for it before the check that could refuse it. Who
//! holds the call decides what a lost socket means: `modern` holds a `CallStream` (lost = cancelled),
//! `legacy` hands it to its session (lost = goes on).
//! Must not know: gRPC, the store, how a session or a task keeps its books.
//! Start with `routes`, then `modern::call` and `legacy` (`deliver`, `pair`); refusals are in `rejection`.

mod routes;
mod origin;
mod fields;
mod modern;
mod legacy;
mod rejection;
mod body;
mod heartbeat;
mod carrier;
mod accept;
mod config;
mod metrics;
mod lists;
mod listens;
mod rates;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use futures_util::Stream;
use ostler_auth::{Authenticator, KeyRing};
use ostler_dispatch::Dispatcher;
use ostler_env::Env;
use ostler_session::Sessions;
use ostler_task::Tasks;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

use crate::{
    accept::Open,
    body::Streams,
    heartbeat::Wheel,
    legacy::pair::Doorstep,
    listens::Listens,
    origin::Gate,
    rates::{PrincipalRates, ReconnectRates},
};
pub use crate::{config::Config, metrics::Metrics};

/// What the edge stands on.
pub struct Parts {
    pub env: Env,
    pub config: Config,
    pub authenticator: Arc<Authenticator>,
    pub keys: Arc<KeyRing>,
    pub dispatcher: Dispatcher,
    pub sessions: Sessions,
    pub tasks: Tasks,
}

/// The door of one node. Cloning gives another handle to it.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

pub(crate) struct Inner {
    env: Env,
    config: Arc<Config>,
    gate: ArcSwap<Gate>,
    bound: SocketAddr,
    authenticator: Arc<Authenticator>,
    keys: Arc<KeyRing>,
    dispatcher: Dispatcher,
    sessions: Sessions,
    tasks: Tasks,
    streams: Streams,
    listens: Listens,
    doorstep: Doorstep,
    metrics: Metrics,
    rates: PrincipalRates,
    reconnects: ReconnectRates,
    in_work: AtomicUsize,
    open: Arc<Open>,
    draining: AtomicBool,
    drained: CancellationToken,
}

impl Edge {
    /// A door for a listener that is bound to `bound`.
    pub fn new(parts: Parts, bound: SocketAddr) -> Self {
        let metrics = Metrics::register(parts.env.metrics());
        let config = Arc::new(parts.config);
        let streams = Streams {
            authenticator: parts.authenticator.clone(),
            wheel: Wheel::new(&parts.env, config.keep_alive, config.stall_timeout),
            metrics: metrics.streams.clone(),
        };
        Self(Arc::new(Inner {
            gate: ArcSwap::from_pointee(Gate::new(&config, bound)),
            listens: Listens::new(config.limits.listens_per_principal_max),
            doorstep: Doorstep::default(),
            rates: PrincipalRates::per_second(&parts.env, config.limits.requests_per_second_max),
            reconnects: ReconnectRates::slow(&parts.env, config.limits.reconnects_at_once_max),
            env: parts.env,
            config,
            bound,
            authenticator: parts.authenticator,
            keys: parts.keys,
            dispatcher: parts.dispatcher,
            sessions: parts.sessions,
            tasks: parts.tasks,
            streams,
            metrics,
            in_work: AtomicUsize::new(0),
            open: Arc::default(),
            draining: AtomicBool::new(false),
            drained: CancellationToken::new(),
        }))
    }

    /// Takes other Host and Origin lists without a restart.
    pub fn replace_names(&self, config: &Config) {
        self.0.gate.store(Arc::new(Gate::new(config, self.0.bound)));
    }

    /// Refuses new work from here on and ends open listens with their completion result [L-6].
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.drained.cancel();
    }

    /// Keeps open streams alive. Whoever makes an edge runs this beside it.
    pub fn beat(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.streams.wheel.turn()
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.0.open.count()
    }

    /// Waits until no connection is open.
    // Cancel safe: it only looks.
    pub async fn idle(&self) {
        self.0.open.emptied().await;
    }

    /// Takes connections until `stop`. Those that are open then end with what they are at, or are
    /// cut at `abort`; see [`Edge::idle`].
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
        abort: CancellationToken,
    ) {
        accept::serve(self.acceptor(), listener, stop, abort).await;
    }

    /// The same as HTTP/1 on streams that somebody else accepts, such as wires in memory.
    pub async fn serve_streams<S>(
        &self,
        incoming: impl Stream<Item = (S, SocketAddr)>,
        stop: CancellationToken,
        abort: CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        accept::serve_streams(self.acceptor(), incoming, stop, abort).await;
    }

    fn acceptor(&self) -> accept::Acceptor {
        accept::Acceptor {
            env: self.0.env.clone(),
            config: self.0.config.clone(),
            door: routes::Door(self.0.clone()),
            metrics: self.0.metrics.clone(),
            open: self.0.open.clone(),
        }
    }
}

impl Inner {
    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
