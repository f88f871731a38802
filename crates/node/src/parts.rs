//! What a node is useless without: each part runs in a task of its own and is watched.
//!
//! A part that fails or panics is not replaced: the node drains and exits, and whoever supervises
//! the process starts another.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use ostler_actor::{Importance, StopReason, Supervisor, Verdict};
use ostler_env::{Env, JoinHandle};
use tokio::sync::watch;

/// The name of a part, in metrics and logs.
pub type Name = &'static str;

/// The running parts of one node.
pub struct Parts {
    env: Env,
    supervisor: Arc<Supervisor<Name>>,
    /// The first that failed.
    failed: Arc<watch::Sender<Option<Name>>>,
    running: Vec<(Name, JoinHandle<()>)>,
}

impl Parts {
    pub fn new(env: &Env) -> Self {
        Self {
            env: env.clone(),
            supervisor: Arc::new(Supervisor::new(env, "part", Importance::Vital)),
            failed: Arc::default(),
            running: Vec::new(),
        }
    }

    /// Starts a part, which ends by itself or is told to.
    pub fn start<R: Ending>(&mut self, name: Name, work: impl Future<Output = R> + Send + 'static) {
        let (supervisor, failed) = (self.supervisor.clone(), self.failed.clone());
        let watched = async move {
            let part = async { work.await.reason() };
            let stop = supervisor.run(&name, part).await;
            match stop.verdict {
                Verdict::Forget => {}
                Verdict::Restart | Verdict::Escalate => {
                    tracing::error!(part = name, reason = ?stop.reason, "a part of the node failed");
                    failed.send_modify(|failed| *failed = failed.or(Some(name)));
                }
            }
        };
        self.running.push((name, self.env.spawn(name, watched)));
    }

    /// Waits until a part has failed.
    // Cancel safe: it only looks.
    pub async fn failed(&self) -> Name {
        let mut failed = self.failed.subscribe();
        let found = failed.wait_for(Option::is_some).await;
        found
            .ok()
            .and_then(|found| *found)
            .expect("the sender is here, and waits for a name")
    }

    /// Waits for those that were `told` to end, for so long; the others are ended.
    pub async fn end(self, told: &[Name], patience: Duration) {
        let until = self.env.now() + patience;
        for (name, part) in &self.running {
            if !told.contains(name) {
                part.abort();
            }
        }
        for (name, mut part) in self.running {
            if self.env.until(until, &mut part).await.is_none() {
                tracing::warn!(part = name, "a part did not end in time");
                part.abort();
            }
        }
    }
}

/// How the future of a part says why it ended.
pub trait Ending {
    fn reason(self) -> StopReason;
}

impl Ending for () {
    fn reason(self) -> StopReason {
        StopReason::Stopped
    }
}

impl<E: fmt::Display> Ending for Result<(), E> {
    fn reason(self) -> StopReason {
        match self {
            Ok(()) => StopReason::Stopped,
            Err(error) => StopReason::Failed(format!("{error:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use ostler_testkit::soon;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_part_that_fails_or_panics_is_told_of_and_one_that_ends_is_not() {
        for (name, fails) in [("fails", true), ("panics", false)] {
            let env = Env::seeded(1);
            let mut parts = Parts::new(&env);
            parts.start("ends", async {});
            parts.start(name, async move {
                assert!(fails, "on purpose");
                Err("on purpose")
            });
            parts.start("hangs", std::future::pending::<()>());
            assert_eq!(soon("a failure", parts.failed()).await, name);
            parts.end(&[], SECOND).await;
            assert_eq!(env.tasks_alive_by_name(), []);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_to_end_may_take_its_time() {
        let env = Env::seeded(1);
        let mut parts = Parts::new(&env);
        let (ended, world) = (Arc::new(()), env.clone());
        let held = ended.clone();
        parts.start("ends", async move {
            world.sleep(Duration::from_millis(900)).await;
            drop(held);
        });
        parts.start("hangs", std::future::pending::<()>());
        parts.end(&["ends"], SECOND).await;
        assert_eq!(Arc::strong_count(&ended), 1);
        assert_eq!(env.tasks_alive_by_name(), []);
    }
}
