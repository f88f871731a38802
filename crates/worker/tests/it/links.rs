//! Links that break, and what survives them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ostler_env::Env;
use ostler_rpc::worker_v1::{self as wire, to_worker::Frame};
use ostler_types::Instant;
use ostler_worker::{Ctx, Dial, Server, ToolError, WorkerError};
use serde_json::{Value, json};
use tokio::sync::watch;
use tonic::Code;

use crate::hub::{Hub, Link, Running, call_id};

async fn nap(ctx: Ctx, args: Value) -> &'static str {
    ctx.sleep(Duration::from_millis(args["ms"].as_u64().unwrap_or(0)))
        .await;
    "rested"
}

async fn ask(ctx: Ctx) -> Result<String, ToolError> {
    ctx.become_task();
    Ok(ctx.roots("r").await?.len().to_string())
}

fn server() -> Server {
    Server::new("test", "1")
        .tool("nap", "", nap)
        .tool("ask", "", ask)
}

const RESTED: &str = r#"{"content":[{"type":"text","text":"rested"}]}"#;

async fn keep(link: &mut Link, id: u64) {
    let call = Some(call_id(id));
    link.send(Frame::Keep(wire::Keep { call })).await;
    assert_eq!(link.said().await, format!("kept {id}"));
}

async fn record(link: &Link, id: u64) {
    let calls = vec![call_id(id)];
    link.send(Frame::Recorded(wire::Recorded { calls })).await;
}

