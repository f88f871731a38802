//! Payloads larger than a frame, both ways.

use ostler_hub::AttemptEnd;
use ostler_protocol::{
    Raw,
    call::{Answer, CallEvent, Failure},
};
use ostler_rpc::{
    convert::Reader,
    transfer::PART_BYTES_MAX,
    worker_v1::{self as wire, Part, from_worker::Frame as From, to_worker::Frame as To},
};
use tonic::Code;

use crate::rig::{Rig, end, event, failed, inline, ok, raw};

fn big(bytes: usize) -> Raw {
    raw(&format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes)))
}

#[tokio::test(start_paused = true)]
async fn large_arguments_and_large_outcomes_arrive_whole() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    for bytes in [60_000, 70_000, 3 << 20] {
        let arguments = big(bytes);
        let mut attempt = rig.start_with(1, |new| new.arguments = arguments.clone());
        let call = worker.next_call().await;
        let mut reader = Reader::new(&mut worker.assembler, 64);
        assert!(reader.json("arguments", call.arguments) == Ok(arguments.clone()));
        let outcome = Ok(arguments);
        worker.outcome(1, &outcome).await;
        assert!(end(&mut attempt).await == AttemptEnd::Outcome(outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn large_answers_arrive_whole() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.ask(1, "who").await;
    assert!(matches!(event(&mut attempt).await, CallEvent::Ask(_)));
    let answers = vec![Answer {
        key: "who".to_owned(),
        value: Ok(big(500_000)),
    }];
    attempt.answer(answers.clone());
    let To::Answers(frame) = worker.next().await else {
        panic!("answers go out");
    };
    let mut reader = Reader::new(&mut worker.assembler, 64);
    assert!(reader.answers(frame.answers) == Ok(answers));
}

#[tokio::test(start_paused = true)]
async fn a_large_payload_delays_no_other_call() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let _large = rig.start_with(1, |new| new.arguments = big(4 << 20));
    let mut small = rig.start(2);
    // The small call comes before all parts of the large one have.
    assert_eq!(worker.next_call().await.call, crate::rig::id(2));
    worker.ok(2).await;
    assert_eq!(end(&mut small).await, ok());
    assert_eq!(worker.next_call().await.call, crate::rig::id(1));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_beyond_the_limit_fails_its_call_and_nothing_else() {
    let rig = Rig::with(|config| config.outcome_bytes_max = 200_000);
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.outcome(1, &Ok(big(200_001))).await;
    assert_eq!(end(&mut attempt).await, failed(Failure::TooLarge));
    let mut attempt = rig.start(2);
    worker.outcome(2, &Ok(big(100_000))).await;
    assert!(matches!(
        end(&mut attempt).await,
        AttemptEnd::Outcome(Ok(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_rules_of_transfers_ends_the_link() {
    let part = |transfer, len: usize| {
        let data = vec![1; len].into();
        From::Part(Part { transfer, data })
    };
    let unknown = wire::Payload {
        transfer: 99,
        ..wire::Payload::default()
    };
    let outcome = wire::Outcome {
        call: crate::rig::id(1),
        attempt: 1,
        outcome: Some(wire::outcome::Outcome::Result(unknown)),
    };
    let bad = [
        part(0, 1),
        part(1, 0),
        part(1, PART_BYTES_MAX + 1),
        From::Outcome(outcome),
    ];
    for frame in bad {
        let rig = Rig::new();
        let mut worker = rig.worker().await;
        worker.send(frame).await;
        assert_eq!(worker.end().await, Some(Code::InvalidArgument));
        assert_eq!(
            rig.metric("links_ended_total", &[("reason", "violation")]),
            1.0
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_beyond_the_decode_limit_ends_the_link() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let huge = wire::Log {
        data: inline(vec![b' '; 300_000]),
        ..wire::Log::default()
    };
    worker.send(From::Log(huge)).await;
    assert!(worker.end().await.is_some());
    rig.env.sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(
        rig.metric("links_ended_total", &[("reason", "violation")]),
        1.0
    );
}
