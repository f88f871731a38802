//! Waiting for the result of a task, and what tasks tell a session besides.

use std::time::Duration;

use bytes::Bytes;
use ostler_dispatch::{CallControl, CallStream};
use ostler_protocol::{RequestId, call::CallEvent, json::Raw};
use ostler_store::faults::Fault;
use ostler_types::{CallId, CallKind};

use super::{script::Script, tasks::Followed, world::*};
use crate::{Frame, HeldSession, NewRequest, News, Reader, RunningCall, StreamReader, TaskRef};

const TASK: &str = "task-1";

impl World {
    fn book_task(
        &self,
        held: &HeldSession<Script>,
        request: u64,
    ) -> (RunningCall<Script>, Followed) {
        let control = CallControl::new();
        let ticket = held.begin(NewRequest {
            id: RequestId::number(request),
            kind: CallKind::Tool,
            target: String::new(),
            progress_token: Some(Raw::from_static("\"p\"")),
            control: control.clone(),
            task: Some(TaskRef {
                handle: TASK.into(),
                deadline: self.env.wall() + Duration::from_secs(3_600),
                since: self.env.wall(),
            }),
        });
        let (call, followed) = self.tasks.start(TASK);
        let call = CallStream::followed(CallId(u128::from(request)), call, control);
        let running = RunningCall {
            ticket: ticket.expect("booked"),
            call,
            backlog: Vec::new(),
        };
        (running, followed)
    }

    /// A request that waits for a task's result, its priming event read; that one's id comes along.
    async fn wait_for_task(
        &self,
        held: &HeldSession<Script>,
        request: u64,
    ) -> (StreamReader, Followed, String) {
        let (running, followed) = self.book_task(held, request);
        let reader = held.adopt(vec![running], Vec::new(), Reader::Attached);
        let mut reader = reader.expect("adopted").expect("it is read");
        let primed = next(&mut reader).await;
        assert_eq!(shown(&primed), "priming");
        (reader, followed, primed.id.expect("it has an id"))
    }
}

/// Each message but the priming ones names the task.
fn check_related(frame: &Frame) {
    let message: serde_json::Value = serde_json::from_slice(&frame.data).expect("JSON");
    let body = message.get("params").or(message.get("result"));
    let meta = &body.expect("it has a body")["_meta"];
    let related = &meta["io.modelcontextprotocol/related-task"];
    assert_eq!(related["taskId"], TASK, "{message}");
}

fn outcome() -> CallEvent {
    CallEvent::Outcome(text("done"))
}

#[tokio::test(start_paused = true)]
async fn all_that_is_said_of_a_task_names_it() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, task, _) = world.wait_for_task(&held, 1).await;
    task.say(progress(1.0));
    task.say(ask("name"));
    let (said, asked) = (next(&mut reader).await, next(&mut reader).await);
    assert_eq!(shown(&said), "notifications/progress");
    assert_eq!(shown(&asked), "elicitation/create");
    held.answer(request_id(&asked), accept())
        .await
        .expect("taken");
    assert_eq!(task.heard(), [format!("answer name: {ACCEPT}")]);
    task.say(outcome());
    let rest = rest(reader).await;
    assert_eq!(all_shown(&rest), ["done"]);
    [said, asked].iter().chain(&rest).for_each(check_related);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_taken_back_is_withdrawn_and_may_come_again() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, task, _) = world.wait_for_task(&held, 1).await;
    task.say(ask("name"));
    let first = request_id(&next(&mut reader).await);
    task.say(CallEvent::Withdrawn(vec!["name".into(), "other".into()]));
    let withdrawn = next(&mut reader).await;
    assert_eq!(shown(&withdrawn), "notifications/cancelled");
    check_related(&withdrawn);
    held.answer(first.clone(), accept()).await.expect("dropped");
    assert_eq!(task.heard(), Vec::<String>::new());
    task.say(ask("name"));
    let second = request_id(&next(&mut reader).await);
    assert_ne!(first, second);
    held.answer(second, accept()).await.expect("taken");
    assert_eq!(task.heard(), [format!("answer name: {ACCEPT}")]);
}

