//! How a node ends: it refuses new work, lets the old finish up to a limit, says goodbye, exits.
//!
//! `drain_timeout` bounds the wait; what follows is bounded here, to less than 5 s in all. Nothing that was
//! acknowledged depends on any of it: that is stored already.

use std::time::Duration;

use metrics::Gauge;
use ostler_env::Registry;
use ostler_types::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    health::Health,
    parts::{Name, Parts},
    wiring::Node,
};

/// When streams that opened late are told to come back elsewhere.
const TELL_AGAIN: Duration = Duration::from_millis(500);
/// For the answers to what is ended at the limit.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long workers may take to go when they are told to.
const GOODBYE: Duration = Duration::from_secs(1);
/// For all that is open inside, the workers included, ...
const PARTING: Duration = Duration::from_secs(2);
/// ... for the ports, and for the store, each.
const CLOSING: Duration = Duration::from_millis(500);

/// What tells the running tasks to end, in the order in which they are told.
#[derive(Default)]
pub struct Ends {
    /// An operator wants the node to drain.
    pub asked: CancellationToken,
    /// No new connections.
    pub closed: CancellationToken,
    /// Open connections are cut.
    pub abort: CancellationToken,
    /// The worker port and, last, the admin port.
    pub workers: CancellationToken,
    pub admin: CancellationToken,
}

/// What an operator sees of it, while the admin port is still there.
pub struct Metrics {
    seconds: Gauge,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Self {
        let help = "How long this node has been draining; what it cut then is counted by \
                    ostler_edge_connections_closed_total.";
        Self {
            seconds: registry.gauge("ostler_node_drain_seconds", help, &[]),
        }
    }
}

impl Node {
    /// Refuses new work and waits for the old; `false` when the limit passed.
    pub(crate) async fn drain(&self, ends: &Ends, health: &Health, failed: Option<Name>) -> bool {
        let started = self.env.now();
        let limit = started + self.config.drain_timeout;
        tracing::info!(failed, "draining");
        self.edge.drain();
        self.dispatcher.drain();
        self.sessions.drain().await;
        health.drain();
        // Whoever comes meanwhile is told to try elsewhere, and balancers take notice.
        let notice = started + self.config.drain_notice;
        self.env.sleep_until(notice.min(limit)).await;
        ends.closed.cancel();
        let drained = self.env.until(limit, self.idle(started)).await.is_some();
        if !drained {
            self.hub.end_plain_calls();
            let last = self.env.now() + LAST_WORDS;
            self.env.until(last, self.edge.idle()).await;
        }
        let (took, cut) = (self.note_drain(started), self.edge.connections());
        tracing::info!(?took, cut, "drained");
        drained
    }

    fn note_drain(&self, started: Instant) -> Duration {
        let took = self.env.now().since(started);
        self.drain_metrics.seconds.set(took.as_secs_f64());
        took
    }

    /// Requests that came before may open a stream late, and sessions may wake for them.
    async fn idle(&self, started: Instant) {
        loop {
            self.note_drain(started);
            self.sessions.drain().await;
            let again = self.env.now() + TELL_AGAIN;
            if self.env.until(again, self.edge.idle()).await.is_some() {
                return;
            }
        }
    }

    /// Ends everything from the top down.
    pub(crate) async fn end(&self, ends: &Ends, parts: Parts, admin: Parts) {
        ends.abort.cancel();
        let until = self.env.now() + PARTING;
        if self.env.until(until, self.say_goodbye()).await.is_none() {
            tracing::warn!("what was open did not end in time");
        }
        ends.workers.cancel();
        parts.end(&["node.edge", "node.workers"], CLOSING).await;
        let until = self.env.now() + CLOSING;
        if self
            .env
            .until(until, self.store.clone().close())
            .await
            .is_none()
        {
            tracing::warn!("the store did not close in time");
        }
        ends.admin.cancel();
        admin.end(&["node.admin"], CLOSING).await;
    }

    async fn say_goodbye(&self) {
        self.edge.idle().await;
        self.sessions.close().await;
        self.tasks.stop().await;
        self.hub.drain();
        // Workers link elsewhere by themselves, if they are given the time.
        let until = self.env.now() + GOODBYE;
        self.env.until(until, self.hub.drained()).await;
        self.hub.close().await;
    }
}
