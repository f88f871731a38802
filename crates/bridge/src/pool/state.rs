//! Who holds what, as a machine: when to open, to close, to wait and to refuse.
//!
//! At most `bridge_max` upstreams are there at a time, those that close among them: one that needs
//! the place of another waits until it is free. Those that stay and those that wait are together
//! within the bounds, so whoever waits gets a place. Who waits is a call, and of those there are no
//! more than the worker takes.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use ostler_types::Instant;

use super::{
    Limits, Refusal,
    slot::{Phase, Slot, Use},
};
use crate::metrics::Closed;

/// One life of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Run(pub u64);

/// Somebody who wants one.
pub(super) type Waiter = u64;

#[derive(Debug, Clone)]
pub(super) enum Input<K> {
    Want {
        key: K,
        tenant: Arc<str>,
        waiter: Waiter,
    },
    /// Who was granted it is done with it.
    Released {
        key: K,
        run: Run,
    },
    Opened {
        key: K,
        run: Run,
    },
    /// `dice` is any number.
    NotOpened {
        key: K,
        run: Run,
        why: Arc<str>,
        dice: u64,
    },
    /// It ended by itself and is being closed.
    Gone {
        key: K,
        run: Run,
        dice: u64,
    },
    Closed {
        key: K,
        run: Run,
    },
    /// Time has passed.
    Tick,
    Drain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect<K> {
    Open { key: K, run: Run, again: Again },
    Close { run: Run, why: Closed },
    Grant { waiter: Waiter, key: K, run: Run },
    Refuse { waiter: Waiter, refusal: Refusal },
}

pub(super) type Effects<K> = Vec<Effect<K>>;

/// Whether it was there before and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    No,
    Yes,
}

pub(super) struct State<K> {
    limits: Limits,
    slots: HashMap<K, Slot>,
    /// Those in [`Phase::Queued`], in the order they came.
    queue: VecDeque<K>,
    runs: u64,
    draining: bool,
}

/// What is told to whoever wants one that died too soon.
const DIED: &str = "it ended soon after its start, again and again";

impl<K: Clone + Eq + Hash> State<K> {
    pub fn new(limits: Limits) -> State<K> {
        State {
            limits,
            slots: HashMap::new(),
            queue: VecDeque::new(),
            runs: 0,
            draining: false,
        }
    }

    /// Upstreams that are there: opening, held or closing.
    pub fn places(&self) -> usize {
        self.slots
            .values()
            .filter(|slot| slot.phase.has_place())
            .count()
    }

    pub fn apply(&mut self, now: Instant, input: Input<K>, effects: &mut Effects<K>) {
        match input {
            Input::Want {
                key,
                tenant,
                waiter,
            } => self.want(now, key, tenant, waiter, effects),
            Input::Released { key, run } => self.released(now, &key, run),
            Input::Opened { key, run } => self.opened(now, key, run, effects),
            Input::NotOpened {
                key,
                run,
                why,
                dice,
            } => self.not_opened(now, &key, run, why, dice, effects),
            Input::Gone { key, run, dice } => self.gone(now, &key, run, dice),
            Input::Closed { key, run } => self.closed(now, &key, run, effects),
            Input::Tick => self.tick(now, effects),
            Input::Drain => self.drain(effects),
        }
    }

    fn want(
        &mut self,
        now: Instant,
        key: K,
        tenant: Arc<str>,
        waiter: Waiter,
        effects: &mut Effects<K>,
    ) {
        if self.draining {
            return effects.push(refuse(waiter, Refusal::Closing));
        }
        let Some(slot) = self.slots.get_mut(&key) else {
            return self.admit(key, tenant, 0, vec![waiter], effects);
        };
        match &mut slot.phase {
            // Held => Held: one more holds it.
            Phase::Held { run, use_, .. } => {
                *use_ = Use::By(use_.count() + 1);
                let run = *run;
                effects.push(Effect::Grant { waiter, key, run });
            }
            // One start, one end for all who come meanwhile.
            Phase::Queued { waiters }
            | Phase::Opening { waiters, .. }
            | Phase::Closing { waiters, .. } => waiters.push(waiter),
            Phase::Resting { until, why } if *until > now => {
                let refusal = Refusal::Resting {
                    why: why.clone(),
                    retry_after: until.left(now),
                };
                effects.push(refuse(waiter, refusal));
            }
            // Resting => Opening, Queued or none: it has rested.
            Phase::Resting { until, .. } => {
                let recent = now.since(*until) < self.limits.rest_max;
                let failures = if recent { slot.failures } else { 0 };
                self.slots.remove(&key);
                self.admit(key, tenant, failures, vec![waiter], effects);
            }
        }
    }

