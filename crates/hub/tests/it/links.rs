//! Links that break, and what becomes of their calls.

use std::time::Duration;

use ostler_auth::WorkerAccess;
use ostler_hub::{AttemptEnd, NotStarted};
use ostler_protocol::call::{Answer, CallEvent, Failure};
use ostler_rpc::worker_v1::{
    self as wire, KnownCallState as State, from_worker::Frame as From, to_worker::Frame as To,
};
use ostler_types::CallId;
use prost::Message;
use tonic::Code;

use crate::rig::{
    Rig, Worker, catalog, end, end_at_last, event, failed, id, inline, known, named, ok, raw,
    server,
};

/// A worker with call 1 running at it, kept if `kept`.
async fn running(rig: &Rig, kept: Kept) -> (Worker, ostler_hub::Attempt) {
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    if kept == Kept::Yes {
        attempt.keep();
        assert_eq!(worker.next().await, To::Keep(wire::Keep { call: id(1) }));
        worker.kept(1).await;
        assert_eq!(event(&mut attempt).await, CallEvent::Kept);
    }
    (worker, attempt)
}

#[derive(PartialEq)]
enum Kept {
    Yes,
    No,
}

/// The same process links again and says this about call 1.
async fn back(rig: &Rig, state: State) -> Worker {
    rig.try_worker(|hello| hello.calls = known(&[(1, state)]))
        .await
        .unwrap()
}

