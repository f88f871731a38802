//! Calls without an owner: named by a worker, or left by whoever held them.

use std::time::Duration;

use ostler_hub::{AttemptEnd, Backlog, NotStarted, Placement};
use ostler_protocol::call::{Answer, CallEvent};
use ostler_rpc::worker_v1::{
    self as wire, KnownCallState as State, from_worker::Frame as From, to_worker::Frame as To,
};
use ostler_types::{CallId, InstanceEpoch, WorkerId};

use crate::rig::{Rig, Worker, end, event, id, known, known_attempts, ok, raw};

async fn worker_with(rig: &Rig, calls: &[(u128, State)]) -> Worker {
    let calls = known(calls);
    rig.try_worker(|hello| hello.calls = calls).await.unwrap()
}

/// The default worker, in this process and attempt.
fn place(epoch: u64, attempt: u32) -> Placement {
    Placement {
        worker: WorkerId::parse("w1").unwrap(),
        instance: InstanceEpoch(epoch),
        attempt,
    }
}

/// Long enough for the sweep to look.
async fn sweep(rig: &Rig) {
    rig.env.sleep(Duration::from_millis(150)).await;
}

#[tokio::test(start_paused = true)]
async fn calls_a_worker_brings_along_are_offered_with_their_placement_and_can_be_claimed() {
    let rig = Rig::new();
    let calls = [(1, State::Running), (2, State::Held), (3, State::Ended)];
    let mut worker = worker_with(&rig, &calls).await;
    worker.ask(1, "who").await;
    worker.ok(2).await;
    sweep(&rig).await;
    let mut found = rig.found.take();
    found.sort_by_key(|(call, _)| *call);
    let ids: Vec<_> = found.iter().map(|(call, _)| call.0).collect();
    assert_eq!(ids, [1, 2]);
    let placement = &found[0].1;
    assert_eq!(placement.worker.as_str(), "w1");
    assert_eq!(
        (placement.instance, placement.attempt),
        (InstanceEpoch(7), 1)
    );
    assert_eq!(rig.metric("calls_adopted_total", &[]), 2.0);
    assert_eq!(rig.metric("orphans_total", &[]), 2.0);

    let mut running = rig.claim(1).unwrap();
    assert!(rig.claim(1).is_none(), "it has an owner now");
    assert_eq!(event(&mut running).await, CallEvent::Kept);
    assert!(matches!(event(&mut running).await, CallEvent::Ask(_)));
    let (key, value) = ("who".to_owned(), Ok(raw("{}")));
    running.answer(vec![Answer { key, value }]);
    assert!(matches!(worker.next().await, To::Answers(_)));
    worker.ok(1).await;
    assert_eq!(end(&mut running).await, ok());
    running.recorded();

    let mut held = rig.claim(2).unwrap();
    assert_eq!(event(&mut held).await, CallEvent::Kept);
    assert_eq!(end(&mut held).await, ok());
    held.recorded();
    let calls = vec![CallId(1).into(), CallId(2).into()];
    assert_eq!(worker.next().await, To::Recorded(wire::Recorded { calls }));
    assert!(rig.claim(3).is_none());
    assert_eq!(rig.only().in_flight(), 0);
}

/// design.md 4.2: owners that wait for what an older process ran need to know.
#[tokio::test(start_paused = true)]
async fn a_process_that_was_not_known_is_told_of_and_one_that_is_back_is_not() {
    let rig = Rig::new();
    let newcomer = |epoch| vec![("w1".to_owned(), epoch, true)];
    let worker = worker_with(&rig, &[]).await;
    assert_eq!(rig.found.newcomers(), newcomer(7));
    drop(worker);
    sweep(&rig).await;
    drop(worker_with(&rig, &[]).await);
    assert_eq!(rig.found.newcomers(), []);
    sweep(&rig).await;
    drop(rig.try_worker(|hello| hello.instance_epoch = 8).await);
    assert_eq!(rig.found.newcomers(), newcomer(8));
}

