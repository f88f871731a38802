//! The two ways to hold a call. Who holds it decides what a disconnect means.

use std::task::{Context, Poll};

use ostler_hub::{Hub, Placement};
use ostler_protocol::call::{Answer, CallEvent};
use ostler_types::{CallId, Instant};

use crate::{control::CallControl, flight::Flight, workers::Workers};

/// A call whose end is its holder's end: dropping it before the outcome cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct CallStream<W: Workers = Hub> {
    /// Empty once the call was kept.
    flight: Option<Box<Flight<W>>>,
}

/// A call that outlives its holder: dropping it only detaches. It ends by itself or by
/// [`KeptCall::cancel`].
///
/// If the call has to be sent to another worker, it keeps itself there and says
/// [`CallEvent::Kept`] again: the holder then stores the new [`KeptCall::placement`].
#[must_use = "a detached call runs on"]
pub struct KeptCall<W: Workers = Hub> {
    flight: Box<Flight<W>>,
}

impl<W: Workers> CallStream<W> {
    pub(crate) fn new(flight: Flight<W>) -> Self {
        let flight = Some(Box::new(flight));
        Self { flight }
    }

    /// The next item. The last one is [`CallEvent::Outcome`]: after it nothing is ever ready.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        self.flight_mut().poll_next(cx)
    }

    // Cancel safe: an item is taken in the poll that returns it.
    pub async fn next(&mut self) -> CallEvent {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub fn id(&self) -> CallId {
        self.flight().call()
    }

    /// Where it runs; `None` while no worker has it.
    pub fn placement(&self) -> Option<Placement> {
        self.flight().placement()
    }

    pub fn control(&self) -> &CallControl {
        self.flight().control()
    }

    /// Hands the client's answers to the worker.
    pub fn answer(&self, answers: Vec<Answer>) {
        self.flight().answer(answers);
    }

    /// Makes the call outlive its holder. The worker runs it on through a lost link once it has
    /// said [`CallEvent::Kept`].
    pub fn keep(mut self) -> KeptCall<W> {
        let mut flight = self.flight.take().expect(HELD);
        flight.keep();
        KeptCall { flight }
    }

    fn flight(&self) -> &Flight<W> {
        self.flight.as_deref().expect(HELD)
    }

    fn flight_mut(&mut self) -> &mut Flight<W> {
        self.flight.as_deref_mut().expect(HELD)
    }
}

const HELD: &str = "only `keep` takes the flight, and it takes the stream too";

impl<W: Workers> Drop for CallStream<W> {
    fn drop(&mut self) {
        if let Some(flight) = &mut self.flight {
            flight.abandon();
        }
    }
}

impl<W: Workers> KeptCall<W> {
    pub(crate) fn new(flight: Flight<W>) -> Self {
        let flight = Box::new(flight);
        Self { flight }
    }

    /// The next item. The last one is [`CallEvent::Outcome`]: after it nothing is ever ready.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        self.flight.poll_next(cx)
    }

    // Cancel safe: an item is taken in the poll that returns it.
    pub async fn next(&mut self) -> CallEvent {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub fn id(&self) -> CallId {
        self.flight.call()
    }

    /// Where it runs; `None` while no worker has it.
    pub fn placement(&self) -> Option<Placement> {
        self.flight.placement()
    }

    pub fn control(&self) -> &CallControl {
        self.flight.control()
    }

    /// Hands the client's answers to the worker.
    pub fn answer(&self, answers: Vec<Answer>) {
        self.flight.answer(answers);
    }

    /// Asks the worker to stop. The outcome still comes.
    pub fn cancel(&self, reason: &str) {
        self.flight.cancel(reason);
    }

    /// The outcome is stored: worker and hub may forget it.
    pub fn recorded(&self) {
        self.flight.recorded();
    }

    /// Moves the deadline, when the call becomes a task.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.flight.set_deadline(deadline);
    }
}

impl<W: Workers> Drop for KeptCall<W> {
    fn drop(&mut self) {
        self.flight.detach();
    }
}
