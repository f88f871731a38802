//! Counts of calls. At any time: started = ended + running.

use metrics::{Counter, Gauge, Histogram};
use ostler_env::Registry;
use ostler_protocol::call::{Failure, Outcome};

use crate::refusal::Refusal;

const ENDED: &str = "ostler_dispatch_calls_ended_total";
const ENDED_HELP: &str = "Calls that ended here, by how.";
const REFUSED: &str = "ostler_dispatch_refused_total";
const REFUSED_HELP: &str = "Requests that did not become calls, by why.";

pub(crate) struct Metrics {
    started: Counter,
    running: Gauge,
    ok: Counter,
    tool_error: Counter,
    failed: Counter,
    cancelled: Counter,
    detached: Counter,
    pub(crate) redispatched: Counter,
    pub(crate) seconds: Histogram,
    unknown: Counter,
    forbidden: Counter,
    limited: Counter,
    overloaded: Counter,
    no_worker: Counter,
    draining: Counter,
}

/// How a call ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Ok,
    /// A result that says `isError`.
    ToolError,
    Failed,
    Cancelled,
    /// It runs on; its owner went to sleep, or another one claims it.
    Detached,
}

impl Ending {
    pub(crate) fn of(outcome: &Outcome, is_error: bool) -> Self {
        match outcome {
            Ok(_) if is_error => Self::ToolError,
            Ok(_) => Self::Ok,
            Err(Failure::Cancelled) => Self::Cancelled,
            Err(_) => Self::Failed,
        }
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let ended = |how| registry.counter(ENDED, ENDED_HELP, &[("outcome", how)]);
        let refused = |why| registry.counter(REFUSED, REFUSED_HELP, &[("reason", why)]);
        Self {
            started: registry.counter(
                "ostler_dispatch_calls_started_total",
                "Calls begun here, or claimed here while they ran.",
                &[],
            ),
            running: registry.gauge(
                "ostler_dispatch_calls_running",
                "Calls begun or claimed here that have not ended.",
                &[],
            ),
            ok: ended("ok"),
            tool_error: ended("tool_error"),
            failed: ended("failed"),
            cancelled: ended("cancelled"),
            detached: ended("detached"),
            redispatched: registry.counter(
                "ostler_dispatch_redispatched_total",
                "Calls sent to another worker after an attempt that did not count.",
                &[],
            ),
            seconds: registry.histogram(
                "ostler_dispatch_call_seconds",
                "From the start of a call to its end.",
                &[],
            ),
            unknown: refused("unknown"),
            forbidden: refused("forbidden"),
            limited: refused("rate_limited"),
            overloaded: refused("overloaded"),
            no_worker: refused("no_worker"),
            draining: refused("draining"),
        }
    }

    pub(crate) fn began(&self) {
        self.started.increment(1);
        self.running.increment(1.0);
    }

    /// Once for each call that began.
    pub(crate) fn ended(&self, ending: Ending) {
        let counter = match ending {
            Ending::Ok => &self.ok,
            Ending::ToolError => &self.tool_error,
            Ending::Failed => &self.failed,
            Ending::Cancelled => &self.cancelled,
            Ending::Detached => &self.detached,
        };
        counter.increment(1);
        self.running.decrement(1.0);
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        let counter = match refusal {
            Refusal::UnknownServer | Refusal::NotOffered(_) | Refusal::UnknownTarget { .. } => {
                &self.unknown
            }
            Refusal::Forbidden { .. } => &self.forbidden,
            Refusal::RateLimited { .. } => &self.limited,
            Refusal::Overloaded { .. } => &self.overloaded,
            Refusal::NoWorker => &self.no_worker,
            Refusal::Draining => &self.draining,
        };
        counter.increment(1);
    }
}
