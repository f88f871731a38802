//! Sessions that live as long as their one stream.

use std::time::Duration;

use bytes::Bytes;
use ostler_protocol::{RequestId, call::CallEvent};
use ostler_store::Table;

use super::{
    script::{Script, ScriptedAttempt},
    world::*,
};
use crate::{
    Config, HeldSession, Reader, RunningCall, SessionError, StreamReader, stream::STALL_MAX,
};

struct Pair {
    token: String,
    held: HeldSession<Script>,
    reader: StreamReader,
}

/// Open, and its client has said `initialized`.
async fn open(world: &World) -> Pair {
    let token = world.sessions.mint_token();
    let opened = world
        .sessions
        .open_stream(&ann(), &server(), &initialize(), &token)
        .await;
    let (held, reader) = opened.map_err(|error| error.to_string()).expect("opened");
    held.initialized().await.expect("taken");
    Pair {
        token,
        held,
        reader,
    }
}

impl Pair {
    fn run(&self, world: &World, request: u64) -> ScriptedAttempt {
        let (ticket, call) = world.start(&self.held, request);
        let running = RunningCall {
            ticket,
            call,
            backlog: Vec::new(),
        };
        let adopted = self.held.adopt(vec![running], Vec::new(), Reader::None);
        assert!(adopted.expect("there is room").is_none());
        let number = usize::try_from(request).expect("small");
        world.script.attempt(number)
    }
}