    /// None => Opening: there is a place. None => Queued: one becomes free.
    fn admit(
        &mut self,
        key: K,
        tenant: Arc<str>,
        failures: u32,
        waiters: Vec<Waiter>,
        effects: &mut Effects<K>,
    ) {
        if let Err(refusal) = self.make_room(&tenant, effects) {
            let refuse = |waiter| refuse(waiter, refusal.clone());
            return effects.extend(waiters.into_iter().map(refuse));
        }
        let phase = Phase::Queued { waiters };
        let slot = Slot {
            tenant,
            phase,
            failures,
        };
        self.slots.insert(key.clone(), slot);
        self.queue.push_back(key);
        self.promote(effects);
    }

    /// For one more within both bounds, once all that closes is closed. Stops what nobody uses,
    /// the longest idle first.
    fn make_room(&mut self, tenant: &Arc<str>, effects: &mut Effects<K>) -> Result<(), Refusal> {
        for bound in [Bound::Tenant, Bound::Bridge] {
            if self.count(bound, tenant, Phase::stays) < self.limits.max(bound) {
                continue;
            }
            let counted = |slot: &&mut Slot| bound == Bound::Bridge || slot.tenant == *tenant;
            let slots = self.slots.values_mut().filter(counted);
            let idle = slots.filter_map(|slot| Some((slot.phase.idle()?, slot)));
            let Some((_, slot)) = idle.min_by_key(|(idle, _)| *idle) else {
                return Err(bound.into());
            };
            effects.extend(slot.phase.close(Closed::Evicted));
        }
        Ok(())
    }

    fn count(&self, bound: Bound, tenant: &Arc<str>, phase: fn(&Phase) -> bool) -> usize {
        let counted = |slot: &&Slot| bound == Bound::Bridge || slot.tenant == *tenant;
        let slots = self.slots.values().filter(counted);
        slots.filter(|slot| phase(&slot.phase)).count()
    }

    /// Queued => Opening, in the order they came, for as many as there is room.
    fn promote(&mut self, effects: &mut Effects<K>) {
        for key in std::mem::take(&mut self.queue) {
            let Some(tenant) = self.slots.get(&key).map(|slot| slot.tenant.clone()) else {
                continue;
            };
            let bounds = [Bound::Tenant, Bound::Bridge];
            let room =
                |bound| self.count(bound, &tenant, Phase::has_place) < self.limits.max(bound);
            match bounds.into_iter().all(room) {
                true => self.open(key, effects),
                false => self.queue.push_back(key),
            }
        }
    }

    fn open(&mut self, key: K, effects: &mut Effects<K>) {
        self.runs += 1;
        let run = Run(self.runs);
        let slot = self
            .slots
            .get_mut(&key)
            .expect("only what is queued is opened");
        let waiters = slot.phase.take_waiters();
        slot.phase = Phase::Opening { run, waiters };
        let again = if slot.failures > 0 {
            Again::Yes
        } else {
            Again::No
        };
        effects.push(Effect::Open { key, run, again });
    }

