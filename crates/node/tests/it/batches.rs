//! Several messages in one POST: sessions of 2025-03-26 only ([BAT-1] to [BAT-8]).

use std::{collections::BTreeSet, time::Duration};

use ostler_testkit::{Request, Response, Script, Session, TestNode, m_ok};
use serde_json::{Value, json};

use crate::world::{World, text};

const B: &str = "2025-03-26";

fn request(id: i32, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn call(id: i32, tool: &str, arguments: Value) -> Value {
    request(
        id,
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
    )
}

fn echo(id: i32) -> Value {
    call(id, "echo", json!({"text": format!("e{id}")}))
}

fn ping(id: i32) -> Value {
    request(id, "ping", json!({}))
}

fn note(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": {}})
}

fn response(id: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {}})
}

fn ids(messages: &[Value]) -> BTreeSet<i64> {
    messages
        .iter()
        .map(|message| message["id"].as_i64().expect("an id of ours"))
        .collect()
}

/// The elements of a JSON body.
fn array(response: &Response) -> Vec<Value> {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    response.json().as_array().expect("an array").clone()
}

async fn streaming_soon() -> World {
    World::with(|config| config.edge.stream_after = Duration::from_millis(20)).await
}

#[tokio::test]
async fn fast_answers_come_in_one_array() {
    let world = World::open().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let messages = [
        ping(1),
        echo(2),
        note("notifications/x"),
        request(3, "tools/list", json!({})),
        echo(4),
        call(5, "no_such", json!({})),
        request(6, "no/such", json!({})),
    ];
    let answers = array(&session.door.send(&session.batch(&messages)).await);
    assert_eq!(ids(&answers), (1..=6).collect());
    let answer = |id: i64| {
        let found = answers.iter().find(|answer| answer["id"] == id);
        found.expect("answered")
    };
    assert_eq!(text(&answer(2)["result"]), "e2");
    assert_eq!(text(&answer(4)["result"]), "e4");
    assert_eq!(answer(5)["error"]["code"], -32602);
    assert_eq!(answer(6)["error"]["code"], -32601);
    // However few they are.
    let one = array(&session.door.send(&session.batch(&[echo(7)])).await);
    assert_eq!(ids(&one), [7].into());
    world.end(session).await;
}

#[tokio::test]
async fn what_needs_no_answer_gets_none() {
    let world = World::open().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    for messages in [
        vec![note("notifications/initialized"), note("notifications/x")],
        vec![response("a"), response("b")],
        vec![response("a"), note("notifications/x")],
    ] {
        let taken = session.door.send(&session.batch(&messages)).await;
        assert_eq!((taken.status, taken.text()), (202, ""), "{messages:?}");
    }
    world.end(session).await;
}

/// [BAT-4]: single messages, in any order, then the end.
#[tokio::test]
async fn a_batch_that_streams_is_one_stream_with_all_answers() {
    let world = World::open().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let mut progress = call(1, "progress", json!({"count": 3}));
    progress["params"]["_meta"] = json!({"progressToken": "p"});
    let messages = [progress, echo(2), ping(3)];
    let response = session.door.send(&session.batch(&messages)).await;
    assert!(response.is_stream(), "{response:?}");
    let events = response.events();
    assert!(
        events.iter().all(|event| !event.data.is_empty()),
        "no priming: older clients would parse it [SSE-2]"
    );
    let (answers, chatter): (Vec<_>, Vec<_>) = response
        .messages()
        .into_iter()
        .partition(|message| message["id"].is_number());
    assert_eq!(ids(&answers), (1..=3).collect());
    assert_eq!(answers.len(), 3);
    let about_one = |message: &Value| message["params"]["progressToken"] == "p";
    assert!(chatter.iter().all(about_one), "{chatter:?}");
    world.end(session).await;
}

