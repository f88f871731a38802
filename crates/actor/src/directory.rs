//! Which actors are live on this node.
//!
//! A key's *cell* goes `Activating -> Live -> Gone` and never back; a new actor under the same
//! key gets a new cell, so an old actor's exit can only take its own cell away. Holds are
//! counted under the cell's lock, and so is the decision to retire: a hold and a retirement
//! exclude each other. The lock of the map and the lock of a cell are never held together.

use std::{
    fmt,
    hash::Hash,
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry};
use metrics::{Counter, Gauge};
use parking_lot::Mutex;
use tokio::sync::Notify;

use ostler_env::Env;

use crate::Mailbox;

/// Who is live, by key. `H` is the handle through which others talk to the actor.
pub struct Directory<K, H>(Arc<Inner<K, H>>);

struct Inner<K, H> {
    cells: DashMap<K, Arc<Cell<H>>>,
    removals: AtomicUsize,
    metrics: Metrics,
}

struct Cell<H> {
    phase: Mutex<Phase>,
    /// Set once, on the way from `Activating` to `Live`.
    handle: OnceLock<H>,
    /// The end of `Activating`.
    settled: Notify,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Activating,
    Live { holds: usize },
    Gone,
}

struct Metrics {
    live: Gauge,
    activated: Counter,
    not_activated: Counter,
}

/// A guard that keeps a live actor from retiring while someone talks to it.
pub struct Held<H>(Arc<Cell<H>>);

/// An actor's own place in the directory. Dropping it takes the actor out.
pub struct Slot<K: Eq + Hash, H> {
    directory: Directory<K, H>,
    key: K,
    cell: Arc<Cell<H>>,
}

impl<K: Eq + Hash + Clone, H> Directory<K, H> {
    /// An empty directory; `kind` names its actors in the metrics.
    pub fn new(env: &Env, kind: &'static str) -> Self {
        Directory(Arc::new(Inner {
            cells: DashMap::new(),
            removals: AtomicUsize::new(0),
            metrics: Metrics::new(env, kind),
        }))
    }

    /// Holds the actor under `key`, first making it live if it is not. Of concurrent callers
    /// one activates and the others wait for it. If it fails, or is itself cancelled, one of
    /// those who wait tries in its place: each has its own `activate`.
    ///
    /// `activate` starts the actor, giving it the [`Slot`], and returns its handle. Starting it
    /// is the last thing it does, behind its last `await`: a caller that is cancelled in between
    /// would leave an actor behind that nobody knows, beside the next one.
    // Cancel safe: an activation that is dropped leaves no cell behind.
    pub async fn hold<F, Fut, E>(&self, key: K, activate: F) -> Result<Held<H>, E>
    where
        F: FnOnce(Slot<K, H>) -> Fut,
        Fut: Future<Output = Result<H, E>>,
    {
        loop {
            let (cell, created) = self.cell(&key);
            if created {
                let activation = Activation::new(self, &key, cell);
                return activation.run(activate).await;
            }
            match cell.hold_settled().await {
                Some(held) => return Ok(held),
                None => self.take_out(&key, &cell),
            }
        }
    }

    /// Holds the actor under `key` if it is live now.
    pub fn find(&self, key: &K) -> Option<Held<H>> {
        let cell = self.0.cells.get(key)?.clone();
        cell.try_hold()
    }

    /// Actors that are live or becoming so.
    pub fn len(&self) -> usize {
        self.0.cells.len()
    }

    /// Whether no actor is live or becoming so.
    pub fn is_empty(&self) -> bool {
        self.0.cells.is_empty()
    }

    /// The keys at this moment, in their order: for draining and for operators.
    pub fn keys(&self) -> Vec<K>
    where
        K: Ord,
    {
        let cells = self.0.cells.iter();
        let mut keys: Vec<_> = cells.map(|entry| entry.key().clone()).collect();
        // The map's own order is another in each process; a seeded run is to be the same.
        keys.sort_unstable();
        keys
    }

