//! A worker that keeps silent where an answer is due.

use std::time::Duration;

use ostler_rpc::worker_v1::{self as wire, from_worker::Frame as From, to_worker::Frame as To};
use ostler_testkit::{Modern, TestNode};
use serde_json::json;

use crate::raw::{Worker, hello, inline};

/// The response to a call that is parked does not wait for its worker: it becomes a stream in time.
#[tokio::test]
async fn a_worker_that_does_not_say_that_it_keeps_a_call_holds_no_response_up() {
    let node = TestNode::with(|config| {
        config.edge.stream_after = Duration::from_millis(20);
    })
    .await;
    let mut worker = Worker::link(&node, hello("silent", "ask")).await;
    let door = node.door();
    let call = Modern::call("ask", json!({})).can(json!({"roots": {}}));
    let sent = door.begin(&call.to(&door)).await;
    let wire::Call { call, attempt, .. } = worker.call().await;
    worker
        .say(From::Ask(wire::Ask {
            call,
            attempt,
            questions: vec![wire::Question {
                key: "roots".to_owned(),
                kind: wire::QuestionKind::Roots.into(),
                params: inline("{}"),
            }],
        }))
        .await;
    worker.until(|frame| matches!(frame, To::Keep(_))).await;
    let mut live = sent.head().await;
    assert!(live.head().is_stream(), "{:?}", live.head());
    worker.say(From::Kept(wire::Kept { call, attempt })).await;
    let asked = live.message().await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(live.event().await, None);
    drop(worker);
    node.end().await;
}
