//! Several workers of one Server, and the end of nodes and workers under load.

use std::time::Duration;

use ostler_node::Exit;
use ostler_store::faults::Fault;
use ostler_testkit::{Live, Modern, Script, Session, TestNode, m_ok};
use serde_json::{Value, json};

use crate::world::{World, text};

const CALLS: usize = 12;

async fn tools(node: &TestNode) -> Value {
    let list = Modern::new("tools/list", json!({}));
    list.result(&node.door()).await["tools"].clone()
}

async fn hold(node: &TestNode, gate: &str) -> Live {
    let call = Modern::call("hold", json!({"gate": gate}));
    call.open(&node.door()).await
}

/// G14: a lost worker's calls get a definite outcome; those of others feel nothing.
#[tokio::test]
async fn a_lost_worker_takes_only_its_own_calls_with_it() {
    let change = |config: &mut ostler_node::Config| {
        config.edge.stream_after = Duration::from_millis(20);
    };
    let node = TestNode::with(change).await;
    let (stays, goes) = (Script::new(), Script::new());
    let _stays = node.worker_of("stays", "default", "default", &stays).await;
    let lost = node.worker_of("goes", "default", "default", &goes).await;
    let before = tools(&node).await;
    let mut calls = Vec::new();
    for number in 0..CALLS {
        let gate = format!("g{number}");
        calls.push((gate.clone(), hold(&node, &gate).await));
    }
    let started = "ostler_hub_calls_started_total";
    node.reaches(started, &[], CALLS as f64).await;
    lost.kill().await;
    let mut cut = 0;
    for (gate, live) in calls {
        let was_there = goes.count(&format!("started:{gate}")) == 1;
        stays.open(&gate);
        let last = live.finish().await.json();
        match was_there {
            true => assert_eq!(last["error"]["code"], -31003, "{gate}: {last}"),
            false => assert_eq!(text(&last["result"]), format!("passed {gate}"), "{last}"),
        }
        cut += usize::from(was_there);
    }
    assert!((1..CALLS).contains(&cut), "both had some: {cut}");
    for _ in 0..CALLS {
        assert_eq!(text(&m_ok().result(&node.door()).await), "hi");
    }
    assert_eq!(tools(&node).await, before);
    node.stop().await;
}

/// design.md 4.2: only what is declared idempotent is run again, once.
#[tokio::test]
async fn an_idempotent_call_of_a_lost_worker_runs_again_at_another() {
    let node = TestNode::anonymous().await;
    let script = Script::new();
    let first = node.worker_of("first", "default", "default", &script).await;
    let door = node.door();
    let again = Modern::call("hold_again", json!({"gate": "again"})).to(&door);
    let once = Modern::call("hold", json!({"gate": "once"})).to(&door);
    let (again, once) = (door.begin(&again).await, door.begin(&once).await);
    script.seen("started:again").await;
    script.seen("started:once").await;
    let other = Script::new();
    let _second = node.worker_of("second", "default", "default", &other).await;
    first.kill().await;
    other.seen("started:again").await;
    other.open("again");
    let done = again.head().await.finish().await.json();
    assert_eq!(text(&done["result"]), "passed again", "{done}");
    let lost = once.head().await.finish().await.json();
    assert_eq!(lost["error"]["code"], -31003, "{lost}");
    assert_eq!(lost["error"]["data"]["executed"], "unknown", "{lost}");
    assert_eq!(other.count("started:once"), 0);
    node.stop().await;
}

