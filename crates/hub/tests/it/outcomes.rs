//! Outcomes that are not what they must be, or not whose they must be.

use ostler_hub::AttemptEnd;
use ostler_protocol::call::Failure;
use ostler_rpc::worker_v1::{self as wire, from_worker::Frame as From, to_worker::Frame as To};
use tonic::Code;

use crate::rig::{Rig, end, failed, id, inline, ok, raw};

async fn outcome_of(rig: &Rig, result: &str) -> AttemptEnd {
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.result(1, result).await;
    let ended = end(&mut attempt).await;
    worker.cut();
    ended
}

/// GRPC-024, GRPC-026 and GRPC-027, as far as any result of any call goes; the rest is seen by clients.
#[tokio::test(start_paused = true)]
async fn a_bad_result_fails_its_call_and_nothing_else() {
    let rig = Rig::new();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let bad = [
        "[]",
        "",
        "{",
        r#"{"a":1,"a":2}"#,
        "\u{feff}{}",
        r#"{"a":NaN}"#,
        &deep,
    ];
    for (count, result) in (1..).zip(bad) {
        rig.env.sleep(std::time::Duration::from_secs(40)).await;
        let ended = outcome_of(&rig, result).await;
        let AttemptEnd::Outcome(Err(Failure::BadResult(_))) = ended else {
            panic!("{result:?} gave {ended:?}");
        };
        assert_eq!(rig.ended("bad_result"), f64::from(count));
        assert_eq!(rig.metric("bad_frames_total", &[]), f64::from(count));
    }
}

/// GRPC-025.
#[tokio::test(start_paused = true)]
async fn white_space_does_not_matter_and_line_breaks_do_not_survive() {
    let rig = Rig::new();
    let ended = outcome_of(&rig, "{\r\n  \"content\": []\r\n}").await;
    let AttemptEnd::Outcome(Ok(result)) = ended else {
        panic!("it is a good result");
    };
    assert!(!result.as_str().contains(['\r', '\n']));
    assert_eq!(result.get("content"), Some(raw("[]")));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_without_content_is_a_bad_result() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    let empty = wire::Outcome {
        call: id(1),
        attempt: 1,
        outcome: None,
    };
    worker.send(From::Outcome(empty)).await;
    let ended = end(&mut attempt).await;
    assert!(
        matches!(ended, AttemptEnd::Outcome(Err(Failure::BadResult(_)))),
        "{ended:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_arrive_as_the_worker_said_them() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    let failure = wire::Failure {
        kind: wire::FailureKind::Protocol.into(),
        message: "no".to_owned(),
        code: -7,
        data: inline(r#"{"x":1}"#),
        ..wire::Failure::default()
    };
    worker
        .outcome_frame(1, wire::outcome::Outcome::Failure(failure))
        .await;
    let expected = Failure::Protocol {
        code: -7,
        message: "no".to_owned(),
        data: Some(raw(r#"{"x":1}"#)),
    };
    assert_eq!(end(&mut attempt).await, failed(expected));
    assert_eq!(rig.ended("failed"), 1.0);
}

/// GRPC-020.
#[tokio::test(start_paused = true)]
async fn of_two_outcomes_of_a_kept_call_the_first_wins() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    attempt.keep();
    assert!(matches!(worker.next().await, To::Keep(_)));
    worker.ok(1).await;
    worker.result(1, r#"{"second":true}"#).await;
    assert_eq!(end(&mut attempt).await, ok());
    worker.settle(&rig).await;
    assert_eq!(
        rig.metric("outcomes_dropped_total", &[("reason", "duplicate")]),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn an_outcome_of_another_attempt_is_forgotten() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start_with(1, |new| new.attempt = 2);
    worker.next_call().await;
    worker.ok(1).await;
    let forget = wire::Forget {
        call: id(1),
        attempt: 1,
    };
    assert_eq!(worker.next().await, To::Forget(forget));
    assert_eq!(
        rig.metric("outcomes_dropped_total", &[("reason", "stale")]),
        1.0
    );
    let result = wire::outcome::Outcome::Result(inline("{}").unwrap());
    let outcome = wire::Outcome {
        call: id(1),
        attempt: 2,
        outcome: Some(result),
    };
    worker.send(From::Outcome(outcome)).await;
    assert_eq!(end(&mut attempt).await, ok());
}

/// GRPC-019, of one tenant.
#[tokio::test(start_paused = true)]
async fn a_worker_cannot_end_the_call_of_another() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    let mut rival = rig
        .try_worker(|hello| hello.worker_id = "w2".to_owned())
        .await
        .unwrap();
    rival.result(1, r#"{"forged":true}"#).await;
    assert!(matches!(rival.next().await, To::Forget(_)));
    worker.ok(1).await;
    assert_eq!(end(&mut attempt).await, ok());
}

/// GRPC-018.
#[tokio::test(start_paused = true)]
async fn outcomes_of_unknown_calls_are_forgotten_and_too_many_end_the_link() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    for call in 0..100 {
        worker.ok(call).await;
        assert!(matches!(worker.next().await, To::Forget(_)));
    }
    assert_eq!(
        rig.metric("outcomes_dropped_total", &[("reason", "unknown")]),
        100.0
    );
    worker.ok(100).await;
    assert_eq!(worker.end().await, Some(Code::InvalidArgument));
}
