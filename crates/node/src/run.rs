//! Running a node: start everything, wait for a reason to stop, drain.

use std::{future::Future, path::PathBuf};

use ostler_store::Janitor;

use crate::{
    admin::Admin,
    config::{Config, Overrides},
    drain::Ends,
    health::Health,
    parts::{Name, Parts},
    reload::{self, Reloader},
    wiring::Node,
};

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

impl Node {
    /// Serves until `stop` resolves, an operator asks for it, or a part fails; then drains.
    pub async fn run(mut self, source: Option<Source>, stop: impl Future<Output = ()>) -> Exit {
        let health = Health::new(self.store.clone());
        let (ends, mut parts) = (Ends::default(), Parts::new(&self.env));
        // First and last: operators can look at a node that recovers or drains.
        let mut admin = Parts::new(&self.env);
        self.start_admin(&mut admin, &ends, &health);
        let failed = tokio::select! {
            // Whoever is told to stop stops, whatever fails at the same time.
            biased;
            () = stop => None,
            () = ends.asked.cancelled() => None,
            failed = admin.failed() => Some(failed),
            failed = self.work(&mut parts, &ends, &health, source) => Some(failed),
        };
        let drained = self.drain(&ends, &health, failed).await;
        self.end(&ends, parts, admin).await;
        match (failed, drained) {
            (Some(part), _) => Exit::Failed(part),
            (None, true) => Exit::Drained,
            (None, false) => Exit::Cut,
        }
    }

    /// Recovers and serves; gives the part that failed.
    async fn work(
        &mut self,
        parts: &mut Parts,
        ends: &Ends,
        health: &Health,
        source: Option<Source>,
    ) -> Name {
        if let Err(error) = self.recover().await {
            tracing::error!(%error, "what was open when the last run ended cannot be read");
            return "recovery";
        }
        health.recovered();
        self.start(parts, ends, source);
        parts.failed().await
    }

    /// Ready is who knows which calls were open: a worker may name one in its first breath.
    async fn recover(&self) -> anyhow::Result<()> {
        let sessions = self.sessions.recover().await?;
        let tasks = self.tasks.recover().await?;
        tracing::info!(calls_of_sessions = sessions, tasks, "recovered");
        Ok(())
    }

    fn start_admin(&mut self, admin: &mut Parts, ends: &Ends, health: &Health) {
        let Some(listener) = self.ports.admin() else {
            return;
        };
        let desk = Admin {
            env: self.env.clone(),
            health: health.clone(),
            store: self.store.clone(),
            hosts: self.config.admin.hosts.clone(),
            token: self.admin_token.take(),
            drain: ends.asked.clone(),
        };
        admin.start("node.admin", desk.serve(listener, ends.admin.clone()));
    }

    fn start(&mut self, parts: &mut Parts, ends: &Ends, source: Option<Source>) {
        let (closed, abort) = (ends.closed.clone(), ends.abort.clone());
        let served = self.ports.edge(self.edge.clone(), closed, abort);
        parts.start("node.edge", served);
        parts.start("node.beat", self.edge.beat());
        let served = self.ports.workers(self.hub.clone(), ends.workers.clone());
        parts.start("node.workers", served);
        parts.start("node.calls", self.hub.sweep());
        parts.start("node.janitor", Janitor::new(&self.store).run());
        let store = self.store.clone();
        parts.start("node.store", async move { Err(store.poisoned().await) });
        let sessions = self.sessions.clone();
        parts.start("node.lost", async move {
            sessions.count().await;
            sessions.sweep_lost().await
        });
        if let Some(rebinder) = self.rebinder.take() {
            parts.start("node.rebinder", rebinder.run());
        }
        if let Some(source) = source {
            self.start_reload(parts, source);
        }
    }

    /// A node that cannot read its file again serves on.
    fn start_reload(&self, parts: &mut Parts, source: Source) {
        let reloader = Reloader {
            env: self.env.clone(),
            source,
            authenticator: self.authenticator.clone(),
            worker_tokens: self.worker_tokens.clone(),
            edge: self.edge.clone(),
            metrics: reload::Metrics::register(self.env.metrics()),
        };
        parts.start("node.reload", async move {
            if let Err(error) = reloader.run().await {
                let error = format!("{error:#}");
                tracing::error!(error, "changes of the configuration are not seen any more");
            }
        });
    }
}
