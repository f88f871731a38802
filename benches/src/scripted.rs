//! A worker that answers at once and in place: what is left of a call is the dispatcher's work.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use ostler_dispatch::workers::{Attempt, Worker, Workers};
use ostler_hub::{AttemptEnd, AttemptEvent, NewAttempt, NotStarted, Placement};
use ostler_protocol::{Raw, call::Answer};
use ostler_types::{CallId, InstanceEpoch, Instant, ServerId, WorkerId};

use crate::hosted;

/// The whole roster: one worker, the one that [`crate::Hosted`] has registered.
#[derive(Clone)]
pub struct Scripted {
    workers: Arc<[Answering]>,
    result: Raw,
}

#[derive(Clone)]
pub struct Answering(WorkerId);

pub struct Answered(Option<Raw>);

impl Scripted {
    pub fn answering(result: Raw) -> Self {
        let workers = Arc::new([Answering(hosted::worker())]);
        Self { workers, result }
    }
}

impl Workers for Scripted {
    type Worker = Answering;
    type Attempt = Answered;

    fn candidates(&self, _server: &ServerId) -> Arc<[Answering]> {
        self.workers.clone()
    }

    fn start(&self, _worker: &Answering, _new: &NewAttempt<'_>) -> Result<Answered, NotStarted> {
        Ok(Answered(Some(self.result.clone())))
    }

    fn attach(&self, _call: CallId, _placement: &Placement) -> Option<Answered> {
        None
    }
}

impl Worker for Answering {
    fn id(&self) -> &WorkerId {
        &self.0
    }

    fn in_flight(&self) -> u32 {
        0
    }

    fn capacity(&self) -> u32 {
        1
    }
}

impl Attempt for Answered {
    fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Option<AttemptEvent>> {
        let ended = |result| AttemptEvent::Ended(AttemptEnd::Outcome(Ok(result)));
        Poll::Ready(self.0.take().map(ended))
    }

    fn placement(&self) -> Placement {
        Placement {
            worker: hosted::worker(),
            instance: InstanceEpoch(1),
            attempt: 1,
        }
    }

    fn answer(&self, _answers: Vec<Answer>) {}
    fn keep(&self) {}
    fn cancel(&self, _reason: &str) {}
    fn recorded(&self) {}
    fn set_deadline(&self, _deadline: Instant) {}
}