    /// The cell under `key`, and whether this call put it there.
    fn cell(&self, key: &K) -> (Arc<Cell<H>>, bool) {
        if let Some(cell) = self.0.cells.get(key) {
            return (cell.clone(), false);
        }
        match self.0.cells.entry(key.clone()) {
            Entry::Occupied(entry) => (entry.get().clone(), false),
            Entry::Vacant(entry) => {
                let cell = Arc::new(Cell::new());
                entry.insert(cell.clone());
                self.0.metrics.live.increment(1.0);
                (cell, true)
            }
        }
    }
}

impl<K: Eq + Hash, H> Directory<K, H> {
    /// Removes exactly this cell, which is `Gone`; a newer one under the same key stays.
    fn take_out(&self, key: &K, cell: &Arc<Cell<H>>) {
        let same = |_: &K, found: &Arc<Cell<H>>| Arc::ptr_eq(found, cell);
        if self.0.cells.remove_if(key, same).is_some() {
            self.0.metrics.live.decrement(1.0);
            self.0.give_back_room();
        }
    }
}

/// Actors that leave, between two looks at how much room their places took.
const REMOVALS_PER_LOOK: usize = 1_024;

impl<K: Eq + Hash, H> Inner<K, H> {
    /// A map keeps the room of its best times; sleeping actors must cost nothing.
    fn give_back_room(&self) {
        let removals = self.removals.fetch_add(1, Ordering::Relaxed);
        if !(removals + 1).is_multiple_of(REMOVALS_PER_LOOK) {
            return;
        }
        if self.cells.capacity() > 4 * self.cells.len() + REMOVALS_PER_LOOK {
            self.cells.shrink_to_fit();
        }
    }
}

impl<K, H> Clone for Directory<K, H> {
    fn clone(&self) -> Self {
        Directory(self.0.clone())
    }
}

/// One activation, by the caller that put the cell there. However it ends, those who wait for
/// it are woken: dropped unfinished (error, cancelled caller, panic), it is `Gone`.
struct Activation<'a, K: Eq + Hash, H> {
    directory: &'a Directory<K, H>,
    key: &'a K,
    cell: Arc<Cell<H>>,
}

impl<'a, K: Eq + Hash + Clone, H> Activation<'a, K, H> {
    fn new(directory: &'a Directory<K, H>, key: &'a K, cell: Arc<Cell<H>>) -> Self {
        Activation {
            directory,
            key,
            cell,
        }
    }

    async fn run<F, Fut, E>(self, activate: F) -> Result<Held<H>, E>
    where
        F: FnOnce(Slot<K, H>) -> Fut,
        Fut: Future<Output = Result<H, E>>,
    {
        let slot = Slot {
            directory: self.directory.clone(),
            key: self.key.clone(),
            cell: self.cell.clone(),
        };
        let handle = activate(slot).await?;
        Ok(self.cell.publish(handle))
    }
}

impl<K: Eq + Hash, H> Drop for Activation<'_, K, H> {
    fn drop(&mut self) {
        let metrics = &self.directory.0.metrics;
        if self.cell.handle.get().is_some() {
            metrics.activated.increment(1);
            return;
        }
        metrics.not_activated.increment(1);
        self.cell.leave();
        self.directory.take_out(self.key, &self.cell);
    }
}

impl<H> Cell<H> {
    fn new() -> Self {
        Cell {
            phase: Mutex::new(Phase::Activating),
            handle: OnceLock::new(),
            settled: Notify::new(),
        }
    }

    // Activating => Live: the activator has the first hold. Activating => Gone has happened if
    // the actor ended that fast; then the handle is of a dead actor, which its user notices at
    // the first message, as with any crash.
    fn publish(self: &Arc<Self>, handle: H) -> Held<H> {
        if self.handle.set(handle).is_err() {
            unreachable!("one caller activates a cell, once");
        }
        let mut phase = self.phase.lock();
        if *phase == Phase::Activating {
            *phase = Phase::Live { holds: 1 };
        }
        drop(phase);
        self.settled.notify_waiters();
        Held(self.clone())
    }

