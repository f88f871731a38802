//! Gives calls that a worker still runs back to whoever owns them.
//!
//! After a lost link or a restart a worker names its calls; the hub tells of those that nobody holds.
//! The owner, a session or a task, is found by the call's stored row, woken, and claims the call.
//! Owns: the queue between the hub and the owners. Started by: `run`. Stops when: the hub is gone.
//! Never: decides anything about a call.

use std::sync::Arc;

use ostler_hub::{Hub, Orphans, Placement};
use ostler_session::Sessions;
use ostler_task::Tasks;
use ostler_types::CallId;
use tokio::sync::mpsc;

/// Calls waiting for their owner; more are forgotten by the hub after its grace.
const QUEUE_LEN_MAX: usize = 65_536;

struct Orphanage(mpsc::Sender<CallId>);

impl Orphans for Orphanage {
    fn orphan(&self, call: CallId, placement: Placement) {
        if self.0.try_send(call).is_err() {
            tracing::warn!(%call, worker = %placement.worker, "too many calls wait for their owners");
        }
    }
}

pub fn orphanage() -> (Arc<dyn Orphans>, mpsc::Receiver<CallId>) {
    let (found, queue) = mpsc::channel(QUEUE_LEN_MAX);
    (Arc::new(Orphanage(found)), queue)
}

pub struct Rebinder {
    found: mpsc::Receiver<CallId>,
    hub: Hub,
    sessions: Sessions,
    tasks: Tasks,
}

impl Rebinder {
    pub fn new(found: mpsc::Receiver<CallId>, hub: Hub, sessions: Sessions, tasks: Tasks) -> Self {
        Self {
            found,
            hub,
            sessions,
            tasks,
        }
    }

    pub async fn run(mut self) {
        while let Some(call) = self.found.recv().await {
            self.rebind(call).await;
        }
    }

    async fn rebind(&self, call: CallId) {
        if self.sessions.rebind(call).await || self.tasks.rebind(call).await {
            return;
        }
        tracing::debug!(%call, "nobody owns this call");
        self.hub.forget(call);
    }
}
