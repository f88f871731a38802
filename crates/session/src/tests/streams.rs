//! Calls with a stream, from adoption to outcome.

use ostler_protocol::{
    RequestId,
    call::{CallEvent, Failure},
};

use super::world::*;
use crate::{Config, Reader, stream::STALL_MAX};

#[tokio::test(start_paused = true)]
async fn the_priming_event_waits_for_kept_and_the_outcome_ends_the_stream() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, attempt) = world.adopt(&held, 1);
    attempt.say(progress(1.0));
    silent(&mut reader).await;
    assert_eq!(attempt.heard(), ["keep"]);

    attempt.say(CallEvent::Kept);
    attempt.say(progress(2.0));
    attempt.end(text("done"));
    let frames = rest(reader).await;
    let method = "notifications/progress";
    assert_eq!(all_shown(&frames), ["priming", method, method, "done"]);
    let with_id: Vec<_> = frames.iter().map(|frame| frame.id.is_some()).collect();
    assert_eq!(with_id, [true, false, false, true]);
    assert!(
        frames[0].retry.is_some(),
        "a priming event says when to come back"
    );
    assert_eq!(attempt.heard(), ["keep", "recorded"]);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_instead_of_kept_is_enough() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (reader, attempt) = world.adopt(&held, 1);
    attempt.end(text("done"));
    assert_eq!(all_shown(&rest(reader).await), ["priming", "done"]);
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_stream_is_on_it() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (ticket, call) = world.start(&held, 1);
    let attempt = world.script.attempt(1);
    let reader = adopt(&held, ticket, call, vec![progress(1.0)], Reader::Attached);
    attempt.end(text("done"));
    let frames = rest(reader.expect("adopted")).await;
    assert_eq!(
        all_shown(&frames),
        ["priming", "notifications/progress", "done"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_without_its_reader() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (reader, attempt, id) = world.adopt_kept(&held, 1).await;
    drop(reader);
    attempt.end(text("done"));
    let frames = rest(held.resume(&id).await.expect("resumed")).await;
    assert_eq!(all_shown(&frames), ["done"]);
    assert_eq!(attempt.heard(), ["keep", "recorded"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_socket_was_lost_early_goes_on_unread() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (ticket, call) = world.start(&held, 1);
    assert!(adopt(&held, ticket, call, Vec::new(), Reader::None).is_none());
    let attempt = world.script.attempt(1);
    attempt.end(text("done"));
    world.pass(std::time::Duration::from_millis(10)).await;
    assert_eq!(attempt.heard(), ["keep", "recorded"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_ends_its_stream_without_an_answer() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
    held.cancelled(RequestId::number(1), None)
        .await
        .expect("taken");
    assert_eq!(attempt.heard()[1], "cancel: cancelled by the client");
    attempt.end(Err(Failure::Cancelled));
    assert_eq!(rest(reader).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cancelled_before_it_got_its_stream_has_no_answer_either() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (ticket, call) = world.start(&held, 1);
    let attempt = world.script.attempt(1);
    held.cancelled(RequestId::number(1), None)
        .await
        .expect("heard");
    let reader = adopt(&held, ticket, call, Vec::new(), Reader::Attached);
    attempt.end(text("too late"));
    assert_eq!(
        all_shown(&rest(reader.expect("adopted")).await),
        ["priming"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_too_many_is_refused_with_an_error_and_its_call_cancelled() {
    let world = World::with(Config {
        streams_per_session_max: 1,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let _first = world.adopt_kept(&held, 1).await;
    let (reader, attempt) = world.adopt(&held, 2);
    let told = rest(reader).await;
    assert_eq!(all_shown(&told), ["error -31012"]);
    assert!(may_have_run(&told[0]));
    assert_eq!(attempt.heard(), ["cancel: the client is gone"]);
    let refused = [("step", "refused")];
    assert_eq!(world.metric("ostler_session_calls_total", &refused), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_with_far_too_much_to_read_is_cut_and_loses_no_event() {
    let world = World::with(Config {
        stream_buffer_bytes_max: 1_000,
        outcome_bytes_max: 1_000,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    for round in 0..10 {
        attempt.say(ask(&round.to_string()));
    }
    world.pass(std::time::Duration::from_millis(10)).await;
    let got = rest(reader).await;
    assert!(got.len() < 10, "it was cut: {}", got.len());
    assert_eq!(world.metric("ostler_session_streams_cut_total", &[]), 1.0);

    attempt.end(text("done"));
    let last = got
        .last()
        .map_or(first, |frame| frame.id.clone().expect("stored"));
    let mut seen = all_shown(&got);
    let mut cursor = last;
    while seen.last().is_none_or(|last| last != "done") {
        let more = rest(held.resume(&cursor).await.expect("resumed")).await;
        cursor = more
            .last()
            .expect("some progress")
            .id
            .clone()
            .expect("stored");
        seen.extend(all_shown(&more));
    }
    let asked = seen
        .iter()
        .filter(|shown| *shown == "elicitation/create")
        .count();
    assert_eq!((asked, seen.last().unwrap().as_str()), (10, "done"));
}

/// How much that is matters little: an answer may become visible together with others.
#[tokio::test(start_paused = true)]
async fn a_reader_is_cut_only_when_it_takes_nothing() {
    let world = World::with(Config {
        stream_buffer_bytes_max: 1_000,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let (mut slow, attempt, _) = world.adopt_kept(&held, 1).await;
    for round in 0..10 {
        attempt.say(ask(&round.to_string()));
    }
    let half = STALL_MAX / 2;
    for _ in 0..3 {
        world.pass(half).await;
        assert_eq!(shown(&next(&mut slow).await), "elicitation/create");
    }
    world.pass(half).await;
    assert_eq!(world.metric("ostler_session_streams_cut_total", &[]), 0.0);
    world.pass(STALL_MAX * 2).await;
    assert_eq!(world.metric("ostler_session_streams_cut_total", &[]), 1.0);
    let last = rest(slow).await.pop().expect("what it had");
    attempt.end(text("done"));
    let cursor = last.id.expect("stored");
    let more = rest(held.resume(&cursor).await.expect("resumed")).await;
    assert_eq!(shown(more.last().expect("the end")), "done");
}

#[tokio::test(start_paused = true)]
async fn every_count_moves() {
    let world = World::with(Config {
        chatter_per_second_max: 1,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let (mut reader, attempt, first) = world.adopt_kept(&held, 1).await;
    attempt.say(progress(1.0));
    attempt.say(progress(2.0));
    attempt.say(ask("a"));
    next(&mut reader).await;
    let question = request_id(&next(&mut reader).await);
    let bad = ostler_protocol::json::Raw::from_static(r#"{"action":"perhaps"}"#);
    held.answer(question, Ok(bad)).await.expect("taken");
    attempt.end(text("done"));
    rest(reader).await;
    drop(held.resume(&first).await.expect("resumed"));
    drop(
        held.resume("never-issued-and-therefore-counted-by-nobody")
            .await,
    );

    let check = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(world.metric(name, labels), expected, "{name} {labels:?}");
    };
    check("ostler_session_created_total", &[], 1.0);
    check("ostler_session_calls_total", &[("step", "adopted")], 1.0);
    check("ostler_session_calls_total", &[("step", "recorded")], 1.0);
    check("ostler_session_events_stored_total", &[], 3.0);
    check("ostler_session_chatter_dropped_total", &[], 1.0);
    check("ostler_session_questions_total", &[("fate", "asked")], 1.0);
    check(
        "ostler_session_answers_rejected_total",
        &[("fate", "invalid")],
        1.0,
    );
    check(
        "ostler_session_resumes_total",
        &[("outcome", "replayed")],
        1.0,
    );
    check("ostler_session_resumes_total", &[("outcome", "gap")], 1.0);
}
