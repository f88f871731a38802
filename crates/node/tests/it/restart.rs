//! A node that crashes and comes back on the same data: what was acknowledged is still true
//! (promises.md 4.2, design.md 4.2).

use std::{collections::BTreeSet, time::Duration};

use ostler_node::config::Engine;
use ostler_testkit::{Modern, Pair, Script, Session, TestNode, TestWorker};
use serde_json::{Value, json};

use crate::world::text;

/// A stored node whose responses become streams at once, and its worker, which dials again.
async fn world() -> (TestNode, Script, TestWorker) {
    world_on(Engine::Sled).await
}

async fn world_on(engine: Engine) -> (TestNode, Script, TestWorker) {
    let change = |config: &mut ostler_node::Config| {
        config.edge.stream_after = Duration::from_millis(20);
        config.store.engine = engine;
    };
    let node = TestNode::stored_with(change).await;
    let script = Script::new();
    let worker = node.worker(&script).await;
    (node, script, worker)
}

/// What a session is called by its worker, which keeps things for it.
fn name(whoami: &Value) -> String {
    let name = text(whoami).split(' ').next_back();
    name.expect("a word").to_owned()
}

#[tokio::test]
async fn a_worker_knows_a_session_by_one_name_through_a_crash() {
    let (node, _script, _worker) = world().await;
    let who = json!({"name": "whoami", "arguments": {}});
    let (one, other) = (
        Session::open(&node.door(), json!({})).await,
        Session::open(&node.door(), json!({})).await,
    );
    let mut pair = Pair::open("2025-03-26", &node.door(), json!({})).await;
    let ones = name(&one.result(1, "tools/call", who.clone()).await);
    let others = name(&other.result(1, "tools/call", who.clone()).await);
    let pairs = name(&pair.result(1, "tools/call", who.clone()).await);
    let names = BTreeSet::from([&ones, &others, &pairs]);
    assert_eq!(names.len(), 3, "each has its own: {names:?}");
    assert!(names.iter().all(|name| name.len() == 32), "{names:?}");
    assert!(!one.id.contains(&ones));
    drop(pair);
    let node = node.crash().await;
    let again = name(&one.result(2, "tools/call", who.clone()).await);
    assert_eq!(again, ones);
    let modern = Modern::call("whoami", json!({})).result(&node.door()).await;
    assert_eq!(name(&modern), "", "it belongs to none");
    node.stop().await;
}

#[tokio::test]
async fn a_kept_call_runs_through_a_crash_and_its_end_is_told() {
    a_kept_call_survives_on(Engine::Sled).await;
}

#[tokio::test]
async fn fjall_keeps_what_a_crash_leaves_too() {
    a_kept_call_survives_on(Engine::Fjall).await;
}

