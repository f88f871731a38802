//! Streams that are cut and resumed: no gap, no duplicate, no crossing.

use futures_util::StreamExt;
use ostler_store::{Janitor, Table, faults::Fault};
use proptest::prelude::*;

use super::{script::ScriptedAttempt, world::*};
use crate::{Config, HeldSession, SessionError, StreamReader};

#[tokio::test(start_paused = true)]
async fn a_finished_stream_can_be_resumed_again_and_again() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    attempt.end(text("done"));
    let frames = rest(reader).await;
    for _ in 0..2 {
        let again = rest(held.resume(&first).await.expect("resumed")).await;
        assert_eq!(again, frames);
    }
    let last = frames[0].id.as_deref().expect("stored");
    assert_eq!(rest(held.resume(last).await.expect("resumed")).await, []);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_not_ours_is_a_gap_and_harms_nothing() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, attempt, first) = world.adopt_kept(&held, 1).await;
    let other = world.hold(&world.open().await).await;
    for (session, id) in [
        (&held, "never-issued"),
        (&held, ""),
        (&other, first.as_str()),
    ] {
        let refused = session.resume(id).await.map(|_| ());
        assert_eq!(refused, Err(SessionError::ResumeGap { oldest: None }));
    }
    attempt.end(text("done"));
    assert_eq!(shown(&next(&mut reader).await), "done");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_stream_ends_without_an_answer_as_often_as_asked() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    held.cancelled(ostler_protocol::RequestId::number(1), None)
        .await
        .expect("taken");
    attempt.end(text("too late"));
    rest(reader).await;
    let resumed = held.resume(&first).await.expect("resumed");
    assert_eq!(rest(resumed).await, []);
}

#[tokio::test(start_paused = true)]
async fn the_newest_reader_of_a_stream_has_it_alone() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (older, attempt, first) = world.adopt_kept(&held, 1).await;
    let newer = held.resume(&first).await.expect("resumed");
    assert_eq!(all_shown(&rest(older).await), ["retry"]);
    attempt.end(text("done"));
    assert_eq!(all_shown(&rest(newer).await), ["done"]);
}

#[tokio::test(start_paused = true)]
async fn trimmed_events_are_a_gap_that_names_the_oldest() {
    let world = World::with(Config {
        stream_events_max: 3,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let mut reader = held.listen().await.expect("listening");
    let first = next(&mut reader).await.id.expect("primed");
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        world
            .catalogs
            .register(&server(), &worker(), offer(&["echo", name]));
        ids.push(next(&mut reader).await.id.expect("stored"));
    }
    drop(reader);
    let oldest = Some(ids[1].clone());
    let refused = held.resume(&first).await.map(|_| ());
    assert_eq!(refused, Err(SessionError::ResumeGap { oldest }));
    let mut resumed = held.resume(&ids[1]).await.expect("resumed");
    assert_eq!(next(&mut resumed).await.id, Some(ids[2].clone()));
}

/// A page of stored events holds fewer than this session's standalone stream has.
#[tokio::test(start_paused = true)]
async fn a_stream_of_many_epochs_is_replayed_whole_from_any_place() {
    let mut world = World::with(Config {
        stream_events_max: 200,
        ..Config::default()
    });
    let id = world.open().await;
    let held = world.hold(&id).await;
    held.subscribe("mem://a".into()).await.expect("subscribed");
    drop(held);
    let mut ids = Vec::new();
    for _ in 0..4 {
        world.restart().await;
        let held = world.hold(&id).await;
        let mut reader = held.listen().await.expect("listening");
        for event in 0..200 {
            // The first two tell of the stream and of what happened in the sleep.
            if event >= 2 {
                world.resources.change();
            }
            ids.push(next(&mut reader).await.id.expect("stored"));
            world.pass(std::time::Duration::from_millis(1)).await;
        }
        drop((reader, held));
    }
    let held = world.hold(&id).await;
    for seen in [0, 199, 450, 650, 798] {
        let mut reader = held.resume(&ids[seen]).await.expect("resumed");
        for expected in &ids[seen + 1..] {
            assert_eq!(next(&mut reader).await.id.as_ref(), Some(expected));
        }
    }
}

/// What an operator gets without asking.
#[tokio::test(start_paused = true)]
async fn by_default_1024_events_of_a_stream_are_kept() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    held.subscribe("mem://a".into()).await.expect("subscribed");
    let mut reader = held.listen().await.expect("listening");
    let mut ids = vec![next(&mut reader).await.id];
    for _ in 0..1_025 {
        world.pass(std::time::Duration::from_millis(1)).await;
        world.resources.change();
        ids.push(next(&mut reader).await.id);
    }
    drop(reader);
    let cursor = |at: usize| ids[at].as_deref().expect("stored");
    let refused = held.resume(cursor(0)).await.map(|_| ());
    let oldest = ids[2].clone();
    assert_eq!(refused, Err(SessionError::ResumeGap { oldest }));
    let mut resumed = held.resume(cursor(1)).await.expect("resumed");
    for expected in &ids[2..] {
        assert_eq!(next(&mut resumed).await.id, *expected);
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_an_answer_is_kept_for_a_quarter_of_an_hour_and_then_goes() {
    const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    attempt.end(text("done"));
    drop((reader, held));
    let janitor = Janitor::new(&world.store);
    for _ in 0..15 {
        world.pass(MINUTE).await;
        janitor.sweep().await.expect("swept");
    }
    assert_eq!(world.sessions.live(), 0, "asleep");
    let held = world.hold(&id).await;
    let again = rest(held.resume(&first).await.expect("resumed")).await;
    assert_eq!(all_shown(&again), ["done"]);
    drop(held);
    // Used now and then, the session outlives its streams.
    for _ in 0..3 {
        world.pass(MINUTE * 15).await;
        world.hold(&id).await;
        janitor.sweep().await.expect("swept");
    }
    assert_eq!(world.rows(Table::Events).await, []);
    assert_eq!(world.rows(Table::Calls).await, []);
}

/// A client of one stream: it reads, is cut, and comes back with the last id it saw.
struct Client {
    reader: Option<StreamReader>,
    cursor: String,
    seen: Vec<String>,
}

impl Client {
    async fn read_now(&mut self) {
        let Some(reader) = &mut self.reader else {
            return;
        };
        let patience = std::time::Duration::from_millis(1);
        while let Ok(frame) = tokio::time::timeout(patience, reader.next()).await {
            let Some(frame) = frame else {
                self.reader = None;
                return;
            };
            if let Some(id) = &frame.id {
                self.cursor = id.clone();
                self.seen.extend(describe(&frame));
            }
        }
    }

    async fn come_back(&mut self, held: &HeldSession<super::script::Script>) {
        if self.reader.is_none() {
            self.reader = Some(held.resume(&self.cursor).await.expect("resumed"));
        }
    }
}

/// Whose event it is: the message of the question, or the text of the result. At the end the
/// open questions are withdrawn, which is not looked at.
fn describe(frame: &crate::Frame) -> Option<String> {
    match shown(frame).as_str() {
        "elicitation/create" => {
            let message = ostler_protocol::json::Raw::parse(frame.data.clone(), 64).unwrap();
            let message = message
                .get("params")
                .and_then(|params| params.get("message"));
            Some(message.unwrap().text().unwrap().into_owned())
        }
        "notifications/cancelled" => None,
        other => Some(other.to_owned()),
    }
}

fn question(message: &str) -> ostler_protocol::call::CallEvent {
    use ostler_protocol::{call::*, json::Raw};
    let params = serde_json::json!({
        "message": message, "requestedSchema": { "type": "object", "properties": {} },
    });
    CallEvent::Ask(vec![Question {
        key: message.into(),
        kind: QuestionKind::ElicitForm,
        params: Raw::from_value(&params),
    }])
}

/// One step of a history over three streams.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The worker asks on this stream.
    Event(usize),
    Chatter(usize),
    Read(usize),
    Cut(usize),
    Return(usize),
    Restart,
    /// The disk is full for a moment, while the worker asks on this stream.
    DiskFull(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3usize).prop_map(Step::Event),
        1 => (0..3usize).prop_map(Step::Chatter),
        3 => (0..3usize).prop_map(Step::Read),
        2 => (0..3usize).prop_map(Step::Cut),
        3 => (0..3usize).prop_map(Step::Return),
        1 => Just(Step::Restart),
        1 => (0..3usize).prop_map(Step::DiskFull),
    ];
    prop::collection::vec(step, 0..40)
}

