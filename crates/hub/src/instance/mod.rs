//! One worker process: its calls, which outlive its link for a grace, and the link while there
//! is one.

mod excused;
mod hello;
mod sweep;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

pub(crate) use hello::KnownCalls;

use ostler_auth::WorkerGrant;
use ostler_env::Env;
use ostler_protocol::call::{Answer, Failure, Outcome};
use ostler_rpc::{
    convert::clip,
    worker_v1::{self as wire, to_worker::Frame},
};
use ostler_types::{CallId, InstanceEpoch, Instant, WorkerId};
use parking_lot::Mutex;

use self::excused::Excused;
use crate::{
    attempt::{AttemptEnd, NewAttempt, Placement, RefusedReason},
    config::Config,
    link::{Link, NotSent, frames},
    machine::{Ended, Process},
    metrics::{DroppedOutcome, EndedCall, Metrics},
    roster::NotStarted,
    slot::{CancelStep, EndFate, Ending, Origin, Slot, UnownedBytes},
};

/// What all parts of a hub share.
pub(crate) struct Shared {
    pub env: Env,
    pub config: Config,
    pub metrics: Metrics,
}

pub(crate) struct Instance {
    pub worker: WorkerId,
    pub epoch: InstanceEpoch,
    pub grant: Arc<WorkerGrant>,
    pub shared: Arc<Shared>,
    slots: Mutex<HashMap<CallId, Arc<Slot>>>,
    unowned: Arc<UnownedBytes>,
    /// Calls that take room at the worker.
    in_flight: AtomicU32,
    /// Calls that ended here before their worker said so. Its outcomes may be on the way.
    excused: Mutex<Excused>,
    /// No slot needs the sweep before this time.
    next_due: AtomicU64,
    link: Mutex<LinkState>,
}

enum LinkState {
    Linked(Arc<Link>),
    Lost(Lost),
}

/// What is remembered of a link that is no more.
struct Lost {
    since: Instant,
    /// Of all its catalogs: its process may be back with them, so nobody gets their room.
    catalog_bytes: usize,
    /// Its process had said that it would go.
    has_left: bool,
}

/// The reason of a cancel, in bytes.
const REASON_BYTES_MAX: usize = 512;

/// An outcome for a call that does not run in this attempt here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotMine;

impl Instance {
    pub fn new(
        worker: WorkerId,
        epoch: InstanceEpoch,
        grant: Arc<WorkerGrant>,
        shared: Arc<Shared>,
    ) -> Instance {
        let lost = Lost {
            since: shared.env.now(),
            catalog_bytes: 0,
            has_left: false,
        };
        Instance {
            worker,
            epoch,
            grant,
            shared,
            slots: Mutex::default(),
            unowned: Arc::default(),
            in_flight: AtomicU32::new(0),
            excused: Mutex::default(),
            next_due: AtomicU64::new(u64::MAX),
            link: Mutex::new(LinkState::Lost(lost)),
        }
    }

    pub fn process(&self) -> Process<'_> {
        Process {
            epoch: self.epoch,
            credential: &self.grant.credential,
        }
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether as much is held for calls without an owner as may be.
    pub fn holds_too_much(&self) -> bool {
        self.unowned.get() >= self.shared.config.unowned_bytes_max
    }

    pub fn is_idle(&self) -> bool {
        self.slots.lock().is_empty()
    }

    /// In an order, so that a seeded run is the same each time.
    fn all_slots(&self) -> Vec<Arc<Slot>> {
        let mut slots: Vec<_> = self.slots.lock().values().cloned().collect();
        slots.sort_unstable_by_key(|slot| slot.call);
        slots
    }

    /// Whether a call runs that nobody could take up elsewhere.
    pub fn runs_plain_calls(&self) -> bool {
        let slots = self.slots.lock();
        let plain = |slot: &Arc<Slot>| {
            let times = slot.times();
            !times.kept && times.ended.is_none()
        };
        slots.values().any(plain)
    }

    /// Ends what [`Instance::runs_plain_calls`] looks for.
    pub fn end_plain_calls(&self) {
        let now = self.shared.env.now();
        for slot in self.all_slots() {
            let times = slot.times();
            if !times.kept && times.ended.is_none() {
                let drained = AttemptEnd::Outcome(Err(Failure::Drained));
                self.end(&slot, drained, Ended::ByPlatform(now));
                self.cancel(&slot, "the node shuts down");
            }
        }
    }

    pub fn placement(&self, slot: &Slot) -> Placement {
        Placement {
            worker: self.worker.clone(),
            instance: self.epoch,
            attempt: slot.attempt,
        }
    }

    // ---- the link ----------------------------------------------------------------------

    pub fn link(&self) -> Option<Arc<Link>> {
        match &*self.link.lock() {
            LinkState::Linked(link) => Some(link.clone()),
            LinkState::Lost(_) => None,
        }
    }

    pub fn set_link(&self, link: Arc<Link>) {
        *self.link.lock() = LinkState::Linked(link);
    }

