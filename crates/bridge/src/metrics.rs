//! What the bridge counts.
//!
//! Processes that live = those started minus the sum of those ended.

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

/// The handles of all metrics of a bridge. Clones count the same.
#[derive(Clone)]
pub struct Metrics {
    processes_started: Counter,
    processes_ended: [Counter; 5],
    processes_swept: Counter,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Metrics {
        let plain = |name, help| registry.counter(name, help, &[]);
        let ended = |end| {
            let help = "Processes of servers ended, by how.";
            registry.counter("ostler_bridge_processes_ended_total", help, &[("end", end)])
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
}