async fn all_rows(world: &World) -> usize {
    let mut rows = 0;
    for table in [Table::Sessions, Table::Events, Table::Calls] {
        rows += world.rows(table).await.len();
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn everything_comes_on_the_one_stream_and_nothing_is_stored() {
    let world = World::new();
    let mut pair = open(&world).await;
    let said = Bytes::from_static(br#"{"result":{"content":[{"text":"said"}]}}"#);
    pair.held.say(said).await.expect("taken");
    let (one, two) = (pair.run(&world, 1), pair.run(&world, 2));
    one.say(progress(1.0));
    two.say(ask("k"));
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(next(&mut pair.reader).await);
    }
    let question = frames
        .iter()
        .find(|frame| shown(frame) == "elicitation/create");
    let question = request_id(question.expect("asked"));
    pair.held.answer(question, accept()).await.expect("taken");
    assert_eq!(two.heard()[1..], [format!("answer k: {ACCEPT}")]);
    one.end(text("one"));
    frames.push(next(&mut pair.reader).await);
    two.end(text("two"));
    frames.push(next(&mut pair.reader).await);
    let told = all_shown(&frames);
    assert_eq!(told[0], "said");
    assert_eq!(told[3..], ["one", "two"]);
    assert!(
        frames.iter().all(|frame| frame.id.is_none()),
        "nothing to come back to"
    );
    assert_eq!(one.heard(), ["keep", "recorded"]);
    silent(&mut pair.reader).await;
    assert_eq!(all_rows(&world).await, 0);
    assert_eq!(world.metric("ostler_session_events_stored_total", &[]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_ends_the_session_and_cancels_its_calls() {
    let world = World::new();
    let Pair {
        token,
        held,
        reader,
    } = {
        let pair = open(&world).await;
        pair.run(&world, 1).say(CallEvent::Kept);
        pair
    };
    drop((held, reader));
    world.pass(Duration::from_millis(10)).await;
    let attempt = world.script.attempt(1);
    assert_eq!(attempt.heard(), ["keep", "cancel: the session ended"]);
    assert_eq!(world.sessions.live(), 0);
    let gone = world.sessions.hold_stream(&ann(), &server(), &token);
    assert_eq!(gone.map(|_| ()), Err(SessionError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn only_its_principal_finds_it_and_only_by_its_token() {
    let world = World::new();
    let pair = open(&world).await;
    let session = world.open().await;
    let hold = |caller, server, token: &str| {
        let held = world.sessions.hold_stream(&caller, &server, token);
        held.map(|_| ())
    };
    assert_eq!(hold(ann(), server(), &pair.token), Ok(()));
    let unknown = Err(SessionError::Unknown);
    for stranger in [
        caller("acme", "bob", "c1"),
        caller("acme", "ann", "c2"),
        caller("other", "ann", "c1"),
    ] {
        assert_eq!(hold(stranger, server(), &pair.token), unknown);
    }
    assert_eq!(hold(ann(), server_named("other"), &pair.token), unknown);
    assert_eq!(hold(ann(), server(), &session), unknown);
    assert_eq!(hold(ann(), server(), &world.sessions.mint_token()), unknown);
    let stored = world.hold_error(&ann(), &server(), &pair.token).await;
    assert_eq!(stored, SessionError::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_drained_session_ends_with_its_last_call() {
    let world = World::new();
    let idle = open(&world).await;
    let mut busy = open(&world).await;
    let attempt = busy.run(&world, 1);
    world.sessions.drain().await;
    assert_eq!(rest(idle.reader).await, []);
    silent(&mut busy.reader).await;
    attempt.end(text("done"));
    assert_eq!(all_shown(&rest(busy.reader).await), ["done"]);
    let token = world.sessions.mint_token();
    let refused = world
        .sessions
        .open_stream(&ann(), &server(), &initialize(), &token)
        .await;
    assert_eq!(refused.map(|_| ()), Err(SessionError::Draining));
}

#[tokio::test(start_paused = true)]
async fn a_closing_node_cancels_what_still_runs() {
    let world = World::new();
    let pair = open(&world).await;
    let attempt = pair.run(&world, 1);
    world.sessions.close().await;
    assert_eq!(rest(pair.reader).await, []);
    assert_eq!(attempt.heard(), ["keep", "cancel: the session ended"]);
}

/// Everything is on its one stream, so a burst must not end it: workers and clients wait instead.
#[tokio::test(start_paused = true)]
async fn what_its_reader_cannot_take_yet_waits() {
    let world = World::with(Config {
        stream_buffer_bytes_max: 1_000,
        outcome_bytes_max: 1_000,
        ..Config::default()
    });
    let mut pair = open(&world).await;
    let long = "x".repeat(900);
    for request in 1..=10 {
        pair.run(&world, request).end(text(&long));
    }
    world.pass(Duration::from_millis(10)).await;
    let said = Bytes::from_static(br#"{"result":{"content":[{"text":"said"}]}}"#);
    let say = pair.held.say(said);
    let read = async {
        world.pass(Duration::from_secs(5)).await;
        let mut seen = Vec::new();
        for _ in 0..11 {
            seen.push(shown(&next(&mut pair.reader).await));
        }
        seen
    };
    let (taken, seen) = tokio::join!(say, read);
    taken.expect("taken once there was room");
    let longs = seen.iter().filter(|text| **text == long).count();
    assert_eq!((longs, seen.contains(&"said".to_owned())), (10, true));
    assert_eq!(world.metric("ostler_session_streams_cut_total", &[]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_ends_it() {
    let world = World::with(Config {
        stream_buffer_bytes_max: 1_000,
        ..Config::default()
    });
    let pair = open(&world).await;
    for request in 1..=3 {
        pair.run(&world, request).end(text(&"x".repeat(900)));
    }
    let running = pair.run(&world, 4);
    world.pass(STALL_MAX / 2).await;
    // Who is behind is heard all the same.
    let cancelled = pair.held.cancelled(RequestId::number(4), None).await;
    cancelled.expect("taken");
    assert_eq!(running.heard(), ["keep", "cancel: cancelled by the client"]);
    let other = pair.run(&world, 5);
    world.pass(STALL_MAX).await;
    assert_eq!(other.heard(), ["keep", "cancel: the session ended"]);
    assert_eq!(world.metric("ostler_session_streams_cut_total", &[]), 1.0);
    assert_eq!(world.sessions.live(), 0);
}

/// Such a session is in no row, so no count of rows may miss it.
#[tokio::test(start_paused = true)]
async fn it_counts_for_no_quota_of_stored_sessions() {
    let world = World::with(Config {
        sessions_per_principal_max: 1,
        ..Config::default()
    });
    let pair = open(&world).await;
    world.open().await;
    drop((pair.held, pair.reader));
    world.pass(Duration::from_millis(10)).await;
    assert_eq!(world.try_open().await, Err(SessionError::TooManySessions));
}

/// A long life of it touches no store either, and the alarm that would is no loop.
#[tokio::test(start_paused = true)]
async fn it_lives_on_while_nobody_says_anything() {
    let world = World::new();
    let mut pair = open(&world).await;
    world.pass(Duration::from_secs(2 * 3_600)).await;
    silent(&mut pair.reader).await;
    let level = ostler_protocol::call::LogLevel::Error;
    pair.held.set_level(level).await.expect("taken");
    let attempt = pair.run(&world, 1);
    let cancelled = pair.held.cancelled(RequestId::number(1), None).await;
    cancelled.expect("taken");
    attempt.end(text("too late"));
    silent(&mut pair.reader).await;
    assert_eq!(all_rows(&world).await, 0);
}
