//! No client is asked what it did not say it can answer ([LIF-9], [MR-3], protocol.md 12).

use ostler_testkit::{Modern, Session};
use serde_json::{Value, json};

use crate::world::{World, text};

/// A tool that asks, the least that must be declared, and the method of the question.
fn table() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "transfer",
            json!({"elicitation": {"form": {}}}),
            "elicitation/create",
        ),
        ("transfer", json!({"elicitation": {}}), "elicitation/create"),
        (
            "visit",
            json!({"elicitation": {"url": {}}}),
            "elicitation/create",
        ),
        ("sample", json!({"sampling": {}}), "sampling/createMessage"),
        (
            "sample_tools",
            json!({"sampling": {"tools": {}}}),
            "sampling/createMessage",
        ),
        ("roots", json!({"roots": {}}), "roots/list"),
    ]
}

/// Declarations that are near and not enough.
fn lacking(tool: &str) -> Vec<Value> {
    let all_others = match tool {
        "transfer" => json!({"sampling": {"tools": {}}, "roots": {}, "elicitation": {"url": {}}}),
        "visit" => json!({"sampling": {}, "roots": {}, "elicitation": {}}),
        "sample" => json!({"roots": {}, "elicitation": {"form": {}, "url": {}}}),
        "sample_tools" => json!({"sampling": {}}),
        "roots" => json!({"sampling": {}, "elicitation": {}}),
        other => panic!("{other}"),
    };
    vec![json!({}), all_others]
}

fn arguments(tool: &str) -> Value {
    match tool {
        "transfer" => json!({"amount": 1}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn a_modern_client_is_asked_what_it_declared() {
    let world = World::open().await;
    for (tool, can, method) in table() {
        let asked = Modern::call(tool, arguments(tool)).can(can);
        let result = asked.result(&world.door()).await;
        assert_eq!(result["resultType"], "input_required", "{tool}: {result}");
        let asked = result["inputRequests"].as_object().unwrap();
        assert!(
            asked.values().all(|asked| asked["method"] == method),
            "{tool}: {result}"
        );
    }
    world.node.end().await;
}

#[tokio::test]
async fn a_modern_client_is_told_what_it_would_have_to_declare() {
    let world = World::open().await;
    for (tool, wanted, _) in table() {
        for can in lacking(tool) {
            let call = Modern::call(tool, arguments(tool)).can(can.clone());
            let response = call.send(&world.door()).await;
            let about = format!("{tool} {can}: {}", response.text());
            assert_eq!((response.status, response.code()), (400, -32021), "{about}");
            let required = &response.json()["error"]["data"]["requiredCapabilities"];
            let (name, _) = wanted.as_object().unwrap().iter().next().unwrap();
            assert!(required[name].is_object(), "{about}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_legacy_client_is_asked_what_it_declared() {
    let world = World::open().await;
    for (tool, can, method) in table() {
        let session = Session::open(&world.door(), can).await;
        let call = session.call(1, tool, arguments(tool));
        let mut live = session.door.open(&call).await;
        assert_eq!(live.message().await["method"], method, "{tool}");
        drop(live);
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_legacy_client_is_not_asked_what_it_did_not_declare() {
    let world = World::open().await;
    for (tool, _, _) in table() {
        for can in lacking(tool) {
            let session = Session::open(&world.door(), can.clone()).await;
            let call = session.call(1, tool, arguments(tool));
            let response = session.door.send(&call).await;
            let messages = match response.is_stream() {
                true => response.messages(),
                false => vec![response.json()],
            };
            let about = format!("{tool} {can}: {messages:?}");
            assert_eq!(messages.len(), 1, "{about}");
            assert_eq!(messages[0]["result"]["isError"], true, "{about}");
            let told = text(&messages[0]["result"]);
            let names = ["sampling", "elicitation", "roots"];
            assert!(names.iter().any(|name| told.contains(name)), "{about}");
            assert_eq!(session.delete().await.status, 204);
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_worker_may_go_on_without_an_answer() {
    let world = World::open().await;
    let result = Modern::call("degrade", json!({}))
        .result(&world.door())
        .await;
    assert!(text(&result).starts_with("without: "), "{result}");
    let session = Session::open(&world.door(), json!({})).await;
    let call = json!({"name": "degrade", "arguments": {}});
    let result = session.ask(1, "tools/call", call).await.json();
    assert!(text(&result["result"]).starts_with("without: "), "{result}");
    world.end(session).await;
}

/// [TK-4] and the table of protocol.md 7.
#[tokio::test]
async fn tasks_need_the_extension() {
    let world = World::open().await;
    let door = world.door();
    let only = Modern::call("job_only", json!({"gate": "g"}))
        .send(&door)
        .await;
    let required = &only.json()["error"]["data"]["requiredCapabilities"]["extensions"];
    assert_eq!((only.status, only.code()), (400, -32021), "{}", only.text());
    assert!(required[ostler_testkit::TASKS].is_object(), "{required}");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let params = json!({"taskId": "unknown", "inputResponses": {}});
        let response = Modern::new(method, params).send(&door).await;
        assert_eq!(
            (response.status, response.code()),
            (400, -32021),
            "{method}"
        );
    }
    for method in ["tasks/result", "tasks/list"] {
        let response = Modern::new(method, json!({"taskId": "x"})).can_follow(json!({}));
        let response = response.send(&door).await;
        assert_eq!(
            (response.status, response.code()),
            (404, -32601),
            "{method}"
        );
    }
    // A client that cannot follow a task waits for the end.
    world.script.open("g");
    let waited = Modern::call("job", json!({"gate": "g"}))
        .result(&door)
        .await;
    assert_eq!(text(&waited), "passed g");
    world.stop().await;
}
