//! Tasks in both dialects.

use std::sync::atomic::{AtomicUsize, Ordering};

use ostler_client::{Answer, EraChoice, Error, Notice};
use ostler_testkit::{Replay, Seen};
use serde_json::{Value, json};

use crate::world::{Ear, call, call_of, connect, event, form, legacy, modern, ok, result, run};

fn view(status: &str, more: Value) -> Value {
    let mut view = json!({"resultType": "complete", "taskId": "t/1", "status": status, "ttlMs": null,
        "pollIntervalMs": 20, "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"});
    let members = more.as_object().expect("an object").clone();
    view.as_object_mut().expect("an object").extend(members);
    view
}

fn statuses(ear: &Ear) -> Vec<&str> {
    ear.notices.iter().filter_map(status).collect()
}

fn status(notice: &Notice) -> Option<&str> {
    match notice {
        Notice::Task { status, .. } => Some(status),
        _ => None,
    }
}

/// Answers `tasks/get` with one view after the other.
fn script(views: Vec<Value>) -> impl Fn(&Seen) -> Replay + Send + Sync + 'static {
    let at = AtomicUsize::new(0);
    move |seen| match seen.about().as_str() {
        "tools/call" => ok(seen, view("working", json!({"resultType": "task"}))),
        "tasks/get" => {
            let at = at.fetch_add(1, Ordering::SeqCst).min(views.len() - 1);
            ok(seen, views[at].clone())
        }
        _ => ok(seen, json!({"resultType": "complete"})),
    }
}

fn asking() -> Value {
    let request = json!({"method": "elicitation/create", "params": form()});
    view("input_required", json!({"inputRequests": {"k": request}}))
}

#[tokio::test]
async fn a_modern_task_is_followed_through_its_questions() {
    let result = json!({"content": [], "isError": true});
    let views = vec![
        view("working", json!({})),
        asking(),
        asking(),
        view("completed", json!({"result": result})),
    ];
    let stub = modern(script(views)).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    assert_eq!(run(&client, &call("t"), &mut ear).await.unwrap(), result);
    assert_eq!(statuses(&ear), ["working", "input_required", "completed"]);
    let updates: Vec<_> = stub
        .seen()
        .into_iter()
        .filter(|s| s.about() == "tasks/update")
        .collect();
    assert_eq!(updates.len(), 1, "a key is answered once");
    assert_eq!(updates[0].header("mcp-name"), Some("t/1"));
    let answers = &updates[0].json()["params"]["inputResponses"];
    assert_eq!(
        *answers,
        json!({"k": {"action": "accept", "content": {"name": "Ada"}}})
    );
}

#[tokio::test]
async fn a_modern_task_that_fails_gives_its_error() {
    let error = json!({"code": -32603, "message": "broken"});
    let stub = modern(script(vec![view("failed", json!({"error": error}))])).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let failed = run(&client, &call("t"), &mut Ear::new()).await;
    assert!(matches!(failed, Err(Error::Rpc(rpc)) if rpc.code == -32603));
    let stub = modern(script(vec![view("cancelled", json!({}))])).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let cancelled = run(&client, &call("t"), &mut Ear::new()).await;
    assert_eq!(cancelled, Err(Error::TaskCancelled));
}

#[tokio::test]
async fn a_task_whose_question_is_not_answered_is_cancelled() {
    let stub = modern(script(vec![asking()])).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    ear.answer = Answer::Refused;
    let unanswered = run(&client, &call("t"), &mut ear).await;
    assert!(
        matches!(unanswered, Err(Error::Unanswered(_))),
        "{unanswered:?}"
    );
    assert_eq!(
        stub.abouts().last().map(String::as_str),
        Some("tasks/cancel")
    );
}

