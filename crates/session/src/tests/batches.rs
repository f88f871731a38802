//! Several calls on one stream, through a real store.

use bytes::Bytes;
use ostler_protocol::{
    RequestId,
    call::{CallEvent, Failure},
};

use super::{script::ScriptedAttempt, world::*};
use crate::{Config, HeldSession, Reader, RunningCall, StreamReader};

/// Requests 1 and 2 on one stream, behind an answer that was there already.
async fn adopt_two(
    world: &World,
    held: &HeldSession<super::script::Script>,
) -> (StreamReader, [ScriptedAttempt; 2]) {
    let start = |request| {
        let (ticket, call) = world.start(held, request);
        RunningCall {
            ticket,
            call,
            backlog: Vec::new(),
        }
    };
    let calls = vec![start(1), start(2)];
    let answered = Bytes::from_static(br#"{"result":{"content":[{"text":"pong"}]}}"#);
    let reader = held.adopt(calls, vec![answered], Reader::Attached);
    let attempts = [1, 2].map(|number| world.script.attempt(number));
    (reader.expect("taken").expect("read"), attempts)
}

#[tokio::test(start_paused = true)]
async fn all_answers_come_on_one_stream_and_it_ends_with_the_last() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, [one, two]) = adopt_two(&world, &held).await;
    one.say(CallEvent::Kept);
    silent(&mut reader).await;
    two.end(text("two"));
    for expected in ["priming", "pong", "two"] {
        assert_eq!(shown(&next(&mut reader).await), expected);
    }
    one.say(progress(1.0));
    one.end(text("one"));
    let frames = rest(reader).await;
    assert_eq!(all_shown(&frames).last().unwrap(), "one");
    assert_eq!(one.heard(), ["keep", "recorded"]);
    assert_eq!(two.heard(), ["keep", "recorded"]);
}

/// From any event on, each answer once, also by a session that was built anew.
#[tokio::test(start_paused = true)]
async fn a_batch_is_resumed_as_one_stream_after_a_restart() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (mut reader, [one, two]) = adopt_two(&world, &held).await;
    one.say(CallEvent::Kept);
    two.say(CallEvent::Kept);
    let priming = next(&mut reader).await.id.expect("stored");
    let pong = next(&mut reader).await.id.expect("stored");
    drop((reader, held));
    one.end(text("one"));
    world.pass(std::time::Duration::from_millis(10)).await;
    world.restart().await;
    let held = world.hold(&id).await;
    let resumed = held.resume(&pong).await.expect("resumed");
    two.end(text("two"));
    assert_eq!(all_shown(&rest(resumed).await), ["one", "two"]);
    let whole = held.resume(&priming).await.expect("resumed");
    assert_eq!(all_shown(&rest(whole).await), ["pong", "one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_last_call_was_cancelled_can_be_resumed_to_its_end() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, [one, two]) = adopt_two(&world, &held).await;
    two.say(CallEvent::Kept);
    one.end(text("one"));
    let priming = next(&mut reader).await.id.expect("stored");
    drop(reader);
    let cancelled = held.cancelled(RequestId::number(2), None).await;
    cancelled.expect("taken");
    two.end(Err(Failure::Cancelled));
    world.pass(std::time::Duration::from_millis(10)).await;
    let resumed = held.resume(&priming).await.expect("resumed");
    assert_eq!(all_shown(&rest(resumed).await), ["pong", "one"]);
}

/// They become visible at one moment, however large they are together.
#[tokio::test(start_paused = true)]
async fn large_answers_of_a_batch_do_not_cut_its_stream() {
    let world = World::with(Config {
        stream_buffer_bytes_max: 100,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let (reader, [one, two]) = adopt_two(&world, &held).await;
    one.say(progress(1.0));
    one.end(text(&"1".repeat(200)));
    world.pass(std::time::Duration::from_millis(10)).await;
    two.end(text(&"2".repeat(200)));
    let told = all_shown(&rest(reader).await);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(world.metric("ostler_session_streams_cut_total", &[]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_too_many_still_gives_what_was_answered() {
    let world = World::with(Config {
        streams_per_session_max: 0,
        // Nor is it cut off for being much: nothing of it can be had again.
        stream_buffer_bytes_max: 10,
        outcome_bytes_max: 0,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let (reader, [one, two]) = adopt_two(&world, &held).await;
    let told = all_shown(&rest(reader).await);
    assert_eq!(told, ["pong", "error -31012", "error -31012"]);
    for attempt in [one, two] {
        assert_eq!(attempt.heard(), ["cancel: the client is gone"]);
    }
    let refused = [("step", "refused")];
    assert_eq!(world.metric("ostler_session_calls_total", &refused), 2.0);
}
