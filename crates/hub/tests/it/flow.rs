//! Slow and greedy workers.

use std::time::Duration;

use ostler_hub::{AttemptEvent, NotStarted};
use ostler_protocol::call::{CallEvent, Failure};
use ostler_rpc::{
    frame::Frame as _,
    worker_v1::{
        self as wire, FromWorker, Part, ToWorker, from_worker::Frame as From,
        to_worker::Frame as To,
    },
};
use tonic::Code;

use crate::rig::{Rig, Worker, end, id, inline, ok, raw};

const CREDIT: usize = 512 << 10;

fn bulky() -> ostler_protocol::Raw {
    raw(&format!(r#"{{"x":"{}"}}"#, "y".repeat(60_000)))
}

/// Bytes of calls that come while the worker acknowledges nothing, until a cancel comes.
async fn until_cancel(worker: &mut Worker) -> usize {
    let mut cost = 0;
    loop {
        match worker.raw_next().await.unwrap().unwrap() {
            To::Cancel(_) => return cost,
            To::Call(call) => cost += ToWorker::from(To::Call(call)).cost(),
            To::Part(part) => cost += ToWorker::from(To::Part(part)).cost(),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_overtakes_at_a_worker_that_takes_nothing_in() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempts: Vec<_> = (0..30)
        .map(|call| rig.start_with(call, |new| new.arguments = bulky()))
        .collect();
    rig.env.sleep(Duration::from_millis(1)).await;
    attempts[0].cancel("enough");
    let unacknowledged = until_cancel(&mut worker).await;
    assert!(unacknowledged <= CREDIT, "{unacknowledged}");
    // One that still waits here is taken back.
    attempts[29].cancel("enough");
    let ended = end(&mut attempts[29]).await;
    assert_eq!(ended, crate::rig::failed(Failure::Cancelled));
    let bytes = unacknowledged as u64;
    worker.send(From::Consumed(wire::Consumed { bytes })).await;
    worker.next_call().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slow_worker_is_bounded() {
    let rig = Rig::with(|config| config.waiting_bytes_max = 1 << 20);
    let _worker = rig.worker().await;
    let mut started = Vec::new();
    let refused = loop {
        match rig.try_start(started.len() as u128, |new| new.arguments = bulky()) {
            Ok(attempt) => started.push(attempt),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, NotStarted::NoCredit);
    assert!(
        started.len() * 60_000 <= (1 << 20) + 60_000,
        "{}",
        started.len()
    );
    assert_eq!(rig.only().in_flight() as usize, started.len());
}

#[tokio::test(start_paused = true)]
async fn credit_is_granted_as_it_is_used() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    assert_eq!(worker.welcome.byte_credit as usize, CREDIT);
    let part = Part {
        transfer: 1,
        data: vec![1; 60_000].into(),
    };
    let cost = FromWorker::of_part(part.clone()).cost() as u64;
    for _ in 0..3 {
        worker.send(From::Part(part.clone())).await;
    }
    let grant = loop {
        if let To::Grant(grant) = worker.raw_next().await.unwrap().unwrap() {
            break grant;
        }
    };
    assert_eq!(grant.bytes, 3 * cost);
}

/// GRPC-041, and the rate of GRPC-044.
#[tokio::test(start_paused = true)]
async fn a_worker_that_chatters_is_throttled_and_cut_off_when_it_does_not_stop() {
    let rig = Rig::with(|config| config.chatter_per_second_max = 400);
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    let log = wire::Log {
        call: id(1),
        attempt: 1,
        data: inline(format!("\"{}\"", "x".repeat(1_000))),
        ..wire::Log::default()
    };
    let mut sent = 0;
    while sent < 4_000 && worker.try_send(From::Log(log.clone())).await {
        sent += 1;
    }
    assert_eq!(worker.end().await, Some(Code::ResourceExhausted));
    assert_eq!(
        rig.metric("links_ended_total", &[("reason", "overdrawn")]),
        1.0
    );
    // The owner sees a bounded number of them, the newest, and then the end.
    let mut seen = 0;
    while let Some(AttemptEvent::Event(CallEvent::Log(_))) = attempt.next().await {
        seen += 1;
    }
    assert!(seen <= 256, "{seen}");
    assert!(rig.metric("chatter_dropped_total", &[]) > 500.0);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_worker_that_waits_for_its_grant_is_not_cut_off() {
    let rig = Rig::with(|config| config.chatter_per_second_max = 40);
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    let log = wire::Log {
        call: id(1),
        attempt: 1,
        data: inline(format!("\"{}\"", "x".repeat(20_000))),
        ..wire::Log::default()
    };
    let cost = FromWorker::from(From::Log(log.clone())).cost() as u64;
    let began = rig.env.now();
    let mut credit = worker.welcome.byte_credit;
    for _ in 0..100 {
        while credit < cost {
            match worker.raw_next().await.unwrap().unwrap() {
                To::Grant(grant) => credit += grant.bytes,
                To::Ping(wire::Ping { nonce }) => {
                    worker.send(From::Pong(wire::Pong { nonce })).await;
                }
                _ => {}
            }
        }
        credit -= cost;
        worker.send(From::Log(log.clone())).await;
    }
    let took = rig.env.now().since(began);
    assert!(took > Duration::from_millis(500), "{took:?}");
    assert!(rig.metric("throttled_total", &[("reason", "chatter")]) > 1.0);
    worker.ok(1).await;
    assert_eq!(crate::rig::end_at_last(&mut attempt).await, ok());
}

/// GRPC-033.
#[tokio::test(start_paused = true)]
async fn progress_that_json_cannot_say_is_dropped() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.progress(1, f64::NAN).await;
    worker.ok(1).await;
    assert_eq!(end(&mut attempt).await, ok());
    assert_eq!(rig.metric("bad_frames_total", &[]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_too_many_open_questions_fails_and_is_cancelled() {
    let rig = Rig::with(|config| config.ask_bytes_max = 300);
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    for key in ["a", "b", "c", "d", "e"] {
        worker.ask(1, key).await;
    }
    let ended = crate::rig::end_at_last(&mut attempt).await;
    let ostler_hub::AttemptEnd::Outcome(Err(Failure::BadResult(why))) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(why, "too many open questions");
    assert!(matches!(worker.next().await, To::Cancel(_)));
}

#[tokio::test(start_paused = true)]
async fn nothing_a_client_writes_can_break_a_link() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let long = "x".repeat(300_000);
    let mut attempt = rig.start_with(1, |new| new.target = long.clone());
    let invalid = Failure::InvalidParams("the names in the request are too long".to_owned());
    assert_eq!(end(&mut attempt).await, crate::rig::failed(invalid));
    let _watch = rig.hub.watch(&crate::rig::server(), &long).unwrap();
    let attempt = rig.start(2);
    worker.next_call().await;
    attempt.cancel(&long);
    let To::Cancel(cancel) = worker.next().await else {
        panic!("a cancel goes out");
    };
    assert_eq!(cancel.reason.len(), 512);
    let answer = |key: &str| ostler_protocol::call::Answer {
        key: key.to_owned(),
        value: Ok(raw("{}")),
    };
    attempt.answer(vec![answer(&long), answer("short")]);
    let To::Answers(answers) = worker.next().await else {
        panic!("the answer that fits goes out");
    };
    assert_eq!(answers.answers[0].key, "short");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_even_read_control_frames_is_cut_off() {
    let rig = Rig::with(|config| config.watches_max = 1);
    let _worker = rig.try_worker(|hello| hello.capacity = 1).await.unwrap();
    let uri = "x".repeat(60_000);
    for _ in 0..100 {
        drop(rig.hub.watch(&crate::rig::server(), &uri).unwrap());
        rig.env.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(
        rig.metric("links_ended_total", &[("reason", "stalled")]),
        1.0
    );
}
