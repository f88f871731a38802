//! Workers that do what a test says.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use ostler_hub::{AttemptEvent, NewAttempt, NotStarted, Placement};
use ostler_protocol::call::Answer;
use ostler_types::{CallId, InstanceEpoch, Instant, ServerId, WorkerId};
use parking_lot::Mutex;

use crate::workers::{Attempt, Worker, Workers};

#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    workers: Vec<ScriptedWorker>,
    /// Every attempt there was, in order.
    attempts: Vec<ScriptedAttempt>,
    /// Calls that can be claimed.
    orphans: BTreeMap<CallId, ScriptedAttempt>,
}

#[derive(Clone)]
pub(super) struct ScriptedWorker {
    id: WorkerId,
    load: Arc<Mutex<Load>>,
}

struct Load {
    in_flight: u32,
    capacity: u32,
    linked: bool,
}

/// Clones are the same attempt: the test holds one, the flight another.
#[derive(Clone)]
pub(super) struct ScriptedAttempt(Arc<Mutex<AttemptState>>);

struct AttemptState {
    placement: Placement,
    deadline: Instant,
    arguments: String,
    queue: VecDeque<AttemptEvent>,
    waker: Option<Waker>,
    heard: Vec<String>,
}

impl Script {
    pub(super) fn add(&self, name: &str, capacity: u32) {
        let load = Load {
            in_flight: 0,
            capacity,
            linked: true,
        };
        self.0.lock().workers.push(ScriptedWorker {
            id: WorkerId::parse(name).unwrap(),
            load: Arc::new(Mutex::new(load)),
        });
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Load)) {
        let state = self.0.lock();
        let worker = state
            .workers
            .iter()
            .find(|worker| worker.id.as_str() == name);
        change(&mut worker.unwrap().load.lock());
    }

    /// The worker is still a candidate, but what is sent to it does not get there.
    pub(super) fn unlink(&self, name: &str) {
        self.change(name, |load| load.linked = false);
    }

    pub(super) fn fill(&self, name: &str) {
        self.change(name, |load| load.in_flight = load.capacity);
    }

    /// The worker is no candidate any more.
    pub(super) fn drop_worker(&self, name: &str) {
        self.0
            .lock()
            .workers
            .retain(|worker| worker.id.as_str() != name);
    }

    /// The attempt of this number, counted from 1 over all calls.
    pub(super) fn attempt(&self, number: usize) -> ScriptedAttempt {
        self.0.lock().attempts[number - 1].clone()
    }

    /// Where all attempts went: "worker#attempt".
    pub(super) fn attempts(&self) -> Vec<String> {
        let state = self.0.lock();
        state.attempts.iter().map(ScriptedAttempt::place).collect()
    }

    pub(super) fn orphan(&self, call: CallId, attempt: &ScriptedAttempt) {
        self.0.lock().orphans.insert(call, attempt.clone());
    }
}

impl ScriptedAttempt {
    fn new(worker: &WorkerId, new: &NewAttempt<'_>) -> Self {
        Self(Arc::new(Mutex::new(AttemptState {
            placement: Placement {
                worker: worker.clone(),
                instance: InstanceEpoch(1),
                attempt: new.attempt,
            },
            deadline: new.deadline,
            arguments: new.arguments.to_string(),
            queue: VecDeque::new(),
            waker: None,
            heard: Vec::new(),
        })))
    }

    fn place(&self) -> String {
        let state = self.0.lock();
        format!("{}#{}", state.placement.worker, state.placement.attempt)
    }

    /// What comes back next.
    pub(super) fn say(&self, event: AttemptEvent) {
        let mut state = self.0.lock();
        state.queue.push_back(event);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// What the worker was told, in order.
    pub(super) fn heard(&self) -> Vec<String> {
        self.0.lock().heard.clone()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.0.lock().deadline
    }

    pub(super) fn arguments(&self) -> String {
        self.0.lock().arguments.clone()
    }

    fn hear(&self, what: impl Into<String>) {
        self.0.lock().heard.push(what.into());
    }
}

impl Workers for Script {
    type Worker = ScriptedWorker;
    type Attempt = ScriptedAttempt;

    fn candidates(&self, _server: &ServerId) -> Arc<[ScriptedWorker]> {
        self.0.lock().workers.clone().into()
    }

    fn start(
        &self,
        worker: &ScriptedWorker,
        new: &NewAttempt<'_>,
    ) -> Result<ScriptedAttempt, NotStarted> {
        let load = worker.load.lock();
        if !load.linked {
            return Err(NotStarted::NotLinked);
        }
        if load.in_flight >= load.capacity {
            return Err(NotStarted::NoCredit);
        }
        let attempt = ScriptedAttempt::new(&worker.id, new);
        self.0.lock().attempts.push(attempt.clone());
        Ok(attempt)
    }

    fn attach(&self, call: CallId, placement: &Placement) -> Option<ScriptedAttempt> {
        let mut state = self.0.lock();
        let found = state.orphans.get(&call)?.placement() == *placement;
        found.then(|| state.orphans.remove(&call))?
    }
}

impl Worker for ScriptedWorker {
    fn id(&self) -> &WorkerId {
        &self.id
    }

    fn in_flight(&self) -> u32 {
        self.load.lock().in_flight
    }

    fn capacity(&self) -> u32 {
        self.load.lock().capacity
    }
}

impl Attempt for ScriptedAttempt {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<AttemptEvent>> {
        let mut state = self.0.lock();
        match state.queue.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn placement(&self) -> Placement {
        self.0.lock().placement.clone()
    }

    fn answer(&self, answers: Vec<Answer>) {
        for answer in answers {
            self.hear(format!("answer {}", answer.key));
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

    fn set_deadline(&self, deadline: Instant) {
        self.0.lock().deadline = deadline;
    }
}
