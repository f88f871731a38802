//! Running a node: start everything, wait for a reason to stop, drain.

use std::{future::Future, path::PathBuf, time::Duration};

use ostler_env::{Env, JoinHandle};
use ostler_store::Janitor;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    health::Health,
    reload::{self, Reloader},
    wiring::Node,
    worker_port,
};

/// How long workers may take to go when they are told to.
const PARTING: Duration = Duration::from_secs(1);

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was told to stop and all it had accepted was finished.
    Drained,
    /// The drain limit passed; what was still open was cut.
    Cut,
    /// A part without which it is useless ended by itself.
    Failed(&'static str),
}

/// Where the configuration came from, to read it again.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: PathBuf,
    /// Whether `--anonymous` was given on top of it.
    pub anonymous: bool,
}

/// What tells the running tasks to end, in the order in which they are told.
#[derive(Default)]
struct Ends {
    /// No new connections.
    closed: CancellationToken,
    /// Open connections are cut.
    abort: CancellationToken,
    /// The worker port and, last, the admin port.
    workers: CancellationToken,
    admin: CancellationToken,
}

/// The tasks of a running node.
struct Running {
    edge: JoinHandle<bool>,
    workers: JoinHandle<bool>,
    admin: JoinHandle<bool>,
    /// Ended by dropping what they wait for, or by abort.
    helpers: Vec<JoinHandle<()>>,
}

impl Node {
    /// Serves until `stop` resolves or a part fails, then drains.
    pub async fn run(mut self, source: Option<Source>, stop: impl Future<Output = ()>) -> Exit {
        let health = Health::new(self.store.clone());
        if let Err(error) = self.recover().await {
            tracing::error!(%error, "what was open when the last run ended cannot be read");
            return Exit::Failed("the store cannot be read");
        }
        let ends = Ends::default();
        let mut running = self.start(&ends, &health, source);
        let failed = tokio::select! {
            () = stop => None,
            _ = &mut running.edge => Some("the accept loop ended"),
            _ = &mut running.workers => Some("the worker port ended"),
        };
        health.drain();
        let drained = self.drain(&ends, &mut running, failed).await;
        self.end(&ends, running).await;
        match (failed, drained) {
            (Some(part), _) => Exit::Failed(part),
            (None, true) => Exit::Drained,
            (None, false) => Exit::Cut,
        }
    }

    /// Ready is who knows which calls were open: a worker may name one in its first breath.
    async fn recover(&self) -> anyhow::Result<()> {
        let sessions = self.sessions.recover().await?;
        let tasks = self.tasks.recover().await?;
        tracing::info!(calls_of_sessions = sessions, tasks, "recovered");
        Ok(())
    }

    fn start(&mut self, ends: &Ends, health: &Health, source: Option<Source>) -> Running {
        let env = self.env.clone();
        let listeners = self.listeners.take().expect("a node runs once");
        let edge = {
            let (edge, closed, abort) =
                (self.edge.clone(), ends.closed.clone(), ends.abort.clone());
            env.spawn("node.edge", async move {
                edge.serve(listeners.edge, closed, abort).await.is_ok()
            })
        };
        let workers = {
            let served =
                worker_port::serve(listeners.workers, self.hub.clone(), ends.workers.clone());
            env.spawn("node.workers", async move { served.await.is_ok() })
        };
        let admin = self.start_admin(listeners.admin, health.clone(), ends.admin.clone());
        let mut helpers = vec![env.spawn("node.janitor", Janitor::new(&self.store).run())];
        if let Some(rebinder) = self.rebinder.take() {
            helpers.push(env.spawn("node.rebinder", rebinder.run()));
        }
        let sessions = self.sessions.clone();
        helpers.push(env.spawn("node.sweep", async move { sessions.sweep_lost().await }));
        helpers.extend(source.map(|source| self.start_reload(source)));
        Running {
            edge,
            workers,
            admin,
            helpers,
        }
    }

    fn start_admin(
        &self,
        listener: TcpListener,
        health: Health,
        stop: CancellationToken,
    ) -> JoinHandle<bool> {
        let served = admin::serve(
            listener,
            self.env.clone(),
            health,
            self.config.admin.hosts.clone(),
            stop,
        );
        self.env
            .spawn("node.admin", async move { served.await.is_ok() })
    }

    fn start_reload(&self, source: Source) -> JoinHandle<()> {
        let reloader = Reloader {
            env: self.env.clone(),
            path: source.path,
            anonymous: source.anonymous,
            authenticator: self.authenticator.clone(),
            worker_tokens: self.worker_tokens.clone(),
            edge: self.edge.clone(),
            metrics: reload::Metrics::register(self.env.metrics()),
        };
        self.env.spawn("node.reload", async move {
            if let Err(error) = reloader.run().await {
                tracing::error!(error = %format!("{error:#}"), "changes of the configuration are not seen");
            }
        })
    }

    /// Refuses new work and waits for the old; `false` when the limit passed.
    async fn drain(&self, ends: &Ends, running: &mut Running, failed: Option<&str>) -> bool {
        tracing::info!(failed, "draining");
        self.edge.drain();
        self.sessions.drain().await;
        ends.closed.cancel();
        if failed.is_some() {
            return true;
        }
        let limit = self.env.now() + self.config.drain_timeout;
        self.env.until(limit, &mut running.edge).await.is_some()
    }

    /// Ends everything from the top down; what was acknowledged is stored already.
    async fn end(self, ends: &Ends, running: Running) {
        ends.abort.cancel();
        self.sessions.close().await;
        self.tasks.stop().await;
        self.hub.drain();
        // Workers link elsewhere by themselves, if they are given the time.
        self.env
            .until(self.env.now() + PARTING, self.hub.drained())
            .await;
        self.hub.close().await;
        ends.workers.cancel();
        for helper in &running.helpers {
            helper.abort();
        }
        ends.admin.cancel();
        finish(&self.env, running).await;
        self.store.close().await;
    }
}

/// Every task has an owner that awaits it; ports that do not close in a second are left behind.
async fn finish(env: &Env, running: Running) {
    let limit = env.now() + PARTING;
    let ended = async {
        let _ = running.workers.await;
        let _ = running.admin.await;
        for helper in running.helpers {
            let _ = helper.await;
        }
    };
    if env.until(limit, ended).await.is_none() {
        tracing::warn!("a port did not close in time");
    }
}
