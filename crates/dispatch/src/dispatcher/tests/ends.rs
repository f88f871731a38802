use std::time::Duration;

use ostler_hub::{AttemptEnd, RefusedReason};
use ostler_protocol::{
    Raw,
    call::{CallEvent, Executed, Failure},
};

use super::world::{RESULT, World, outcome, world};
use crate::CallControl;

const LOST: Failure = Failure::WorkerLost {
    executed: Executed::Unknown,
};
const NOT_RUN: Failure = Failure::WorkerLost {
    executed: Executed::No,
};

/// The worker of an attempt, by its number.
fn worker_of(world: &World, number: usize) -> String {
    let place = &world.script.attempts()[number - 1];
    place.split('#').next().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_outcome_and_passes_on_what_comes_before() {
    let world = world();
    let mut stream = world.start("plain");
    world.check_books(1);
    world.event(1, CallEvent::Started);
    world.event(1, CallEvent::BecomeTask);
    world.end_with(1, r#"{"content":[]}"#);
    assert_eq!(stream.next().await, CallEvent::Started);
    assert_eq!(stream.next().await, CallEvent::BecomeTask);
    assert_eq!(
        outcome(&mut stream).await,
        Ok(Raw::from_static(r#"{"content":[]}"#))
    );
    assert_eq!(world.script.attempt(1).arguments(), r#"{"n":1}"#);
    assert_eq!(world.ended("ok"), 1.0);
    drop(stream);
    assert!(
        world.script.attempt(1).heard().is_empty(),
        "an ended call is not cancelled"
    );
}

#[tokio::test(start_paused = true)]
async fn a_tool_error_and_a_failure_are_counted_apart() {
    let world = world();
    let mut stream = world.start("plain");
    world.end_with(1, r#"{"content":[],"isError":true}"#);
    assert!(outcome(&mut stream).await.is_ok());
    let mut stream = world.start("plain");
    world.end(2, AttemptEnd::Outcome(Err(Failure::TimedOut)));
    assert_eq!(outcome(&mut stream).await, Err(Failure::TimedOut));
    let mut stream = world.start("plain");
    world.end(3, AttemptEnd::Outcome(Err(Failure::Cancelled)));
    assert_eq!(outcome(&mut stream).await, Err(LOST), "nobody cancelled it");
    let counts = ["tool_error", "failed", "cancelled", "ok"].map(|how| world.ended(how));
    assert_eq!(counts, [1.0, 2.0, 0.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn what_did_not_run_goes_to_another_worker() {
    let ends = [
        AttemptEnd::NotHanded,
        AttemptEnd::NotNamed,
        AttemptEnd::Refused(RefusedReason::Busy),
    ];
    for end in ends {
        let world = world();
        let mut stream = world.start("plain");
        world.end(1, end);
        let waiting = async {
            world.env.sleep(Duration::from_millis(1)).await;
            world.end_with(2, RESULT);
        };
        let (outcome, ()) = tokio::join!(outcome(&mut stream), waiting);
        assert!(outcome.is_ok());
        assert_ne!(worker_of(&world, 1), worker_of(&world, 2));
        assert!(world.script.attempts()[1].ends_with("#2"));
        let redispatched = world
            .env
            .metrics()
            .value("ostler_dispatch_redispatched_total", &[]);
        assert_eq!(redispatched, Some(1.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_call_is_not_run_again() {
    let world = world();
    let mut stream = world.start("plain");
    world.end(1, AttemptEnd::Lost);
    assert_eq!(outcome(&mut stream).await, Err(LOST));
    assert_eq!(world.script.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_idempotent_call_is_run_again_once() {
    let world = world();
    let mut stream = world.start("idempotent");
    world.end(1, AttemptEnd::Lost);
    let second = async {
        world.env.sleep(Duration::from_millis(1)).await;
        world.end(2, AttemptEnd::Lost);
    };
    let (outcome, ()) = tokio::join!(outcome(&mut stream), second);
    assert_eq!(outcome, Err(LOST));
    assert_eq!(world.script.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_idempotent_call_without_another_worker_may_have_run() {
    let world = world();
    let mut stream = world.start("idempotent");
    world.script.drop_worker("a");
    world.script.drop_worker("b");
    world.end(1, AttemptEnd::Lost);
    assert_eq!(outcome(&mut stream).await, Err(LOST));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_worker_takes_did_not_run() {
    let world = world();
    let mut stream = world.start("plain");
    world.script.drop_worker("a");
    world.script.drop_worker("b");
    world.end(1, AttemptEnd::NotHanded);
    assert_eq!(outcome(&mut stream).await, Err(NOT_RUN));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_left_between_admission_and_start_is_passed_over() {
    let world = world();
    let admitted = world.admit(ostler_types::CallKind::Tool, "plain").unwrap();
    let chosen = crate::workers::Worker::id(&admitted.worker).to_string();
    world.script.unlink(&chosen);
    let stream = world.start_admitted(admitted, CallControl::new());
    assert_ne!(stream.placement().unwrap().worker.as_str(), chosen);
}

#[tokio::test(start_paused = true)]
async fn the_only_worker_is_asked_again() {
    let world = world();
    world.script.drop_worker("b");
    let mut stream = world.start("plain");
    let again = async {
        world.end(1, AttemptEnd::NotNamed);
        world.env.sleep(Duration::from_millis(1)).await;
        world.end_with(2, RESULT);
    };
    let (outcome, ()) = tokio::join!(outcome(&mut stream), again);
    assert!(outcome.is_ok());
    assert_eq!(world.script.attempts(), ["a#1", "a#2"]);
}

#[tokio::test(start_paused = true)]
async fn with_every_worker_unlinked_a_call_ends_at_once() {
    let world = world();
    let admitted = world
        .admit(ostler_types::CallKind::Tool, "idempotent")
        .unwrap();
    world.script.unlink("a");
    world.script.unlink("b");
    let mut stream = world.start_admitted(admitted, CallControl::new());
    assert_eq!(stream.placement(), None);
    assert_eq!(outcome(&mut stream).await, Err(NOT_RUN));
}

#[tokio::test(start_paused = true)]
async fn busy_workers_are_asked_a_bounded_number_of_times() {
    let world = world();
    let mut stream = world.start("plain");
    let busy = async {
        for number in 1..=4 {
            world.end(number, AttemptEnd::Refused(RefusedReason::Busy));
            world.env.sleep(Duration::from_millis(1)).await;
        }
    };
    let (outcome, ()) = tokio::join!(outcome(&mut stream), busy);
    assert_eq!(outcome, Err(NOT_RUN));
    assert_eq!(world.script.attempts().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_the_callers_or_the_tools_if_that_is_sooner() {
    let world = world();
    let now = world.env.now();
    let _plain = world.start("plain");
    let _short = world.start("short");
    let left = [1, 2].map(|number| world.script.attempt(number).deadline().left(now));
    assert_eq!(left, [Duration::from_secs(60), Duration::from_secs(5)]);
}

#[tokio::test(start_paused = true)]
async fn after_its_outcome_a_stream_is_silent() {
    let world = world();
    let mut stream = world.start("plain");
    world.end_with(1, RESULT);
    assert!(outcome(&mut stream).await.is_ok());
    let later = world.env.now() + Duration::from_secs(1);
    assert!(world.env.until(later, stream.next()).await.is_none());
}
