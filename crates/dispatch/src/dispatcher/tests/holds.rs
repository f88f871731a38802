use std::time::Duration;

use ostler_hub::{AttemptEnd, Placement};
use ostler_protocol::call::{Answer, CallEvent, Executed, Failure};
use ostler_types::{CallId, CallKind, InstanceEpoch, Instant};

use super::{
    script::Script,
    world::{RESULT, World, outcome, server, world},
};
use crate::{CallControl, KeptCall, dispatcher::Claim};

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_cancels_its_call() {
    let world = world();
    drop(world.start("plain"));
    assert_eq!(
        world.script.attempt(1).heard(),
        ["cancel: the client is gone"]
    );
    assert_eq!(world.ended("cancelled"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_kept_call_only_detaches() {
    let world = world();
    let kept = world.start("plain").keep();
    assert_eq!(world.script.attempt(1).heard(), ["keep"]);
    world.check_books(1);
    drop(kept);
    assert_eq!(world.script.attempt(1).heard(), ["keep"]);
    assert_eq!(world.ended("detached"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_kept_call_can_be_cancelled_and_still_has_an_outcome() {
    let world = world();
    let mut kept = world.start("plain").keep();
    kept.cancel("enough");
    kept.cancel("again");
    assert_eq!(world.script.attempt(1).heard(), ["keep", "cancel: enough"]);
    world.end(1, AttemptEnd::Outcome(Err(Failure::Cancelled)));
    assert_eq!(
        kept.next().await,
        CallEvent::Outcome(Err(Failure::Cancelled))
    );
    kept.recorded();
    assert_eq!(world.script.attempt(1).heard().last().unwrap(), "recorded");
}

#[tokio::test(start_paused = true)]
async fn a_call_cancelled_before_its_start_never_starts() {
    let world = world();
    let control = CallControl::new();
    control.cancel("changed my mind");
    let mut stream = world.start_with("plain", control);
    assert_eq!(outcome(&mut stream).await, Err(Failure::Cancelled));
    assert_eq!(world.script.attempts().len(), 0);
    assert_eq!(world.ended("cancelled"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_control_reaches_a_call_that_somebody_waits_for() {
    let world = world();
    let control = CallControl::new();
    let mut stream = world.start_with("plain", control.clone());
    let cancel = async {
        world.env.sleep(Duration::from_millis(5)).await;
        control.cancel("enough");
        world.env.sleep(Duration::from_millis(5)).await;
        assert_eq!(world.script.attempt(1).heard(), ["cancel: enough"]);
        world.end_with(1, RESULT);
    };
    let (outcome, ()) = tokio::join!(outcome(&mut stream), cancel);
    assert!(outcome.is_ok(), "the worker was faster");
    control.cancel("too late");
    drop(stream);
    assert_eq!(world.script.attempt(1).heard().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_sent_to_another_worker() {
    let world = world();
    let control = CallControl::new();
    let mut stream = world.start_with("idempotent", control.clone());
    control.cancel("enough");
    world.end(1, AttemptEnd::Lost);
    assert_eq!(outcome(&mut stream).await, Err(Failure::Cancelled));
    assert_eq!(world.script.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn answers_reach_the_worker() {
    let world = world();
    let stream = world.start("plain");
    let answer = |key: &str| Answer {
        key: key.to_owned(),
        value: Ok(ostler_protocol::Raw::empty_object()),
    };
    stream.answer(vec![answer("one"), answer("two")]);
    stream.keep().answer(vec![answer("three")]);
    let heard = world.script.attempt(1).heard();
    assert_eq!(heard, ["answer one", "answer two", "keep", "answer three"]);
}

#[tokio::test(start_paused = true)]
async fn a_kept_call_keeps_itself_at_its_next_worker() {
    let world = world();
    let mut kept = world.start("plain").keep();
    let before = kept.placement().unwrap();
    world.end(1, AttemptEnd::NotNamed);
    let second = async {
        world.env.sleep(Duration::from_millis(1)).await;
        assert_eq!(world.script.attempt(2).heard(), ["keep"]);
        world.event(2, CallEvent::Kept);
    };
    let (event, ()) = tokio::join!(kept.next(), second);
    assert_eq!(event, CallEvent::Kept);
    let after = kept.placement().unwrap();
    assert_eq!((before.attempt, after.attempt), (1, 2));
    kept.set_deadline(Instant(99));
    assert_eq!(world.script.attempt(2).deadline(), Instant(99));
}

/// Starts a call, keeps it and goes to sleep, as an owner does.
fn orphan(world: &World) -> (CallId, Placement) {
    let kept = world.start("typed").keep();
    let (call, placement) = (kept.id(), kept.placement().unwrap());
    drop(kept);
    world.script.orphan(call, &world.script.attempt(1));
    (call, placement)
}

fn claim(
    world: &World,
    call: CallId,
    placement: &Placement,
    name: &str,
) -> Option<KeptCall<Script>> {
    let caller = world.caller("acme", &[]);
    world.dispatcher.attach(Claim {
        call,
        tenant: caller.tenant(),
        server: &server(name),
        kind: CallKind::Tool,
        target: "typed",
        placement,
        deadline: Instant(77),
    })
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_owner_claims_its_call_and_gets_the_outcome() {
    let world = world();
    let (call, placement) = orphan(&world);
    let mut claimed = claim(&world, call, &placement, "acme/calc").unwrap();
    world.check_books(1);
    assert_eq!((claimed.id(), claimed.placement()), (call, Some(placement)));
    assert_eq!(world.script.attempt(1).deadline(), Instant(77));
    world.end_with(1, r#"{"structuredContent":{"n":"no number"}}"#);
    let CallEvent::Outcome(Err(Failure::BadResult(_))) = claimed.next().await else {
        panic!("a claimed call's result is checked too");
    };
    claimed.recorded();
    assert_eq!((world.ended("detached"), world.ended("failed")), (1.0, 1.0));
}

#[tokio::test(start_paused = true)]
async fn a_claimed_call_that_is_lost_ends() {
    for (end, executed) in [
        (AttemptEnd::Lost, Executed::Unknown),
        (AttemptEnd::NotNamed, Executed::No),
    ] {
        let world = world();
        let (call, placement) = orphan(&world);
        let mut claimed = claim(&world, call, &placement, "acme/calc").unwrap();
        world.end(1, end);
        let lost = Err(Failure::WorkerLost { executed });
        assert_eq!(claimed.next().await, CallEvent::Outcome(lost));
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_attempt_that_the_row_names_can_be_claimed() {
    let world = world();
    let (call, placement) = orphan(&world);
    let other = Placement {
        instance: InstanceEpoch(2),
        ..placement.clone()
    };
    assert!(claim(&world, call, &other, "acme/calc").is_none());
    assert!(claim(&world, call, &placement, "acme/calc").is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_claims_for_another_tenant() {
    let world = world();
    let (call, placement) = orphan(&world);
    assert!(claim(&world, call, &placement, "globex/calc").is_none());
    assert!(claim(&world, call, &placement, "acme/calc").is_some());
    assert!(
        claim(&world, call, &placement, "acme/calc").is_none(),
        "there is only one"
    );
}
