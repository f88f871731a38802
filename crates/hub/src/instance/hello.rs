//! The same process is back, or a new one brings calls along.

use std::{collections::BTreeMap, sync::Arc};

use ostler_rpc::worker_v1::{KnownCall, KnownCallState};
use ostler_types::CallId;

use super::Instance;
use crate::{
    link::Link,
    machine::{Ended, Named, OnHello, on_hello},
    slot::{Origin, Slot},
};

/// What a worker says about its calls.
#[derive(Debug, Default)]
pub(crate) struct KnownCalls {
    /// By call and attempt: one that ended does not hide the next one, which runs.
    calls: BTreeMap<(CallId, u32), KnownCallState>,
    truncated: bool,
}

impl KnownCalls {
    /// Calls without an id or with a state from a newer protocol are as good as not named.
    pub fn new(named: Vec<KnownCall>, truncated: bool) -> Self {
        let call = |known: KnownCall| {
            let state = known.state();
            known.call.map(|call| ((call.into(), known.attempt), state))
        };
        let calls = named.into_iter().filter_map(call).collect();
        Self { calls, truncated }
    }

    fn named(&self, call: CallId, attempt: u32) -> Named {
        match self.calls.get(&(call, attempt)) {
            Some(KnownCallState::Running) => Named::Running,
            Some(KnownCallState::Held) => Named::Held,
            Some(KnownCallState::Ended | KnownCallState::Unspecified) => Named::Ended,
            None if self.truncated => Named::Unsure,
            None => Named::No,
        }
    }
}

impl Instance {
    /// Brings the slots in line with what the worker says. All of them left on an earlier link.
    pub fn hello(&self, link: &Link, known: &KnownCalls) {
        for slot in &self.all_slots() {
            self.match_slot(link, slot, known.named(slot.call, slot.attempt));
        }
        self.adopt(known);
    }

    fn match_slot(&self, link: &Link, slot: &Arc<Slot>, named: Named) {
        let alive = matches!(named, Named::Running | Named::Held);
        match slot.times().ended {
            Some(Ended::ByPlatform(_)) if alive => return self.give_up(slot),
            Some(Ended::ByPlatform(_) | Ended::ByWorker) => return,
            None => {}
        }
        match on_hello(named) {
            OnHello::Continue => link.outbox.orders(slot, slot.orders()),
            OnHello::Await => {}
            OnHello::End(gone) => {
                self.end(slot, gone.into(), Ended::ByWorker);
                self.remove(slot);
            }
        }
    }

    /// Kept calls without a slot wait for their owner, up to a bound; the rest is forgotten.
    /// Only kept calls outlive a link, so what is named here and not ended is kept. Newest first:
    /// of two attempts at a call the later one is what its owner waits for.
    fn adopt(&self, known: &KnownCalls) {
        let alive = [KnownCallState::Running, KnownCallState::Held];
        let mut room = self.shared.config.orphans_per_worker_max;
        for ((call, attempt), state) in known.calls.iter().rev() {
            if !alive.contains(state) || self.find_attempt(*call, *attempt).is_some() {
                continue;
            }
            match room.checked_sub(1) {
                None => self.refuse(*call, *attempt),
                // Another attempt of this call runs here: this one has no owner.
                Some(_) if self.find(*call).is_some() => self.refuse(*call, *attempt),
                Some(left) => {
                    room = left;
                    self.adopt_one(*call, *attempt);
                }
            }
        }
    }

    fn refuse(&self, call: CallId, attempt: u32) {
        self.excused.lock().add(call);
        self.forget_at_worker(call, attempt);
    }

    fn adopt_one(&self, call: CallId, attempt: u32) {
        let now = self.shared.env.now();
        let origin = Origin::Named { at: now };
        let slot = Arc::new(Slot::new(call, attempt, origin, self.unowned.clone()));
        self.in_flight
            .fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        self.shared.metrics.calls_adopted.increment(1);
        self.insert(slot);
        self.look_at(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_ended_does_not_hide_the_next_one() {
        let attempt = |attempt, state: KnownCallState| KnownCall {
            call: Some(CallId(7).into()),
            attempt,
            state: state.into(),
        };
        let running = attempt(2, KnownCallState::Running);
        let ended = attempt(1, KnownCallState::Ended);
        for named in [[running, ended], [ended, running]] {
            let known = KnownCalls::new(named.into(), false);
            let named = [1, 2, 3].map(|attempt| known.named(CallId(7), attempt));
            assert_eq!(named, [Named::Ended, Named::Running, Named::No]);
        }
    }
}