#[tokio::test(start_paused = true)]
async fn of_two_attempts_at_a_call_the_newer_one_is_taken() {
    let rig = Rig::new();
    let calls = known_attempts(&[(1, 1, State::Running), (1, 2, State::Running)]);
    let mut worker = rig.try_worker(|hello| hello.calls = calls).await.unwrap();
    let (call, attempt) = (id(1), 1);
    assert_eq!(
        worker.next().await,
        To::Forget(wire::Forget { call, attempt })
    );
    sweep(&rig).await;
    assert_eq!(rig.found.take(), [(CallId(1), place(7, 2))]);
}

#[tokio::test(start_paused = true)]
async fn a_call_nobody_claims_is_forgotten_after_the_grace() {
    let rig = Rig::new();
    let mut worker = worker_with(&rig, &[(1, State::Running)]).await;
    let began = rig.env.now();
    let forget = wire::Forget {
        call: id(1),
        attempt: 1,
    };
    assert_eq!(worker.next().await, To::Forget(forget));
    assert_eq!(rig.env.now().since(began).as_secs(), 30);
    assert_eq!(rig.ended("forgotten"), 1.0);
    assert!(rig.claim(1).is_none());
    assert_eq!(rig.found.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_call_is_forgotten_while_its_owner_is_still_to_be_looked_for() {
    let rig = Rig::new();
    rig.found.set_backlog(Backlog::Full);
    let mut worker = worker_with(&rig, &[(1, State::Running)]).await;
    let grace = Duration::from_secs(31);
    let until = rig.env.now() + grace;
    assert_eq!(rig.env.until(until, worker.next()).await, None);
    assert!(rig.found.take().is_empty());
    rig.found.set_backlog(Backlog::Waiting);
    let until = until + grace;
    assert_eq!(rig.env.until(until, worker.next()).await, None);
    assert_eq!(rig.found.take().len(), 1);
    rig.found.set_backlog(Backlog::Empty);
    assert!(matches!(worker.next().await, To::Forget(_)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_known_to_be_nobodys_is_forgotten_at_once() {
    let rig = Rig::new();
    let mut worker = worker_with(&rig, &[(1, State::Held)]).await;
    rig.hub.forget_at(CallId(1), &place(7, 2));
    rig.hub.forget_at(CallId(1), &place(8, 1));
    rig.hub.forget_at(CallId(1), &place(7, 1));
    assert!(matches!(worker.next().await, To::Forget(_)));
    assert!(rig.claim(1).is_none());
    sweep(&rig).await;
    assert!(rig.found.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_with_an_owner_is_not_forgotten_because_of_another_attempt_of_it() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    attempt.keep();
    let calls = known(&[(1, State::Held)]);
    let other = |hello: &mut wire::Hello| {
        hello.worker_id = "w2".to_owned();
        hello.calls = calls;
    };
    let mut other = rig.try_worker(other).await.unwrap();
    let worker_2 = WorkerId::parse("w2").unwrap();
    let there = Placement {
        worker: worker_2,
        ..place(7, 1)
    };
    rig.hub.forget_at(CallId(1), &place(7, 1));
    rig.hub.forget_at(CallId(1), &there);
    assert!(matches!(other.next().await, To::Forget(_)));
    worker.ok(1).await;
    assert_eq!(end(&mut attempt).await, ok());
}

#[tokio::test(start_paused = true)]
async fn orphans_are_bounded() {
    let rig = Rig::with(|config| config.orphans_per_worker_max = 2);
    let calls = [(1, State::Held), (2, State::Held), (3, State::Held)];
    let mut worker = worker_with(&rig, &calls).await;
    assert!(matches!(worker.next().await, To::Forget(_)));
    sweep(&rig).await;
    assert_eq!(rig.found.take().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn outcomes_of_calls_that_were_named_and_not_taken_are_no_violation() {
    let rig = Rig::with(|config| config.orphans_per_worker_max = 0);
    let calls: Vec<_> = (1..=150).map(|call| (call, State::Held)).collect();
    let mut worker = worker_with(&rig, &calls).await;
    for (call, _) in calls {
        worker.ok(call).await;
    }
    worker.settle(&rig).await;
    assert!(
        worker
            .try_send(wire::from_worker::Frame::Pong(wire::Pong::default()))
            .await
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_owner_dropped_it_is_offered_again() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let attempt = rig.start(1);
    worker.next_call().await;
    attempt.keep();
    worker.kept(1).await;
    worker.ok(1).await;
    worker.settle(&rig).await;
    drop(attempt);
    sweep(&rig).await;
    assert_eq!(rig.found.take().len(), 1);
    let mut again = rig.claim(1).unwrap();
    assert_eq!(event(&mut again).await, CallEvent::Kept);
    assert_eq!(end(&mut again).await, ok());
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_whose_owner_dropped_it_runs_out_unheard() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    drop(rig.start(1));
    worker.next_call().await;
    assert!(rig.claim(1).is_none());
    worker.ok(1).await;
    worker.settle(&rig).await;
    assert!(rig.found.take().is_empty());
    assert_eq!(rig.only().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_newer_process_cannot_continue_calls_but_may_bring_its_own() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    attempt.keep();
    let calls = known(&[(1, State::Running)]);
    let newer = |hello: &mut wire::Hello| {
        hello.instance_epoch = 8;
        hello.calls = calls;
    };
    let _newer = rig.try_worker(newer).await.unwrap();
    assert_eq!(end(&mut attempt).await, AttemptEnd::Lost);
    sweep(&rig).await;
    let found = rig.found.take();
    assert_eq!(found[0].1.instance, InstanceEpoch(8));
}

/// Bytes granted within `span`; pings are answered.
async fn granted(rig: &Rig, worker: &mut Worker, span: Duration) -> u64 {
    let until = rig.env.now() + span;
    let mut bytes = 0;
    while let Some(frame) = rig.env.until(until, worker.raw_next()).await {
        match frame.unwrap() {
            Some(To::Ping(wire::Ping { nonce })) => {
                worker.send(From::Pong(wire::Pong { nonce })).await;
            }
            Some(To::Grant(grant)) => bytes += grant.bytes,
            Some(_) => {}
            None => break,
        }
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_send_no_more_while_too_much_is_held_for_nobody() {
    let rig = Rig::with(|config| {
        config.unowned_bytes_max = 100 << 10;
        config.byte_credit = 256 << 10;
    });
    let mut worker = worker_with(&rig, &[(1, State::Held), (2, State::Held)]).await;
    let result = raw(&format!(r#"{{"x":"{}"}}"#, "y".repeat(110 << 10)));
    let span = Duration::from_secs(5);
    worker.outcome(1, &Ok(result.clone())).await;
    assert!(granted(&rig, &mut worker, span).await > 0);
    // It is there now: the next one finds no room.
    worker.outcome(2, &Ok(result.clone())).await;
    assert_eq!(granted(&rig, &mut worker, span).await, 0);
    assert!(rig.metric("throttled_total", &[("reason", "unowned")]) > 1.0);
    let started = rig.try_start_at(&rig.only(), 9).map(drop);
    assert_eq!(
        started,
        Err(NotStarted::NoCredit),
        "it could not even begin"
    );

    for call in [1, 2] {
        let mut claimed = rig.claim(call).unwrap();
        assert_eq!(event(&mut claimed).await, CallEvent::Kept);
        let end = end(&mut claimed).await;
        assert_eq!(end, AttemptEnd::Outcome(Ok(result.clone())));
        claimed.recorded();
    }
    assert!(granted(&rig, &mut worker, span).await > 110 << 10);
}
