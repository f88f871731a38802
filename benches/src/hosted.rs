//! A hub on a loopback port and a worker of the SDK linked to it, all on the caller's runtime.

use std::{sync::Arc, time::Duration};

use ostler_auth::{Serves, WorkerAccess, WorkerGrant, WorkerTokens};
use ostler_catalog::Catalogs;
use ostler_env::Env;
use ostler_hub::{Config, Hub, Orphans, Placement};
use ostler_types::{CallId, InstanceEpoch, WorkerId};
use ostler_worker::{Ctx, Server, Worker};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use crate::server;

/// What a dispatcher needs. The worker offers one tool, `echo`, which gives its `text` back.
pub struct Hosted {
    pub hub: Hub,
    pub catalogs: Catalogs,
}

/// Nothing is kept here, so nothing is orphaned.
struct NoOwners;

impl Orphans for NoOwners {
    fn newcomer(&self, _worker: &WorkerId, _instance: InstanceEpoch, _grant: &Arc<WorkerGrant>) {}

    fn orphan(&self, _call: CallId, _placement: Placement) {}
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

impl Hosted {
    /// A hub that nobody is linked to.
    pub fn alone(env: &Env) -> Self {
        let access = WorkerAccess {
            anonymous: vec![Serves::Everything],
            ..WorkerAccess::default()
        };
        let tokens = WorkerTokens::new(env, &access).expect("there are no tokens to be bad");
        let catalogs = Catalogs::new(env);
        // The runtime stands still between measurements: silence does not mean that one is gone.
        let config = Config {
            heartbeat: Duration::from_secs(3600),
            ..Config::default()
        };
        let hub = Hub::new(
            env,
            config,
            catalogs.clone(),
            Arc::new(tokens),
            Arc::new(NoOwners),
        );
        drop(env.spawn("bench.sweep", hub.sweep()));
        Self { hub, catalogs }
    }

    /// With a linked worker. Hub and worker live as long as the runtime.
    pub async fn linked(env: &Env) -> Self {
        let hosted = Self::alone(env);
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        // As the node does it; without it a call behind a small frame waits for an ACK.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let node = tonic::transport::Server::builder()
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(8 << 20)
            .serve_with_incoming(hosted.hub.service(), incoming);
        drop(env.spawn("bench.hub", node));
        let worker = Worker::new(format!("http://{address}"))
            .id(worker().as_str())
            .env(env.clone())
            .serve("acme", "bench", echo())
            .run_until(std::future::pending());
        drop(env.spawn("bench.worker", worker));
        while hosted.hub.candidates(&server()).is_empty() {
            tokio::task::yield_now().await;
        }
        hosted
    }
}

/// The worker's name.
pub fn worker() -> WorkerId {
    WorkerId::parse("w1").expect("a name")
}

fn echo() -> Server {
    let echo = |_ctx: Ctx, echo: Echo| async move { echo.text };
    Server::new("bench", "1.0.0").tool("echo", "Gives its text back.", echo)
}
