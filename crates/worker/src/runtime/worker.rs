//! A worker: its Servers, its nodes, its end.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, try_join_all};
use ostler_env::Env;
use ostler_types::{BadName, Secret};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;

use super::{
    calls::Calls,
    link,
    shared::{Shared, dial_tcp},
};
use crate::server::Server;

/// How a node is reached: its address to a channel, or why there is none.
pub type Dial = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Channel, String>> + Send + Sync>;

/// A worker process: serves Servers to the nodes it dials.
pub struct Worker {
    pub(super) hubs: Vec<String>,
    pub(super) token: Option<Secret>,
    pub(super) id: Option<String>,
    pub(super) offers: Vec<(String, String, Server)>,
    pub(super) capacity: u32,
    pub(super) held_bytes_max: usize,
    pub(super) drain_max: Duration,
    pub(super) env: Option<Env>,
    pub(super) dial: Dial,
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

    /// Runs until the process is told to end (ctrl-c, SIGTERM). Told a second time, it does not
    /// wait for running calls.
    pub async fn run(self) -> Result<(), WorkerError> {
        let (first, told) = oneshot::channel();
        let signals = async {
            end_signal().await;
            // Err: the worker has ended already.
            let _ = first.send(());
            end_signal().await;
        };
        tokio::select! {
            ended = self.run_until(async { drop(told.await) }) => ended,
            () = signals => Ok(()),
        }
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
            // Refused links first: they are why the worker ends, whoever else asks for it.
            biased;
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
