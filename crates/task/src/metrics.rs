//! What this crate counts.

use metrics::Counter;
use ostler_env::Registry;

use crate::token::BadState;

/// Registered once, at construction. Running = started minus ended.
pub(crate) struct Metrics {
    /// Calls that began to outlive a request, or woke after a restart.
    pub started: Counter,
    /// Of these: ended, removed or left to another life of the node.
    pub ended: Counter,
    /// Calls that became tasks.
    pub tasks: Counter,
    /// Rounds of questions shown by `input_required`.
    pub rounds: Counter,
    /// Calls run again because their worker was lost.
    pub reruns: Counter,
    /// Turns that could not be stored.
    pub store_failures: Counter,
    /// Followers of tasks that were too slow and were cut off.
    pub followers_cut: Counter,
    /// Requests that wait for the result of a task, each time they find it.
    pub waits_started: Counter,
    pub waits_ended: Counter,
    /// Of these: too slow, and cut off.
    pub waiters_cut: Counter,
    states_refused: Vec<Counter>,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Self {
        let count = |name, help| registry.counter(name, help, &[]);
        let refused = |reason: &BadState| {
            let labels = [("reason", reason.as_str())];
            let help = "requestStates refused, by reason";
            registry.counter("ostler_task_states_refused_total", help, &labels)
        };
        Self {
            started: count(
                "ostler_task_started_total",
                "calls that began to outlive a request",
            ),
            ended: count(
                "ostler_task_ended_total",
                "calls that outlived a request and ended",
            ),
            tasks: count("ostler_task_created_total", "calls that became tasks"),
            rounds: count(
                "ostler_task_rounds_total",
                "rounds of questions shown to clients",
            ),
            reruns: count(
                "ostler_task_reruns_total",
                "parked calls run again from the start",
            ),
            store_failures: count("ostler_task_store_failures_total", "turns not stored"),
            followers_cut: count("ostler_task_followers_cut_total", "slow followers cut off"),
            waits_started: count(
                "ostler_task_waits_started_total",
                "waits for the result of a task that began, or began again",
            ),
            waits_ended: count("ostler_task_waits_ended_total", "of these: ended"),
            waiters_cut: count("ostler_task_waiters_cut_total", "slow waiters cut off"),
            states_refused: BadState::ALL.iter().map(refused).collect(),
        }
    }

    pub fn state_refused(&self, reason: BadState) {
        self.states_refused[reason as usize].increment(1);
    }
}
