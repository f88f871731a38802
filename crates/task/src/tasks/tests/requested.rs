//! Tasks that clients ask for, and the requests that wait for their results.

use std::{future::poll_fn, task::Poll};

use ostler_dispatch::{CallSource, FollowedBy, SourcedCall};
use ostler_protocol::{
    call::{Answer, AnswerFailure, Progress},
    task::TaskStatus,
};
use ostler_types::SessionId;
use parking_lot::Mutex;

use super::*;
use crate::{Listener, News, TaskRequest, TaskResult};

const SESSION: SessionId = SessionId([5; 24]);

/// What sessions were told, in order.
#[derive(Default)]
pub(super) struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub fn said(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl Listener for Heard {
    fn tell(&self, tenant: &TenantId, session: SessionId, news: News) {
        assert_eq!((tenant.as_str(), session), ("acme", SESSION));
        let (News::Status(message) | News::Progress(message)) = news;
        let message: serde_json::Value = serde_json::from_slice(&message).unwrap();
        let params = &message["params"];
        let said = match message["method"].as_str() {
            Some("notifications/tasks/status") => params["status"].to_string(),
            Some("notifications/progress") => {
                let related = &params["_meta"]["io.modelcontextprotocol/related-task"];
                assert!(related["taskId"].is_string(), "{message}");
                format!("{} {}", params["progressToken"], params["progress"])
            }
            other => panic!("{other:?}"),
        };
        self.0.lock().push(said);
    }
}

impl Node {
    /// A task that ann's session asked for, without a word of the worker but that it keeps it.
    pub(super) async fn requested(&self, id: u128, ttl: Option<Duration>) -> (Script, TaskView) {
        let (script, handover) = self.handover(id, wanted(ttl), becoming_task());
        script.say(CallEvent::Kept);
        let end = self.take_over(handover).await;
        match end {
            Ok(End::Task(view)) => (script, view),
            other => panic!("a task expected: {other:?}"),
        }
    }

    /// Waits for the result, as somebody who is there already.
    pub(super) async fn waits(&self, task: &TaskView) -> Box<dyn SourcedCall> {
        let found = self.result(&self.ann(), &bank(), &task.id).await;
        let mut call = found.expect("the task is ann's").call;
        self.reach(&mut call).await;
        call
    }

    async fn result(
        &self,
        caller: &Caller,
        server: &ServerId,
        task: &str,
    ) -> Result<TaskResult, TaskError> {
        let by = self.followed_by();
        self.tasks.result(caller, server, task, by).await
    }

    /// A client that can be asked, and comes now.
    fn followed_by(&self) -> FollowedBy {
        FollowedBy {
            revision: Revision::LATEST_LEGACY,
            facet: facts().facet,
            since: self.env.wall(),
        }
    }

    /// Lets the task hear that somebody waits; nothing is said yet that would be missed.
    pub(super) async fn reach(&self, call: &mut Box<dyn SourcedCall>) {
        let reached = poll_fn(|cx| {
            let said = call.poll_next(cx);
            assert!(said.is_pending(), "{said:?}");
            Poll::Ready(())
        });
        reached.await;
        self.settle().await;
    }

    pub(super) fn hears(&self) -> Arc<Heard> {
        let heard = Arc::new(Heard::default());
        self.tasks.set_listener(heard.clone());
        heard
    }
}

/// A call that ann's session wants to be a task.
fn wanted(ttl: Option<Duration>) -> CallFacts {
    let request = Some(TaskRequest {
        ttl,
        progress_token: Some(Raw::from_static("\"p\"")),
        session: SESSION,
    });
    CallFacts {
        revision: Revision::LATEST_LEGACY,
        request,
        ..facts()
    }
}

pub(super) async fn next(call: &mut Box<dyn SourcedCall>) -> CallEvent {
    let event = poll_fn(|cx| call.poll_next(cx));
    let event = tokio::time::timeout(Duration::from_secs(3_600), event).await;
    event.expect("something is said in time")
}

fn gives(key: &str, value: Result<Raw, AnswerFailure>) -> Vec<Answer> {
    let key = key.to_owned();
    vec![Answer { key, value }]
}

fn outcome() -> CallEvent {
    CallEvent::Outcome(result())
}

fn progress(progress: f64) -> CallEvent {
    CallEvent::Progress(Progress {
        progress,
        total: None,
        message: None,
    })
}

/// [CAN-2]
#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_before_its_handle_has_its_task_all_the_same() {
    let node = Node::new();
    let (script, handover) = node.handover(1, wanted(None), becoming_task());
    let second = node.env.now() + Duration::from_secs(1);
    let created = node.env.until(second, node.take_over(handover)).await;
    assert!(created.is_none(), "its worker does not keep it yet");
    node.settle().await;
    script.say(CallEvent::Kept);
    node.settle().await;
    assert_eq!((script.told(), node.rows(Table::Tasks).await), (vec![], 1));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_is_waited_for_and_there_for_who_comes_later() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let mut call = node.waits(&task).await;
    script.say(progress(1.0));
    assert_eq!(next(&mut call).await, progress(1.0));
    script.say(outcome());
    assert_eq!(next(&mut call).await, outcome());
    drop(call);
    node.env.sleep(Duration::from_secs(2)).await;
    assert_eq!(node.tasks.live(), 0, "nobody holds it any more");
    let mut late = node.waits(&task).await;
    assert_eq!(next(&mut late).await, outcome());
    drop(late);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_through_whoever_waits() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    script.say(asks(&["a"]));
    let mut first = node.waits(&task).await;
    assert_eq!(next(&mut first).await, asks(&["a"]));
    let mut second = node.waits(&task).await;
    assert_eq!(next(&mut second).await, asks(&["a"]));
    let withdrawn = CallEvent::Withdrawn(vec!["a".to_owned()]);
    assert_eq!(next(&mut first).await, withdrawn);
    second.answer(gives("a", Ok(answer())));
    node.settle().await;
    assert_eq!(script.told(), [Said::Answer("a".to_owned())]);
    script.say(outcome());
    assert_eq!(next(&mut first).await, outcome());
    assert_eq!(next(&mut second).await, outcome());
    drop((first, second));
    assert_eq!(node.metric("ostler_task_waits_started_total"), 2.0);
    node.down().await;
}

