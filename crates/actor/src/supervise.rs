//! What happens when an actor ends. An exit is a value, and one `match` decides about it.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    hash::Hash,
    panic::AssertUnwindSafe,
    time::Duration,
};

use futures_util::FutureExt;
use metrics::Counter;
use parking_lot::Mutex;

use ostler_env::Env;
use ostler_types::Instant;

/// How an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It was idle and left; it comes back when someone asks for it.
    Retired,
    /// It was told to end, or its work is done.
    Stopped,
    /// It could not go on, and says why.
    Failed(String),
    /// A bug in it, with the panic's message.
    Panicked(String),
}

/// What is to be done about an actor that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Build it anew from what is stored, under the same key.
    Restart,
    /// Leave it ended. After a crash: end what it stood for, its client is told "unknown".
    Forget,
    /// The node is useless without it: drain and exit.
    Escalate,
}

/// How much depends on one kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// One of many; it concerns its own client or worker only.
    Ordinary,
    /// Without it the node is useless: the accept loop, the store's committer.
    Vital,
}

/// An actor's end, and the decision about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// How it ended.
    pub reason: StopReason,
    /// What is to be done now.
    pub verdict: Verdict,
}

/// Crashes of one actor within [`CRASH_WINDOW`] that make a crash loop.
pub const CRASHES_MAX: usize = 3;

/// See [`CRASHES_MAX`].
pub const CRASH_WINDOW: Duration = Duration::from_secs(10);

/// Runs actors of one kind and decides about their ends.
pub struct Supervisor<K> {
    env: Env,
    importance: Importance,
    /// Who crashed lately. Bounded: an entry leaves with its window, see `forget_old`.
    crashes: Mutex<HashMap<K, VecDeque<Instant>>>,
    metrics: Metrics,
}

struct Metrics {
    retired: Counter,
    stopped: Counter,
    failed: Counter,
    panicked: Counter,
    crash_loops: Counter,
}

impl<K: Eq + Hash + Clone> Supervisor<K> {
    /// `kind` names the actors in metrics and logs.
    pub fn new(env: &Env, kind: &'static str, importance: Importance) -> Self {
        Supervisor {
            env: env.clone(),
            importance,
            crashes: Mutex::default(),
            metrics: Metrics::new(env, kind),
        }
    }

    /// Runs an actor to its end; a panic is an end like any other. What the actor owned is
    /// dropped before this returns, its [`crate::Slot`] included, so a restart finds the key
    /// free. The caller acts on the verdict and logs it, with its own ids.
    pub async fn run(&self, key: &K, actor: impl Future<Output = StopReason>) -> Stop {
        // Unwind safe: all that the actor could leave half done is dropped with it.
        let reason = match AssertUnwindSafe(actor).catch_unwind().await {
            Ok(reason) => reason,
            Err(panic) => StopReason::Panicked(panic_message(panic.as_ref())),
        };
        self.metrics.count(&reason);
        let verdict = self.judge(key, &reason);
        Stop { reason, verdict }
    }

    /// The supervision table.
    fn judge(&self, key: &K, reason: &StopReason) -> Verdict {
        match (reason, self.importance) {
            (StopReason::Retired | StopReason::Stopped, Importance::Ordinary) => Verdict::Forget,
            // A vital part that is told to end is told so by the drain.
            (StopReason::Retired | StopReason::Stopped, Importance::Vital) => Verdict::Forget,
            (StopReason::Failed(_) | StopReason::Panicked(_), Importance::Vital) => {
                Verdict::Escalate
            }
            (StopReason::Failed(_) | StopReason::Panicked(_), Importance::Ordinary) => {
                self.crashed(key)
            }
        }
    }

    fn crashed(&self, key: &K) -> Verdict {
        let now = self.env.now();
        let mut crashes = self.crashes.lock();
        forget_old(&mut crashes, now);
        let mine = crashes.entry(key.clone()).or_default();
        mine.push_back(now);
        if mine.len() < CRASHES_MAX {
            return Verdict::Restart;
        }
        crashes.remove(key);
        self.metrics.crash_loops.increment(1);
        Verdict::Forget
    }
}

/// Drops what lies before the window. Crashes are rare, so looking through all of them at each
/// costs nothing that matters, and the map holds no more than the crashes of one window.
fn forget_old<K: Eq + Hash>(crashes: &mut HashMap<K, VecDeque<Instant>>, now: Instant) {
    crashes.retain(|_, times| {
        times.retain(|at| now.since(*at) < CRASH_WINDOW);
        !times.is_empty()
    });
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

impl Metrics {
    fn new(env: &Env, kind: &'static str) -> Self {
        let stops = |reason| {
            let help = "Actors that ended, by kind and reason.";
            let labels = [("kind", kind), ("reason", reason)];
            env.metrics()
                .counter("ostler_actor_stops_total", help, &labels)
        };
        Metrics {
            retired: stops("retired"),
            stopped: stops("stopped"),
            failed: stops("failed"),
            panicked: stops("panicked"),
            crash_loops: env.metrics().counter(
                "ostler_actor_crash_loops_total",
                "Actors given up after 3 crashes in 10 s, by kind.",
                &[("kind", kind)],
            ),
        }
    }

    fn count(&self, reason: &StopReason) {
        let counter = match reason {
            StopReason::Retired => &self.retired,
            StopReason::Stopped => &self.stopped,
            StopReason::Failed(_) => &self.failed,
            StopReason::Panicked(_) => &self.panicked,
        };
        counter.increment(1);
    }
}

#[cfg(test)]
mod tests;
