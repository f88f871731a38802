//! The two ways to hold a call. Who holds it decides what a disconnect means. A call that has an
//! owner already can be followed in the same two ways; then neither drop concerns the call itself.

use std::task::{Context, Poll};

use ostler_hub::{Hub, Placement};
use ostler_protocol::call::{Answer, CallEvent};
use ostler_types::{CallId, Instant};

use crate::{
    control::CallControl,
    flight::Flight,
    source::{Following, SourcedCall},
    workers::Workers,
};

/// A call whose end is its holder's end: dropping it before the outcome cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct CallStream<W: Workers = Hub> {
    /// Empty once the call was kept.
    run: Option<Run<W>>,
}

/// A call that outlives its holder: dropping it only detaches. It ends by itself or by
/// [`KeptCall::cancel`].
///
/// If the call has to be sent to another worker, it keeps itself there and says
/// [`CallEvent::Kept`] again: the holder then stores the new [`KeptCall::placement`].
#[must_use = "a detached call runs on"]
pub struct KeptCall<W: Workers = Hub> {
    run: Run<W>,
}

/// Where the items of a call come from.
enum Run<W: Workers> {
    /// A worker, by way of this dispatcher.
    Flight(Box<Flight<W>>),
    /// Whoever owns it. It runs whatever its holders do.
    Followed(Box<Following>),
}

impl<W: Workers> CallStream<W> {
    pub(crate) fn new(flight: Flight<W>) -> Self {
        let run = Some(Run::Flight(Box::new(flight)));
        Self { run }
    }

    /// A call that somebody else owns. `id` is this following's own, not that of the call.
    pub fn followed(id: CallId, call: Box<dyn SourcedCall>, control: CallControl) -> Self {
        let following = Following::new(id, call, control);
        let run = Some(Run::Followed(Box::new(following)));
        Self { run }
    }

    /// The next item. The last one is [`CallEvent::Outcome`]: after it nothing is ever ready.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        self.run.as_mut().expect(HELD).poll_next(cx)
    }

    // Cancel safe: an item is taken in the poll that returns it.
    pub async fn next(&mut self) -> CallEvent {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub fn id(&self) -> CallId {
        self.run().id()
    }

    /// Where it runs; `None` while no worker has it, and for a call that is followed.
    pub fn placement(&self) -> Option<Placement> {
        self.run().placement()
    }

    pub fn control(&self) -> &CallControl {
        self.run().control()
    }

    /// Hands the client's answers to the worker.
    pub fn answer(&self, answers: Vec<Answer>) {
        self.run().answer(answers);
    }

    /// Makes the call outlive its holder. The worker runs it on through a lost link once it has
    /// said [`CallEvent::Kept`].
    pub fn keep(mut self) -> KeptCall<W> {
        let mut run = self.run.take().expect(HELD);
        match &mut run {
            Run::Flight(flight) => flight.keep(),
            Run::Followed(following) => following.keep(),
        }
        KeptCall { run }
    }

    fn run(&self) -> &Run<W> {
        self.run.as_ref().expect(HELD)
    }
}

const HELD: &str = "only `keep` takes the call, and it takes the stream too";

impl<W: Workers> Drop for CallStream<W> {
    fn drop(&mut self) {
        if let Some(Run::Flight(flight)) = &mut self.run {
            flight.abandon();
        }
    }
}

impl<W: Workers> KeptCall<W> {
    pub(crate) fn new(flight: Flight<W>) -> Self {
        let run = Run::Flight(Box::new(flight));
        Self { run }
    }

    /// The next item. The last one is [`CallEvent::Outcome`]: after it nothing is ever ready.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        self.run.poll_next(cx)
    }

    // Cancel safe: an item is taken in the poll that returns it.
    pub async fn next(&mut self) -> CallEvent {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub fn id(&self) -> CallId {
        self.run.id()
    }

    /// Somebody else owns it.
    pub fn is_followed(&self) -> bool {
        matches!(self.run, Run::Followed(_))
    }

    /// Where it runs; `None` while no worker has it, and for a call that is followed.
    pub fn placement(&self) -> Option<Placement> {
        self.run.placement()
    }

    pub fn control(&self) -> &CallControl {
        self.run.control()
    }

    /// Hands the client's answers to the worker.
    pub fn answer(&self, answers: Vec<Answer>) {
        self.run.answer(answers);
    }

    /// Asks the worker to stop; one that only follows a call stops that. The outcome still comes.
    pub fn cancel(&self, reason: &str) {
        match &self.run {
            Run::Flight(flight) => flight.cancel(reason),
            Run::Followed(following) => following.control().cancel(reason),
        }
    }

    /// The outcome is stored: worker and hub may forget it.
    pub fn recorded(&self) {
        match &self.run {
            Run::Flight(flight) => flight.recorded(),
            Run::Followed(_) => {}
        }
    }

    /// Moves the deadline, when the call becomes a task. What is followed has its owner's.
    pub fn set_deadline(&mut self, deadline: Instant) {
        match &mut self.run {
            Run::Flight(flight) => flight.set_deadline(deadline),
            Run::Followed(_) => {}
        }
    }
}

impl<W: Workers> Drop for KeptCall<W> {
    fn drop(&mut self) {
        match &mut self.run {
            Run::Flight(flight) => flight.detach(),
            Run::Followed(_) => {}
        }
    }
}

impl<W: Workers> Run<W> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        match self {
            Run::Flight(flight) => flight.poll_next(cx),
            Run::Followed(following) => following.poll_next(cx),
        }
    }

    fn id(&self) -> CallId {
        match self {
            Run::Flight(flight) => flight.call(),
            Run::Followed(following) => following.id(),
        }
    }

    fn placement(&self) -> Option<Placement> {
        match self {
            Run::Flight(flight) => flight.placement(),
            Run::Followed(_) => None,
        }
    }

    fn control(&self) -> &CallControl {
        match self {
            Run::Flight(flight) => flight.control(),
            Run::Followed(following) => following.control(),
        }
    }

    fn answer(&self, answers: Vec<Answer>) {
        match self {
            Run::Flight(flight) => flight.answer(answers),
            Run::Followed(following) => following.answer(answers),
        }
    }
}
