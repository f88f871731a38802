//! What a request gets that hands a call over or comes back for it.

use ostler_actor::Held;
use ostler_protocol::{
    call::{Log, Outcome, Progress, Question},
    task::TaskView,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    actor::{Control, Handle},
    error::TaskError,
    known::KnownAnswers,
    state::Ticket,
};

/// Questions for the client, and what it brings back with the answers [MR-2].
#[derive(Debug, Clone, PartialEq)]
pub struct InputRequired {
    pub questions: Vec<Question>,
    pub request_state: String,
}

/// How a request ends that waits for a call.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    InputRequired(InputRequired),
    Outcome(Outcome),
    /// The call goes on as a task.
    Task(TaskView),
    /// The call is lost, and its tool says that it may run again from the start with these
    /// answers.
    Rerun(KnownAnswers),
}

/// What a request finds that comes back with a `requestState`.
pub enum Resumed {
    /// The call runs; this request follows it.
    Live(RoundStream),
    End(End),
}

/// What a request hears of the call it follows.
#[derive(Debug, Clone, PartialEq)]
pub enum RoundEvent {
    Progress(Progress),
    Log(Log),
    /// The last one.
    End(End),
}

/// One request that follows a call for one round. Dropping the last one that follows a call
/// before its end cancels the call: on this wire a closed request means cancel.
pub struct RoundStream {
    ticket: Ticket,
    handle: Held<Handle>,
    steps: mpsc::Receiver<Step>,
    /// `None` once it was received.
    end: Option<oneshot::Receiver<Result<End, TaskError>>>,
}

/// What the actor sends ahead of the end.
#[derive(Debug)]
pub(crate) enum Step {
    Following,
    Progress(Progress),
    Log(Log),
}

/// The actor's side of a [`RoundStream`]. The actor sees when the other side is dropped.
pub(crate) struct Follower {
    pub ticket: Ticket,
    pub steps: mpsc::Sender<Step>,
    pub end: oneshot::Sender<Result<End, TaskError>>,
}

/// Chatter that waits for one request; what does not fit is dropped.
const STEPS_LEN_MAX: usize = 16;

/// A request's two ends, before the actor is known.
pub(crate) struct Unattached {
    ticket: Ticket,
    steps: mpsc::Receiver<Step>,
    end: oneshot::Receiver<Result<End, TaskError>>,
}

pub(crate) fn follower(ticket: Ticket) -> (Follower, Unattached) {
    let (steps_tx, steps) = mpsc::channel(STEPS_LEN_MAX);
    let (end_tx, end) = oneshot::channel();
    let follower = Follower {
        ticket,
        steps: steps_tx,
        end: end_tx,
    };
    let unattached = Unattached { ticket, steps, end };
    (follower, unattached)
}

impl Unattached {
    pub fn attach(self, handle: Held<Handle>) -> RoundStream {
        RoundStream {
            ticket: self.ticket,
            handle,
            steps: self.steps,
            end: Some(self.end),
        }
    }
}

impl RoundStream {
    /// The next event; `None` after [`RoundEvent::End`] and after an error.
    // Cancel safe: an event is taken in the poll that returns it.
    pub async fn next(&mut self) -> Option<Result<RoundEvent, TaskError>> {
        loop {
            // The actor closes this channel with the end, so the end comes last.
            match self.steps.recv().await {
                Some(Step::Following) => {}
                Some(Step::Progress(progress)) => return Some(Ok(RoundEvent::Progress(progress))),
                Some(Step::Log(log)) => return Some(Ok(RoundEvent::Log(log))),
                None => break,
            }
        }
        let end = self.end.as_mut()?.await;
        self.end = None;
        // An actor that ends without a word was stopped: the client comes back to the next.
        let end = end.unwrap_or(Err(TaskError::Draining));
        Some(end.map(RoundEvent::End))
    }

    /// The short hold has passed: the call may become a task. Whether it does, and what came
    /// first, is told by [`RoundStream::next`].
    pub fn request_task(&self) {
        // A full lane loses only this hint; the call goes on as it is.
        drop(self.handle.address.control(Control::WantsTask(self.ticket)));
    }

    /// Whether the request follows the call, or has its end already.
    // Cancel safe: dropping it leaves the call, which the actor sees.
    pub(crate) async fn begin(mut self) -> Result<Resumed, TaskError> {
        match self.steps.recv().await {
            Some(_) => Ok(Resumed::Live(self)),
            None => self.end().await.map(Resumed::End),
        }
    }

    /// Waits for the end and lets chatter pass.
    pub(crate) async fn end(mut self) -> Result<End, TaskError> {
        loop {
            match self.next().await {
                Some(Ok(RoundEvent::End(end))) => return Ok(end),
                Some(Ok(RoundEvent::Progress(_) | RoundEvent::Log(_))) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(TaskError::Draining),
            }
        }
    }
}
