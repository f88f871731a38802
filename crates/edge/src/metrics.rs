//! What the edge counts.

use std::sync::Arc;

use metrics::{Counter, Histogram};
use ostler_env::Registry;
use ostler_protocol::Era;

use crate::rejection::Reason;

/// Counters of one edge. Labels are closed enums.
#[derive(Clone)]
pub struct Metrics {
    requests: [Counter; 2],
    seconds: [Histogram; 2],
    refused: Arc<[(Reason, Counter)]>,
    pub connections_opened: Counter,
    connections_closed: [Counter; 4],
    pub accept_paused: Counter,
    /// Of modern calls; sessions count their own.
    pub chatter_dropped: Counter,
    pub streams: StreamMetrics,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Self {
        let era = |era| [("era", era)];
        let requests = |label| {
            registry.counter(
                "ostler_edge_requests_total",
                "MCP requests answered.",
                &era(label),
            )
        };
        let seconds = |label| {
            registry.histogram(
                "ostler_edge_request_seconds",
                "Time from a parsed request to its response head.",
                &era(label),
            )
        };
        let refused = Reason::ALL.iter().map(|reason| {
            let labels = [("reason", reason.as_str())];
            (
                *reason,
                registry.counter(
                    "ostler_edge_refused_total",
                    "Requests refused, by reason.",
                    &labels,
                ),
            )
        });
        let plain = |name, help| registry.counter(name, help, &[]);
        Self {
            requests: [requests("legacy"), requests("modern")],
            seconds: [seconds("legacy"), seconds("modern")],
            refused: refused.collect(),
            connections_opened: plain(
                "ostler_edge_connections_opened_total",
                "Client connections accepted.",
            ),
            connections_closed: CLOSES.map(|reason| {
                let labels = [("reason", reason)];
                registry.counter(
                    "ostler_edge_connections_closed_total",
                    "Client connections ended, or not taken.",
                    &labels,
                )
            }),
            accept_paused: plain(
                "ostler_edge_accept_paused_total",
                "Pauses of the accept loop: the system gives no more sockets.",
            ),
            chatter_dropped: plain(
                "ostler_edge_chatter_dropped_total",
                "Progress and log messages of modern calls beyond the rate that is relayed.",
            ),
            streams: StreamMetrics::register(registry),
        }
    }

    pub fn answered(&self, era: Era, seconds: f64) {
        self.requests[era as usize].increment(1);
        self.seconds[era as usize].record(seconds);
    }

    pub fn connection_closed(&self, reason: Closed) {
        self.connections_closed[reason as usize].increment(1);
    }

    pub fn refused(&self, reason: Reason) {
        let (_, counter) = &self.refused[reason as usize];
        counter.increment(1);
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It was served to its end, however it came.
    Served,
    /// Its first byte did not come in time.
    Silent,
    /// There was no place for it.
    Full,
    /// The time of a drain was over.
    Cut,
}

const CLOSES: [&str; 4] = ["served", "silent", "full", "cut"];

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// All was said.
    Complete,
    /// The reader went away.
    Gone,
    /// The credential ended.
    Expired,
    /// The reader took nothing for too long, and was cut off.
    Stalled,
    /// The reader vanished without a word.
    HalfOpen,
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// The response of one modern request.
    Response,
    /// `subscriptions/listen`.
    Listen,
    /// A stream of a legacy session.
    Session,
    /// The one stream of HTTP+SSE.
    Pair,
}

const KINDS: [&str; 4] = ["response", "listen", "session", "pair"];
const ENDS: [&str; 5] = ["complete", "gone", "expired", "stalled", "half_open"];

/// Streams opened and ended; those open are the difference.
#[derive(Clone)]
pub struct StreamMetrics(Arc<StreamCounters>);

struct StreamCounters {
    opened: [Counter; 4],
    ended: [[Counter; 5]; 4],
}

impl StreamMetrics {
    fn register(registry: &Registry) -> Self {
        let opened = |kind| {
            registry.counter(
                "ostler_edge_streams_opened_total",
                "SSE streams opened.",
                &[("kind", kind)],
            )
        };
        let ended = |kind, reason| {
            let labels = [("kind", kind), ("reason", reason)];
            registry.counter(
                "ostler_edge_streams_ended_total",
                "SSE streams ended.",
                &labels,
            )
        };
        Self(Arc::new(StreamCounters {
            opened: KINDS.map(opened),
            ended: KINDS.map(|kind| ENDS.map(|reason| ended(kind, reason))),
        }))
    }

    /// Counts one more stream of `kind`.
    pub fn open(&self, kind: StreamKind) -> OpenStream {
        self.0.opened[kind as usize].increment(1);
        OpenStream {
            counters: self.0.clone(),
            kind,
        }
    }
}

/// One open stream, which must be told how it ended.
pub struct OpenStream {
    counters: Arc<StreamCounters>,
    kind: StreamKind,
}

impl OpenStream {
    pub fn ended(&self, reason: StreamEnd) {
        self.counters.ended[self.kind as usize][reason as usize].increment(1);
    }
}

#[cfg(test)]
mod tests {
    use ostler_env::Env;

    use super::*;

    fn value(env: &Env, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        env.metrics().value(name, labels)
    }

    #[test]
    fn requests_and_refusals_are_counted_by_era_and_reason() {
        let env = Env::seeded(1);
        let metrics = Metrics::register(env.metrics());
        metrics.answered(Era::Modern, 0.1);
        metrics.answered(Era::Legacy, 0.1);
        metrics.answered(Era::Legacy, 0.1);
        metrics.refused(Reason::Origin);
        let requests = |era| value(&env, "ostler_edge_requests_total", &[("era", era)]);
        assert_eq!(
            (requests("modern"), requests("legacy")),
            (Some(1.0), Some(2.0))
        );
        let refused = |reason| value(&env, "ostler_edge_refused_total", &[("reason", reason)]);
        assert_eq!((refused("origin"), refused("host")), (Some(1.0), Some(0.0)));
    }

    #[test]
    fn each_stream_is_counted_when_it_opens_and_when_it_ends() {
        let env = Env::seeded(1);
        let metrics = Metrics::register(env.metrics());
        let open = metrics.streams.open(StreamKind::Listen);
        let opened = value(
            &env,
            "ostler_edge_streams_opened_total",
            &[("kind", "listen")],
        );
        assert_eq!(opened, Some(1.0));
        open.ended(StreamEnd::Gone);
        let labels = [("kind", "listen"), ("reason", "gone")];
        assert_eq!(
            value(&env, "ostler_edge_streams_ended_total", &labels),
            Some(1.0)
        );
    }
}