    /// Opening => Held: all who waited have it.
    fn opened(&mut self, now: Instant, key: K, run: Run, effects: &mut Effects<K>) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        // Closing: it was told to close meanwhile, and will.
        if !matches!(&slot.phase, Phase::Opening { run: opening, .. } if *opening == run) {
            return;
        }
        let waiters = slot.phase.take_waiters();
        slot.phase = Phase::Held {
            run,
            since: now,
            use_: match waiters.len() {
                0 => Use::IdleSince(now),
                len => Use::By(len),
            },
        };
        let grant = |waiter| Effect::Grant {
            waiter,
            key: key.clone(),
            run,
        };
        effects.extend(waiters.into_iter().map(grant));
    }

    /// Opening => Resting: the longer, the more often it failed.
    fn not_opened(
        &mut self,
        now: Instant,
        key: &K,
        run: Run,
        why: Arc<str>,
        dice: u64,
        effects: &mut Effects<K>,
    ) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match &slot.phase {
            Phase::Opening { run: opening, .. } if *opening == run => {}
            // Closing => None: it was told to close meanwhile, and there is nothing to close.
            Phase::Closing { run: closing, .. } if *closing == run => {
                return self.closed(now, key, run, effects);
            }
            _ => return,
        }
        slot.failures = slot.failures.saturating_add(1);
        let retry_after = self.limits.rest(slot.failures, dice);
        let waiters = slot.phase.take_waiters();
        let refusal = Refusal::Failed {
            why: why.clone(),
            retry_after,
        };
        effects.extend(
            waiters
                .into_iter()
                .map(|waiter| refuse(waiter, refusal.clone())),
        );
        let until = now + retry_after;
        slot.phase = Phase::Resting { until, why };
        self.forget_rested();
        self.promote(effects);
    }

    /// Held => Held, idle: its last user has gone. A hold of another run changes nothing.
    fn released(&mut self, now: Instant, key: &K, run: Run) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if let Phase::Held {
            run: held, use_, ..
        } = &mut slot.phase
            && *held == run
        {
            *use_ = match use_.count().saturating_sub(1) {
                0 => Use::IdleSince(now),
                count => Use::By(count),
            };
        }
    }

    /// Held => Closing: it ended by itself. The first time it may be replaced at once; one that
    /// keeps ending soon after its start rests.
    fn gone(&mut self, now: Instant, key: &K, run: Run, dice: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let since = match &slot.phase {
            Phase::Held {
                run: held, since, ..
            } if *held == run => *since,
            _ => return,
        };
        let steady = now.since(since) >= self.limits.steady;
        slot.failures = if steady {
            1
        } else {
            slot.failures.saturating_add(1)
        };
        let rests = slot
            .failures
            .checked_sub(1)
            .filter(|failures| *failures > 0);
        slot.phase = Phase::Closing {
            run,
            rest: rests.map(|failures| now + self.limits.rest(failures, dice)),
            waiters: Vec::new(),
        };
    }

    /// Closing => Resting, or None; who waits for a place may have it, who came for it meanwhile
    /// after them.
    fn closed(&mut self, now: Instant, key: &K, run: Run, effects: &mut Effects<K>) {
        let ours = |slot: &&mut Slot| matches!(&slot.phase, Phase::Closing { run: closing, .. } if *closing == run);
        let Some(slot) = self.slots.get_mut(key).filter(ours) else {
            return;
        };
        let waiters = slot.phase.take_waiters();
        let rest = slot.phase.rest();
        let (tenant, failures) = (slot.tenant.clone(), slot.failures);
        // What failed keeps its place in memory, so that failing again and again is noticed.
        match failures {
            0 => drop(self.slots.remove(key)),
            _ => {
                slot.phase = Phase::Resting {
                    until: rest.unwrap_or(now),
                    why: DIED.into(),
                };
                self.forget_rested();
            }
        }
        self.promote(effects);
        for waiter in waiters {
            self.want(now, key.clone(), tenant.clone(), waiter, effects);
        }
    }

    /// Held => Closing: nobody used it for long. Resting => None: that was long ago.
    fn tick(&mut self, now: Instant, effects: &mut Effects<K>) {
        let limits = self.limits;
        for slot in self.slots.values_mut() {
            let idle = slot.phase.idle().map(|(since, _)| now.since(since));
            if idle.is_some_and(|idle| idle >= limits.idle_ttl) {
                slot.failures = 0;
                effects.extend(slot.phase.close(Closed::Idle));
            }
        }
        let remembered = |slot: &Slot| match slot.phase {
            Phase::Resting { until, .. } => now.since(until) < limits.rest_max,
            _ => true,
        };
        self.slots.retain(|_, slot| remembered(slot));
    }

    /// Everything closes, nothing opens.
    fn drain(&mut self, effects: &mut Effects<K>) {
        self.draining = true;
        self.queue.clear();
        for slot in self.slots.values_mut() {
            let waiters = slot.phase.take_waiters();
            effects.extend(
                waiters
                    .into_iter()
                    .map(|waiter| refuse(waiter, Refusal::Closing)),
            );
            slot.failures = 0;
            effects.extend(slot.phase.close(Closed::Drained));
        }
        self.slots.retain(|_, slot| slot.phase.has_place());
    }

    /// Keeps the memory of failures bounded: who may try again first is forgotten first.
    fn forget_rested(&mut self) {
        let resting = |(key, slot): (&K, &Slot)| match slot.phase {
            Phase::Resting { until, .. } => Some((until, key.clone())),
            _ => None,
        };
        let resting: Vec<_> = self.slots.iter().filter_map(resting).collect();
        if resting.len() > RESTING_MAX
            && let Some((_, key)) = resting.into_iter().min_by_key(|(until, _)| *until)
        {
            self.slots.remove(&key);
        }
    }
}

/// Failures that are remembered, a few hundred bytes each.
const RESTING_MAX: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Tenant,
    Bridge,
}

impl From<Bound> for Refusal {
    fn from(bound: Bound) -> Refusal {
        match bound {
            Bound::Tenant => Refusal::TenantFull,
            Bound::Bridge => Refusal::BridgeFull,
        }
    }
}

fn refuse<K>(waiter: Waiter, refusal: Refusal) -> Effect<K> {
    Effect::Refuse { waiter, refusal }
}

impl Limits {
    fn max(&self, bound: Bound) -> usize {
        match bound {
            Bound::Tenant => self.tenant_max,
            Bound::Bridge => self.bridge_max,
        }
    }

    /// Between half and all of a span that doubles with each failure: those that failed together
    /// do not come back together.
    fn rest(&self, failures: u32, dice: u64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let span = self.rest_min.saturating_mul(doubled).min(self.rest_max);
        let part = (dice % 1_024) as u32;
        span / 2 + span / 2 * part / 1_024
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