/// Runs a history; each client must have seen exactly its own stream, in order.
async fn run(steps: Vec<Step>) {
    let config = Config {
        ask_rounds_max: 1_000,
        ..Config::default()
    };
    let mut world = World::with(config);
    let id = world.open().await;
    let mut held = world.hold(&id).await;
    let (mut clients, mut workers) = (Vec::new(), Vec::<ScriptedAttempt>::new());
    for request in 1..=3 {
        let (reader, attempt, cursor) = world.adopt_kept(&held, request).await;
        let (reader, seen) = (Some(reader), Vec::new());
        clients.push(Client {
            reader,
            cursor,
            seen,
        });
        workers.push(attempt);
    }
    let mut expected = [const { Vec::new() }; 3];
    for (index, step) in steps.into_iter().enumerate() {
        match step {
            Step::Event(of) => {
                let message = format!("{of}:{index}");
                workers[of].say(question(&message));
                expected[of].push(message);
            }
            Step::Chatter(of) => workers[of].say(progress(index as f64)),
            Step::Read(of) => clients[of].read_now().await,
            Step::Cut(of) => clients[of].reader = None,
            Step::Return(of) => clients[of].come_back(&held).await,
            Step::Restart => {
                world.pass(std::time::Duration::from_millis(5)).await;
                drop(held);
                world.restart().await;
                held = world.hold(&id).await;
                clients.iter_mut().for_each(|client| client.reader = None);
            }
            Step::DiskFull(of) => {
                world.faults.set(Fault::Full);
                let message = format!("{of}:{index}");
                workers[of].say(question(&message));
                expected[of].push(message);
                world.pass(std::time::Duration::from_millis(5)).await;
                world.faults.set(Fault::None);
                world.pass(std::time::Duration::from_secs(1)).await;
                held = world.hold(&id).await;
            }
        }
    }
    for (of, client) in clients.iter_mut().enumerate() {
        let done = format!("{of}:done");
        workers[of].end(text(&done));
        expected[of].push(done);
        client.read_now().await;
        client.reader = None;
        client.come_back(&held).await;
        client.read_now().await;
        assert_eq!(client.seen, expected[of], "stream {of}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn three_parallel_streams_are_cut_and_resumed_without_gap_duplicate_or_crossing(
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}
