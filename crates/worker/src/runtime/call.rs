//! One call, as its handler and its link see it.

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use ostler_env::Env;
use ostler_protocol::{
    call::{Answer, Log, Progress, Question},
    facet::{Capability, ClientFacet},
    json::Raw,
};
use ostler_rpc::worker_v1::{self as wire, from_worker::Frame};
use ostler_types::{CallId, CallKind, Instant, TraceContext};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{asks::Asks, outbox::Outbox};
use crate::{ctx::CallerAssertion, error::AskError};

/// What a call brought along.
pub(crate) struct Facts {
    pub kind: CallKind,
    pub target: String,
    pub client: ClientFacet,
    pub caller: CallerAssertion,
    pub trace: Option<TraceContext>,
    pub deadline: Option<Instant>,
    pub wants_progress: bool,
}

pub(crate) struct Call {
    pub id: CallId,
    pub attempt: u32,
    pub facts: Facts,
    pub env: Env,
    state: Mutex<State>,
    cancelled: Notify,
}

struct State {
    /// Where its frames leave; `None` while no link carries it.
    outbox: Option<Arc<Outbox>>,
    /// When its link was lost.
    lost: Instant,
    kept: bool,
    is_task: bool,
    stop: Option<Stop>,
    asks: Asks,
    /// Of the task that polls the handler.
    waker: Option<Waker>,
}

/// How a call is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The handler gets a moment to end by itself, and its end is told.
    Cancel,
    /// At once, and nobody is told.
    Drop,
}

/// How things stood when a call ended.
pub(crate) struct Over {
    pub outbox: Option<Arc<Outbox>>,
    /// When its link was lost, if no link carries it.
    pub lost: Instant,
    pub kept: bool,
    pub stop: Option<Stop>,
}

impl Call {
    pub fn new(
        id: CallId,
        attempt: u32,
        facts: Facts,
        env: Env,
        outbox: Arc<Outbox>,
        known: Vec<Answer>,
    ) -> Self {
        let state = State {
            outbox: Some(outbox),
            lost: Instant::default(),
            kept: false,
            is_task: false,
            stop: None,
            asks: Asks::new(known),
            waker: None,
        };
        Self {
            id,
            attempt,
            facts,
            env,
            state: Mutex::new(state),
            cancelled: Notify::new(),
        }
    }

    // ---- for the handler ---------------------------------------------------------------

    /// The answer, with the key that the question went under.
    pub async fn ask(
        &self,
        question: Question,
        needs: Capability,
    ) -> Result<(String, Raw), AskError> {
        ostler_protocol::ask::check_question(&question).map_err(AskError::BadQuestion)?;
        let answered = self.update(|state| match state.stop {
            None => Some(state.asks.open(question, needs)),
            Some(_) => None,
        });
        let (key, answered) = answered.ok_or(AskError::Cancelled)?;
        let answer = answered.await.unwrap_or(Err(AskError::Cancelled))?;
        Ok((key, answer))
    }

    /// The page of this question has done its part. Without a link nobody hears it, and nobody
    /// must: the result says the same.
    pub fn visited(&self, key: &str) {
        let state = self.state.lock();
        self.send(&state, |id, attempt| {
            Frame::Visited(wire::Visited {
                call: Some(id.into()),
                attempt,
                key: key.to_owned(),
            })
        });
    }

    /// A task's progress becomes its status text, so that is sent unasked.
    /// NaN and infinity are no JSON, and go nowhere.
    pub fn progress(&self, progress: &Progress) {
        let numbers = [Some(progress.progress), progress.total];
        if !numbers.into_iter().flatten().all(f64::is_finite) {
            return;
        }
        let state = self.state.lock();
        if !self.facts.wants_progress && !state.is_task && !state.kept {
            return;
        }
        if let Some(outbox) = state.outbox.as_ref().filter(|outbox| !outbox.is_busy()) {
            let frame = wire::Progress::of(self.id, self.attempt, progress);
            outbox.send(|_| Frame::Progress(frame));
        }
    }

    pub fn log(&self, log: &Log) {
        let state = self.state.lock();
        if let Some(outbox) = state.outbox.as_ref().filter(|outbox| !outbox.is_busy()) {
            outbox.send(|writer| Frame::Log(writer.log(self.id, self.attempt, log)));
        }
    }

