//! Running a node: start everything, wait for a reason to stop, drain.

use std::{fmt, future::Future, path::PathBuf, time::Duration};

use ostler_env::{Env, JoinHandle};
use ostler_store::Janitor;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    config::{Config, Overrides},
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
    pub(crate) path: PathBuf,
    /// What goes before the file.
    pub(crate) overrides: Overrides,
    /// What the file said: it may change before it is watched.
    pub(crate) text: String,
}

impl Source {
    /// Reads and checks a file; the error names every problem with its line.
    pub fn read(path: PathBuf, overrides: Overrides) -> anyhow::Result<(Source, Config)> {
        let (text, config) = reload::read(&path)?;
        let config = config.overridden(&overrides).map_err(anyhow::Error::msg)?;
        let source = Source {
            path,
            overrides,
            text,
        };
        Ok((source, config))
    }
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

/// A task of the node. It may be waited for again after it ended, unlike its handle.
struct Part(Option<JoinHandle<()>>);

impl Part {
    // Cancel safe: the handle stays until its task has ended.
    async fn ended(&mut self) {
        if let Some(handle) = &mut self.0 {
            // A panic of the task is in the log already; here it has ended.
            let _ = handle.await;
            self.0 = None;
        }
    }

    fn abort(&self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

/// The tasks of a running node.
struct Running {
    edge: Part,
    workers: Part,
    /// Ended by dropping what they wait for, or by abort.
    helpers: Vec<Part>,
}

impl Node {
    /// Serves until `stop` resolves or a part fails, then drains.
    pub async fn run(mut self, source: Option<Source>, stop: impl Future<Output = ()>) -> Exit {
        let health = Health::new(self.store.clone());
        let ends = Ends::default();
        let listeners = self.listeners.take().expect("a node runs once");
        // First and last: operators can look at a node that recovers or drains.
        let mut admin = self.start_admin(listeners.admin, &health, &ends);
        let exit = match self.recover().await {
            Ok(()) => {
                health.recovered();
                let running = self.start(listeners.edge, listeners.workers, &ends, source);
                self.serve(running, &ends, &health, stop).await
            }
            Err(error) => {
                tracing::error!(%error, "what was open when the last run ended cannot be read");
                Exit::Failed("the store cannot be read")
            }
        };
        ends.admin.cancel();
        in_time(&self.env, admin.ended()).await;
        self.store.close().await;
        exit
    }

    async fn serve(
        &self,
        mut running: Running,
        ends: &Ends,
        health: &Health,
        stop: impl Future<Output = ()>,
    ) -> Exit {
        let failed = tokio::select! {
            () = stop => None,
            () = running.edge.ended() => Some("the accept loop ended"),
            () = running.workers.ended() => Some("the worker port ended"),
        };
        health.drain();
        let drained = self.drain(ends, &mut running, failed).await;
        self.end(ends, running).await;
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

    fn start(
        &mut self,
        edge: TcpListener,
        workers: TcpListener,
        ends: &Ends,
        source: Option<Source>,
    ) -> Running {
        let edge = {
            let served = self.edge.clone();
            let (closed, abort) = (ends.closed.clone(), ends.abort.clone());
            self.part("node.edge", async move {
                served.serve(edge, closed, abort).await
            })
        };
        let served = worker_port::serve(workers, self.hub.clone(), ends.workers.clone());
        let workers = self.part("node.workers", served);
        let sessions = self.sessions.clone();
        let mut helpers = vec![
            self.helper("node.janitor", Janitor::new(&self.store).run()),
            self.helper("node.sweep", async move { sessions.sweep_lost().await }),
        ];
        if let Some(rebinder) = self.rebinder.take() {
            helpers.push(self.helper("node.rebinder", rebinder.run()));
        }
        helpers.extend(source.map(|source| self.start_reload(source)));
        Running {
            edge,
            workers,
            helpers,
        }
    }

    fn start_admin(&self, listener: TcpListener, health: &Health, ends: &Ends) -> Part {
        let (env, hosts) = (self.env.clone(), self.config.admin.hosts.clone());
        let served = admin::serve(listener, env, health.clone(), hosts, ends.admin.clone());
        self.part("node.admin", served)
    }

    fn start_reload(&self, source: Source) -> Part {
        let reloader = Reloader {
            env: self.env.clone(),
            source,
            authenticator: self.authenticator.clone(),
            worker_tokens: self.worker_tokens.clone(),
            edge: self.edge.clone(),
            metrics: reload::Metrics::register(self.env.metrics()),
        };
        self.part("node.reload", reloader.run())
    }

    /// A task whose failure is worth a line in the log.
    fn part<E: fmt::Display>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Part {
        self.helper(name, async move {
            if let Err(error) = work.await {
                tracing::error!(error = %format!("{error:#}"), part = name, "a part of the node failed");
            }
        })
    }

    fn helper(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Part {
        Part(Some(self.env.spawn(name, work)))
    }

    /// Refuses new work and waits for the old; `false` when the limit passed.
    async fn drain(&self, ends: &Ends, running: &mut Running, failed: Option<&str>) -> bool {
        tracing::info!(failed, "draining");
        self.edge.drain();
        self.dispatcher.drain();
        self.sessions.drain().await;
        ends.closed.cancel();
        if failed.is_some() {
            return true;
        }
        let limit = self.env.now() + self.config.drain_timeout;
        self.env.until(limit, running.edge.ended()).await.is_some()
    }

    /// Ends everything from the top down; what was acknowledged is stored already.
    async fn end(&self, ends: &Ends, mut running: Running) {
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
        in_time(&self.env, running.ended()).await;
    }
}

impl Running {
    async fn ended(&mut self) {
        self.edge.ended().await;
        self.workers.ended().await;
        for helper in &mut self.helpers {
            helper.ended().await;
        }
    }
}

/// Every task has an owner that awaits it; ports that do not close in a second are left behind.
async fn in_time(env: &Env, ended: impl Future<Output = ()>) {
    if env.until(env.now() + PARTING, ended).await.is_none() {
        tracing::warn!("a port did not close in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_failed_is_waited_for_again_at_the_end() {
        let env = Env::seeded(1);
        let part = || Part(Some(env.spawn("part", async {})));
        let mut running = Running {
            edge: part(),
            workers: part(),
            helpers: vec![part()],
        };
        running.workers.ended().await;
        running.ended().await;
        running.ended().await;
        assert_eq!(env.tasks_alive(), 0);
    }
}
