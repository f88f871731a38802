//! Who holds the call decides what a lost socket means: modern is cancelled [MS-3], legacy runs on
//! [CAN-2], [CAN-3].

use std::time::Duration;

use ostler_testkit::{Modern, Session};
use serde_json::json;

use crate::world::{World, text};

async fn streaming_soon() -> World {
    World::with(|config| config.edge.stream_after = Duration::from_millis(20)).await
}

#[tokio::test]
async fn a_modern_call_is_cancelled_when_its_client_goes_before_the_response() {
    let world = World::open().await;
    let door = world.door();
    let call = Modern::call("hold", json!({"gate": "g"})).to(&door);
    let sent = door.begin(&call).await;
    world.script.seen("started:g").await;
    drop(sent);
    world.script.seen("cancelled:g").await;
    world.stop().await;
}

#[tokio::test]
async fn a_modern_call_is_cancelled_when_its_client_leaves_the_stream() {
    let world = streaming_soon().await;
    let door = world.door();
    let live = Modern::call("hold", json!({"gate": "g"})).open(&door).await;
    assert!(live.head().is_stream());
    world.script.seen("started:g").await;
    drop(live);
    world.script.seen("cancelled:g").await;
    world.stop().await;
}

#[tokio::test]
async fn a_round_of_a_parked_call_is_cancelled_with_its_client() {
    let world = streaming_soon().await;
    let door = world.door();
    let call = Modern::call("ask_then_hold", json!({"gate": "g"})).can(json!({"elicitation": {}}));
    let asked = call.result(&door).await;
    let answers = json!({"go": {"action": "accept", "content": {"go": true}}});
    let live = call.retry(&asked, answers).open(&door).await;
    world.script.seen("started:g").await;
    drop(live);
    world.script.seen("cancelled:g").await;
    world.stop().await;
}

#[tokio::test]
async fn a_legacy_call_runs_on_and_its_result_is_resumed() {
    let world = streaming_soon().await;
    let session = Session::open(&world.door(), json!({})).await;
    let call = session.call(1, "hold", json!({"gate": "g"}));
    let mut live = session.door.open(&call).await;
    let priming = live.event().await.unwrap();
    assert!(priming.is_priming());
    world.script.seen("started:g").await;
    drop(live);
    world.script.open("g");
    world.script.seen("passed:g").await;
    let mut resumed = session.resume(&priming.id.unwrap()).await;
    let last = resumed.message().await;
    assert_eq!(
        (&last["id"], text(&last["result"])),
        (&json!(1), "passed g")
    );
    assert_eq!(resumed.event().await, None);
    assert_eq!(world.script.count("cancelled:g"), 0);
    world.end(session).await;
}

#[tokio::test]
async fn a_legacy_call_runs_to_its_end_even_if_nobody_can_have_the_result() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let call = session.call(1, "hold", json!({"gate": "g"}));
    let sent = session.door.begin(&call).await;
    world.script.seen("started:g").await;
    drop(sent);
    world
        .node
        .reaches("ostler_session_calls_total", &[("step", "adopted")], 1.0)
        .await;
    world.script.open("g");
    world.script.seen("passed:g").await;
    world.node.calls_close().await;
    assert_eq!(world.script.count("cancelled:g"), 0);
    world.end(session).await;
}

/// [SES-5].
#[tokio::test]
async fn the_end_of_a_session_cancels_its_calls() {
    let world = streaming_soon().await;
    let session = Session::open(&world.door(), json!({})).await;
    let live = session
        .door
        .open(&session.call(1, "hold", json!({"gate": "g"})))
        .await;
    world.script.seen("started:g").await;
    assert_eq!(session.delete().await.status, 204);
    world.script.seen("cancelled:g").await;
    live.finish().await;
    world.stop().await;
}

/// [TK-13].
#[tokio::test]
async fn a_task_runs_on_when_its_creator_has_gone() {
    let world = World::open().await;
    let door = world.door();
    let call = Modern::call("job", json!({"gate": "g"})).can_follow(json!({}));
    let task = call.result(&door).await;
    world.script.seen("started:g").await;
    world.script.open("g");
    world.script.seen("passed:g").await;
    world.node.calls_close().await;
    let get = Modern::new("tasks/get", json!({"taskId": task["taskId"]})).can_follow(json!({}));
    assert_eq!(get.result(&door).await["status"], "completed");
    world.stop().await;
}