/// Answers that are ready wait for the others only while they are few bytes.
#[tokio::test]
async fn many_bytes_of_answers_are_not_gathered() {
    let world = World::with(|config| config.edge.limits.outcome_bytes_max = 10_000).await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let big = |id: i32| call(id, "big", json!({"count": 6_000}));
    let messages = [big(1), big(2), call(3, "hold", json!({"gate": "g"}))];
    let mut live = session.door.open(&session.batch(&messages)).await;
    let mut answers = vec![live.message().await, live.message().await];
    world.script.open("g");
    answers.extend(live.finish().await.messages());
    assert_eq!(ids(&answers), (1..=3).collect());
    // Nor is a list asked for again and again.
    let lists: Vec<_> = (0..100)
        .map(|id| request(id, "tools/list", json!({})))
        .collect();
    let answers = array(&session.door.send(&session.batch(&lists)).await);
    let bytes = Value::from(answers.clone()).to_string().len();
    assert!(bytes < 100_000, "{bytes}");
    assert_eq!(ids(&answers), (0..100).collect());
    assert!(answers[0]["result"]["tools"].is_array());
    assert_eq!(answers[99]["error"]["code"], -31012);
    world.end(session).await;
}

/// [SSE-14]: large answers are no slow reader.
#[tokio::test]
async fn large_answers_come_on_one_stream() {
    let world = streaming_soon().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let big = |id: i32| call(id, "big", json!({"count": 200_000}));
    let messages = [
        big(1),
        big(2),
        big(3),
        call(4, "hold", json!({"gate": "g"})),
    ];
    let live = session.door.open(&session.batch(&messages)).await;
    world.script.seen("started:g").await;
    world.script.open("g");
    let answers = live.finish().await.messages();
    assert_eq!(ids(&answers), (1..=4).collect());
    world.end(session).await;
}

/// [CAN-2]: and what was answered before the socket broke is not told again.
#[tokio::test]
async fn a_broken_batch_runs_on_and_is_resumed_from_its_last_event() {
    let world = streaming_soon().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let messages = [echo(1), call(2, "hold", json!({"gate": "g"})), ping(3)];
    let mut live = session.door.open(&session.batch(&messages)).await;
    let first = live.event().await.expect("an answer");
    let second = live.event().await.expect("an answer");
    assert_eq!(ids(&[first.json(), second.json()]), [1, 3].into());
    world.script.seen("started:g").await;
    drop(live);
    world.script.open("g");
    world.script.seen("passed:g").await;
    let mut resumed = session.resume(&second.id.expect("stored")).await;
    let last = resumed.message().await;
    assert_eq!(
        (&last["id"], text(&last["result"])),
        (&json!(2), "passed g")
    );
    assert_eq!(resumed.event().await, None);
    let whole = session
        .resume(&first.id.expect("stored"))
        .await
        .finish()
        .await;
    assert_eq!(whole.messages().len(), 2);
    assert_eq!(world.script.count("cancelled:g"), 0);
    world.end(session).await;
}

/// [CAN-3]: the same before any byte of the response.
#[tokio::test]
async fn a_batch_whose_socket_breaks_early_runs_to_its_end() {
    let world = World::open().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let holds = ["g", "h"].map(|gate| call(1, "hold", json!({"gate": gate})));
    let [one, mut two] = holds;
    two["id"] = json!(2);
    let sent = session.door.begin(&session.batch(&[one, two])).await;
    world.script.seen("started:g").await;
    world.script.seen("started:h").await;
    drop(sent);
    let adopted = [("step", "adopted")];
    world
        .node
        .reaches("ostler_session_calls_total", &adopted, 2.0)
        .await;
    world.script.open("g");
    world.script.open("h");
    world.node.calls_close().await;
    assert_eq!(world.script.count("cancelled:g"), 0);
    world.end(session).await;
}

#[tokio::test]
async fn one_of_a_batch_is_cancelled_by_its_id() {
    let world = streaming_soon().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let messages = [
        call(1, "hold", json!({"gate": "g"})),
        call(2, "hold", json!({"gate": "h"})),
    ];
    let live = session.door.open(&session.batch(&messages)).await;
    world.script.seen("started:g").await;
    world.script.seen("started:h").await;
    let cancel = json!({"requestId": 1});
    let told = session.notify("notifications/cancelled", cancel).await;
    assert_eq!(told.status, 202);
    world.script.seen("cancelled:g").await;
    world.script.open("h");
    let answers = live.finish().await.messages();
    assert_eq!(ids(&answers), [2].into(), "{answers:?}");
    world.end(session).await;
}

