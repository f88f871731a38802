//! What `dispatch` needs of the hub. `hub::Hub` is it; tests script it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use ostler_hub::{AttemptEvent, Hub, NewAttempt, NotStarted, Placement, WorkerRef};
use ostler_protocol::call::Answer;
use ostler_types::{CallId, Instant, ServerId, WorkerId};

/// All workers of this node.
pub trait Workers: Clone + Send + Sync + 'static {
    type Worker: Worker;
    type Attempt: Attempt;

    /// Linked, healthy workers of this Server that take calls.
    fn candidates(&self, server: &ServerId) -> Arc<[Self::Worker]>;
    fn start(
        &self,
        worker: &Self::Worker,
        new: &NewAttempt<'_>,
    ) -> Result<Self::Attempt, NotStarted>;
    /// Claims exactly this attempt, if it is kept and nobody owns it.
    fn attach(&self, call: CallId, placement: &Placement) -> Option<Self::Attempt>;
}

/// One of them.
pub trait Worker: Clone + Send + Sync + 'static {
    fn id(&self) -> &WorkerId;
    fn in_flight(&self) -> u32;
    fn capacity(&self) -> u32;
}

/// One attempt at one of them. Dropping it neither cancels nor ends it.
pub trait Attempt: Send + 'static {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<AttemptEvent>>;
    fn placement(&self) -> Placement;
    fn answer(&self, answers: Vec<Answer>);
    fn keep(&self);
    fn cancel(&self, reason: &str);
    fn recorded(&self);
    fn set_deadline(&self, deadline: Instant);
}

impl Workers for Hub {
    type Worker = WorkerRef;
    type Attempt = ostler_hub::Attempt;

    fn candidates(&self, server: &ServerId) -> Arc<[WorkerRef]> {
        Hub::candidates(self, server)
    }

    fn start(&self, worker: &WorkerRef, new: &NewAttempt<'_>) -> Result<Self::Attempt, NotStarted> {
        Hub::start(self, worker, new)
    }

    fn attach(&self, call: CallId, placement: &Placement) -> Option<Self::Attempt> {
        Hub::attach(self, call, placement)
    }
}

impl Worker for WorkerRef {
    fn id(&self) -> &WorkerId {
        WorkerRef::id(self)
    }

    fn in_flight(&self) -> u32 {
        WorkerRef::in_flight(self)
    }

    fn capacity(&self) -> u32 {
        WorkerRef::capacity(self)
    }
}

impl Attempt for ostler_hub::Attempt {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<AttemptEvent>> {
        ostler_hub::Attempt::poll_next(self, cx)
    }

    fn placement(&self) -> Placement {
        ostler_hub::Attempt::placement(self)
    }

    fn answer(&self, answers: Vec<Answer>) {
        ostler_hub::Attempt::answer(self, answers);
    }

    fn keep(&self) {
        ostler_hub::Attempt::keep(self);
    }

    fn cancel(&self, reason: &str) {
        ostler_hub::Attempt::cancel(self, reason);
    }

    fn recorded(&self) {
        ostler_hub::Attempt::recorded(self);
    }

    fn set_deadline(&self, deadline: Instant) {
        ostler_hub::Attempt::set_deadline(self, deadline);
    }
}
