//! Being told when a Server's lists change: not each time, but once it is quiet [LC-2].

use std::{sync::Arc, time::Duration};

use ostler_env::Env;
use ostler_types::Instant;
use tokio::sync::watch;

use crate::slot::Slot;

/// A change is told when nothing has changed for this long ...
const QUIET: Duration = Duration::from_millis(100);
/// ... or this long after its beginning, if it never gets quiet.
const NOISE_MAX: Duration = Duration::from_secs(1);

/// Names the lists of a snapshot: equal lists have equal fingerprints, also after a restart
/// of the same program. Kept by whoever wants to know later whether something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprints {
    pub tools: u64,
    pub prompts: u64,
    /// Resources, templates and skills.
    pub resources: u64,
}

/// Which lists changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
}

impl Changes {
    pub fn any(self) -> bool {
        self.tools || self.prompts || self.resources
    }
}

impl Fingerprints {
    /// What is different in `self`.
    pub fn changes_since(self, earlier: Fingerprints) -> Changes {
        Changes {
            tools: self.tools != earlier.tools,
            prompts: self.prompts != earlier.prompts,
            resources: self.resources != earlier.resources,
        }
    }
}

/// Follows the lists of one Server. Holds no task and no timer while nothing happens.
pub struct ChangeWatch {
    env: Env,
    slot: Arc<Slot>,
    turns: watch::Receiver<u64>,
    /// What the listener knows of.
    seen: Fingerprints,
}

impl ChangeWatch {
    pub(crate) fn new(env: &Env, slot: Arc<Slot>, seen: Fingerprints) -> Self {
        Self {
            env: env.clone(),
            turns: slot.turns(),
            slot,
            seen,
        }
    }

    /// What the listener has been told of so far.
    pub fn seen(&self) -> Fingerprints {
        self.seen
    }

    /// Waits until a list differs from what was last told.
    // Cancel safe: what was told changes only on return.
    pub async fn changed(&mut self) -> Changes {
        loop {
            if self.changes().any() {
                self.settle().await;
                let changes = self.changes();
                if changes.any() {
                    self.seen = self.shown();
                    return changes;
                }
            }
            self.turn(None).await;
        }
    }

    fn changes(&mut self) -> Changes {
        // What happens from here on is a new turn; what came before is looked at now.
        self.turns.mark_unchanged();
        self.shown().changes_since(self.seen)
    }

    /// Before anybody has offered the Server here, what the listener knows counts: after a
    /// restart of the node the workers need a moment to come back.
    fn shown(&self) -> Fingerprints {
        let shown = self.slot.fingerprints(self.env.now());
        shown.unwrap_or(self.seen)
    }

    /// Waits until it is quiet.
    async fn settle(&mut self) {
        let latest = self.env.now() + NOISE_MAX;
        while self.env.now() < latest {
            let quiet = (self.env.now() + QUIET).min(latest);
            if !self.turn(Some(quiet)).await {
                return;
            }
        }
    }

    /// Waits for a turn of the catalog, the end of a grace, or `until`; true if it was a turn.
    async fn turn(&mut self, until: Option<Instant>) -> bool {
        let grace = self.slot.grace_end();
        let wake = [until, grace].into_iter().flatten().min();
        let turned = self.turns.changed();
        match wake {
            None => turned.await.is_ok(),
            Some(at) => self.env.until(at, turned).await.is_some(),
        }
    }
}

#[cfg(test)]
mod tests;
