//! One attempt at one worker, as its owner holds it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use ostler_protocol::{
    Raw,
    call::{Answer, CallEvent, Outcome},
    facet::ClientFacet,
};
use ostler_types::{CallId, CallKind, Caller, InstanceEpoch, Instant, ServerId, WorkerId};

use crate::{instance::Instance, slot::Slot};

/// What a worker is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct NewAttempt<'a> {
    pub call: CallId,
    /// Counts from 1; each attempt at a call has its own number.
    pub attempt: u32,
    pub server: &'a ServerId,
    pub kind: CallKind,
    pub target: &'a str,
    pub arguments: &'a Raw,
    pub client: &'a ClientFacet,
    pub caller: &'a Caller,
    pub deadline: Instant,
    pub wants_progress: bool,
    /// Answers known from the start.
    pub answers: &'a [Answer],
}

/// Where an attempt runs. An outcome from anywhere else does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    pub worker: WorkerId,
    pub instance: InstanceEpoch,
    pub attempt: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AttemptEvent {
    /// Never [`CallEvent::Outcome`]: that is [`AttemptEnd::Outcome`].
    Event(CallEvent),
    /// The last item.
    Ended(AttemptEnd),
}

/// How an attempt ended. All but the first say that there is no outcome.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptEnd {
    Outcome(Outcome),
    /// The worker did not run it.
    Refused(RefusedReason),
    /// The frame never reached the transport: it did not run.
    NotHanded,
    /// The same worker process came back and does not know the call: it did not run.
    NotNamed,
    /// The worker is gone. It may have run.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedReason {
    Busy,
    UnknownTarget,
    Draining,
}

/// A running attempt. Dropping it does not cancel: whoever wraps it decides. A kept one can be
/// claimed again by [`crate::Hub::attach`].
pub struct Attempt {
    instance: Arc<Instance>,
    slot: Arc<Slot>,
}

impl Attempt {
    pub(crate) fn new(instance: Arc<Instance>, slot: Arc<Slot>) -> Attempt {
        Attempt { instance, slot }
    }

    /// The next item; `None` after the end. Chatter may be missing when this is polled slowly.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<AttemptEvent>> {
        self.slot.poll_next(cx)
    }

    // Cancel safe: an item is taken in the poll that returns it.
    pub async fn next(&mut self) -> Option<AttemptEvent> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub fn call(&self) -> CallId {
        self.slot.call
    }

    pub fn placement(&self) -> Placement {
        self.instance.placement(&self.slot)
    }

    /// Hands the client's answers to the worker.
    pub fn answer(&self, answers: Vec<Answer>) {
        self.instance.answer(&self.slot, answers);
    }

    /// Asks the worker to run on through a lost link. [`CallEvent::Kept`] tells that it does.
    pub fn keep(&self) {
        self.instance.keep(&self.slot);
    }

    /// Asks the worker to stop. The end still comes by [`Attempt::poll_next`].
    pub fn cancel(&self, reason: &str) {
        self.instance.cancel(&self.slot, reason);
    }

    /// The outcome of this kept call is stored: worker and hub forget it.
    pub fn recorded(&self) {
        self.instance.recorded(&self.slot);
    }

    /// Moves the deadline, when the call becomes a task or is claimed again. A claimed call has
    /// none until then.
    pub fn set_deadline(&self, deadline: Instant) {
        self.instance.set_deadline(&self.slot, deadline);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.instance.disown(&self.slot);
    }
}
