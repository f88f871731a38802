//! The books of all calls: plain data and the rules that keep it whole.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use ostler_rpc::worker_v1::KnownCallState;
use ostler_types::{CallId, Instant};

use super::{ENDED_MAX, Ended};
use crate::runtime::{
    call::{Call, Stop},
    outbox::Outbox,
};

/// Ended calls remembered: 48 bytes each.
const ENDED_LEN_MAX: usize = 16_384;

#[derive(Default)]
pub(super) struct State {
    /// At most `capacity` running ones, and held ones up to the bound in bytes.
    /// In an order, so that a seeded run is the same each time.
    pub calls: BTreeMap<CallId, Live>,
    pub running: usize,
    pub held_bytes: usize,
    pub ended: VecDeque<EndedCall>,
    /// When an ended call was last forgotten too early.
    pub overflowed: Option<Instant>,
    pub draining: bool,
}

pub(super) enum Live {
    Running(Arc<Call>),
    Held(Held),
}

pub(super) struct Held {
    pub attempt: u32,
    pub outcome: Ended,
    pub outbox: Option<Arc<Outbox>>,
    pub kept: bool,
    pub since: Instant,
}

pub(super) struct EndedCall {
    pub id: CallId,
    pub attempt: u32,
    pub at: Instant,
}

/// What a held outcome costs beside its bytes.
const HELD_COST: usize = 256;

impl Held {
    pub fn cost(&self) -> usize {
        HELD_COST + self.outcome.as_ref().map_or(0, Bytes::len)
    }
}

impl Live {
    pub fn adrift(&self) -> Option<(u32, KnownCallState)> {
        match self {
            Live::Running(call) if call.adrift_since().is_some() => {
                Some((call.attempt, KnownCallState::Running))
            }
            Live::Held(held) if held.outbox.is_none() => Some((held.attempt, KnownCallState::Held)),
            Live::Running(_) | Live::Held(_) => None,
        }
    }
}

impl Held {
    pub fn is_on(&self, outbox: &Arc<Outbox>) -> bool {
        self.outbox.as_ref().is_some_and(|o| Arc::ptr_eq(o, outbox))
    }
}

impl State {
    pub fn is_running(&self, call: &Arc<Call>) -> bool {
        let live = self.calls.get(&call.id);
        matches!(live, Some(Live::Running(running)) if Arc::ptr_eq(running, call))
    }

    /// A newer attempt of the same call took the place of an older one.
    pub fn replaced(&mut self, before: Live) {
        match before {
            Live::Running(call) => {
                self.running -= 1;
                call.stop(Stop::Drop);
            }
            Live::Held(held) => self.held_bytes -= held.cost(),
        }
    }

    pub fn hold(&mut self, id: CallId, held: Held) {
        self.held_bytes += held.cost();
        self.calls.insert(id, Live::Held(held));
    }

    /// Lets go of a held outcome.
    pub fn release(&mut self, id: CallId, now: Instant) {
        let Entry::Occupied(entry) = self.calls.entry(id) else {
            return;
        };
        if let Live::Held(held) = entry.get() {
            self.held_bytes -= held.cost();
            let attempt = held.attempt;
            entry.remove();
            self.remember(id, attempt, now);
        }
    }

    pub fn remember(&mut self, id: CallId, attempt: u32, now: Instant) {
        if self.ended.len() >= ENDED_LEN_MAX {
            self.ended.pop_front();
            self.overflowed = Some(now);
        }
        self.ended.push_back(EndedCall {
            id,
            attempt,
            at: now,
        });
    }

    pub fn forget_old(&mut self, now: Instant) {
        while let Some(first) = self.ended.front() {
            if now.since(first.at) < ENDED_MAX {
                return;
            }
            self.ended.pop_front();
        }
    }
}
