//! Workers that do what a test says.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use ostler_dispatch::workers::{Attempt, Worker, Workers};
use ostler_hub::{AttemptEnd, AttemptEvent, NewAttempt, NotStarted, Placement};
use ostler_protocol::call::{Answer, CallEvent, Outcome, Question};
use ostler_types::{CallId, InstanceEpoch, Instant, ServerId, WorkerId};
use parking_lot::Mutex;

#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<Vec<ScriptedAttempt>>>);

#[derive(Clone)]
pub(super) struct OnlyWorker(WorkerId);

/// Clones are the same attempt: the test holds one, the session another.
#[derive(Clone)]
pub(super) struct ScriptedAttempt(Arc<Mutex<State>>);

struct State {
    call: CallId,
    attempt: u32,
    queue: VecDeque<CallEvent>,
    /// Questions without an answer: whoever claims the call hears them again.
    open: Vec<Question>,
    end: Option<AttemptEnd>,
    /// Its holder has taken the end; the next one may have it again until it is recorded.
    end_taken: bool,
    lost: bool,
    panics: bool,
    waker: Option<Waker>,
    heard: Vec<String>,
}

impl Script {
    /// The attempt of this number, counted from 1 over all calls.
    pub fn attempt(&self, number: usize) -> ScriptedAttempt {
        self.0.lock()[number - 1].clone()
    }
}

impl ScriptedAttempt {
    pub fn say(&self, event: CallEvent) {
        self.change(|state| {
            if let CallEvent::Ask(questions) = &event {
                state.open.extend(questions.iter().cloned());
            }
            state.queue.push_back(event);
        });
    }

    pub fn end(&self, outcome: Outcome) {
        self.change(|state| state.end = Some(AttemptEnd::Outcome(outcome)));
    }

    /// The worker never got it: it is sent again.
    pub fn hand_back(&self) {
        self.change(|state| state.end = Some(AttemptEnd::NotHanded));
    }

    /// The worker is gone: nobody can claim the call.
    pub fn lose(&self) {
        self.0.lock().lost = true;
    }

    /// The worker is there again.
    pub fn find(&self) {
        self.0.lock().lost = false;
    }

    /// Whoever hands it answers crashes.
    pub fn panic_on_answer(&self, panics: bool) {
        self.0.lock().panics = panics;
    }

    pub fn call(&self) -> CallId {
        self.0.lock().call
    }

    /// What the worker was told, in order.
    pub fn heard(&self) -> Vec<String> {
        self.0.lock().heard.clone()
    }

    fn hear(&self, what: impl Into<String>) {
        self.0.lock().heard.push(what.into());
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.0.lock();
            change(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    /// What still matters, for a new owner.
    fn tell_again(&mut self) {
        self.end_taken = false;
        self.queue
            .retain(|event| !matches!(event, CallEvent::Ask(_)));
        if !self.open.is_empty() {
            self.queue.push_front(CallEvent::Ask(self.open.clone()));
        }
    }
}

fn name() -> WorkerId {
    WorkerId::parse("w-1").unwrap()
}

impl Workers for Script {
    type Worker = OnlyWorker;
    type Attempt = ScriptedAttempt;

    fn candidates(&self, _server: &ServerId) -> Arc<[OnlyWorker]> {
        vec![OnlyWorker(name())].into()
    }

    fn start(
        &self,
        _worker: &OnlyWorker,
        new: &NewAttempt<'_>,
    ) -> Result<ScriptedAttempt, NotStarted> {
        let attempt = ScriptedAttempt(Arc::new(Mutex::new(State {
            call: new.call,
            attempt: new.attempt,
            queue: VecDeque::new(),
            open: Vec::new(),
            end: None,
            end_taken: false,
            lost: false,
            panics: false,
            waker: None,
            heard: Vec::new(),
        })));
        self.0.lock().push(attempt.clone());
        Ok(attempt)
    }

    fn attach(&self, call: CallId, placement: &Placement) -> Option<ScriptedAttempt> {
        let attempts = self.0.lock();
        let found = attempts.iter().find(|attempt| {
            let state = attempt.0.lock();
            let here = state.call == call && state.attempt == placement.attempt;
            here && !state.lost
        });
        let found = found?.clone();
        found.0.lock().tell_again();
        Some(found)
    }
}

impl Worker for OnlyWorker {
    fn id(&self) -> &WorkerId {
        &self.0
    }

    fn in_flight(&self) -> u32 {
        0
    }

    fn capacity(&self) -> u32 {
        1_000
    }
}

impl Attempt for ScriptedAttempt {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<AttemptEvent>> {
        let mut state = self.0.lock();
        if let Some(event) = state.queue.pop_front() {
            return Poll::Ready(Some(AttemptEvent::Event(event)));
        }
        if let (Some(end), false) = (state.end.clone(), state.end_taken) {
            state.end_taken = true;
            return Poll::Ready(Some(AttemptEvent::Ended(end)));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn placement(&self) -> Placement {
        Placement {
            worker: name(),
            instance: InstanceEpoch(1),
            attempt: self.0.lock().attempt,
        }
    }

    fn answer(&self, answers: Vec<Answer>) {
        assert!(!self.0.lock().panics, "told to panic");
        for answer in answers {
            self.0
                .lock()
                .open
                .retain(|question| question.key != answer.key);
            let value = match answer.value {
                Ok(value) => value.to_string(),
                Err(failure) => format!("{failure:?}"),
            };
            self.hear(format!("answer {}: {value}", answer.key));
        }
    }

    fn keep(&self) {
        self.hear("keep");
    }

    fn cancel(&self, reason: &str) {
        self.hear(format!("cancel: {reason}"));
    }

    fn recorded(&self) {
        self.hear("recorded");
    }

    fn set_deadline(&self, _deadline: Instant) {}
}