async fn check_lost_after(kept: Kept, grace: Duration) {
    let rig = Rig::new();
    let (worker, mut attempt) = running(&rig, kept).await;
    let cut = rig.env.now();
    worker.cut();
    assert_eq!(end(&mut attempt).await, AttemptEnd::Lost);
    let took = rig.env.now().since(cut);
    assert!(
        took >= grace && took < grace + Duration::from_millis(250),
        "{took:?}"
    );
    assert_eq!(rig.ended("lost"), 1.0);
    assert_eq!(rig.metric("links", &[]), 0.0);
    assert_eq!(rig.metric("links_ended_total", &[("reason", "lost")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_is_lost_one_second_after_its_link() {
    check_lost_after(Kept::No, Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_kept_call_is_lost_thirty_seconds_after_its_link() {
    check_lost_after(Kept::Yes, Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_left_ends_at_once_and_may_be_tried_elsewhere() {
    let rig = Rig::new();
    let worker = rig.worker().await;
    // Far more than may be out unacknowledged: most of it waits here.
    let text = format!(r#"{{"x":"{}"}}"#, "x".repeat(60_000));
    let start = |call| rig.start_with(call, |new| new.arguments = raw(&text));
    let mut attempts: Vec<_> = (0..20).map(start).collect();
    rig.env.sleep(Duration::from_millis(10)).await;
    let cut = rig.env.now();
    worker.cut();
    let mut last = attempts.pop().unwrap();
    assert_eq!(end(&mut last).await, AttemptEnd::NotHanded);
    assert_eq!(rig.env.now().since(cut), Duration::ZERO);
    assert_eq!(end(&mut attempts[0]).await, AttemptEnd::Lost);
    assert_eq!((rig.ended("not_handed"), rig.ended("lost")), (12.0, 8.0));
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_when_its_worker_comes_back_within_the_grace() {
    for kept in [Kept::No, Kept::Yes] {
        let rig = Rig::new();
        let (worker, mut attempt) = running(&rig, kept).await;
        worker.cut();
        rig.env.sleep(Duration::from_millis(900)).await;
        let worker = back(&rig, State::Running).await;
        worker.progress(1, 1.0).await;
        assert!(matches!(event(&mut attempt).await, CallEvent::Progress(_)));
        worker.ok(1).await;
        assert_eq!(end(&mut attempt).await, ok());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_may_have_missed_is_said_again() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.ask(1, "who").await;
    assert!(matches!(event(&mut attempt).await, CallEvent::Ask(_)));
    worker.cut();
    rig.env.sleep(Duration::from_millis(10)).await;
    let value = Ok(raw("{}"));
    let key = "who".to_owned();
    attempt.answer(vec![Answer { key, value }]);
    attempt.keep();
    attempt.cancel("enough");
    let mut worker = back(&rig, State::Running).await;
    assert!(matches!(worker.next().await, To::Keep(_)));
    assert!(matches!(worker.next().await, To::Cancel(_)));
    let To::Answers(answers) = worker.next().await else {
        panic!("the answer comes last");
    };
    assert_eq!(answers.answers[0].key, "who");
    // The question is only said again: its owner does not hear it twice.
    worker.ask(1, "who").await;
    worker.ok(1).await;
    assert_eq!(end(&mut attempt).await, ok());
}

#[tokio::test(start_paused = true)]
async fn a_held_outcome_is_delivered_once_and_forgotten_when_recorded() {
    let rig = Rig::new();
    let (worker, mut attempt) = running(&rig, Kept::Yes).await;
    worker.cut();
    rig.env.sleep(Duration::from_secs(20)).await;
    let worker = back(&rig, State::Held).await;
    worker.ok(1).await;
    assert_eq!(end(&mut attempt).await, ok());
    // The link breaks before anything was recorded: the worker offers the outcome again.
    worker.cut();
    rig.env.sleep(Duration::from_secs(5)).await;
    let mut worker = back(&rig, State::Held).await;
    worker.ok(1).await;
    worker.settle(&rig).await;
    assert_eq!(attempt.next().await, None);
    assert_eq!(
        rig.metric("outcomes_dropped_total", &[("reason", "duplicate")]),
        1.0
    );
    attempt.recorded();
    let calls = vec![CallId(1).into()];
    assert_eq!(worker.next().await, To::Recorded(wire::Recorded { calls }));
    assert!(rig.claim(1).is_none());
    assert_eq!(rig.ended("ok"), 1.0);
}

async fn check_back(edit: impl FnOnce(&mut wire::Hello), expected: AttemptEnd) {
    let rig = Rig::new();
    let (worker, mut attempt) = running(&rig, Kept::Yes).await;
    worker.cut();
    rig.env.sleep(Duration::from_secs(1)).await;
    let came_back = rig.env.now();
    let _worker = rig.try_worker(edit).await.unwrap();
    assert_eq!(end(&mut attempt).await, expected);
    assert_eq!(rig.env.now(), came_back);
    let ended = [rig.ended("not_named"), rig.ended("lost")];
    assert_eq!(ended.iter().sum::<f64>(), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_call_the_worker_does_not_know_did_not_run() {
    check_back(|_| (), AttemptEnd::NotNamed).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ended_without_an_outcome_may_have_run() {
    let ended = |hello: &mut wire::Hello| hello.calls = known(&[(1, State::Ended)]);
    check_back(ended, AttemptEnd::Lost).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_name_all_its_calls_proves_nothing() {
    check_back(|hello| hello.calls_truncated = true, AttemptEnd::Lost).await;
}

/// GRPC-006.
#[tokio::test(start_paused = true)]
async fn a_newer_process_ends_the_calls_of_the_older_one_at_once() {
    for linked in [true, false] {
        let rig = Rig::new();
        let (worker, mut attempt) = running(&rig, Kept::Yes).await;
        let old = match linked {
            true => Some(worker),
            false => {
                worker.cut();
                None
            }
        };
        rig.env.sleep(Duration::from_millis(10)).await;
        let newer = rig
            .try_worker(|hello| hello.instance_epoch = 8)
            .await
            .unwrap();
        let began = rig.env.now();
        assert_eq!(end(&mut attempt).await, AttemptEnd::Lost);
        assert_eq!(rig.env.now(), began);
        if let Some(mut old) = old {
            assert_eq!(old.end().await, Some(Code::Aborted));
            assert_eq!(
                rig.metric("links_ended_total", &[("reason", "replaced")]),
                1.0
            );
        }
        assert_eq!(rig.only().epoch().0, 8);
        assert!(
            rig.catalogs
                .snapshot(&server())
                .unwrap()
                .tool("add")
                .is_some()
        );
        let mut attempt = rig.start(2);
        newer.ok(2).await;
        assert_eq!(end(&mut attempt).await, ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_ends_with_its_link() {
    let rig = Rig::new();
    let (worker, mut attempt) = running(&rig, Kept::No).await;
    attempt.cancel("enough");
    worker.cut();
    assert_eq!(end(&mut attempt).await, failed(Failure::Cancelled));
}

/// GRPC-040: a cable that was cut looks the same.
#[tokio::test(start_paused = true)]
async fn a_silent_worker_is_unlinked_within_five_seconds() {
    let rig = Rig::new();
    let (mut worker, mut attempt) = running(&rig, Kept::No).await;
    let began = rig.env.now();
    // It reads and says nothing.
    let ended = tokio::select! {
        code = worker.end() => code,
        _ = end(&mut attempt) => panic!("the link ends first"),
    };
    assert_eq!(ended, Some(Code::DeadlineExceeded));
    let took = rig.env.now().since(began);
    assert!(took <= Duration::from_secs(5), "{took:?}");
    assert_eq!(
        rig.metric("links_ended_total", &[("reason", "silent")]),
        1.0
    );
    assert_eq!(end(&mut attempt).await, AttemptEnd::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_answers_pings_stays_linked() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let until = rig.env.now() + Duration::from_secs(60);
    while rig.env.now() < until {
        assert!(worker.raw_pong().await);
    }
    worker.settle(&rig).await;
    let pings = rig
        .env
        .metrics()
        .value("ostler_hub_ping_seconds_count", &[])
        .unwrap();
    assert!((29.0..=30.0).contains(&pings), "{pings}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_token_is_taken_away_is_unlinked() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    rig.tokens.replace(&WorkerAccess::default()).unwrap();
    assert_eq!(worker.end().await, Some(Code::Unauthenticated));
    assert_eq!(
        rig.metric("links_ended_total", &[("reason", "revoked")]),
        1.0
    );
}

/// GRPC-047.
#[tokio::test(start_paused = true)]
async fn a_leaving_worker_gets_no_new_call_and_finishes_the_running_ones() {
    let rig = Rig::new();
    let (mut worker, mut attempt) = running(&rig, Kept::Yes).await;
    let link = rig.only();
    worker.send(From::Leaving(wire::Leaving {})).await;
    worker.settle(&rig).await;
    assert!(rig.hub.candidates(&server()).is_empty());
    assert!(!link.takes_calls());
    worker.ok(1).await;
    assert_eq!(end_at_last(&mut attempt).await, ok());
    attempt.recorded();
    assert!(matches!(worker.next().await, To::Recorded(_)));
    worker.finish();
    rig.env.sleep(Duration::from_millis(1)).await;
    assert_eq!(rig.metric("links_ended_total", &[("reason", "left")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_left_a_kept_call_has_its_place_as_long_as_the_call() {
    let rig = Rig::with(|config| config.workers_per_credential_max = 1);
    let (mut worker, mut attempt) = running(&rig, Kept::Yes).await;
    worker.send(From::Leaving(wire::Leaving {})).await;
    worker.finish();
    rig.env.sleep(Duration::from_secs(1)).await;
    let refused = rig.try_worker(named("w2")).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(end(&mut attempt).await, AttemptEnd::Lost);
    rig.env.sleep(Duration::from_secs(1)).await;
    rig.try_worker(named("w2")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_the_room_of_a_worker_that_may_be_back() {
    let (small, large) = (catalog(&["add"]), catalog(&["add", "sub"]));
    let max = 2 * small.encoded_len();
    let rig = Rig::with(|config| config.catalog_bytes_per_credential_max = max);
    let (worker, mut attempt) = running(&rig, Kept::Yes).await;
    worker.cut();
    rig.env.sleep(Duration::from_millis(500)).await;
    let large = || inline(large.encode_to_vec());
    let too_large = |hello: &mut wire::Hello| {
        named("w2")(hello);
        hello.servers[0].catalog = large();
    };
    let refused = rig.try_worker(too_large).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let mut other = rig.try_worker(named("w2")).await.unwrap();
    let (server, catalog) = (0, large());
    let changed = wire::CatalogChanged { server, catalog };
    other.send(From::CatalogChanged(changed)).await;
    let To::CatalogTaken(taken) = other.next().await else {
        panic!("the catalog is not answered");
    };
    assert_eq!(taken.refusals.len(), 1, "{taken:?}");
    let worker = back(&rig, State::Running).await;
    worker.ok(1).await;
    assert_eq!(end(&mut attempt).await, ok());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_ended_takes_no_call() {
    let rig = Rig::new();
    let worker = rig.worker().await;
    let stale = rig.only();
    worker.cut();
    rig.env.sleep(Duration::from_millis(1)).await;
    assert_eq!(
        rig.try_start_at(&stale, 1).err(),
        Some(NotStarted::NotLinked)
    );
    assert_eq!(stale.in_flight(), 0);
}