#[tokio::test(start_paused = true)]
async fn whoever_cancels_the_request_lets_go_of_the_task() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, task, _) = world.wait_for_task(&held, 1).await;
    task.say(ask("name"));
    next(&mut reader).await;
    let id = RequestId::number(1);
    held.cancelled(id, None).await.expect("taken");
    let rest = rest(reader).await;
    assert_eq!(all_shown(&rest), ["notifications/cancelled"]);
    assert_eq!(task.heard(), ["let go"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_wakes_follows_its_task_again() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let came = world.env.wall();
    let (mut reader, task, primed) = world.wait_for_task(&held, 1).await;
    task.say(ask("name"));
    let asked = next(&mut reader).await;
    drop((held, reader));
    world.restart().await;
    assert_eq!(task.heard(), ["let go"]);

    let held = world.hold(&id).await;
    let mut reader = held.resume(&primed).await.expect("resumed");
    assert_eq!(
        world.tasks.last().since(),
        Some(came),
        "no newer than it was"
    );
    assert_eq!(
        (world.tasks.len(), world.tasks.last().task()),
        (2, TASK.to_owned())
    );
    assert_eq!(next(&mut reader).await.data, asked.data);
    let task = world.tasks.last();
    // It says what is open; the client is asked once.
    task.say(ask("name"));
    silent(&mut reader).await;
    held.answer(request_id(&asked), accept())
        .await
        .expect("taken");
    drop((held, reader));
    world.restart().await;

    let held = world.hold(&id).await;
    let reader = held.resume(&primed).await.expect("resumed");
    let task = world.tasks.last();
    assert_eq!(
        task.heard(),
        [format!("answer name: {ACCEPT}")],
        "nobody knows whether the task heard it"
    );
    task.say(outcome());
    let rest = rest(reader).await;
    assert_eq!(all_shown(&rest), ["elicitation/create", "done"]);
    rest.iter().for_each(check_related);
    for step in ["adopted", "rebound", "recorded"] {
        let counted = world.metric("ostler_session_calls_total", &[("step", step)]);
        assert_eq!(counted, 0.0, "{step}: it is the task's call");
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_may_be_waited_for_longer_than_any_call_runs() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, _, primed) = world.wait_for_task(&held, 1).await;
    world.pass(Duration::from_secs(3_000)).await;
    drop((held, reader));
    world.restart().await;
    let held = world.hold(&id).await;
    let reader = held.resume(&primed).await.expect("its events are there");
    world.tasks.last().say(outcome());
    assert_eq!(all_shown(&rest(reader).await), ["done"]);
}

/// A client may ask again and again instead of coming back to its streams.
#[tokio::test(start_paused = true)]
async fn a_wait_that_nobody_reads_ends_by_itself() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut stays, task, _) = world.wait_for_task(&held, 0).await;
    let mut left = Vec::new();
    for request in 1..16 {
        let (reader, task, primed) = world.wait_for_task(&held, request).await;
        drop(reader);
        left.push((task, primed));
    }
    world.pass(Duration::from_secs(50)).await;
    let (returned, primed) = left.pop().expect("there are many");
    let back = held.resume(&primed).await.expect("resumed");
    world.pass(Duration::from_secs(20)).await;
    for (task, _) in &left {
        assert_eq!(task.heard(), ["let go"]);
    }
    let (reader, _, _) = world.wait_for_task(&held, 16).await;
    drop(reader);
    let (_, primed) = &left[0];
    let late = held.resume(primed).await.expect("resumed");
    let rest = rest(late).await;
    assert_eq!(all_shown(&rest), ["error -31004"], "it may ask again");
    // Who reads is not concerned, nor who came back.
    assert_eq!(returned.heard(), Vec::<String>::new());
    task.say(outcome());
    assert_eq!(shown(&next(&mut stays).await), "done");
    assert_eq!(world.tasks.last().heard(), Vec::<String>::new());
    drop(back);
}

/// Unlike a call of the session's own, which is cancelled then: the task goes on.
#[tokio::test(start_paused = true)]
async fn a_wait_that_cannot_be_stored_may_be_tried_again() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (running, _task) = world.book_task(&held, 1);
    world.faults.set(Fault::Full);
    let reader = held.adopt(vec![running], Vec::new(), Reader::Attached);
    let told = rest(reader.expect("adopted").expect("it is read")).await;
    assert_eq!(all_shown(&told), ["error -31011"]);
    assert!(!may_have_run(&told[0]));
}

fn news(method: &'static str) -> Bytes {
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{}}}}"#
    ))
}

#[tokio::test(start_paused = true)]
async fn news_of_a_task_goes_to_who_listens_and_waits_for_nobody() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let tell = |news: News| {
        world
            .sessions
            .news()
            .tell(&server().tenant, held.id(), news)
    };
    tell(News::Status(news("status")));
    world.pass(Duration::from_millis(10)).await;
    let mut live = held.listen().await.expect("listening");
    assert_eq!(shown(&next(&mut live).await), "priming");
    silent(&mut live).await;
    tell(News::Progress(news("progress")));
    tell(News::Status(news("status")));
    let (passing, stored) = (next(&mut live).await, next(&mut live).await);
    assert_eq!((shown(&passing), passing.id), ("progress".to_owned(), None));
    assert_eq!(shown(&stored), "status");
    assert!(stored.id.is_some(), "it can be resumed to");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_ready_hears_no_news() {
    let world = World::new();
    let held = world.hold(&world.try_open().await.expect("opened")).await;
    let mut live = held.listen().await.expect("listening");
    next(&mut live).await;
    let (tenant, session) = (server().tenant, held.id());
    let status = News::Status(news("status"));
    world.sessions.news().tell(&tenant, session, status);
    silent(&mut live).await;
}
