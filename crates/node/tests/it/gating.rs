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

const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The first revision that can be asked so. `form` alone means the same as nothing did before.
fn since(tool: &str) -> &'static str {
    match tool {
        "sample" | "roots" => "2024-11-05",
        "transfer" => "2025-06-18",
        "visit" | "sample_tools" => "2025-11-25",
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_legacy_client_is_asked_what_it_declared() {
    let world = World::open().await;
    for version in LEGACY {
        for (tool, can, method) in table() {
            if version < since(tool) {
                continue;
            }
            let session = Session::open_as(version, &world.door(), can).await;
            let call = session.call(1, tool, arguments(tool));
            let mut live = session.door.open(&call).await;
            assert_eq!(live.message().await["method"], method, "{tool} {version}");
            drop(live);
            assert_eq!(session.delete().await.status, 204);
        }
    }
    world.stop().await;
}

/// Nothing is asked of whom it was not declared by, or whose revision has no such question.
#[tokio::test]
async fn a_legacy_client_is_not_asked_what_it_did_not_declare() {
    let world = World::open().await;
    for version in LEGACY {
        for (tool, wanted, _) in table() {
            let too_old = (version < since(tool)).then_some(wanted);
            // Before there were modes, every client that elicits takes forms.
            let is_form = |can: &Value| tool == "transfer" && can["elicitation"].is_object();
            let lacking = lacking(tool).into_iter();
            let lacking = lacking.filter(|can| version >= "2025-11-25" || !is_form(can));
            for can in lacking.chain(too_old) {
                check_unasked(&world, version, tool, can).await;
            }
        }
    }
    world.stop().await;
}

async fn check_unasked(world: &World, version: &'static str, tool: &str, can: Value) {
    let session = Session::open_as(version, &world.door(), can.clone()).await;
    let call = session.call(1, tool, arguments(tool));
    let response = session.door.send(&call).await;
    let messages = match response.is_stream() {
        true => response.messages(),
        false => vec![response.json()],
    };
    let about = format!("{tool} {version} {can}: {messages:?}");
    assert_eq!(messages.len(), 1, "{about}");
    assert_eq!(messages[0]["result"]["isError"], true, "{about}");
    let told = text(&messages[0]["result"]);
    let names = ["sampling", "elicitation", "roots"];
    assert!(names.iter().any(|name| told.contains(name)), "{about}");
    assert_eq!(session.delete().await.status, 204);
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
