//! The ambient world, passed in: clock, randomness, tasks and threads, metrics, log set-up.
//!
//! Invariant: nothing else in the workspace reads a clock, starts a task or draws a random
//! number by itself (`clippy.toml` bans it), so a test drives all three through one [`Env`].
//! Knows nothing of MCP, of actors or of any other crate but `types`.
//! Start with [`Env`], then [`Registry`].

mod clock;
mod random;
mod tasks;
pub mod registry;
pub mod log;

use std::{sync::Arc, time::Duration};

use ostler_types::{Instant, Timestamp};

use crate::{clock::Clock, random::Random, tasks::Tasks};

pub use clock::Sleep;
pub use registry::Registry;
pub use tasks::JoinHandle;

/// The world a part of a node lives in. Cloning is cheap; all clones are the same world.
#[derive(Clone)]
pub struct Env(Arc<World>);

struct World {
    clock: Clock,
    random: Random,
    tasks: Tasks,
    metrics: Registry,
}

impl Env {
    /// The real world: the system's wall clock and randomness.
    pub fn system() -> Env {
        Self::new(Clock::system(), Random::system(), Tasks::new)
    }

    /// A world for tests: the same seed draws the same numbers, and wall time starts at
    /// [`Env::SEEDED_WALL`]. Made inside a runtime with a paused clock, time is driven.
    pub fn seeded(seed: u64) -> Env {
        Self::new(
            Clock::fixed(Self::SEEDED_WALL),
            Random::seeded(seed),
            Tasks::new,
        )
    }

    /// Another process of this world: the wall clock goes on as here, `step` ahead; tasks, metrics
    /// and random numbers are its own. Seeded, and it can [`Env::crash`].
    pub fn process(&self, seed: u64, step: Duration) -> Env {
        let clock = Clock::fixed(self.wall() + step);
        Self::new(clock, Random::seeded(seed), Tasks::mortal)
    }

    /// Ends all tasks of a [`Env::process`] where they stand, as a crash does. They are gone once
    /// [`Env::tasks_alive`] says so; none takes another step.
    pub fn crash(&self) {
        self.0.tasks.crash();
    }

    /// Where the wall clock of a seeded world starts: 2026-01-01T00:00:00Z.
    pub const SEEDED_WALL: Timestamp = Timestamp(1_767_225_600_000);

    fn new(clock: Clock, random: Random, tasks: fn(Registry) -> Tasks) -> Env {
        let metrics = Registry::new();
        let tasks = tasks(metrics.clone());
        Env(Arc::new(World {
            clock,
            random,
            tasks,
            metrics,
        }))
    }

    /// Monotonic time. A paused tokio clock drives it.
    pub fn now(&self) -> Instant {
        self.0.clock.now()
    }

    /// Wall-clock time, for what leaves the process or outlives it.
    pub fn wall(&self) -> Timestamp {
        self.0.clock.wall()
    }

    /// Waits that long.
    // Cancel safe: a timer holds nothing.
    pub async fn sleep(&self, span: Duration) {
        self.deadline_sleep(self.now() + span).await;
    }

    /// Waits until then.
    // Cancel safe: a timer holds nothing.
    pub async fn sleep_until(&self, at: Instant) {
        self.deadline_sleep(at).await;
    }

    /// A timer for hand-written polls: `Unpin`, and it can be set again.
    pub fn deadline_sleep(&self, at: Instant) -> Sleep {
        self.0.clock.sleep_until(at)
    }

    /// Runs `future` until it ends or `at` has passed; `None` then.
    // Cancel safe if `future` is.
    pub async fn until<F: Future>(&self, at: Instant, future: F) -> Option<F::Output> {
        let at = self.0.clock.to_tokio(at);
        tokio::time::timeout_at(at, future).await.ok()
    }

    /// Fills `buf` with random bytes, fit for secrets (in a seeded world: for tests).
    pub fn fill_random(&self, buf: &mut [u8]) {
        self.0.random.fill(buf);
    }

    /// A random number, of the same source.
    pub fn random_u64(&self) -> u64 {
        self.0.random.next_u64()
    }

    /// Starts a task. Whoever starts it owns it: keep the handle and await it, or make sure
    /// that something the owner holds ends it. It is counted until it ends or is aborted.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.tasks.spawn(name, future)
    }

    /// Runs `work` where blocking is allowed. A paused clock does not advance meanwhile.
    pub fn spawn_blocking<F, R>(&self, name: &'static str, work: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.0.tasks.spawn_blocking(name, work)
    }

    /// Starts a thread of its own, named for the operating system too.
    pub fn spawn_thread<F>(&self, name: &'static str, work: F) -> std::thread::JoinHandle<()>
    where
        F: FnOnce() + Send + 'static,
    {
        self.0.tasks.spawn_thread(name, work)
    }

    /// Tasks, blocking jobs and threads alive now, so that a test can see that nothing is left.
    pub fn tasks_alive(&self) -> usize {
        self.0.tasks.alive()
    }

    /// The same by name, for the message of a test that found something left.
    pub fn tasks_alive_by_name(&self) -> Vec<(&'static str, usize)> {
        self.0.tasks.alive_by_name()
    }

    /// Where this world's metrics are made and shown.
    pub fn metrics(&self) -> &Registry {
        &self.0.metrics
    }
}