    fn try_hold(self: &Arc<Self>) -> Option<Held<H>> {
        let mut phase = self.phase.lock();
        match &mut *phase {
            Phase::Live { holds } => {
                *holds += 1;
                Some(Held(self.clone()))
            }
            Phase::Activating | Phase::Gone => None,
        }
    }

    /// Waits out an activation, then holds; `None` if the actor is gone.
    // Cancel safe: nothing is counted before it returns.
    async fn hold_settled(self: &Arc<Self>) -> Option<Held<H>> {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // Listen first, look second: no wake-up can fall in between.
            settled.as_mut().enable();
            let phase = *self.phase.lock();
            match phase {
                Phase::Activating => settled.await,
                Phase::Live { .. } | Phase::Gone => return self.try_hold(),
            }
        }
    }

    // Live => Gone: only with no hold and with `idle` seen under the same lock.
    // Activating stays: the activator is about to hold.
    fn try_retire(&self, idle: impl FnOnce() -> bool) -> bool {
        let mut phase = self.phase.lock();
        match *phase {
            Phase::Live { holds: 0 } if idle() => {
                *phase = Phase::Gone;
                true
            }
            Phase::Live { .. } | Phase::Activating => false,
            Phase::Gone => true,
        }
    }

    // Any => Gone: the actor ended, whoever holds it; their messages find it closed.
    fn leave(&self) {
        *self.phase.lock() = Phase::Gone;
        self.settled.notify_waiters();
    }
}

impl<K: Eq + Hash, H> Slot<K, H> {
    /// The key the actor lives under.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Retires the actor if nobody holds it and its mailbox is empty; true if it is out of the
    /// directory. Then it must end without doing anything more: the next actor under this key
    /// may be live already. So whatever it knows must be stored before it asks.
    ///
    /// The mailbox counts because a caller may hold, tell and let go between the actor's last
    /// look into its mailbox and this call.
    pub fn try_retire<C, D>(&self, mailbox: &Mailbox<C, D>) -> bool {
        let retired = self.cell.try_retire(|| mailbox.is_empty());
        if retired {
            self.directory.take_out(&self.key, &self.cell);
        }
        retired
    }

    /// Takes the actor out of the directory, held or not: it stops, or it crashed.
    pub fn remove(&self) {
        self.cell.leave();
        self.directory.take_out(&self.key, &self.cell);
    }

    /// How many hold the actor now.
    pub fn holds(&self) -> usize {
        match *self.cell.phase.lock() {
            Phase::Live { holds } => holds,
            Phase::Activating | Phase::Gone => 0,
        }
    }
}

impl<K: Eq + Hash, H> Drop for Slot<K, H> {
    fn drop(&mut self) {
        self.remove();
    }
}

impl<H> Deref for Held<H> {
    type Target = H;

    fn deref(&self) -> &H {
        let handle = self.0.handle.get();
        handle.expect("a hold is made only of a cell whose handle is set")
    }
}

impl<H> Clone for Held<H> {
    fn clone(&self) -> Self {
        // A hold of a gone actor is only a reference; a live one counts this clone too.
        self.0.try_hold().unwrap_or_else(|| Held(self.0.clone()))
    }
}

impl<H> Drop for Held<H> {
    fn drop(&mut self) {
        if let Phase::Live { holds } = &mut *self.0.phase.lock() {
            *holds -= 1;
        }
    }
}

impl<H: fmt::Debug> fmt::Debug for Held<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&**self).finish()
    }
}

impl Metrics {
    fn new(env: &Env, kind: &'static str) -> Self {
        let metrics = env.metrics();
        let activations = |outcome| {
            let help = "Activations of actors, by kind and outcome.";
            let labels = [("kind", kind), ("outcome", outcome)];
            metrics.counter("ostler_actor_activations_total", help, &labels)
        };
        Metrics {
            live: metrics.gauge(
                "ostler_actor_live",
                "Actors live or becoming so, by kind.",
                &[("kind", kind)],
            ),
            activated: activations("live"),
            not_activated: activations("failed"),
        }
    }
}

#[cfg(test)]
mod tests;
