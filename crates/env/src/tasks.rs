//! Tasks, blocking jobs and threads: named, and counted while they live.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use metrics::Gauge;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
pub use tokio::task::JoinHandle;

use crate::Registry;

pub(crate) struct Tasks {
    metrics: Registry,
    /// One entry per name; names are literals in the code, so there are few.
    by_name: Mutex<BTreeMap<&'static str, Arc<Count>>>,
    /// All that run, in a world whose processes can crash.
    mortal: Option<Mutex<Mortal>>,
}

/// Those that ended are thrown out when they may be half of all.
#[derive(Default)]
struct Mortal {
    handles: Vec<AbortHandle>,
    len_max: usize,
}

impl Mortal {
    fn add(&mut self, handle: AbortHandle) {
        if self.handles.len() >= self.len_max {
            self.handles.retain(|handle| !handle.is_finished());
            self.len_max = 2 * self.handles.len().max(16);
        }
        self.handles.push(handle);
    }
}

struct Count {
    alive: AtomicUsize,
    gauge: Gauge,
}

/// Counts one living task; dropped with it, however it ends.
struct Alive(Arc<Count>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::AcqRel);
        self.0.gauge.decrement(1.0);
    }
}

impl Tasks {
    pub(crate) fn new(metrics: Registry) -> Tasks {
        Tasks {
            metrics,
            by_name: Mutex::default(),
            mortal: None,
        }
    }

    /// Tasks that [`Tasks::crash`] ends.
    pub(crate) fn mortal(metrics: Registry) -> Tasks {
        Tasks {
            mortal: Some(Mutex::default()),
            ..Tasks::new(metrics)
        }
    }

    pub(crate) fn crash(&self) {
        let mortal = self.mortal.as_ref();
        let mortal = mortal.expect("only a process of a seeded world crashes");
        let handles = std::mem::take(&mut mortal.lock().handles);
        handles.iter().for_each(AbortHandle::abort);
    }

    fn count(&self, name: &'static str) -> Alive {
        let mut by_name = self.by_name.lock();
        let new = || {
            let help = "Tasks, blocking jobs and threads alive, by name.";
            let gauge = self
                .metrics
                .gauge("ostler_env_tasks_alive", help, &[("task", name)]);
            Arc::new(Count {
                alive: AtomicUsize::new(0),
                gauge,
            })
        };
        let count = by_name.entry(name).or_insert_with(new).clone();
        count.alive.fetch_add(1, Ordering::AcqRel);
        count.gauge.increment(1.0);
        Alive(count)
    }

    #[allow(clippy::disallowed_methods, reason = "this is where tasks start")]
    pub(crate) fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let alive = self.count(name);
        let handle = tokio::spawn(async move {
            let _alive = alive;
            future.await
        });
        if let Some(mortal) = &self.mortal {
            mortal.lock().add(handle.abort_handle());
        }
        handle
    }

    #[allow(clippy::disallowed_methods, reason = "this is where tasks start")]
    pub(crate) fn spawn_blocking<F, R>(&self, name: &'static str, work: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let alive = self.count(name);
        tokio::task::spawn_blocking(move || {
            let _alive = alive;
            work()
        })
    }

    pub(crate) fn spawn_thread<F>(&self, name: &'static str, work: F) -> std::thread::JoinHandle<()>
    where
        F: FnOnce() + Send + 'static,
    {
        let alive = self.count(name);
        // The thread shares the runtime's clock, so that `Env::now` means the same in it.
        let runtime = tokio::runtime::Handle::try_current().ok();
        let run = move || {
            let _alive = alive;
            let _clock = runtime.as_ref().map(|runtime| runtime.enter());
            work();
        };
        std::thread::Builder::new()
            .name(name.into())
            .spawn(run)
            .expect("the system has room for one of the few threads a node starts")
    }

    pub(crate) fn alive(&self) -> usize {
        let by_name = self.by_name.lock();
        let alive = |count: &Arc<Count>| count.alive.load(Ordering::Acquire);
        by_name.values().map(alive).sum()
    }

    pub(crate) fn alive_by_name(&self) -> Vec<(&'static str, usize)> {
        let by_name = self.by_name.lock();
        let counts = by_name
            .iter()
            .map(|(name, count)| (*name, count.alive.load(Ordering::Acquire)));
        counts.filter(|(_, alive)| *alive > 0).collect()
    }
}