async fn a_kept_call_survives_on(engine: Engine) {
    let (node, script, _worker) = world_on(engine).await;
    let session = Session::open(&node.door(), json!({})).await;
    let mut live = session
        .door
        .open(&session.call("c", "hold", json!({"gate": "g"})))
        .await;
    let priming = live
        .event()
        .await
        .expect("it begins")
        .id
        .expect("it is stored");
    script.seen("started:g").await;
    let node = node.crash().await;
    assert_eq!(
        session.result(1, "ping", json!({})).await,
        json!({}),
        "the session lives"
    );
    let mut resumed = session.resume(&priming).await;
    assert_eq!(resumed.head().status, 200);
    script.open("g");
    let last = resumed.message().await;
    assert_eq!(
        (&last["id"], text(&last["result"])),
        (&json!("c"), "passed g"),
        "{last}"
    );
    assert_eq!(resumed.event().await, None);
    let again = session.resume(&priming).await.finish().await;
    assert_eq!(again.messages(), [last], "told again as it was");
    assert_eq!(
        (script.count("started:g"), script.count("passed:g")),
        (1, 1)
    );
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

#[tokio::test]
async fn what_ended_before_a_crash_is_replayed_after_it() {
    let (node, _script, _worker) = world().await;
    let session = Session::open(&node.door(), json!({})).await;
    let before = session.door.send(&session.call(1, "log", json!({}))).await;
    let events = before.events();
    let priming = events[0].id.clone().unwrap();
    let ended = Session::open(&node.door(), json!({})).await;
    assert_eq!(ended.delete().await.status, 204);
    let node = node.crash().await;
    let after = session.resume(&priming).await.finish().await;
    assert_eq!(after.messages().last(), before.messages().last());
    assert_eq!(
        ended.ask(1, "ping", json!({})).await.status,
        404,
        "what was ended stays so"
    );
    let echo = json!({"name": "echo", "arguments": {"text": "hi"}});
    assert_eq!(text(&session.result(2, "tools/call", echo).await), "hi");
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

#[tokio::test]
async fn a_question_is_asked_again_after_a_crash_and_answered() {
    let (node, _script, _worker) = world().await;
    let session = Session::open(&node.door(), json!({"elicitation": {}})).await;
    let mut live = session
        .door
        .open(&session.call("c", "transfer", json!({"amount": 2})))
        .await;
    let priming = live.event().await.unwrap().id.unwrap();
    let question = live.message().await;
    let node = node.crash().await;
    let mut resumed = session.resume(&priming).await;
    assert_eq!(resumed.message().await, question);
    let yes = json!({"action": "accept", "content": {"ok": true}});
    assert_eq!(session.answer(&question, yes).await.status, 202);
    let last = resumed.message().await;
    assert_eq!(text(&last["result"]), r#"2: accept {"ok":true}"#, "{last}");
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

/// [SP-5]: what the client waits for has the same id, whichever node tells of it.
#[tokio::test]
async fn a_visit_ends_after_a_crash_under_the_id_it_had() {
    let (node, script, _worker) = world().await;
    let session = Session::open(&node.door(), json!({"elicitation": {"url": {}}})).await;
    let call = session.call("c", "sign_in", json!({"gate": "page"}));
    let mut live = session.door.open(&call).await;
    let priming = live.event().await.unwrap().id.unwrap();
    let asked = live.message().await;
    let consent = json!({"action": "accept"});
    assert_eq!(session.answer(&asked, consent).await.status, 202);
    // The worker has the answer when it asks for another round.
    assert_eq!(live.message().await["method"], "elicitation/create");
    let node = node.crash().await;
    let mut resumed = session.resume(&priming).await;
    script.open("page");
    let told = loop {
        let message = resumed.message().await;
        if message["method"] != "elicitation/create" {
            break message;
        }
    };
    assert_eq!(told["method"], "notifications/elicitation/complete");
    let id = &asked["params"]["elicitationId"];
    assert_eq!(told["params"]["elicitationId"], *id);
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

#[tokio::test]
async fn a_parked_call_waits_through_a_crash() {
    let (node, _script, _worker) = world().await;
    let call = Modern::call("transfer", json!({"amount": 3})).can(json!({"elicitation": {}}));
    let asked = call.result(&node.door()).await;
    let node = node.crash().await;
    let answers = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
    let done = call.retry(&asked, answers).send(&node.door()).await.json();
    assert_eq!(text(&done["result"]), r#"3: accept {"ok":true}"#, "{done}");
    node.stop().await;
}

/// design.md 4.2: a newer process ends what the older one ran at once, also what only the last run
/// of the node knew of.
#[tokio::test]
async fn the_calls_of_a_worker_that_died_with_its_node_end_when_the_next_one_links() {
    let (node, script, worker) = world().await;
    let session = Session::open(&node.door(), json!({})).await;
    let hold = session.call("c", "hold", json!({"gate": "g"}));
    let mut live = session.door.open(&hold).await;
    let priming = live.event().await.unwrap().id.unwrap();
    let call = Modern::call("transfer", json!({"amount": 3})).can(json!({"elicitation": {}}));
    let asked = call.result(&node.door()).await;
    let job = Modern::call("job", json!({"gate": "j"})).can_follow(json!({}));
    let job = job.result(&node.door()).await;
    let killed = node.kill().await;
    worker.kill().await;
    let node = killed.restart().await;
    let _worker = node.worker(&script).await;

    let last = session.resume(&priming).await.message().await;
    let executed = |error: &Value| (error["code"].clone(), error["data"]["executed"].clone());
    let lost = (json!(-31003), json!("unknown"));
    assert_eq!(executed(&last["error"]), lost, "{last}");
    let answers = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
    let done = call.retry(&asked, answers).send(&node.door()).await.json();
    assert_eq!(executed(&done["error"]), lost, "{done}");
    let ended = loop {
        let seen = task(&node, &job).await;
        if seen["status"] != "working" {
            break seen;
        }
    };
    assert_eq!(executed(&ended["error"]), lost, "{ended}");
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

async fn task(node: &TestNode, created: &Value) -> Value {
    let get = Modern::new("tasks/get", json!({"taskId": created["taskId"]}));
    get.can_follow(json!({})).result(&node.door()).await
}

#[tokio::test]
async fn a_task_runs_through_a_crash() {
    let (node, script, _worker) = world().await;
    let job = |gate: &str| Modern::call("job", json!({"gate": gate})).can_follow(json!({}));
    let done = job("done").result(&node.door()).await;
    let runs = job("runs").result(&node.door()).await;
    script.open("done");
    while task(&node, &done).await["status"] != "completed" {}
    script.seen("started:runs").await;
    let node = node.crash().await;
    assert_eq!(text(&task(&node, &done).await["result"]), "passed done");
    assert_eq!(task(&node, &runs).await["status"], "working");
    script.open("runs");
    while task(&node, &runs).await["status"] == "working" {}
    assert_eq!(text(&task(&node, &runs).await["result"]), "passed runs");
    assert_eq!(script.count("passed:runs"), 1);
    node.stop().await;
}

/// A task that a client of 2025-11-25 asked for, and the stream that waits for its result.
#[tokio::test]
async fn a_requested_task_and_who_waits_for_it_survive_a_crash() {
    let (node, script, _worker) = world().await;
    let session = Session::open(&node.door(), json!({"elicitation": {}})).await;
    let create = async |id: &str, tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments, "task": {}});
        session.result(id, "tools/call", params).await["task"]["taskId"].clone()
    };
    let waits =
        |id: &str, task: &Value| session.request(id, "tasks/result", json!({"taskId": task}));
    let asks = create("a", "job_asks", json!({"amount": 4})).await;
    let runs = create("b", "job_only", json!({"gate": "runs"})).await;
    script.seen("started:runs").await;
    let mut live = session.door.open(&waits("r", &asks)).await;
    let priming = live.event().await.unwrap().id.unwrap();
    let question = live.message().await;
    let node = node.crash().await;

    let mut resumed = session.resume(&priming).await;
    assert_eq!(resumed.message().await, question);
    let yes = json!({"action": "accept", "content": {"ok": true}});
    assert_eq!(session.answer(&question, yes).await.status, 202);
    let last = resumed.message().await;
    assert_eq!(text(&last["result"]), r#"4: accept {"ok":true}"#, "{last}");
    let related = &last["result"]["_meta"]["io.modelcontextprotocol/related-task"];
    assert_eq!(related["taskId"], asks);

    let get = session
        .result(1, "tasks/get", json!({"taskId": runs}))
        .await;
    assert_eq!(get["status"], "working", "{get}");
    let mut live = session.door.open(&waits("s", &runs)).await;
    script.open("runs");
    assert_eq!(text(&live.message().await["result"]), "passed runs");
    assert_eq!(script.count("passed:runs"), 1);
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}
