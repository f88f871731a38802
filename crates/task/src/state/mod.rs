//! The pure machine of a call that outlives its request.
//!
//! ```text
//! begin ─> Followed ─ask─> Parked ─answers─> Followed ─> ... ─> Ended ─> Gone
//!             └───────── becomes a task ─> Task ───────────────┘
//! ```
//!
//! A request that waits for the next step of the call *follows* it. When a step is there and
//! the worker keeps the call, every follower gets the same end: questions with a
//! `requestState`, the outcome, or the handle of a task. What is not shown yet is not stored
//! either; whatever is shown was stored by the same turn. A request that *waits* for the result
//! of a task gets nothing else; it is where the client of 2025-11-25 is asked.

mod call;
mod effects;
mod questions;
mod round;
mod task;
mod waiters;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ostler_dispatch::FollowedBy;
use ostler_hub::Placement;
use ostler_protocol::{
    Raw,
    call::{Answer, CallEvent, Failure, Outcome},
    facet::ClientFacet,
    fault::Fault,
};
use ostler_types::Timestamp;

use crate::{config::Config, error::TaskError, facts::Facts, known::KnownAnswers};

pub(crate) use effects::{Asking, Chatter, Effect, Effects, Keep, Reply, View};
pub(crate) use questions::{Asked, FailedAnswer};
pub(crate) use waiters::Waiters;

/// Names a request that waits for this actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(pub u64);

/// Everything that can wake the machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// The worker's side.
    Call(CallEvent),
    /// The call was found again after a restart.
    Attached,
    /// Its worker is another process now, which knows nothing of it.
    Lost,
    /// A request of this turn was refused because the turn could not be stored. It waits no
    /// more, which says nothing about its client.
    Unfollowed(Ticket),
    /// The first turn could not be stored: nobody holds anything, so nothing may go on.
    NeverStored,
    /// The call was sent to another worker: it runs from its start again.
    Resent(Placement),
    /// A client came back with a `requestState`.
    Resume(Resume),
    /// A follower asks for the call to become a task: the short hold has passed.
    WantsTask(Ticket),
    /// The request of a follower or a waiter is gone.
    Left(Ticket),
    Get(Ticket),
    Update(Ticket, BTreeMap<String, Raw>),
    Cancel(Ticket),
    /// The same, and it is over with that: in the dialect of 2025-11-25.
    CancelNow(Ticket),
    /// A request waits for the result, and is asked meanwhile what the client must answer.
    Wait(Ticket, FollowedBy),
    /// A waiter's client answered, by the keys it was shown.
    Answers(Ticket, Vec<Answer>),
    /// The time that [`TaskState::next_tick`] named has come, or any other.
    Tick,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resume {
    pub ticket: Ticket,
    /// The round of the token.
    pub round: u32,
    pub answers: BTreeMap<String, Raw>,
    /// What the client of this request can do.
    pub facet: ClientFacet,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    /// The client holds a `requestState` and is expected back.
    Parked,
    /// Requests wait for the next step; the last to leave cancels the call.
    Followed(Vec<Ticket>),
    /// The client holds a handle.
    Task(TaskPart),
    /// The call has ended; kept until the deadline for a client that comes back.
    Ended(Ended),
    /// Nothing is left, in the store neither.
    Gone,
}

/// What only a task has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskPart {
    pub created_at: Timestamp,
    pub ttl: Duration,
    /// Of the last progress. Not stored.
    pub message: Option<String>,
    /// Keys that were ever shown; none is shown twice [TK-6].
    pub used: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    pub ending: Ending,
    /// Set when the client holds a handle.
    pub task: Option<TaskPart>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Outcome(Outcome),
    /// By `tasks/cancel`.
    Cancelled,
    /// Every request that followed it was closed, which on this wire means cancel.
    Abandoned,
}

impl Ending {
    /// What a request gets that waits for the result.
    pub fn to_outcome(&self) -> Outcome {
        match self {
            // Not `Cancelled`: that would be this request, which would get no answer.
            Ending::Outcome(Err(Failure::Cancelled)) | Ending::Cancelled | Ending::Abandoned => {
                Err(Fault::Cancelled.to_failure())
            }
            Ending::Outcome(outcome) => outcome.clone(),
        }
    }
}