    /// When the link was lost; `None` while there is one.
    pub fn lost_since(&self) -> Option<Instant> {
        match &*self.link.lock() {
            LinkState::Linked(_) => None,
            LinkState::Lost(lost) => Some(lost.since),
        }
    }

    /// Of the catalogs of its link, or of the one that was lost.
    pub fn catalog_bytes(&self) -> usize {
        match &*self.link.lock() {
            LinkState::Linked(link) => link.catalog_bytes(),
            LinkState::Lost(lost) => lost.catalog_bytes,
        }
    }

    /// Whether nothing is to come of it any more: it runs nothing, and it said that it would go or
    /// was away for this grace.
    pub fn is_gone(&self, now: Instant, grace: Duration) -> bool {
        let is_away = match &*self.link.lock() {
            LinkState::Linked(_) => false,
            LinkState::Lost(lost) => lost.has_left || now.since(lost.since) >= grace,
        };
        is_away && self.is_idle()
    }

    /// The link is no more: what never left ends now, the rest waits for the grace.
    pub fn lose_link(&self, link: &Link) {
        let now = self.shared.env.now();
        for slot in link.outbox.take_unsent() {
            self.end(&slot, AttemptEnd::NotHanded, Ended::ByWorker);
            self.remove(&slot);
        }
        let mut state = self.link.lock();
        if matches!(&*state, LinkState::Linked(mine) if mine.number == link.number) {
            *state = LinkState::Lost(Lost {
                since: now,
                catalog_bytes: link.catalog_bytes(),
                has_left: link.has_left(),
            });
        }
        drop(state);
        self.look_at(now);
    }

    /// A newer process took the worker id: nothing of this one goes on.
    pub fn end_all(&self) {
        for slot in self.all_slots() {
            let end = match slot.times().cancelled {
                Some(_) => AttemptEnd::Outcome(Err(Failure::Cancelled)),
                None => AttemptEnd::Lost,
            };
            self.end(&slot, end, Ended::ByWorker);
            self.remove(&slot);
        }
    }

    // ---- slots -------------------------------------------------------------------------

    /// Starts a call on this link.
    pub fn start(&self, link: &Link, new: &NewAttempt<'_>) -> Result<Arc<Slot>, NotStarted> {
        let server = link.server_index(new.server).ok_or(NotStarted::NotLinked)?;
        if !link.serves() {
            return Err(NotStarted::NotLinked);
        }
        // It could not even say that it began.
        if self.holds_too_much() {
            return Err(NotStarted::NoCredit);
        }
        self.reserve(link.capacity)?;
        let deadline = new.deadline;
        let slot = Arc::new(Slot::new(
            new.call,
            new.attempt,
            Origin::Started { deadline },
            self.unowned.clone(),
        ));
        self.insert(slot.clone());
        let now = self.shared.env.now();
        let sent = link
            .outbox
            .call(&slot, |writer| frames::call(writer, new, server, now));
        match sent {
            Ok(()) => {
                self.shared.metrics.calls_started.increment(1);
                self.look_at(deadline);
                Ok(slot)
            }
            Err(NotSent::TooLarge) => {
                let why = "the names in the request are too long".to_owned();
                let invalid = AttemptEnd::Outcome(Err(Failure::InvalidParams(why)));
                self.shared.metrics.calls_started.increment(1);
                self.end(&slot, invalid, Ended::ByWorker);
                self.remove(&slot);
                Ok(slot)
            }
            Err(not_sent) => {
                self.remove(&slot);
                Err(match not_sent {
                    NotSent::Full => NotStarted::NoCredit,
                    NotSent::Closed | NotSent::TooLarge => NotStarted::NotLinked,
                })
            }
        }
    }

    fn reserve(&self, capacity: u32) -> Result<(), NotStarted> {
        let more = |n: u32| (n < capacity).then_some(n + 1);
        let reserved = self
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        reserved.map(drop).map_err(|_| NotStarted::NoCredit)
    }

    fn insert(&self, slot: Arc<Slot>) {
        let replaced = self.slots.lock().insert(slot.call, slot);
        if let Some(old) = replaced {
            self.end(&old, AttemptEnd::Lost, Ended::ByWorker);
            self.leave_room(&old);
        }
    }

    /// Removes this slot, not a later one of the same call.
    pub fn remove(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock();
        if slots
            .get(&slot.call)
            .is_some_and(|it| Arc::ptr_eq(it, slot))
        {
            slots.remove(&slot.call);
        }
        drop(slots);
        self.leave_room(slot);
    }

