//! Takes a changed configuration without a restart, as a whole or not at all.
//!
//! Live are the tenants with their keys and tokens, and the Host and Origin lists. The directory is
//! watched rather than the file: editors and mounted secrets replace files instead of writing them.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use ostler_auth::{Authenticator, WorkerTokens};
use ostler_edge::Edge;
use ostler_env::{Env, Registry};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{config::Config, run::Source};

/// Writers make several changes of one: wait until they have calmed down.
const CALM: Duration = Duration::from_millis(200);

/// What a reload replaces.
pub struct Reloader {
    pub env: Env,
    pub source: Source,
    pub authenticator: Arc<Authenticator>,
    pub worker_tokens: Arc<WorkerTokens>,
    pub edge: Edge,
    pub metrics: Metrics,
}

pub struct Metrics {
    taken: metrics::Counter,
    refused: metrics::Counter,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Self {
        let count = |outcome| {
            let labels = [("outcome", outcome)];
            registry.counter(
                "ostler_node_config_reloads_total",
                "Configurations read again.",
                &labels,
            )
        };
        Self {
            taken: count("taken"),
            refused: count("refused"),
        }
    }
}

impl Reloader {
    /// Reloads at every SIGHUP and every change of the file, until it is dropped.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        let (_watcher, mut changed) = watch(&self.source.path)?;
        let mut seen = Seen(Some(self.source.text.clone()));
        // It may have changed before it was watched.
        if seen.is_new(&self.source.path) {
            self.reload();
        }
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                Some(()) = changed.recv() => {
                    self.env.sleep(CALM).await;
                    false
                }
            };
            while changed.try_recv().is_ok() {}
            if seen.is_new(&self.source.path) || asked {
                self.reload();
            }
        }
    }

    fn reload(&self) {
        let path = self.source.path.display();
        match self.take() {
            Ok(()) => {
                self.metrics.taken.increment(1);
                tracing::info!(%path, "configuration taken");
            }
            Err(error) => {
                self.metrics.refused.increment(1);
                tracing::error!(%path, error = %format!("{error:#}"), "configuration refused; the old one stays");
            }
        }
    }

    fn take(&self) -> anyhow::Result<()> {
        let (_text, config) = read(&self.source.path)?;
        let config = config
            .overridden(&self.source.overrides)
            .map_err(anyhow::Error::msg)?;
        // Both are checked before either is replaced.
        Authenticator::new(&self.env, &config.access.tenants)?;
        WorkerTokens::new(&self.env, &config.access.workers)?;
        self.authenticator.replace(&config.access.tenants)?;
        self.worker_tokens.replace(&config.access.workers)?;
        self.edge.replace_names(&config.edge);
        Ok(())
    }
}

/// What the file said last. Its folder sees other changes too: logs, data, editors' copies.
#[derive(Debug, Default)]
struct Seen(Option<String>);

impl Seen {
    /// Whether the file says something else than last time. One that cannot be read says nothing:
    /// it may be about to be replaced.
    fn is_new(&mut self, path: &Path) -> bool {
        let Ok(text) = std::fs::read_to_string(path) else {
            return false;
        };
        let is_new = self.0.as_ref() != Some(&text);
        self.0 = Some(text);
        is_new
    }
}

/// Reads and checks a file: its text, and what that says.
pub fn read(path: &Path) -> anyhow::Result<(String, Config)> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let config = Config::parse(&text).map_err(|problems| {
        let lines: Vec<String> = problems
            .iter()
            .map(|problem| format!("{}: {problem}", path.display()))
            .collect();
        anyhow::anyhow!(lines.join("\n"))
    })?;
    Ok((text, config))
}

fn watch(path: &Path) -> anyhow::Result<(RecommendedWatcher, mpsc::Receiver<()>)> {
    let (tell, changed) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full queue already says that something changed.
            let _ = tell.try_send(());
        }
    })?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    watcher
        .watch(folder, RecursiveMode::NonRecursive)
        .with_context(|| format!("watching {}", folder.display()))?;
    Ok((watcher, changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_text_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ostler.toml");
        let mut seen = Seen::default();
        assert!(!seen.is_new(&path), "not there");
        std::fs::write(&path, "a = 1").unwrap();
        assert!(seen.is_new(&path));
        assert!(!seen.is_new(&path), "the same");
        std::fs::write(&path, "a = 2").unwrap();
        assert!(seen.is_new(&path));
    }
}
