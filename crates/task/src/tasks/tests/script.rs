//! Calls whose workers are the tests themselves.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use ostler_hub::Placement;
use ostler_protocol::call::{Answer, CallEvent};
use ostler_types::{CallId, CallKind, Caller, InstanceEpoch, Instant, ServerId, WorkerId};
use parking_lot::Mutex;

use crate::{
    error::TaskError,
    facts::Facts,
    work::{Source, Work},
};

/// What a worker was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Answer(String),
    Cancel,
    Recorded,
    Detached,
}

/// One call, seen from the worker's side.
#[derive(Clone)]
pub(super) struct Script(Arc<Mutex<Lines>>);

struct Lines {
    events: VecDeque<CallEvent>,
    waker: Option<Waker>,
    said: Vec<Said>,
    /// The worker is linked and has named the call.
    named: bool,
    panics: bool,
}

/// All calls of a test, by id, and the scopes that their target needs now.
#[derive(Clone, Default)]
pub(super) struct Scripts(
    Arc<Mutex<HashMap<CallId, Script>>>,
    Arc<Mutex<Vec<Arc<str>>>>,
);

impl Scripts {
    pub fn need(&self, scope: &str) {
        *self.1.lock() = vec![scope.into()];
    }

    pub fn add(&self, call: CallId) -> Script {
        let script = Script(Arc::new(Mutex::new(Lines {
            events: VecDeque::new(),
            waker: None,
            said: Vec::new(),
            named: true,
            panics: false,
        })));
        self.0.lock().insert(call, script.clone());
        script
    }

    /// The node restarts: every worker has to name its calls again.
    pub fn unlink(&self) {
        let scripts = self.0.lock();
        scripts
            .values()
            .for_each(|script| script.0.lock().named = false);
    }
}

impl Source for Scripts {
    fn attach(&self, facts: &Facts, place: &Placement, _: Instant) -> Option<Box<dyn Work>> {
        assert_eq!(*place, placement());
        let script = self.0.lock().get(&facts.call)?.clone();
        let named = script.0.lock().named;
        named.then(|| script.work())
    }

    fn permit(
        &self,
        caller: &Caller,
        _: &ServerId,
        _: CallKind,
        target: &str,
    ) -> Result<(), TaskError> {
        let needed = self.1.lock().clone();
        let held = &caller.identity.scopes;
        assert_eq!(target, "transfer");
        match needed.iter().all(|scope| held.contains(scope)) {
            true => Ok(()),
            false => Err(TaskError::Forbidden {
                scopes: needed.iter().map(|scope| scope.to_string()).collect(),
            }),
        }
    }
}

impl Script {
    pub fn work(&self) -> Box<dyn Work> {
        Box::new(Scripted(self.clone()))
    }

    /// The worker says something.
    pub fn say(&self, event: CallEvent) {
        let mut lines = self.0.lock();
        lines.events.push_back(event);
        lines.waker.take().into_iter().for_each(Waker::wake);
    }

    /// The worker names the call on a new link.
    pub fn name(&self) {
        self.0.lock().named = true;
    }

    /// Whoever looks at the call next panics, once.
    pub fn panic_once(&self) {
        let mut lines = self.0.lock();
        lines.panics = true;
        lines.waker.take().into_iter().for_each(Waker::wake);
    }

    /// What the worker was told since this was asked last.
    pub fn told(&self) -> Vec<Said> {
        std::mem::take(&mut self.0.lock().said)
    }
}

struct Scripted(Script);

impl Scripted {
    fn hear(&self, said: Said) {
        self.0.0.lock().said.push(said);
    }
}

impl Work for Scripted {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        let mut lines = self.0.0.lock();
        if std::mem::take(&mut lines.panics) {
            drop(lines);
            panic!("as the test wants");
        }
        match lines.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                lines.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn answer(&self, answers: Vec<Answer>) {
        for answer in answers {
            self.hear(Said::Answer(answer.key));
        }
    }

    fn cancel(&self, _: &str) {
        self.hear(Said::Cancel);
    }

    fn recorded(&self) {
        self.hear(Said::Recorded);
    }

    fn set_deadline(&mut self, _: Instant) {}

    fn place(&self) -> Option<Placement> {
        Some(placement())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.hear(Said::Detached);
    }
}

fn placement() -> Placement {
    Placement {
        worker: WorkerId::parse("w1").unwrap(),
        instance: InstanceEpoch(3),
        attempt: 1,
    }
}
