//! One call, from its start to its end, while nothing breaks.

use std::time::Duration;

use ostler_hub::{AttemptEnd, NotStarted, RefusedReason};
use ostler_protocol::{
    call::{Answer, CallEvent, Failure, LogLevel, QuestionKind},
    facet::ClientFacet,
};
use ostler_rpc::worker_v1::{self as wire, from_worker::Frame as From, to_worker::Frame as To};
use ostler_types::CallKind;

use crate::rig::{Rig, end, event, failed, id, inline, ok, raw, server};

#[tokio::test(start_paused = true)]
async fn a_worker_gets_all_it_may_know_and_its_outcome_comes_back() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let client = ClientFacet {
        roots: true,
        ..ClientFacet::default()
    };
    let arguments = raw(r#"{"a":1.50}"#);
    let known = vec![Answer {
        key: "k".to_owned(),
        value: Ok(raw("{}")),
    }];
    let mut attempt = rig.start_with(5, |new| {
        new.attempt = 3;
        new.kind = CallKind::Prompt;
        new.client = client;
        new.arguments = arguments;
        new.wants_progress = true;
        new.answers = known;
    });
    let call = worker.next_call().await;
    assert_eq!((call.call, call.attempt, call.server), (id(5), 3, 0));
    assert_eq!(
        (call.kind(), call.target.as_str()),
        (wire::CallKind::Prompt, "add")
    );
    assert_eq!(call.arguments, inline(r#"{"a":1.50}"#));
    assert_eq!(
        call.client.unwrap().capabilities,
        [wire::Capability::Roots as i32]
    );
    let caller = call.caller.unwrap();
    assert_eq!(
        (caller.tenant.as_str(), caller.subject.as_str()),
        ("acme", "ann")
    );
    assert_eq!(caller.scopes, ["read"]);
    assert_eq!(caller.session, "ab".repeat(16));
    assert_eq!(call.time_left_ms, 3_600_000);
    assert!(call.wants_progress);
    assert_eq!(call.answers[0].key, "k");
    assert_eq!(attempt.placement().attempt, 3);

    let result = wire::outcome::Outcome::Result(inline(r#"{"content":[]}"#).unwrap());
    let outcome = wire::Outcome {
        call: id(5),
        attempt: 3,
        outcome: Some(result),
    };
    worker.send(From::Outcome(outcome)).await;
    assert_eq!(
        end(&mut attempt).await,
        AttemptEnd::Outcome(Ok(raw(r#"{"content":[]}"#)))
    );
    assert_eq!(rig.metric("calls_started_total", &[]), 1.0);
    assert_eq!(rig.ended("ok"), 1.0);
    assert_eq!(rig.only().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_happens_on_the_way_arrives_in_order() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.started(1).await;
    worker.progress(1, 0.5).await;
    let log = wire::Log {
        call: id(1),
        attempt: 1,
        level: wire::LogLevel::Warning.into(),
        logger: "db".to_owned(),
        data: inline("[1]"),
    };
    worker.send(From::Log(log)).await;
    worker.ask(1, "who").await;
    assert_eq!(event(&mut attempt).await, CallEvent::Started);
    let CallEvent::Progress(progress) = event(&mut attempt).await else {
        panic!("progress comes second");
    };
    assert_eq!(
        (progress.progress, progress.total, progress.message),
        (0.5, None, None)
    );
    let CallEvent::Log(log) = event(&mut attempt).await else {
        panic!("a log comes third");
    };
    assert_eq!((log.level, log.data.as_str()), (LogLevel::Warning, "[1]"));
    let CallEvent::Ask(questions) = event(&mut attempt).await else {
        panic!("a question comes fourth");
    };
    assert_eq!(
        (questions[0].key.as_str(), questions[0].kind),
        ("who", QuestionKind::Roots)
    );

    let value = Ok(raw(r#"{"roots":[]}"#));
    let key = "who".to_owned();
    attempt.answer(vec![Answer { key, value }]);
    let To::Answers(answers) = worker.next().await else {
        panic!("the answer goes out");
    };
    assert_eq!(
        (answers.call, answers.answers[0].key.as_str()),
        (id(1), "who")
    );
    worker
        .send(From::Visited(wire::Visited {
            call: id(1),
            attempt: 1,
            key: "who".to_owned(),
        }))
        .await;
    worker
        .send(From::BecomeTask(wire::BecomeTask {
            call: id(1),
            attempt: 1,
        }))
        .await;
    worker.ok(1).await;
    let key = "who".to_owned();
    assert_eq!(event(&mut attempt).await, CallEvent::Visited { key });
    assert_eq!(event(&mut attempt).await, CallEvent::BecomeTask);
    assert_eq!(end(&mut attempt).await, ok());
}

#[tokio::test(start_paused = true)]
async fn a_visit_of_no_possible_question_is_a_bad_frame() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker
        .send(From::Visited(wire::Visited {
            call: id(1),
            attempt: 1,
            key: "k".repeat(257),
        }))
        .await;
    worker.ok(1).await;
    assert_eq!(end(&mut attempt).await, ok());
    assert_eq!(rig.metric("bad_frames_total", &[]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_that_nothing_ran() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let cases = [
        (wire::RefusedReason::Busy, RefusedReason::Busy),
        (
            wire::RefusedReason::UnknownTarget,
            RefusedReason::UnknownTarget,
        ),
        (wire::RefusedReason::Draining, RefusedReason::Draining),
        (wire::RefusedReason::Unspecified, RefusedReason::Busy),
    ];
    for (reason, expected) in cases {
        let mut attempt = rig.start(1);
        worker.next_call().await;
        let (call, attempt_number, reason) = (id(1), 1, reason.into());
        let refused = wire::Refused {
            call,
            attempt: attempt_number,
            reason,
        };
        worker.send(From::Refused(refused)).await;
        assert_eq!(end(&mut attempt).await, AttemptEnd::Refused(expected));
    }
    assert_eq!(rig.ended("refused"), 4.0);
    assert_eq!(rig.only().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_gets_no_more_calls_than_it_takes() {
    let rig = Rig::new();
    let worker = rig.try_worker(|hello| hello.capacity = 2).await.unwrap();
    let mut first = rig.start(1);
    let _second = rig.start(2);
    assert_eq!(rig.try_start(3, |_| ()).err(), Some(NotStarted::NoCredit));
    assert_eq!(rig.only().in_flight(), 2);
    worker.ok(1).await;
    assert_eq!(end(&mut first).await, ok());
    assert!(rig.try_start(3, |_| ()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_ends_as_the_worker_says() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    attempt.cancel("the client left");
    attempt.cancel("again");
    let To::Cancel(cancel) = worker.next().await else {
        panic!("a cancel goes out");
    };
    assert_eq!(
        (cancel.call, cancel.reason.as_str()),
        (id(1), "the client left")
    );
    let cancelled = wire::Failure {
        kind: wire::FailureKind::Cancelled.into(),
        ..wire::Failure::default()
    };
    worker
        .outcome_frame(1, wire::outcome::Outcome::Failure(cancelled))
        .await;
    assert_eq!(end(&mut attempt).await, failed(Failure::Cancelled));
    assert_eq!(rig.ended("cancelled"), 1.0);
}

/// GRPC-021.
#[tokio::test(start_paused = true)]
async fn a_worker_that_ignores_a_cancel_delays_its_end_by_five_seconds_and_keeps_its_place() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    let began = rig.env.now();
    attempt.cancel("enough");
    let answering = async { while worker.raw_pong().await {} };
    let ended = tokio::select! {
        ended = end(&mut attempt) => ended,
        () = answering => panic!("the link stands"),
    };
    assert_eq!(ended, failed(Failure::Cancelled));
    assert_eq!(rig.env.now().since(began).as_secs(), 5);
    assert_eq!(rig.only().in_flight(), 1);
    worker.ok(1).await;
    worker.settle(&rig).await;
    assert_eq!(rig.only().in_flight(), 0);
    assert_eq!(
        rig.metric("outcomes_dropped_total", &[("reason", "late")]),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_before_it_left_never_leaves() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    // Nothing has run since: the frame still waits.
    attempt.cancel("changed my mind");
    assert_eq!(end(&mut attempt).await, failed(Failure::Cancelled));
    assert_eq!(rig.only().in_flight(), 0);
    let _second = rig.start(2);
    assert_eq!(worker.next_call().await.call, id(2));
}

/// GRPC-021.
#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call_in_time_and_cancels_it_at_the_worker() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let began = rig.env.now();
    let deadline = began + Duration::from_millis(1_500);
    let mut attempt = rig.start_with(1, |new| new.deadline = deadline);
    assert_eq!(worker.next_call().await.time_left_ms, 1_500);
    assert_eq!(end(&mut attempt).await, failed(Failure::Deadline));
    let late = rig.env.now().since(deadline);
    assert!(late < Duration::from_millis(250), "{late:?}");
    assert!(matches!(worker.next().await, To::Cancel(_)));
    worker.ok(1).await;
    worker.settle(&rig).await;
    assert_eq!(rig.ended("deadline"), 1.0);
    assert_eq!(
        rig.metric("outcomes_dropped_total", &[("reason", "late")]),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_be_moved() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let began = rig.env.now();
    let mut attempt = rig.start_with(1, |new| new.deadline = began + Duration::from_secs(1));
    worker.next_call().await;
    attempt.set_deadline(began + Duration::from_secs(3));
    assert_eq!(end(&mut attempt).await, failed(Failure::Deadline));
    assert_eq!(rig.env.now().since(began).as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn several_workers_serve_one_server() {
    let rig = Rig::new();
    let _one = rig.worker().await;
    let two = rig
        .try_worker(|hello| hello.worker_id = "w2".to_owned())
        .await
        .unwrap();
    let ids = |rig: &Rig| {
        let workers = rig.hub.candidates(&server());
        let mut ids: Vec<_> = workers.iter().map(|it| it.id().to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&rig), ["w1", "w2"]);
    two.cut();
    rig.env.sleep(Duration::from_millis(1)).await;
    assert_eq!(ids(&rig), ["w1"]);
    assert!(
        rig.catalogs
            .snapshot(&server())
            .unwrap()
            .tool("add")
            .is_some()
    );
}
