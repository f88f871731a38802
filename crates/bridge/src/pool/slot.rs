//! What a pool knows of one key, and which of it counts.

use std::sync::Arc;

use ostler_types::Instant;

use super::state::{Effect, Run, Waiter};
use crate::metrics::Closed;

pub(super) struct Slot {
    pub tenant: Arc<str>,
    pub phase: Phase,
    /// How often it failed since it last worked for a while.
    pub failures: u32,
}

pub(super) enum Phase {
    /// For the place of one that closes.
    Queued {
        waiters: Vec<Waiter>,
    },
    Opening {
        run: Run,
        waiters: Vec<Waiter>,
    },
    Held {
        run: Run,
        since: Instant,
        use_: Use,
    },
    /// It rests until then, once it is closed; who wants it meanwhile waits.
    Closing {
        run: Run,
        rest: Option<Instant>,
        waiters: Vec<Waiter>,
    },
    Resting {
        until: Instant,
        why: Arc<str>,
    },
}

pub(super) enum Use {
    By(usize),
    IdleSince(Instant),
}

impl Use {
    pub fn count(&self) -> usize {
        match self {
            Use::By(count) => *count,
            Use::IdleSince(_) => 0,
        }
    }
}

impl Phase {
    pub fn has_place(&self) -> bool {
        match self {
            Phase::Opening { .. } | Phase::Held { .. } | Phase::Closing { .. } => true,
            Phase::Queued { .. } | Phase::Resting { .. } => false,
        }
    }

    /// Whether it has a place, or will have one, once all that closes is closed.
    pub fn stays(&self) -> bool {
        match self {
            Phase::Queued { .. } | Phase::Opening { .. } | Phase::Held { .. } => true,
            Phase::Closing { .. } | Phase::Resting { .. } => false,
        }
    }

    /// Since when nobody uses it; the run makes an order of those of one moment.
    pub fn idle(&self) -> Option<(Instant, Run)> {
        match self {
            Phase::Held {
                run,
                use_: Use::IdleSince(since),
                ..
            } => Some((*since, *run)),
            _ => None,
        }
    }

    pub fn take_waiters(&mut self) -> Vec<Waiter> {
        match self {
            Phase::Queued { waiters }
            | Phase::Opening { waiters, .. }
            | Phase::Closing { waiters, .. } => std::mem::take(waiters),
            Phase::Held { .. } | Phase::Resting { .. } => Vec::new(),
        }
    }

    pub fn rest(&self) -> Option<Instant> {
        match self {
            Phase::Closing { rest, .. } => *rest,
            _ => None,
        }
    }

    /// Opening, Held => Closing. Others have nothing to close, or do it already.
    pub fn close<K>(&mut self, why: Closed) -> Option<Effect<K>> {
        let run = match self {
            Phase::Opening { run, .. } | Phase::Held { run, .. } => *run,
            Phase::Queued { .. } | Phase::Closing { .. } | Phase::Resting { .. } => return None,
        };
        let waiters = self.take_waiters();
        *self = Phase::Closing {
            run,
            rest: None,
            waiters,
        };
        Some(Effect::Close { run, why })
    }
}
