//! A request that waits for the result of a task, whatever becomes of the task's actor meanwhile:
//! it looks for the actor anew, and tells it again what was answered.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use ostler_actor::{Held, NotSent};
use ostler_dispatch::{FollowedBy, SourcedCall};
use ostler_protocol::{
    call::{Answer, CallEvent},
    fault::Fault,
};
use ostler_types::TaskId;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    actor::{Command, Handle},
    error::TaskError,
    facts::Owner,
    live::Inner,
    state::Ticket,
};

/// The actor's side. The actor sees when the other side is dropped.
pub(crate) struct Waiter {
    pub ticket: Ticket,
    pub by: FollowedBy,
    pub answers: mpsc::Receiver<Answer>,
    /// `None` once it was cut off.
    events: Option<mpsc::Sender<CallEvent>>,
    inner: Arc<Inner>,
}

/// What is said to one waiter and not taken yet. Chatter leaves room for the rest. Questions and
/// outcomes share their bytes with the task, so the worst case is half of these in chatter, each as
/// large as a message of a worker may be.
const EVENTS_LEN_MAX: usize = 64;
const CHATTER_ROOM_MIN: usize = 32;

/// How long an actor may take to hear that somebody waits.
const PATIENCE: Duration = Duration::from_secs(10);

impl Waiter {
    fn new(
        inner: &Arc<Inner>,
        by: FollowedBy,
        events: mpsc::Sender<CallEvent>,
        answers: mpsc::Receiver<Answer>,
    ) -> Self {
        inner.metrics.waits_started.increment(1);
        Self {
            ticket: inner.ticket(),
            by,
            answers,
            events: Some(events),
            inner: inner.clone(),
        }
    }

    /// One that has no room is cut off: it comes back by itself, and is told anew.
    pub fn tell(&mut self, event: CallEvent) {
        let Some(events) = &self.events else {
            return;
        };
        if let Err(error) = events.try_send(event) {
            let is_slow = matches!(error, TrySendError::Full(_));
            let cut = &self.inner.metrics.waiters_cut;
            cut.increment(u64::from(is_slow));
            self.events = None;
            self.answers.close();
        }
    }

    /// Dropped where there is little room.
    pub fn chat(&self, event: CallEvent) {
        if let Some(events) = &self.events
            && events.capacity() > CHATTER_ROOM_MIN
        {
            drop(events.try_send(event));
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.inner.metrics.waits_ended.increment(1);
    }
}

/// The other side.
pub(crate) struct Waiting {
    inner: Arc<Inner>,
    owner: Owner,
    /// The handle, as the client has it.
    task: Arc<str>,
    by: FollowedBy,
    tie: Tie,
    /// All that was answered: nobody knows which of it an actor that is gone had stored. Bounded
    /// by the questions of one task.
    given: Mutex<Vec<Answer>>,
}

enum Tie {
    Reaching(Pin<Box<dyn Future<Output = Result<Line, TaskError>> + Send>>),
    Tied(Line),
    Over,
}

/// To a live actor, which it keeps awake.
struct Line {
    _held: Held<Handle>,
    events: mpsc::Receiver<CallEvent>,
    answers: mpsc::Sender<Answer>,
}

impl Waiting {
    pub fn new(inner: Arc<Inner>, owner: Owner, task: &str, by: FollowedBy) -> Self {
        let task: Arc<str> = task.into();
        Self {
            tie: reaching(&inner, &owner, &task, by),
            inner,
            owner,
            task,
            by,
            given: Mutex::default(),
        }
    }

    /// Whoever is there now is told what was answered.
    fn tie_to(&mut self, line: Line) {
        for answer in self.given.lock().iter() {
            line.give(answer.clone());
        }
        self.tie = Tie::Tied(line);
    }
}

impl SourcedCall for Waiting {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        loop {
            match &mut self.tie {
                Tie::Over => return Poll::Pending,
                Tie::Reaching(reaching) => match ready!(reaching.as_mut().poll(cx)) {
                    Ok(line) => self.tie_to(line),
                    Err(error) => {
                        self.tie = Tie::Over;
                        let refused = Fault::from(error).to_failure();
                        return Poll::Ready(CallEvent::Outcome(Err(refused)));
                    }
                },
                Tie::Tied(line) => match ready!(line.events.poll_recv(cx)) {
                    Some(event @ CallEvent::Outcome(_)) => {
                        self.tie = Tie::Over;
                        return Poll::Ready(event);
                    }
                    Some(event) => return Poll::Ready(event),
                    // The actor is gone or has cut us off: there is another, or none.
                    None => self.tie = reaching(&self.inner, &self.owner, &self.task, self.by),
                },
            }
        }
    }

    fn answer(&self, answers: Vec<Answer>) {
        if let Tie::Tied(line) = &self.tie {
            answers.iter().for_each(|answer| line.give(answer.clone()));
        }
        self.given.lock().extend(answers);
    }
}

impl Line {
    /// There is room for an answer to every question that a task may ask. If it is closed, the
    /// next line is given all of them.
    fn give(&self, answer: Answer) {
        if let Err(error) = self.answers.try_send(answer) {
            tracing::debug!(%error, "an answer waits for the next actor of its task");
        }
    }
}

fn reaching(inner: &Arc<Inner>, owner: &Owner, task: &Arc<str>, by: FollowedBy) -> Tie {
    let (inner, owner, task) = (inner.clone(), owner.clone(), task.clone());
    Tie::Reaching(Box::pin(reach(inner, owner, task, by)))
}

/// Finds the actor of a task. What may pass is waited for, since whoever waits for a result has
/// time: as long as its request is there, which ends with its stream or when nobody reads that.
async fn reach(
    inner: Arc<Inner>,
    owner: Owner,
    task: Arc<str>,
    by: FollowedBy,
) -> Result<Line, TaskError> {
    let id = inner.read_id(&task)?;
    loop {
        match tie(&inner, &owner, id, by).await {
            Err(TaskError::Storage | TaskError::Overloaded | TaskError::Draining) => {
                inner.env.sleep(inner.config.store_retry).await;
            }
            reached => return reached,
        }
    }
}

async fn tie(
    inner: &Arc<Inner>,
    owner: &Owner,
    id: TaskId,
    by: FollowedBy,
) -> Result<Line, TaskError> {
    let held = inner.hold(owner, id).await?;
    let (events_tx, events) = mpsc::channel(EVENTS_LEN_MAX);
    let (answers, answers_rx) = mpsc::channel(inner.config.questions_per_task_max);
    let waiter = Waiter::new(inner, by, events_tx, answers_rx);
    let deadline = inner.env.now() + PATIENCE;
    let sent = held
        .address
        .send(&inner.env, Command::Wait(waiter), deadline);
    match sent.await {
        Ok(()) => Ok(Line {
            _held: held,
            events,
            answers,
        }),
        Err(NotSent::Full(_) | NotSent::Closed(_)) => Err(TaskError::Overloaded),
    }
}
