//! What the bridge counts.
//!
//! Processes that live = those started minus the sum of those ended; what is held likewise.

use metrics::Counter;
use ostler_env::Registry;

/// How the process of a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEnd {
    /// By itself, and content.
    Exited,
    /// By itself with an error, or somebody killed it.
    Failed,
    /// When it was told to.
    Stopped,
    /// It was told to and did not, so it was killed.
    Killed,
    /// Its keeper was killed, so it had to go.
    KeeperKilled,
}

/// Why a call got no upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedHold {
    /// It could not be opened just now.
    Failed,
    /// It could not be opened before, and it is too early to try again.
    Resting,
    TenantFull,
    BridgeFull,
    Closing,
}

/// Why what was held is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Idle,
    /// Somebody else needed its place.
    Evicted,
    /// It ended by itself.
    Gone,
    Drained,
}

/// The handles of all metrics of a bridge. Clones count the same.
#[derive(Clone)]
pub struct Metrics {
    processes_started: Counter,
    processes_ended: [Counter; 5],
    processes_swept: Counter,
    pub(crate) opened: Counter,
    pub(crate) open_failed: Counter,
    pub(crate) reopened: Counter,
    closed: [Counter; 4],
    refused: [Counter; 5],
}

impl Metrics {
    pub fn register(registry: &Registry) -> Metrics {
        let plain = |name, help| registry.counter(name, help, &[]);
        let ended = |end| {
            let help = "Processes of servers ended, by how.";
            registry.counter("ostler_bridge_processes_ended_total", help, &[("end", end)])
        };
        let closed = |reason| {
            let help = "Upstreams closed, by why.";
            registry.counter(
                "ostler_bridge_upstreams_closed_total",
                help,
                &[("reason", reason)],
            )
        };
        let refused = |reason| {
            let help = "Calls that got no upstream, by why.";
            registry.counter(
                "ostler_bridge_holds_refused_total",
                help,
                &[("reason", reason)],
            )
        };
        Metrics {
            processes_started: plain(
                "ostler_bridge_processes_started_total",
                "Processes of servers started.",
            ),
            processes_ended: ["exited", "failed", "stopped", "killed", "keeper_killed"].map(ended),
            processes_swept: plain(
                "ostler_bridge_processes_swept_total",
                "Processes that a killed keeper left behind and the bridge ended.",
            ),
            opened: plain("ostler_bridge_upstreams_opened_total", "Upstreams opened."),
            open_failed: plain(
                "ostler_bridge_upstreams_failed_total",
                "Upstreams that could not be opened.",
            ),
            reopened: plain(
                "ostler_bridge_upstreams_reopened_total",
                "Upstreams opened again after a failure or their own end.",
            ),
            closed: ["idle", "evicted", "gone", "drained"].map(closed),
            refused: ["failed", "resting", "tenant_full", "bridge_full", "closing"].map(refused),
        }
    }

    pub(crate) fn process_started(&self) {
        self.processes_started.increment(1);
    }

    pub(crate) fn process_ended(&self, end: ProcessEnd) {
        self.processes_ended[end as usize].increment(1);
    }

    pub(crate) fn processes_swept(&self, count: usize) {
        self.processes_swept.increment(count as u64);
    }

    pub(crate) fn closed(&self, why: Closed) {
        self.closed[why as usize].increment(1);
    }

    pub(crate) fn refused(&self, why: RefusedHold) {
        self.refused[why as usize].increment(1);
    }
}
