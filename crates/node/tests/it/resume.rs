//! A broken stream goes on where it broke: its own events, no gap, no duplicate ([SSE-5], [SSE-6]).

use ostler_testkit::{Event, Live, Session};
use serde_json::json;

use crate::world::{World, text};

const CALLS: usize = 3;
const ROUNDS: usize = 2;

/// The client's view of one call while it listened.
struct Seen {
    name: String,
    priming: String,
    questions: Vec<Event>,
}

async fn open(session: &Session, name: &str) -> (Live, Seen) {
    let call = session.call(name, "interview", json!({"name": name, "rounds": ROUNDS}));
    let mut live = session.door.open(&call).await;
    let priming = live.event().await.expect("a stream begins");
    assert!(priming.is_priming(), "{priming:?}");
    let seen = Seen {
        name: name.to_owned(),
        priming: priming.id.expect("a priming event has an id"),
        questions: Vec::new(),
    };
    (live, seen)
}

async fn answer(session: &Session, live: &mut Live, seen: &mut Seen) {
    let event = live.event().await.expect("the stream goes on");
    let request = event.json();
    let round = seen.questions.len() + 1;
    assert_eq!(
        request["params"]["message"],
        format!("{} {round}", seen.name)
    );
    let content = json!({"action": "accept", "content": {"answer": format!("{round}")}});
    assert_eq!(session.answer(&request, content).await.status, 202);
    seen.questions.push(event);
}

/// Everything from this event on, without the priming event of the new connection.
async fn rest(session: &Session, from: &str) -> Vec<Event> {
    let response = session.resume(from).await.finish().await;
    assert_eq!(response.status, 200, "{response:?}");
    let events = response.events().into_iter();
    events.filter(|event| !event.data.is_empty()).collect()
}

#[tokio::test]
async fn each_of_three_calls_is_resumed_with_its_own_events_only() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({"elicitation": {}})).await;
    let mut calls = Vec::new();
    for number in 0..CALLS {
        calls.push(open(&session, &format!("call{number}")).await);
    }
    for _ in 0..ROUNDS {
        for (live, seen) in &mut calls {
            answer(&session, live, seen).await;
        }
    }
    let calls: Vec<Seen> = calls.into_iter().map(|(_live, seen)| seen).collect();
    world.node.calls_close().await;
    for seen in &calls {
        let whole = rest(&session, &seen.priming).await;
        assert_eq!(
            whole,
            rest(&session, &seen.priming).await,
            "the same every time"
        );
        let (last, questions) = whole.split_last().unwrap();
        assert_eq!(questions, seen.questions, "{}", seen.name);
        let result = last.json();
        assert_eq!(result["id"], seen.name.as_str());
        assert_eq!(text(&result["result"]), format!("{}: 1 2", seen.name));
        for (at, event) in whole.iter().enumerate() {
            let from = rest(&session, event.id.as_deref().unwrap()).await;
            assert_eq!(from, whole[at + 1..], "{} from {at}", seen.name);
        }
    }
    world.end(session).await;
}

/// [SSE-6].
#[tokio::test]
async fn a_cursor_that_is_not_of_this_session_is_a_gap() {
    let world = World::open().await;
    let mine = Session::open(&world.door(), json!({"elicitation": {}})).await;
    let other = Session::open(&world.door(), json!({"elicitation": {}})).await;
    let (live, seen) = open(&other, "x").await;
    let mut flipped = seen.priming.clone();
    let last = if flipped.ends_with('A') { "B" } else { "A" };
    flipped.replace_range(..1, last);
    for cursor in [seen.priming.as_str(), &flipped, "x", "0"] {
        let response = mine.resume(cursor).await.finish().await;
        assert_eq!(
            (response.status, response.code()),
            (400, -31010),
            "{cursor}"
        );
    }
    drop(live);
    assert_eq!(other.delete().await.status, 204);
    world.end(mine).await;
}

/// [SSE-10].
#[tokio::test]
async fn the_standalone_stream_is_resumed_where_it_broke() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let mut live = session.listen().await;
    let priming = live.event().await.unwrap().id.unwrap();
    drop(live);
    let change = json!({"name": "change", "arguments": {"text": "added"}});
    session.result(1, "tools/call", change).await;
    let mut live = session.resume(&priming).await;
    assert_eq!(
        live.message().await["method"],
        "notifications/tools/list_changed"
    );
    drop(live);
    world.end(session).await;
}