/// Questions come on the stream of the batch; their answers may come as a batch too.
#[tokio::test]
async fn a_batch_is_asked_and_answers_in_a_batch() {
    let world = World::open().await;
    let can = json!({"sampling": {}, "roots": {}, "elicitation": {}});
    let session = Session::open_as(B, &world.door(), can).await;
    let messages = [
        call(1, "sample", json!({})),
        call(2, "roots", json!({})),
        call(3, "degrade", json!({})),
    ];
    let mut live = session.door.open(&session.batch(&messages)).await;
    let (mut questions, mut answers) = (Vec::new(), Vec::new());
    while questions.len() < 2 {
        let message = live.message().await;
        match message["method"].is_string() {
            true => questions.push(message),
            false => answers.push(message),
        }
    }
    let replies = questions.iter().map(|asked| {
        let result = match asked["method"].as_str() {
            Some("roots/list") => json!({"roots": [{"uri": "file:///r"}]}),
            _ => json!({"role": "assistant", "model": "m",
                "content": {"type": "text", "text": "hi"}}),
        };
        json!({"jsonrpc": "2.0", "id": asked["id"], "result": result})
    });
    let replies: Vec<_> = replies.collect();
    assert_eq!(
        session.door.send(&session.batch(&replies)).await.status,
        202
    );
    answers.extend(live.finish().await.messages());
    let answer = |id: i64| {
        let found = answers.iter().find(|answer| answer["id"] == id);
        text(&found.expect("answered")["result"]).to_owned()
    };
    assert_eq!(
        (answer(1).as_str(), answer(2).as_str()),
        ("hi", "file:///r")
    );
    assert!(answer(3).starts_with("without: "), "no elicitation yet");
    world.end(session).await;
}

/// [BAT-3], [BAT-5], [BAT-8], and RPC-012 of the corpus.
#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let world = World::open().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    for messages in [
        vec![],
        vec![ping(1), json!(7)],
        vec![ping(1), json!([ping(2)])],
        vec![ping(1), response("a")],
        vec![request(1, "initialize", json!({})), ping(2)],
        vec![note("notifications/x"); 101],
    ] {
        let refused = session.door.send(&session.batch(&messages)).await;
        let told = (refused.status, refused.code());
        assert_eq!(told, (400, -32600), "{messages:?}: {}", refused.text());
        assert_eq!(refused.json()["id"], Value::Null);
    }
    let most = session.batch(&vec![note("notifications/x"); 100]);
    assert_eq!(session.door.send(&most).await.status, 202);
    world.end(session).await;
}

/// [RPC-2]: an id that is in flight is refused, the rest goes on.
#[tokio::test]
async fn an_id_counts_once_in_a_batch() {
    let world = World::open().await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let answers = array(&session.door.send(&session.batch(&[echo(1), echo(1)])).await);
    let codes: BTreeSet<_> = answers
        .iter()
        .map(|answer| answer["error"]["code"].as_i64())
        .collect();
    assert_eq!(codes, [None, Some(-32600)].into());
    world.end(session).await;
}

/// If all of it should be sent again, its status says so too.
#[tokio::test]
async fn a_batch_that_is_refused_altogether_has_the_status_of_that() {
    let world = World::with(|config| config.limits.calls_max = 1).await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let hold = session.call(9, "hold", json!({"gate": "g"}));
    let held = session.door.begin(&hold).await;
    world.script.seen("started:g").await;
    let refused = session.door.send(&session.batch(&[echo(1), echo(2)])).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    let codes = refused.json();
    assert_eq!(
        [&codes[0]["error"]["code"], &codes[1]["error"]["code"]],
        [-31002, -31002]
    );
    let busy = [("reason", "busy")];
    assert_eq!(world.node.metric("ostler_edge_refused_total", &busy), 2.0);
    let mixed = array(&session.door.send(&session.batch(&[echo(1), ping(2)])).await);
    assert_eq!(ids(&mixed), [1, 2].into());
    world.script.open("g");
    held.head().await.finish().await;
    world.end(session).await;
}