/// One call that outlives its request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskState {
    pub facts: Facts,
    /// Of the client that is asked: of the latest request, or the one that got the handle.
    pub facet: ClientFacet,
    pub phase: Phase,
    /// Rounds of questions shown so far; the token of the latest is the current one.
    pub round: u32,
    /// Batches of questions the worker asked.
    pub asks: u32,
    pub questions: Vec<Asked>,
    pub known: KnownAnswers,
    /// Questions that are over without an answer: a worker that is found again hears so again.
    /// Bounded by the questions of one task.
    pub failed: Vec<FailedAnswer>,
    /// Requests that wait for the result.
    pub waiters: Waiters,
    /// How the client knows questions, open or not, by the worker's keys that it cannot use
    /// again. Not stored but with what is open: after a restart such a key stands for itself.
    pub renamed: BTreeMap<String, String>,
    /// The worker or a follower wants it to be a task.
    pub wants_task: bool,
    pub updated_at: Timestamp,
    /// When it goes, whatever its phase.
    pub deadline: Timestamp,
    /// The call was told to stop, and has until then to end by itself.
    pub cancel_by: Option<Timestamp>,
    /// Where the call runs, as far as is known.
    pub place: Option<Placement>,
    /// The worker runs the call on through a lost link. Not stored: what is stored is kept.
    pub kept: bool,
    /// Some version of it is stored, so a client may hold something. Not stored itself.
    pub stored: bool,
    /// After a restart: until when the worker may name the call again. Not stored.
    pub missing_until: Option<Timestamp>,
    /// The call was found again, and its next questions are those that were open. Not stored.
    pub retold: bool,
}

/// What a call brings along when it is handed over.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Birth {
    pub questions: Vec<ostler_protocol::call::Question>,
    pub known: KnownAnswers,
    pub wants_task: bool,
    pub place: Option<Placement>,
}

/// What an actor may do between two turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It must stay: a call runs, or someone waits.
    Busy,
    /// It may retire; all it knows is stored.
    Idle,
    /// Nothing of it is left.
    Over,
}

impl TaskState {
    /// A call handed over by the request `ticket`, which follows it.
    pub fn begin(
        config: &Config,
        facts: Facts,
        facet: ClientFacet,
        ticket: Ticket,
        birth: Birth,
    ) -> Self {
        let now = facts.created_at;
        let mut state = Self {
            facts,
            facet,
            phase: Phase::Followed(vec![ticket]),
            round: 0,
            asks: 1,
            questions: Vec::new(),
            known: birth.known,
            failed: Vec::new(),
            waiters: Waiters::default(),
            renamed: BTreeMap::new(),
            wants_task: birth.wants_task,
            updated_at: now,
            deadline: now + config.park_timeout,
            cancel_by: None,
            place: birth.place,
            kept: false,
            stored: false,
            missing_until: None,
            retold: false,
        };
        for question in birth.questions {
            state.open(question);
        }
        state
    }

    /// What was read from the store wakes; its call is not found yet.
    pub fn wake(&mut self, config: &Config, now: Timestamp) {
        self.stored = true;
        self.kept = true;
        self.missing_until = self.is_unfinished().then(|| now + config.rebind_grace);
    }

    pub fn apply(&mut self, config: &Config, now: Timestamp, input: Input, fx: &mut Effects) {
        match input {
            Input::Call(event) => self.on_event(config, now, event, fx),
            Input::Attached => self.on_attached(fx),
            Input::Lost => self.on_replaced(config, now, fx),
            Input::Resent(place) => self.on_resent(place, fx),
            Input::Unfollowed(ticket) => self.on_unfollowed(ticket),
            Input::NeverStored => self.on_never_stored(config, now, fx),
            Input::Resume(resume) => self.on_resume(config, now, resume, fx),
            Input::WantsTask(ticket) => self.on_wants_task(ticket),
            Input::Left(ticket) => {
                self.on_waiter_left(ticket);
                self.on_left(config, now, ticket, fx);
            }
            Input::Get(ticket) => self.on_get(ticket, fx),
            Input::Update(ticket, answers) => self.on_update(now, ticket, answers, fx),
            Input::Cancel(ticket) => self.on_cancel(config, now, ticket, fx),
            Input::CancelNow(ticket) => self.on_cancel_now(config, now, ticket, fx),
            Input::Wait(ticket, by) => self.on_wait(config, ticket, by, fx),
            Input::Answers(ticket, answers) => self.on_answers(now, ticket, answers, fx),
            Input::Tick => self.on_tick(config, now, fx),
        }
        self.settle(config, now, fx);
        self.show_waiters(fx);
    }

