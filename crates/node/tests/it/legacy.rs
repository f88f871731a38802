//! What a client of 2025-11-25 does with a node (protocol.md 3).

use ostler_testkit::{Live, Session};
use serde_json::{Value, json};

use crate::world::{World, text};

#[tokio::test]
async fn a_session_is_opened_used_and_ended() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let opened = &session.initialized;
    assert_eq!(opened["protocolVersion"], "2025-11-25");
    assert_eq!(opened["serverInfo"]["name"], "testkit");
    assert_eq!(opened["instructions"], "For tests.");
    assert_eq!(opened["resultType"], Value::Null, "[C-2]");
    assert_eq!(opened["capabilities"]["extensions"], Value::Null, "[LIF-4]");
    assert!(
        session.id.bytes().all(|byte| byte.is_ascii_graphic()),
        "[SES-1]"
    );
    let called = session.result(
        1,
        "tools/call",
        json!({"name": "echo", "arguments": {"text": "hi"}}),
    );
    assert_eq!(text(&called.await), "hi");
    assert_eq!(session.result(2, "ping", json!({})).await, json!({}));
    let level = session.result(3, "logging/setLevel", json!({"level": "debug"}));
    assert_eq!(level.await, json!({}));
    assert_eq!(session.delete().await.status, 204);
    // [SES-5]: afterwards every verb gives 404.
    assert_eq!(session.delete().await.status, 404);
    assert_eq!(session.ask(4, "ping", json!({})).await.status, 404);
    assert_eq!(session.listen().await.finish().await.status, 404);
    world.stop().await;
}

#[tokio::test]
async fn lists_reads_gets_and_completions_are_answered() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let greet = json!({"name": "greet", "arguments": {"name": "Anna"}});
    let complete = json!({"ref": {"type": "ref/prompt", "name": "greet"},
        "argument": {"name": "name", "value": "an"}});
    let rows = [
        ("tools/list", json!({}), "/tools/0/name", json!("echo")),
        ("prompts/list", json!({}), "/prompts/0/name", json!("plain")),
        (
            "resources/list",
            json!({}),
            "/resources/0/uri",
            json!("mem://text"),
        ),
        (
            "resources/templates/list",
            json!({}),
            "/resourceTemplates/0/uriTemplate",
            json!("mem://doc/{id}"),
        ),
        (
            "resources/read",
            json!({"uri": "mem://text"}),
            "/contents/0/text",
            json!("some text"),
        ),
        (
            "prompts/get",
            greet,
            "/messages/0/content/text",
            json!("Greet Anna."),
        ),
        (
            "completion/complete",
            complete,
            "/completion/values",
            json!(["anna", "anton"]),
        ),
    ];
    for (method, params, place, wanted) in rows {
        let result = session.result(method, method, params).await;
        assert_eq!(result.pointer(place), Some(&wanted), "{method}: {result}");
        for modern in ["resultType", "ttlMs", "cacheScope"] {
            assert_eq!(result[modern], Value::Null, "{method}: {result}");
        }
    }
    world.end(session).await;
}

/// [SSE-1] to [SSE-3], [P-7].
#[tokio::test]
async fn progress_comes_on_a_primed_stream_before_the_result() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let params = json!({"name": "progress", "arguments": {"count": 3},
        "_meta": {"progressToken": 7}});
    let response = session.ask(1, "tools/call", params).await;
    assert!(response.is_stream(), "{response:?}");
    let events = response.events();
    assert!(events[0].is_priming(), "{events:?}");
    let messages = response.messages();
    let (result, steps) = messages.split_last().unwrap();
    let steps: Vec<&Value> = steps
        .iter()
        .inspect(|step| assert_eq!(step["params"]["progressToken"], 7))
        .map(|step| &step["params"]["progress"])
        .collect();
    assert_eq!(steps, [1, 2, 3].map(|n| n as f64));
    assert_eq!(text(&result["result"]), "done");
    assert!(
        events.last().unwrap().id.is_some(),
        "the final event can be resumed from"
    );
    world.end(session).await;
}

/// [P-4].
#[tokio::test]
async fn logs_come_from_the_level_of_the_session_on() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    for (level, wanted) in [("debug", 3), ("info", 2), ("error", 1)] {
        session
            .result(level, "logging/setLevel", json!({"level": level}))
            .await;
        let response = session.door.send(&session.call(9, "log", json!({}))).await;
        assert_eq!(
            response.messages().len(),
            wanted + 1,
            "{level}: {}",
            response.text()
        );
    }
    world.end(session).await;
}

/// The next request of the server on a stream.
async fn asked(live: &mut Live, method: &str) -> Value {
    let request = live.message().await;
    assert_eq!(request["method"], method, "{request}");
    request
}