#[tokio::test]
async fn a_legacy_task_is_made_where_it_is_required_and_asks_on_its_result() {
    let gets = AtomicUsize::new(0);
    let task = |status: &str| {
        json!({"taskId": "t/1", "status": status, "ttl": 1000, "pollInterval": 20,
            "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"})
    };
    let stub = legacy("2025-11-25", move |seen| match seen.about().as_str() {
        "tools/call" => ok(seen, json!({"task": task("working")})),
        "tasks/get" if gets.fetch_add(1, Ordering::SeqCst) == 0 => ok(seen, task("working")),
        "tasks/get" => ok(seen, task("input_required")),
        _ => {
            let ask = json!({"jsonrpc": "2.0", "id": 9, "method": "elicitation/create", "params": form()});
            let done = result(seen, json!({"content": [], "_meta": {"related": "t/1"}}));
            Replay::stream(&[&event("1", &ask), &event("2", &done)])
        }
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let tool = json!({"name": "slow", "execution": {"taskSupport": "required"}});
    let mut ear = Ear::new();
    let done = run(&client, &call_of(&tool), &mut ear).await.unwrap();
    assert_eq!(done["content"], json!([]));
    assert_eq!(statuses(&ear), ["working", "input_required"]);
    assert_eq!(ear.asks.len(), 1);
    let called = stub
        .seen()
        .into_iter()
        .find(|s| s.about() == "tools/call")
        .unwrap();
    assert_eq!(called.json()["params"]["task"], json!({}));
    // Where it is only possible, a plain call is as good.
    let optional = json!({"name": "slow", "execution": {"taskSupport": "optional"}});
    assert!(run(&client, &call_of(&optional), &mut ear).await.is_ok());
    let called = stub
        .seen()
        .into_iter()
        .rfind(|s| s.about() == "tools/call")
        .unwrap();
    assert_eq!(called.json()["params"]["task"], Value::Null);
}

#[tokio::test]
async fn a_look_that_does_not_arrive_is_made_again() {
    let gets = AtomicUsize::new(0);
    let stub = modern(move |seen| match seen.about().as_str() {
        "tasks/get" => match gets.fetch_add(1, Ordering::SeqCst) {
            0 => Replay::status(503),
            1 => Replay::stream(&[]).cut(),
            _ => ok(seen, view("completed", json!({"result": {"content": []}}))),
        },
        _ => ok(seen, view("working", json!({"resultType": "task"}))),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    assert_eq!(
        run(&client, &call("t"), &mut ear).await.unwrap(),
        json!({"content": []})
    );
    assert!(ear.notices.contains(&Notice::Resumed));
}

#[tokio::test]
async fn an_answer_that_does_not_arrive_is_given_again() {
    let (updates, gets) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stub = modern(move |seen| match seen.about().as_str() {
        "tools/call" => ok(seen, view("working", json!({"resultType": "task"}))),
        "tasks/update" if updates.fetch_add(1, Ordering::SeqCst) == 0 => Replay::status(502),
        "tasks/get" if gets.fetch_add(1, Ordering::SeqCst) == 0 => ok(seen, asking()),
        "tasks/get" => ok(seen, view("completed", json!({"result": {"content": []}}))),
        _ => ok(seen, json!({"resultType": "complete"})),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    let ended = run(&client, &call("t"), &mut ear).await;
    assert_eq!(ended, Ok(json!({"content": []})));
    assert_eq!(ear.asks.len(), 1, "nobody is asked twice");
    let updated = |about: &&String| *about == "tasks/update";
    assert_eq!(stub.abouts().iter().filter(updated).count(), 2);
}

#[tokio::test]
async fn a_task_that_asks_without_end_is_left() {
    let at = AtomicUsize::new(0);
    let stub = modern(move |seen| match seen.about().as_str() {
        "tools/call" => ok(seen, view("working", json!({"resultType": "task"}))),
        "tasks/get" => {
            let key = at.fetch_add(1, Ordering::SeqCst).to_string();
            let request = json!({"method": "elicitation/create", "params": form()});
            ok(
                seen,
                view("input_required", json!({"inputRequests": {key: request}})),
            )
        }
        _ => ok(seen, json!({"resultType": "complete"})),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let ended = run(&client, &call("t"), &mut Ear::new()).await;
    assert!(matches!(ended, Err(Error::Protocol(_))), "{ended:?}");
}