#[tokio::test(start_paused = true)]
async fn the_hello_says_who_the_worker_is() {
    let mut hub = Hub::new();
    let worker = hub.worker(server()).token("secret").capacity(7);
    let _running = Running::start(worker);
    let link = hub.attached().await;
    assert_eq!(link.authorization.as_deref(), Some("Bearer secret"));
    assert_eq!(link.hello.worker_id, "tester");
    assert_eq!(link.hello.capacity, 7);
    let offer = &link.hello.servers[0];
    assert_eq!(
        (offer.tenant.as_str(), offer.server.as_str()),
        ("default", "test")
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_ends_the_worker_with_the_reason() {
    for code in [
        Code::InvalidArgument,
        Code::PermissionDenied,
        Code::Unauthenticated,
    ] {
        let hub = Hub::refusing(code);
        let ended = Running::start(hub.worker(server()).token("wrong"))
            .ended()
            .await;
        assert!(matches!(ended, Err(WorkerError::Refused { why, .. }) if why == "no such token"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_one_node_ends_no_worker_that_serves_another() {
    let (mut hub, other) = (Hub::new(), Hub::refusing(Code::PermissionDenied));
    let (near, far) = (hub.dial(), other.dial());
    let (up, is_up) = watch::channel(false);
    let dials = Arc::new(AtomicU32::new(0));
    let counted = dials.clone();
    let dial: Dial = Arc::new(move |address| match address.as_str() {
        "http://other" if *is_up.borrow() => {
            counted.fetch_add(1, Ordering::Relaxed);
            far(address)
        }
        "http://other" => Box::pin(async { Err("nobody there".to_owned()) }),
        _ => near(address),
    });
    let worker = hub.worker(server()).hub("http://other").dial_with(dial);
    let (_running, mut link) = hub.start(worker).await;
    link.call(1, "nap", json!({"ms": 60_000})).await;
    assert_eq!(link.said().await, "started 1");
    up.send_replace(true);
    assert_eq!(link.said().await, format!("outcome 1 {RESTED}"));
    assert!(dials.load(Ordering::Relaxed) > 1);
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.send(Frame::Ping(wire::Ping { nonce: 7 })).await;
    assert_eq!(link.said().await, "pong 7");
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_left_and_dialled_again() {
    let mut hub = Hub::new();
    let _running = Running::start(hub.worker(server()));
    let mut silent = hub.attached().await;
    silent.welcome_with(1 << 20, 2000).await;
    let again = hub.linked().await;
    assert_eq!(silent.said().await, "end");
    assert_eq!(again.hello.instance_epoch, silent.hello.instance_epoch);
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_ends_with_its_link() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "nap", json!({"ms": 60_000})).await;
    assert_eq!(link.said().await, "started 1");
    drop(link);
    // These links never stand; each hello tells how it is.
    let lost = Env::seeded(0);
    while hub.attached().await.known() == ["1 KNOWN_CALL_STATE_RUNNING"] {}
    let span = lost.now().since(Instant::default());
    assert!((1..=3).contains(&span.as_secs()), "{span:?}");
    assert_eq!(hub.attached().await.known(), ["1 KNOWN_CALL_STATE_ENDED"]);
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_goes_on_when_the_link_is_back_in_time() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "nap", json!({"ms": 5_000})).await;
    assert_eq!(link.said().await, "started 1");
    drop(link);
    let mut link = hub.linked().await;
    assert_eq!(link.known(), ["1 KNOWN_CALL_STATE_RUNNING"]);
    assert_eq!(link.said().await, format!("outcome 1 {RESTED}"));
}

#[tokio::test(start_paused = true)]
async fn a_kept_call_runs_on_without_a_link_and_offers_its_outcome_until_recorded() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "nap", json!({"ms": 60_000})).await;
    assert_eq!(link.said().await, "started 1");
    keep(&mut link, 1).await;
    drop(link);
    while hub.attached().await.known() == ["1 KNOWN_CALL_STATE_RUNNING"] {}
    for _ in 0..2 {
        let mut link = hub.linked().await;
        assert_eq!(link.known(), ["1 KNOWN_CALL_STATE_HELD"]);
        assert_eq!(link.said().await, format!("outcome 1 {RESTED}"));
    }
    let mut link = hub.linked().await;
    assert_eq!(link.said().await, format!("outcome 1 {RESTED}"));
    record(&link, 1).await;
    link.send(Frame::Ping(wire::Ping { nonce: 1 })).await;
    assert_eq!(link.said().await, "pong 1");
    drop(link);
    let mut link = hub.attached().await;
    assert_eq!(link.known(), ["1 KNOWN_CALL_STATE_ENDED"]);
}

#[tokio::test(start_paused = true)]
async fn many_outcomes_that_are_offered_again_do_not_end_the_new_link() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server()).capacity(100)).await;
    for batch in 0..120 {
        for id in batch * 100..(batch + 1) * 100 {
            link.call(id + 1, "nap", json!({"ms": 1})).await;
            let call = Some(call_id(id + 1));
            link.send(Frame::Keep(wire::Keep { call })).await;
        }
        // Each call started, is kept and ended.
        for _ in 0..300 {
            link.said().await;
        }
    }
    drop(link);
    let mut link = hub.linked().await;
    assert_eq!(link.known().len(), 12_000);
    // Comes before the worker can have said all of it.
    link.send(Frame::Ping(wire::Ping { nonce: 1 })).await;
    for _ in 0..=12_000 {
        let said = link.said().await;
        assert!(said == "pong 1" || said.starts_with("outcome "), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_between_hello_and_welcome_is_offered() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "nap", json!({"ms": 1_000})).await;
    assert_eq!(link.said().await, "started 1");
    keep(&mut link, 1).await;
    drop(link);
    let mut link = hub.attached().await;
    assert_eq!(link.known(), ["1 KNOWN_CALL_STATE_RUNNING"]);
    Env::seeded(0).sleep(Duration::from_secs(3)).await;
    link.welcome().await;
    assert_eq!(link.said().await, format!("outcome 1 {RESTED}"));
}

#[tokio::test(start_paused = true)]
async fn a_grace_that_ends_between_hello_and_welcome_is_told() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "nap", json!({"ms": 60_000})).await;
    assert_eq!(link.said().await, "started 1");
    drop(link);
    let mut link = hub.attached().await;
    assert_eq!(link.known(), ["1 KNOWN_CALL_STATE_RUNNING"]);
    Env::seeded(0).sleep(Duration::from_secs(3)).await;
    link.welcome().await;
    assert_eq!(link.said().await, "outcome 1 FAILURE_KIND_CANCELLED ");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_worker_leaves_nothing_running() {
    let mut hub = Hub::new();
    let env = Env::seeded(2);
    let worker = hub.worker(server()).env(env.clone());
    let (running, mut link) = hub.start(worker).await;
    link.call(1, "nap", json!({"ms": 60_000})).await;
    assert_eq!(link.said().await, "started 1");
    keep(&mut link, 1).await;
    running.abort().await;
    assert_eq!(link.said().await, "end");
    assert_eq!(env.tasks_alive_by_name(), []);
}