    pub fn become_task(&self) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.is_task, true) {
            self.tell_asks(&mut state);
            self.tell_task(&state);
        }
    }

    pub async fn cancelled(&self) {
        let notified = self.cancelled.notified();
        tokio::pin!(notified);
        // Registered before the look, so that a cancel in between is not missed.
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.state.lock().stop.is_some()
    }

    // ---- for the task that polls the handler -------------------------------------------

    /// Remembers whom to wake; says whether it is to stop.
    pub fn poll_stop(&self, cx: &Context<'_>) -> Option<Stop> {
        let mut state = self.state.lock();
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        state.stop
    }

    pub fn started(&self) {
        let state = self.state.lock();
        self.send(&state, |id, attempt| {
            Frame::Started(wire::Started {
                call: Some(id.into()),
                attempt,
            })
        });
    }

    /// Sends the questions that were asked since the last time, together.
    pub fn flush_asks(&self) {
        let mut state = self.state.lock();
        self.tell_asks(&mut state);
    }

    /// The handler is gone: whoever still holds its context reaches nobody.
    pub fn over(&self) -> Over {
        let mut state = self.state.lock();
        state.asks.fail_all();
        state.waker = None;
        let stop = state.stop.replace(Stop::Drop);
        Over {
            outbox: state.outbox.take(),
            lost: state.lost,
            kept: state.kept,
            stop,
        }
    }

    // ---- for the link ------------------------------------------------------------------

    pub fn keep(&self) {
        let mut state = self.state.lock();
        state.kept = true;
        self.tell_kept(&state);
    }

    pub fn is_kept(&self) -> bool {
        self.state.lock().kept
    }

    pub fn answers(&self, answers: Vec<Answer>) {
        self.state.lock().asks.answer(answers);
    }

    pub fn stop(&self, stop: Stop) {
        self.update(|state| {
            let dropped = state.stop == Some(Stop::Drop);
            state.stop = Some(if dropped { Stop::Drop } else { stop });
            state.asks.fail_all();
        });
        self.cancelled.notify_waiters();
    }

    pub fn is_on(&self, outbox: &Arc<Outbox>) -> bool {
        let state = self.state.lock();
        state
            .outbox
            .as_ref()
            .is_some_and(|o| Arc::ptr_eq(o, outbox))
    }

    /// Since when no link carries it; `None` while one does.
    pub fn adrift_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.outbox.is_none().then_some(state.lost)
    }

    pub fn detach(&self, now: Instant) {
        let mut state = self.state.lock();
        state.outbox = None;
        state.lost = now;
    }

    /// A new link carries it: what may have been lost with the old one is said again.
    pub fn attach(&self, outbox: Arc<Outbox>) {
        let mut state = self.state.lock();
        state.outbox = Some(outbox);
        if state.kept {
            self.tell_kept(&state);
        }
        if state.is_task {
            self.tell_task(&state);
        }
        let questions = state.asks.take_all();
        self.tell_questions(&state, &questions);
    }

    // ---- frames ------------------------------------------------------------------------

    fn tell_asks(&self, state: &mut State) {
        // Without a link they wait for the next one.
        if state.outbox.is_some() {
            let questions = state.asks.take_untold();
            self.tell_questions(state, &questions);
        }
    }

    fn tell_questions(&self, state: &State, questions: &[Question]) {
        if let (Some(outbox), false) = (&state.outbox, questions.is_empty()) {
            outbox.send(|writer| Frame::Ask(writer.ask(self.id, self.attempt, questions)));
        }
    }

    fn tell_kept(&self, state: &State) {
        self.send(state, |id, attempt| {
            Frame::Kept(wire::Kept {
                call: Some(id.into()),
                attempt,
            })
        });
    }

    fn tell_task(&self, state: &State) {
        self.send(state, |id, attempt| {
            Frame::BecomeTask(wire::BecomeTask {
                call: Some(id.into()),
                attempt,
            })
        });
    }

    fn send(&self, state: &State, frame: impl FnOnce(CallId, u32) -> Frame) {
        if let Some(outbox) = &state.outbox {
            let frame = frame(self.id, self.attempt);
            outbox.send(|_| frame);
        }
    }

    /// Changes the state, then wakes the task that polls the handler.
    fn update<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        let (result, waker) = {
            let mut state = self.state.lock();
            let result = edit(&mut state);
            (result, state.waker.clone())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}