#[tokio::test]
async fn a_session_outlives_the_worker_of_its_calls() {
    let node = TestNode::anonymous().await;
    let script = Script::new();
    let worker = node.worker(&script).await;
    let session = Session::open(&node.door(), json!({})).await;
    let sent = session
        .door
        .begin(&session.call(1, "hold", json!({"gate": "g"})))
        .await;
    script.seen("started:g").await;
    worker.kill().await;
    let lost = sent.head().await.finish().await;
    assert_eq!((lost.status, lost.code()), (200, -31003), "{}", lost.text());
    let _worker = node.worker(&script).await;
    let echo = json!({"name": "echo", "arguments": {"text": "hi"}});
    assert_eq!(text(&session.result(2, "tools/call", echo).await), "hi");
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

#[tokio::test]
async fn a_draining_node_finishes_what_it_accepted() {
    let world = World::open().await;
    let World { node, script, .. } = world;
    let session = Session::open(&node.door(), json!({})).await;
    let standalone = session.listen().await;
    let call = Modern::call("hold", json!({"gate": "g"})).to(&node.door());
    let sent = node.door().begin(&call).await;
    script.seen("started:g").await;
    let finish = async {
        // The standalone stream ends first: the node has begun to drain.
        let told = standalone.finish().await;
        assert!(
            told.events().iter().any(|event| event.retry_ms.is_some()),
            "{told:?}"
        );
        script.open("g");
        sent.head().await.finish().await
    };
    let (exit, response) = tokio::join!(node.end(), finish);
    assert_eq!(text(&response.json()["result"]), "passed g");
    assert_eq!(exit, Exit::Drained);
}

/// design.md 3.3: it drains, exits, and says that it failed.
#[tokio::test]
async fn a_node_whose_store_is_lost_finishes_what_it_can_and_ends() {
    let (node, faults) = TestNode::faulty().await;
    let script = Script::new();
    let _worker = node.worker(&script).await;
    let door = node.door();
    let call = Modern::call("hold", json!({"gate": "g"})).to(&door);
    let sent = door.begin(&call).await;
    script.seen("started:g").await;
    faults.set(Fault::SyncFails);
    let refused = door.send(&Session::initialize(&door, json!({}))).await;
    assert_eq!((refused.status, refused.code()), (503, -31011));
    let finish = async {
        script.open("g");
        sent.head().await.finish().await
    };
    let (exit, response) = tokio::join!(node.ended(), finish);
    assert_eq!(text(&response.json()["result"]), "passed g");
    assert_eq!(exit, Exit::Failed("node.store"));
}

#[tokio::test]
async fn without_a_worker_requests_are_refused_for_now() {
    let node = TestNode::anonymous().await;
    let door = node.door();
    for request in [m_ok().to(&door), Session::initialize(&door, json!({}))] {
        let response = door.send(&request).await;
        assert_eq!(
            (response.status, response.code()),
            (503, -31008),
            "{}",
            response.text()
        );
    }
    let worker = node.worker(&Script::new()).await;
    assert_eq!(text(&m_ok().result(&door).await), "hi");
    worker.kill().await;
    let refused = loop {
        let response = m_ok().send(&door).await;
        if response.code() != -31003 {
            break response;
        }
    };
    assert_eq!(
        (refused.status, refused.code()),
        (503, -31008),
        "{}",
        refused.text()
    );
    assert!(refused.header("retry-after").is_some());
    let _worker = node.worker(&Script::new()).await;
    assert_eq!(text(&m_ok().result(&door).await), "hi");
    node.stop().await;
}

#[tokio::test]
async fn the_admin_port_shows_health_and_metrics() {
    let world = World::open().await;
    m_ok().result(&world.door()).await;
    let mut admin = world.door();
    admin.address = world.node.admin;
    for (path, wanted) in [
        ("/livez", "alive"),
        ("/readyz", "ready"),
        (
            "/metrics",
            r#"ostler_dispatch_calls_ended_total{outcome="ok"} 1"#,
        ),
    ] {
        admin.path = path.to_owned();
        let response = admin.send(&admin.request("GET")).await;
        assert_eq!(response.status, 200, "{path}");
        assert!(
            response.text().contains(wanted),
            "{path}: {}",
            response.text()
        );
        let evil = admin.request("GET").header("Host", "evil.example");
        assert_eq!(admin.send(&evil).await.status, 421, "{path}");
    }
    world.stop().await;
}