/// It is told all that is open when it is back, and the end.
#[tokio::test(start_paused = true)]
async fn one_that_is_too_slow_is_cut_off_and_comes_back() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let mut slow = node.waits(&task).await;
    script.say(asks(&["a"]));
    for _ in 0..64 {
        script.say(CallEvent::Visited { key: "a".into() });
        node.settle().await;
    }
    assert_eq!(node.metric("ostler_task_waiters_cut_total"), 1.0);
    assert_eq!(next(&mut slow).await, asks(&["a"]));
    let back = loop {
        match next(&mut slow).await {
            CallEvent::Visited { .. } => {}
            event => break event,
        }
    };
    assert_eq!(back, asks(&["a"]));
    script.say(outcome());
    assert_eq!(next(&mut slow).await, outcome());
    drop(slow);
    node.down().await;
}

/// As many wait as may: one that is cut off and comes back takes nobody's place.
#[tokio::test(start_paused = true)]
async fn one_that_was_cut_off_has_its_own_place_again() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let mut others = Vec::new();
    for _ in 1..Config::default().waiters_max {
        others.push(node.waits(&task).await);
    }
    let mut slow = node.waits(&task).await;
    script.say(asks(&["a"]));
    let visited = CallEvent::Visited { key: "a".into() };
    for _ in 0..64 {
        script.say(visited.clone());
        for other in &mut others {
            assert_eq!(next(other).await, visited);
        }
    }
    assert_eq!(node.metric("ostler_task_waiters_cut_total"), 1.0);
    let back = |event: &CallEvent| *event == asks(&["a"]);
    assert!(back(&next(&mut slow).await));
    while !back(&next(&mut slow).await) {}
    script.say(outcome());
    for waiter in others.iter_mut().chain([&mut slow]) {
        let last = loop {
            match next(waiter).await {
                // Meanwhile it was asked in place of the one that was away.
                CallEvent::Ask(_) | CallEvent::Withdrawn(_) => {}
                event => break event,
            }
        };
        assert_eq!(last, outcome());
    }
    drop((others, slow));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_moves_when_whoever_was_asked_is_gone() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let mut first = node.waits(&task).await;
    let second = node.waits(&task).await;
    script.say(asks(&["a"]));
    node.settle().await;
    drop(second);
    assert_eq!(next(&mut first).await, asks(&["a"]));
    drop(first);
    node.settle().await;
    let open = node.get(&task.id).await.unwrap().state;
    assert_eq!(open.status(), TaskStatus::InputRequired);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_outlives_the_actor_and_its_answers_count_once() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let mut call = node.waits(&task).await;
    script.say(asks(&["a", "b"]));
    assert_eq!(next(&mut call).await, asks(&["a", "b"]));
    call.answer(gives("a", Ok(answer())));
    node.settle().await;
    script.panic_once();
    // Nobody knows how much of this one the actor heard.
    call.answer(gives("b", Err(AnswerFailure::TimedOut)));
    while let Ok(event) = tokio::time::timeout(Duration::from_secs(1), next(&mut call)).await {
        assert_eq!(event, asks(&["b"]), "only what is open, if anything");
    }
    let told = script.told();
    let count = |key: &str| {
        let said = Said::Answer(key.to_owned());
        told.iter().filter(|told| **told == said).count()
    };
    assert_eq!((count("a"), count("b")), (1, 1), "{told:?}");
    script.say(outcome());
    assert_eq!(next(&mut call).await, outcome());
    drop(call);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_last_is_asked_after_a_crash_too() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let mut first = node.waits(&task).await;
    node.env.sleep(Duration::from_millis(10)).await;
    let mut second = node.waits(&task).await;
    script.say(asks(&["a"]));
    assert_eq!(next(&mut second).await, asks(&["a"]));
    script.panic_once();
    node.settle().await;
    assert_eq!(next(&mut second).await, asks(&["a"]), "told anew");
    // It comes back later, and is no newer by that.
    node.reach(&mut first).await;
    node.reach(&mut second).await;
    script.say(outcome());
    assert_eq!(next(&mut first).await, outcome());
    assert_eq!(next(&mut second).await, outcome());
    drop((first, second));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_nothing_that_is_not_stored() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let mut call = node.waits(&task).await;
    node.faults.set(Fault::Full);
    script.say(asks(&["a"]));
    node.reach(&mut call).await;
    let (ann, by) = (node.ann(), node.followed_by());
    let mut late = node.tasks.call_of(&bank(), ann.principal(), &task.id, by);
    node.reach(&mut late).await;
    script.say(outcome());
    node.settle().await;
    node.reach(&mut call).await;
    node.reach(&mut late).await;
    node.faults.set(Fault::None);
    for call in [&mut call, &mut late] {
        while next(call).await != outcome() {}
    }
    drop((call, late));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_requested_task_survives_a_restart_with_its_question() {
    let mut node = Node::new();
    let (script, task) = node.requested(1, None).await;
    script.say(asks(&["a"]));
    node.settle().await;
    node.restart().await;
    assert_eq!(node.tasks.recover().await, Ok(1));
    let heard = node.hears();
    // As a session that woke does it: by the handle alone.
    let ann = node.ann();
    let mut call = node
        .tasks
        .call_of(&bank(), ann.principal(), &task.id, node.followed_by());
    assert_eq!(next(&mut call).await, asks(&["a"]));
    call.answer(gives("a", Ok(answer())));
    node.settle().await;
    script.told();
    script.name();
    assert!(node.tasks.rebind(CallId(1)).await);
    script.say(asks(&["a"]));
    node.settle().await;
    let told = script.told();
    assert!(told.contains(&Said::Answer("a".to_owned())), "{told:?}");
    script.say(outcome());
    assert_eq!(next(&mut call).await, outcome());
    assert_eq!(heard.said(), [r#""working""#, r#""completed""#]);
    drop(call);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_has_an_outcome_that_says_so() {
    let node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let (ann, bob) = (node.ann(), node.caller("acme", "bob"));
    for (caller, server, id) in [
        (&bob, bank(), task.id.as_str()),
        (&ann, server("acme", "shop"), task.id.as_str()),
        (&ann, bank(), "guess"),
    ] {
        let refused = node.result(caller, &server, id).await.map(|_| ());
        assert_eq!(refused, Err(TaskError::Unknown));
        let cancelled = node.tasks.cancel_now(caller, &server, id).await.map(|_| ());
        assert_eq!(cancelled, Err(TaskError::Unknown));
        let mut call = node
            .tasks
            .call_of(&server, caller.principal(), id, node.followed_by());
        let CallEvent::Outcome(Err(Failure::Protocol { code, .. })) = next(&mut call).await else {
            panic!("{id} is known");
        };
        assert_eq!(code, -32602);
    }
    assert_eq!(script.told(), []);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_ttl_that_has_passed_ends_the_wait_and_the_call() {
    let node = Node::new();
    let minute = Duration::from_secs(60);
    let (script, task) = node.requested(1, Some(minute)).await;
    assert_eq!(task.ttl, Some(minute));
    let mut call = node.waits(&task).await;
    let CallEvent::Outcome(Err(Failure::Protocol { code, .. })) = next(&mut call).await else {
        panic!("its time is over");
    };
    assert_eq!(code, -32602);
    drop(call);
    assert_eq!(node.get(&task.id).await, Err(TaskError::Unknown));
    assert!(script.told().contains(&Said::Cancel));
    node.env.sleep(node.config.cancel_grace).await;
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_is_cancelled_in_the_store_before_its_client_hears_so() {
    let mut node = Node::new();
    let (script, task) = node.requested(1, None).await;
    let view = node.tasks.cancel_now(&node.ann(), &bank(), &task.id).await;
    assert_eq!(view.unwrap().state, Standing::Cancelled);
    assert_eq!(script.told(), [Said::Cancel]);
    script.say(outcome());
    node.settle().await;
    node.restart().await;
    assert_eq!(node.get(&task.id).await.unwrap().state, Standing::Cancelled);
    let again = node.tasks.cancel_now(&node.ann(), &bank(), &task.id).await;
    assert_eq!(again, Err(TaskError::Ended(TaskStatus::Cancelled)));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_hears_of_its_task_until_it_ends() {
    // [P-7] [P-8]
    let node = Node::new();
    let heard = node.hears();
    let (script, task) = node.requested(1, None).await;
    script.say(progress(1.0));
    node.settle().await;
    script.say(progress(2.0));
    node.settle().await;
    node.env.sleep(Duration::from_secs(1)).await;
    script.say(progress(1.5));
    script.say(progress(3.0));
    node.settle().await;
    script.say(asks(&["a"]));
    node.settle().await;
    script.say(CallEvent::Outcome(Ok(Raw::from_static(
        r#"{"content":[],"isError":true}"#,
    ))));
    node.settle().await;
    script.say(progress(4.0));
    node.settle().await;
    let expected = [r#""p" 1"#, r#""p" 3"#, r#""input_required""#, r#""failed""#];
    assert_eq!(heard.said(), expected, "{}", task.id);
    node.down().await;
}
