//! Calls that have begun and cannot be kept. They may have had their effect, so nothing in what their
//! clients are told invites to send them again.

use ostler_store::faults::Fault;
use ostler_testkit::{Door, Modern, Response, Script, Session, TestNode};
use serde_json::json;

use crate::world::World;

fn check(about: &str, response: &Response, code: i64) {
    let told = (response.status, response.code());
    assert_eq!(told, (200, code), "{about}: {}", response.text());
    let error = &response.json()["error"];
    assert_eq!(error["data"], json!({"executed": "unknown"}), "{about}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("may have run"), "{about}: {message}");
    assert!(response.header("retry-after").is_none(), "{about}");
}

/// A call that asks is parked.
fn asks() -> Modern {
    Modern::call("transfer", json!({"amount": 1})).can(json!({"elicitation": {}}))
}

/// One whose worker wants a task of it at once.
fn becomes_task(gate: &str) -> Modern {
    Modern::call("job_only", json!({"gate": gate})).can_follow(json!({}))
}

async fn legacy(door: &Door) -> Session {
    Session::open(door, json!({"elicitation": {}})).await
}

#[tokio::test]
async fn without_a_disk_it_is_said_that_they_may_have_run() {
    let (node, faults) = TestNode::faulty().await;
    let _worker = node.worker(&Script::new()).await;
    let door = node.door();
    let (streams, asks_for_task) = (legacy(&door).await, legacy(&door).await);
    faults.set(Fault::Full);
    check("parked", &asks().send(&door).await, -31011);
    check("a task", &becomes_task("g").send(&door).await, -31011);
    let call = streams.call(1, "transfer", json!({"amount": 1}));
    let stream = door.open(&call).await;
    check("streamed", &stream.finish().await, -31011);
    let params = json!({"name": "job_only", "arguments": {"gate": "h"}, "task": {}});
    let asked_for = asks_for_task.ask(2, "tools/call", params).await;
    check("a task that was asked for", &asked_for, -31011);
    faults.set(Fault::None);
    node.stop().await;
}

#[tokio::test]
async fn without_room_it_is_said_that_they_may_have_run() {
    let world = World::with(|config| config.task.unfinished_per_principal_max = 1).await;
    let door = world.door();
    let parked = asks().result(&door).await;
    assert_eq!(parked["resultType"], "input_required");
    check("parked", &asks().send(&door).await, -31012);
    check("a task", &becomes_task("g").send(&door).await, -31012);
    let yes = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
    let done = asks().retry(&parked, yes).result(&door).await;
    assert_eq!(done["resultType"], "complete");
    world.stop().await;
}