    fn leave_room(&self, slot: &Slot) {
        if slot.leave_room() {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub fn find(&self, call: CallId) -> Option<Arc<Slot>> {
        self.slots.lock().get(&call).cloned()
    }

    /// The slot of exactly this attempt.
    pub fn find_attempt(&self, call: CallId, attempt: u32) -> Option<Arc<Slot>> {
        self.find(call).filter(|slot| slot.attempt == attempt)
    }

    /// Ends a slot and counts it, if nothing has ended it before.
    pub fn end(&self, slot: &Slot, end: AttemptEnd, by: Ended) -> Ending {
        let counted = EndedCall::of(&end);
        let ending = slot.end(end, by);
        if ending.leaves_room {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
        if ending.fate == EndFate::First {
            self.shared.metrics.calls_ended.count(counted);
        }
        ending
    }

    // ---- from the worker ---------------------------------------------------------------

    pub fn outcome(&self, call: CallId, attempt: u32, outcome: Outcome) -> Result<(), NotMine> {
        let dropped = &self.shared.metrics.outcomes_dropped;
        let Some(slot) = self.find(call) else {
            dropped.count(DroppedOutcome::Unknown);
            self.forget_at_worker(call, attempt);
            return match self.excused.lock().take(call) {
                true => Ok(()),
                false => Err(NotMine),
            };
        };
        if slot.attempt != attempt {
            dropped.count(DroppedOutcome::Stale);
            self.forget_at_worker(call, attempt);
            return Ok(());
        }
        let ending = self.end(&slot, AttemptEnd::Outcome(outcome), Ended::ByWorker);
        match ending.fate {
            EndFate::First if ending.kept => {}
            EndFate::First => self.remove(&slot),
            EndFate::Duplicate => dropped.count(DroppedOutcome::Duplicate),
            EndFate::Late => {
                dropped.count(DroppedOutcome::Late);
                self.remove(&slot);
                self.forget_at_worker(call, attempt);
            }
        }
        Ok(())
    }

    pub fn refused(&self, slot: &Arc<Slot>, reason: RefusedReason) {
        self.end(slot, AttemptEnd::Refused(reason), Ended::ByWorker);
        self.remove(slot);
    }

    // ---- from the owner ----------------------------------------------------------------

    pub fn keep(&self, slot: &Slot) {
        if slot.keep() {
            let call = Some(slot.call.into());
            self.control(Frame::Keep(wire::Keep { call }));
        }
    }

    pub fn cancel(&self, slot: &Arc<Slot>, reason: &str) {
        let now = self.shared.env.now();
        // A client may have written it.
        let reason = clip(reason, REASON_BYTES_MAX);
        match slot.cancel(reason, now) {
            CancelStep::Nothing => {}
            CancelStep::Send => {
                let (call, reason) = (Some(slot.call.into()), reason.to_owned());
                self.control(Frame::Cancel(wire::Cancel { call, reason }));
            }
            CancelStep::TakeBack => {
                if self.link().is_some_and(|link| link.outbox.take_back(slot)) {
                    let cancelled = AttemptEnd::Outcome(Err(Failure::Cancelled));
                    self.end(slot, cancelled, Ended::ByWorker);
                    self.remove(slot);
                }
            }
        }
        self.look_at(now + self.shared.config.grace_cancel);
    }

    pub fn answer(&self, slot: &Arc<Slot>, answers: Vec<Answer>) {
        let taken = self.link().map(|link| link.outbox.taken());
        let orders = slot.answer(answers, taken);
        // A link that comes before this tells what is booked by itself: twice at worst, not never.
        if let Some(link) = self.link() {
            link.outbox.orders(slot, orders);
        }
    }

    pub fn recorded(&self, slot: &Arc<Slot>) {
        self.remove(slot);
        // After a new link the worker may just be saying it again.
        self.excused.lock().add(slot.call);
        if let Some(link) = self.link() {
            link.outbox.recorded(slot.call);
        }
    }

    pub fn set_deadline(&self, slot: &Slot, deadline: Instant) {
        slot.set_deadline(deadline);
        self.look_at(deadline);
    }

    pub fn disown(&self, slot: &Slot) {
        let now = || self.shared.env.now();
        if slot.disown(now) {
            self.look_at(now());
        }
    }

    /// Nobody will claim it. One that was claimed meanwhile goes on.
    pub fn forget(&self, slot: &Arc<Slot>) {
        match slot.forget(self.shared.env.now()) {
            None => return,
            Some(EndFate::First) => self.shared.metrics.calls_ended.count(EndedCall::Forgotten),
            Some(EndFate::Duplicate | EndFate::Late) => {}
        }
        self.give_up(slot);
    }

    /// Removes a call that its worker may still run; tells it if it is there to be told.
    fn give_up(&self, slot: &Arc<Slot>) {
        self.remove(slot);
        self.excused.lock().add(slot.call);
        self.forget_at_worker(slot.call, slot.attempt);
    }

    fn forget_at_worker(&self, call: CallId, attempt: u32) {
        let call = Some(call.into());
        self.control(Frame::Forget(wire::Forget { call, attempt }));
    }

    fn control(&self, frame: Frame) {
        if let Some(link) = self.link() {
            link.outbox.control(frame);
        }
    }

    /// The sweep must look at the slots at this time.
    fn look_at(&self, at: Instant) {
        self.next_due.fetch_min(at.0, Ordering::AcqRel);
    }
}