/// [S2C-1] to [S2C-3].
#[tokio::test]
async fn a_question_is_a_request_on_the_stream_of_its_call() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({"elicitation": {}})).await;
    let call = session.call("c", "interview", json!({"name": "x", "rounds": 2}));
    let mut live = session.door.open(&call).await;
    for round in 1..=2 {
        let request = asked(&mut live, "elicitation/create").await;
        assert_eq!(request["params"]["message"], format!("x {round}"));
        let content = json!({"action": "accept", "content": {"answer": format!("{round}")}});
        assert_eq!(session.answer(&request, content).await.status, 202);
    }
    let last = live.message().await;
    assert_eq!(
        (&last["id"], text(&last["result"])),
        (&json!("c"), "x: 1 2")
    );
    assert_eq!(
        live.event().await,
        None,
        "the stream ends after the result [SSE-12]"
    );
    world.end(session).await;
}

#[tokio::test]
async fn several_questions_are_several_requests() {
    let world = World::open().await;
    let can = json!({"elicitation": {}, "sampling": {}, "roots": {}});
    let session = Session::open(&world.door(), can).await;
    let mut live = session
        .door
        .open(&session.call(1, "ask_several", json!({})))
        .await;
    for _ in 0..3 {
        let request = live.message().await;
        let answer = match request["method"].as_str().unwrap() {
            "elicitation/create" => json!({"action": "decline"}),
            "sampling/createMessage" => json!({"role": "assistant", "model": "m",
                "content": {"type": "text", "text": "hi"}}),
            "roots/list" => json!({"roots": [{"uri": "file:///x"}]}),
            other => panic!("{other}"),
        };
        assert_eq!(session.answer(&request, answer).await.status, 202);
    }
    assert_eq!(text(&live.message().await["result"]), "decline, hi, 1");
    world.end(session).await;
}

/// [CAN-1].
#[tokio::test]
async fn a_cancelled_request_is_cancelled_at_its_worker_and_not_answered() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let call = session.call(5, "hold", json!({"gate": "g"}));
    let running = session.door.send(&call);
    let cancel = async {
        world.script.seen("started:g").await;
        let told = session
            .notify("notifications/cancelled", json!({"requestId": 5}))
            .await;
        assert_eq!(told.status, 202);
    };
    let (response, ()) = tokio::join!(running, cancel);
    world.script.seen("cancelled:g").await;
    assert!(!response.text().contains("result"), "{response:?}");
    world.end(session).await;
}

/// [SSE-7], [SSE-10], [LC-1], [R-3].
#[tokio::test]
async fn changes_come_on_the_standalone_stream() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let mut live = session.listen().await;
    assert!(live.event().await.unwrap().is_priming());
    let change = json!({"name": "change", "arguments": {"text": "added"}});
    session.result(1, "tools/call", change).await;
    assert_eq!(
        live.message().await["method"],
        "notifications/tools/list_changed"
    );
    let uri = json!({"uri": "mem://text"});
    assert_eq!(
        session.result(2, "resources/subscribe", uri.clone()).await,
        json!({})
    );
    let touch = json!({"name": "touch", "arguments": {"text": "mem://text"}});
    session.result(3, "tools/call", touch.clone()).await;
    let updated = live.message().await;
    assert_eq!(updated["method"], "notifications/resources/updated");
    assert_eq!(updated["params"], uri);
    assert_eq!(
        session.result(4, "resources/unsubscribe", uri).await,
        json!({})
    );
    session.result(5, "tools/call", touch).await;
    let change = json!({"name": "change", "arguments": {"text": "more"}});
    session.result(6, "tools/call", change).await;
    let next = live.message().await;
    assert_eq!(
        next["method"], "notifications/tools/list_changed",
        "no update any more"
    );
    world.end(session).await;
}

/// [SSE-10]: queued and coalesced while nobody listens.
#[tokio::test]
async fn changes_wait_for_the_next_standalone_stream() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let uri = json!({"uri": "mem://text"});
    session.result(1, "resources/subscribe", uri.clone()).await;
    let touch = json!({"name": "touch", "arguments": {"text": "mem://text"}});
    session.result(2, "tools/call", touch.clone()).await;
    let mut live = session.listen().await;
    let updated = live.message().await;
    assert_eq!(
        updated["method"], "notifications/resources/updated",
        "{updated}"
    );
    assert_eq!(updated["params"], uri);
    drop(live);
    world.end(session).await;
}

/// [CAP-3].
#[tokio::test]
async fn only_what_is_offered_can_be_subscribed_to() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    for uri in ["mem://nowhere", "", "x"] {
        let refused = session
            .ask(uri, "resources/subscribe", json!({"uri": uri}))
            .await;
        assert_eq!(
            (refused.status, refused.code()),
            (200, -32002),
            "{uri:?}: {}",
            refused.text()
        );
    }
    world.end(session).await;
}