/// The calls of a batch may run at several workers; one that is lost takes only its own with it.
#[tokio::test]
async fn a_lost_worker_answers_for_its_calls_of_a_batch() {
    let change = |config: &mut ostler_node::Config| {
        config.edge.stream_after = Duration::from_millis(20);
    };
    let node = TestNode::with(change).await;
    let (stays, goes) = (Script::new(), Script::new());
    let _stays = node.worker_of("stays", "default", "default", &stays).await;
    let lost = node.worker_of("goes", "default", "default", &goes).await;
    let session = Session::open_as(B, &node.door(), json!({})).await;
    let hold = |id: i32| call(id, "hold", json!({"gate": format!("g{id}")}));
    let messages: Vec<_> = (0..12).map(hold).collect();
    let live = session.door.open(&session.batch(&messages)).await;
    node.reaches("ostler_hub_calls_started_total", &[], 12.0)
        .await;
    lost.kill().await;
    (0..12).for_each(|id| stays.open(&format!("g{id}")));
    let answers = live.finish().await.messages();
    assert_eq!(ids(&answers), (0..12).collect());
    let failed = answers
        .iter()
        .filter(|answer| answer["error"]["code"] == -31003);
    let failed = failed.count();
    assert!((1..12).contains(&failed), "both had some: {failed}");
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

/// [BAT-8]: nobody sends more by sending it together; and what could never pass is told so.
#[tokio::test]
async fn each_message_of_a_batch_counts_for_the_rate() {
    let world = World::with(|config| config.edge.limits.requests_per_second_max = 20).await;
    let session = Session::open_as(B, &world.door(), json!({})).await;
    let batch = |len: i32| session.batch(&(0..len).map(ping).collect::<Vec<_>>());
    let refused = session.door.send(&batch(21)).await;
    assert_eq!((refused.status, refused.code()), (400, -32600));
    let mut sent = 0;
    let refused = loop {
        let response = session.door.send(&batch(15)).await;
        sent += 1;
        match response.status {
            200 => assert!(sent < 20, "nothing is refused"),
            _ => break response,
        }
    };
    assert_eq!((refused.status, refused.code()), (429, -31001));
    assert!(refused.header("retry-after").is_some());
    world.stop().await;
}

/// [BAT-6].
#[tokio::test]
async fn no_other_revision_has_batches() {
    let world = World::open().await;
    let door = world.door();
    let messages = [ping(1), echo(2)];
    let body = || Value::from(&messages[..]).to_string();
    let check = async |about: &str, request: Request, wanted| {
        let refused = door.send(&request).await;
        let told = (refused.status, refused.code());
        assert_eq!(told, wanted, "{about}: {}", refused.text());
        assert_eq!(refused.json()["id"], Value::Null, "{about}");
    };
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let session = Session::open_as(version, &door, json!({})).await;
        check(version, session.batch(&messages), (400, -32600)).await;
        // The session decides, not the header.
        let claims = session.batch(&messages).header("MCP-Protocol-Version", B);
        check(version, claims, (400, -32600)).await;
        assert_eq!(session.delete().await.status, 204);
        check("gone", session.batch(&messages), (404, -32600)).await;
        let nowhere = session.batch(&messages).without("Mcp-Session-Id");
        check("no session", nowhere, (400, -32600)).await;
    }
    check("modern", m_ok().to(&door).body(body()), (400, -32600)).await;
    assert_eq!(world.script.count("echo"), 0);
    world.stop().await;
}

/// A batch of a stranger's session looks like one of none.
#[tokio::test]
async fn a_batch_to_a_foreign_session_is_one_to_an_unknown_one() {
    let world = World::tenants().await;
    let [a1, a2, b1] = world.principals();
    let session = Session::open_as(B, &a1, json!({})).await;
    for door in [a2, b1] {
        let stranger = Session {
            door,
            ..session.clone()
        };
        let refused = stranger.door.send(&stranger.batch(&[ping(1)])).await;
        assert_eq!((refused.status, refused.code()), (404, -32600));
    }
    world.end(session).await;
}
