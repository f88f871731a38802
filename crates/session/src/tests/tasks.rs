//! Tasks that say what a test says.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use ostler_dispatch::{CallSource, FollowedBy, SourcedCall};
use ostler_protocol::call::{Answer, CallEvent};
use ostler_types::{Principal, ServerId, Timestamp};
use parking_lot::Mutex;

/// Every following, in the order in which they began.
#[derive(Default)]
pub(super) struct ScriptedTasks(Mutex<Vec<Followed>>);

/// Clones are the same following: the test holds one, the session another.
#[derive(Clone)]
pub(super) struct Followed(Arc<Mutex<State>>);

struct State {
    task: String,
    /// Told only where a session woke.
    since: Option<Timestamp>,
    events: VecDeque<CallEvent>,
    waker: Option<Waker>,
    heard: Vec<String>,
}

/// The session's hold on one.
struct Holding(Followed);

impl ScriptedTasks {
    /// Follows a task, as `task` does.
    pub fn start(&self, task: &str) -> (Box<dyn SourcedCall>, Followed) {
        let followed = Followed(Arc::new(Mutex::new(State {
            task: task.to_owned(),
            since: None,
            events: VecDeque::new(),
            waker: None,
            heard: Vec::new(),
        })));
        self.0.lock().push(followed.clone());
        (Box::new(Holding(followed.clone())), followed)
    }

    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// The last one that began.
    pub fn last(&self) -> Followed {
        self.0.lock().last().expect("a task is followed").clone()
    }
}

impl CallSource for ScriptedTasks {
    fn call_of(
        &self,
        server: &ServerId,
        principal: &Principal,
        task: &str,
        by: FollowedBy,
    ) -> Box<dyn SourcedCall> {
        assert_eq!(
            (server.name.as_str(), &*principal.subject),
            ("tools", "ann")
        );
        let (call, followed) = self.start(task);
        followed.0.lock().since = Some(by.since);
        call
    }
}

impl Followed {
    pub fn say(&self, event: CallEvent) {
        let mut state = self.0.lock();
        state.events.push_back(event);
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    pub fn task(&self) -> String {
        self.0.lock().task.clone()
    }

    pub fn since(&self) -> Option<Timestamp> {
        self.0.lock().since
    }

    /// What it was told, in order.
    pub fn heard(&self) -> Vec<String> {
        self.0.lock().heard.clone()
    }

    fn hear(&self, what: String) {
        self.0.lock().heard.push(what);
    }
}

impl SourcedCall for Holding {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        let mut state = self.0.0.lock();
        match state.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn answer(&self, answers: Vec<Answer>) {
        for Answer { key, value } in answers {
            let value = value.map(|value| value.to_string());
            let value = value.unwrap_or_else(|failure| format!("{failure:?}"));
            self.0.hear(format!("answer {key}: {value}"));
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.hear("let go".to_owned());
    }
}
