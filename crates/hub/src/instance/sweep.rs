//! What time does to the calls of a worker.

use std::sync::{Arc, atomic::Ordering};

use ostler_protocol::call::Failure;
use ostler_types::Instant;

use super::Instance;
use crate::{
    attempt::AttemptEnd,
    machine::{Due, Ended, due},
    orphans::{Backlog, Orphans},
    slot::Slot,
};

impl Instance {
    /// Looks at each call, if one of them may need it.
    pub fn sweep(&self, now: Instant, orphans: &dyn Orphans) {
        if self.next_due.load(Ordering::Acquire) > now.0 {
            return;
        }
        self.next_due.store(u64::MAX, Ordering::Release);
        for slot in self.all_slots() {
            // Each time: the worker may link while this looks.
            let lost = self.lost_since();
            let (what, next) = due(now, &slot.times(), lost, &self.shared.config);
            self.perform(&slot, what, now, orphans);
            // What was done may have made something else due.
            let next = if what == Due::Nothing { next } else { now };
            self.look_at(next);
        }
    }

    fn perform(&self, slot: &Arc<Slot>, due: Due, now: Instant, orphans: &dyn Orphans) {
        match due {
            Due::Nothing => {}
            Due::Deadline => self.deadline(slot, now),
            Due::Cancelled => {
                let cancelled = AttemptEnd::Outcome(Err(Failure::Cancelled));
                self.end(slot, cancelled, Ended::ByPlatform(now));
            }
            Due::Lost => {
                self.end(slot, AttemptEnd::Lost, Ended::ByPlatform(now));
                self.give_up(slot);
            }
            Due::Offer if orphans.backlog() == Backlog::Full => {}
            Due::Offer => {
                slot.offered(now);
                self.shared.metrics.orphans.increment(1);
                orphans.orphan(slot.call, self.placement(slot));
            }
            Due::Unclaimed if orphans.backlog() != Backlog::Empty => {}
            Due::Unclaimed => self.forget(slot),
            Due::Remove => self.give_up(slot),
        }
    }

    fn deadline(&self, slot: &Arc<Slot>, now: Instant) {
        let deadline = AttemptEnd::Outcome(Err(Failure::Deadline));
        self.end(slot, deadline, Ended::ByPlatform(now));
        self.cancel(slot, "deadline passed");
    }
}