#[tokio::test(start_paused = true)]
async fn open_questions_and_promises_are_said_again_on_a_new_link() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "ask", json!({})).await;
    assert_eq!(link.said().await, "task 1");
    assert_eq!(link.said().await, "started 1");
    assert_eq!(link.said().await, "ask 1 r QUESTION_KIND_ROOTS {}");
    keep(&mut link, 1).await;
    drop(link);
    let mut link = hub.linked().await;
    assert_eq!(link.known(), ["1 KNOWN_CALL_STATE_RUNNING"]);
    assert_eq!(link.said().await, "kept 1");
    assert_eq!(link.said().await, "task 1");
    assert_eq!(link.said().await, "ask 1 r QUESTION_KIND_ROOTS {}");
    link.answer(1, "r", json!({"roots": []})).await;
    assert!(link.said().await.starts_with("outcome 1 {"));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_owns_is_forgotten() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "ask", json!({})).await;
    for _ in 0..3 {
        link.said().await;
    }
    let forget = |id, attempt| {
        let call = Some(call_id(id));
        Frame::Forget(wire::Forget { call, attempt })
    };
    // Another attempt is not this one.
    link.send(forget(1, 2)).await;
    link.send(Frame::Ping(wire::Ping { nonce: 1 })).await;
    assert_eq!(link.said().await, "pong 1");
    link.send(forget(1, 1)).await;
    link.send(Frame::Ping(wire::Ping { nonce: 2 })).await;
    assert_eq!(link.said().await, "pong 2");
    drop(link);
    let mut link = hub.attached().await;
    assert_eq!(link.known(), ["1 KNOWN_CALL_STATE_ENDED"]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_attempt_replaces_an_older_one() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "nap", json!({"ms": 60_000})).await;
    assert_eq!(link.said().await, "started 1");
    link.call_with(1, "nap", json!({"ms": 10}), |call| call.attempt = 2)
        .await;
    assert_eq!(link.said().await, "started 1");
    assert_eq!(link.said().await, format!("outcome 1 {RESTED}"));
    link.send(Frame::Ping(wire::Ping { nonce: 1 })).await;
    assert_eq!(link.said().await, "pong 1");
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_of_held_outcomes_no_call_is_taken() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server()).held_bytes_max(100)).await;
    link.call(1, "nap", json!({"ms": 10})).await;
    assert_eq!(link.said().await, "started 1");
    keep(&mut link, 1).await;
    assert_eq!(link.said().await, format!("outcome 1 {RESTED}"));
    link.call(2, "nap", json!({"ms": 10})).await;
    assert_eq!(link.said().await, "refused 2 REFUSED_REASON_BUSY");
    record(&link, 1).await;
    link.call(3, "nap", json!({"ms": 10})).await;
    assert_eq!(link.said().await, "started 3");
}

#[tokio::test(start_paused = true)]
async fn taken_in_bytes_are_acknowledged() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    let filler = "x".repeat(40 << 10);
    for id in [1, 2] {
        link.call(id, "nap", json!({"ms": 60_000, "filler": filler}))
            .await;
    }
    let mut consumed = 0;
    while consumed == 0 {
        if let Some(wire::from_worker::Frame::Consumed(frame)) = link.next().await {
            consumed = frame.bytes;
        }
    }
    assert!(consumed > 80 << 10, "{consumed}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_finishes_its_calls_and_takes_no_more() {
    let mut hub = Hub::new();
    let (mut running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "nap", json!({"ms": 5_000})).await;
    assert_eq!(link.said().await, "started 1");
    running.shut_down();
    assert_eq!(link.said().await, "leaving");
    link.call(2, "nap", json!({"ms": 0})).await;
    assert_eq!(link.said().await, "refused 2 REFUSED_REASON_DRAINING");
    assert_eq!(link.said().await, format!("outcome 1 {RESTED}"));
    assert_eq!(link.said().await, "end");
    drop(link);
    assert!(running.ended().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_does_not_wait_for_ever() {
    let mut hub = Hub::new();
    let worker = hub.worker(server()).drain_max(Duration::from_secs(2));
    let (mut running, mut link) = hub.start(worker).await;
    link.call(1, "nap", json!({"ms": 3_600_000})).await;
    assert_eq!(link.said().await, "started 1");
    running.shut_down();
    assert_eq!(link.said().await, "leaving");
    assert_eq!(link.said().await, "end");
    drop(link);
    assert!(running.ended().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_waits_no_longer_than_the_grace_for_a_node_that_is_gone() {
    let mut hub = Hub::new();
    let (mut running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "nap", json!({"ms": 300})).await;
    assert_eq!(link.said().await, "started 1");
    drop(link);
    while hub.attached().await.known() != ["1 KNOWN_CALL_STATE_HELD"] {}
    let clock = Env::seeded(0);
    let asked = clock.now();
    running.shut_down();
    assert!(running.ended().await.is_ok());
    let span = clock.now().since(asked);
    assert!(span <= Duration::from_secs(2), "{span:?}");
}

#[tokio::test]
async fn a_worker_works_over_a_real_socket() {
    let mut hub = Hub::new();
    let addr = hub.listen().await;
    let worker = ostler_worker::Worker::new(addr.to_string()).serve("default", "test", server());
    let (mut running, mut link) = hub.start(worker).await;
    link.call(1, "nap", json!({})).await;
    while !link.said().await.starts_with("outcome 1") {}
    running.shut_down();
    assert_eq!(link.said().await, "leaving");
    drop(link);
    assert!(running.ended().await.is_ok());
}
