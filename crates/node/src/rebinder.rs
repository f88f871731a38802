//! Gives calls that a worker still runs back to whoever owns them.
//!
//! After a lost link or a restart a worker names its calls; the hub tells of those that nobody holds.
//! The owner, a session or a task, is found by the call's stored row, woken, and claims the call.
//! When another process took a worker's place meanwhile, the owners of what the old one ran are
//! woken likewise, and tell their clients at once that it is lost.
//! Owns: the queue between the hub and the owners. Started by: `run`. Stops when: the hub is gone.
//! Never: decides anything about a call.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::{StreamExt, stream};
use ostler_auth::WorkerGrant;
use ostler_hub::{Backlog, Hub, Orphans, Placement};
use ostler_session::Sessions;
use ostler_task::Tasks;
use ostler_types::{CallId, InstanceEpoch, WorkerId};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Calls that wait for their owner; the hub keeps more until there is room.
const QUEUE_LEN_MAX: usize = 65_536;
/// Owners that are woken at once: each wake may wait for the disk, and they share its syncs.
const WAKES_MAX: usize = 256;

/// What the hub tells of.
enum Found {
    Orphan(CallId, Placement),
    Newcomer(WorkerId, InstanceEpoch, Arc<WorkerGrant>),
}

struct Orphanage {
    found: mpsc::Sender<Found>,
    /// Told of and not yet dealt with.
    open: Arc<AtomicUsize>,
}

impl Orphans for Orphanage {
    fn orphan(&self, call: CallId, placement: Placement) {
        if let Err(error) = self.tell(Found::Orphan(call, placement)) {
            tracing::warn!(%call, %error, "the owner of a call is not looked for");
        }
    }

    fn newcomer(&self, worker: &WorkerId, instance: InstanceEpoch, grant: &Arc<WorkerGrant>) {
        let newcomer = Found::Newcomer(worker.clone(), instance, grant.clone());
        if let Err(error) = self.tell(newcomer) {
            // Their owners find out when the grace is over.
            tracing::warn!(%worker, %error, "lost calls are not looked for");
        }
    }

    fn backlog(&self) -> Backlog {
        if self.found.capacity() == 0 {
            return Backlog::Full;
        }
        match self.open.load(Ordering::Acquire) {
            0 => Backlog::Empty,
            _ => Backlog::Waiting,
        }
    }
}

/// Calls without an owner, as they are found.
pub struct Queue {
    found: mpsc::Receiver<Found>,
    open: Arc<AtomicUsize>,
}

impl Orphanage {
    fn tell(&self, found: Found) -> Result<(), TrySendError<Found>> {
        self.open.fetch_add(1, Ordering::AcqRel);
        let told = self.found.try_send(found);
        if told.is_err() {
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
        told
    }
}

pub fn orphanage() -> (Arc<dyn Orphans>, Queue) {
    let (sender, found) = mpsc::channel(QUEUE_LEN_MAX);
    let open = Arc::new(AtomicUsize::new(0));
    let queue = Queue {
        found,
        open: open.clone(),
    };
    let orphanage = Orphanage {
        found: sender,
        open,
    };
    (Arc::new(orphanage), queue)
}

impl Queue {
    /// Deals with each call, several at once, until nobody can find more.
    async fn serve<D>(self, deal: impl Fn(Found) -> D)
    where
        D: Future<Output = ()>,
    {
        let Self { found, open } = self;
        let found = stream::unfold(found, |mut found| async move {
            found.recv().await.map(|next| (next, found))
        });
        let deal = |found| {
            let (dealt, open) = (deal(found), open.clone());
            async move {
                dealt.await;
                open.fetch_sub(1, Ordering::AcqRel);
            }
        };
        let dealt = found.map(deal).buffer_unordered(WAKES_MAX);
        dealt.for_each(|()| std::future::ready(())).await;
    }
}

pub struct Rebinder {
    found: Queue,
    owners: Owners,
}

struct Owners {
    hub: Hub,
    sessions: Sessions,
    tasks: Tasks,
}

impl Rebinder {
    pub fn new(found: Queue, hub: Hub, sessions: Sessions, tasks: Tasks) -> Self {
        let owners = Owners {
            hub,
            sessions,
            tasks,
        };
        Self { found, owners }
    }

    pub async fn run(self) {
        let Self { found, owners } = self;
        let owners = Arc::new(owners);
        let deal = move |found| owners.clone().deal(found);
        found.serve(deal).await;
    }
}

impl Owners {
    async fn deal(self: Arc<Self>, found: Found) {
        match found {
            Found::Orphan(call, placement) => self.rebind(call, &placement).await,
            Found::Newcomer(worker, instance, grant) => {
                let sessions = &self.sessions;
                sessions.worker_replaced(&worker, instance, &grant).await;
                self.tasks.worker_replaced(&worker, instance, &grant).await;
            }
        }
    }

    async fn rebind(&self, call: CallId, placement: &Placement) {
        if self.sessions.rebind(call).await || self.tasks.rebind(call).await {
            return;
        }
        tracing::debug!(%call, "nobody owns this call");
        self.hub.forget_at(call, placement);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Barrier;

    use super::*;

    fn orphan(orphanage: &dyn Orphans, call: u128) {
        let placement = Placement {
            worker: WorkerId::parse("w1").expect("a name"),
            instance: InstanceEpoch(1),
            attempt: 1,
        };
        orphanage.orphan(CallId(call), placement);
    }

    #[tokio::test]
    async fn owners_are_woken_side_by_side_and_none_is_left_out() {
        let (orphanage, queue) = orphanage();
        (0..2 * WAKES_MAX as u128).for_each(|call| orphan(&*orphanage, call));
        assert_eq!(orphanage.backlog(), Backlog::Waiting);
        let open = queue.open.clone();
        drop(orphanage);
        // Nobody passes until as many as may are there.
        let together = Barrier::new(WAKES_MAX);
        let deal = |_| async {
            let _ = together.wait().await;
        };
        queue.serve(deal).await;
        assert_eq!(open.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn the_hub_hears_when_no_more_calls_can_wait() {
        let (orphanage, queue) = orphanage();
        (0..QUEUE_LEN_MAX as u128).for_each(|call| orphan(&*orphanage, call));
        assert_eq!(orphanage.backlog(), Backlog::Full);
        orphan(&*orphanage, 0);
        assert_eq!(queue.open.load(Ordering::Acquire), QUEUE_LEN_MAX);
    }
}