    /// When to be woken by [`Input::Tick`].
    pub fn next_tick(&self) -> Option<Timestamp> {
        let deadline = self.stored.then_some(self.deadline);
        let times = [deadline, self.cancel_by, self.missing_until];
        match self.phase {
            Phase::Gone => self.cancel_by,
            _ => times.into_iter().flatten().min(),
        }
    }

    pub fn rest(&self) -> Rest {
        match (&self.phase, self.cancel_by) {
            (Phase::Ended(_) | Phase::Gone, Some(_)) => Rest::Busy,
            (Phase::Parked | Phase::Followed(_) | Phase::Task(_), _) => Rest::Busy,
            (Phase::Ended(_), None) => Rest::Idle,
            (Phase::Gone, None) => Rest::Over,
        }
    }

    /// It counts against its principal's quota.
    pub fn is_unfinished(&self) -> bool {
        match self.phase {
            Phase::Parked | Phase::Followed(_) | Phase::Task(_) => true,
            Phase::Ended(_) | Phase::Gone => false,
        }
    }

    // Any unfinished phase => Ended: followers get the end, the client can come back for it.
    // What was never shown needs no memory: => Gone.
    fn end(&mut self, config: &Config, now: Timestamp, ending: Ending, fx: &mut Effects) {
        if ending != Ending::Abandoned {
            self.become_requested_task(config, now, fx);
        }
        // A task whose worker stopped is cancelled, whoever told it to [TK-8].
        let ending = match (&self.phase, ending) {
            (Phase::Task(_), Ending::Outcome(Err(Failure::Cancelled))) => Ending::Cancelled,
            (_, ending) => ending,
        };
        let before = std::mem::replace(&mut self.phase, Phase::Gone);
        let (followers, task) = match before {
            Phase::Parked => (Vec::new(), None),
            Phase::Followed(followers) => (followers, None),
            Phase::Task(part) => (Vec::new(), Some(part)),
            // An end is final [TK-8].
            ended @ (Phase::Ended(_) | Phase::Gone) => {
                self.phase = ended;
                return;
            }
        };
        self.questions.clear();
        self.missing_until = None;
        self.updated_at = now;
        for ticket in followers {
            fx.reply(ticket, self.end_reply(&ending));
        }
        self.tell_waiters_the_end(&ending.to_outcome(), fx);
        if !self.stored {
            return;
        }
        self.phase = Phase::Ended(Ended { ending, task });
        self.keep_result(config, now);
        fx.save();
        fx.publish(self);
    }

    // Any => Gone: without a trace, but the call is stopped.
    fn on_never_stored(&mut self, config: &Config, now: Timestamp, fx: &mut Effects) {
        if self.is_unfinished() {
            self.cancel_call(config, now, fx);
        }
        self.phase = Phase::Gone;
        self.stored = false;
        *fx = Effects {
            cancel_call: fx.cancel_call,
            ..Effects::default()
        };
    }

    fn on_tick(&mut self, config: &Config, now: Timestamp, fx: &mut Effects) {
        if self.missing_until.is_some_and(|at| at <= now) {
            self.on_lost(config, now, fx);
        }
        if self.cancel_by.is_some_and(|at| at <= now) {
            self.cancel_by = None;
            // Not parked or followed: those end with the order to cancel.
            if let Phase::Task(_) = self.phase {
                self.end(config, now, Ending::Cancelled, fx);
            }
        }
        if self.stored && self.deadline <= now {
            self.on_deadline(config, now, fx);
        }
    }

    // Parked | Task => Gone: the time to come back has passed [MR-10] [TK-7].
    // Followed stays: a request that waits has its own deadline.
    // Ended => Gone.
    fn on_deadline(&mut self, config: &Config, now: Timestamp, fx: &mut Effects) {
        match self.phase {
            Phase::Followed(_) => self.deadline = now + config.park_timeout,
            Phase::Parked | Phase::Task(_) => {
                self.cancel_call(config, now, fx);
                self.phase = Phase::Gone;
                fx.erase();
                // As if it never was [TK-3].
                let unknown = Fault::from(TaskError::Unknown);
                self.tell_waiters_the_end(&Err(unknown.to_failure()), fx);
            }
            Phase::Ended(_) => {
                self.phase = Phase::Gone;
                fx.erase();
            }
            Phase::Gone => {}
        }
    }

    fn cancel_call(&mut self, config: &Config, now: Timestamp, fx: &mut Effects) {
        self.cancel_by.get_or_insert(now + config.cancel_grace);
        self.missing_until = None;
        fx.cancel_call();
    }
}

#[cfg(test)]
mod tests;
