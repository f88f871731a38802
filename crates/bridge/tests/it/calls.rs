//! Calls through the bridge: results, errors, news, cancellation.

use ostler_testkit::{Modern, Session, TASKS};
use serde_json::{Value, json};

use crate::world::{ERAS, World, text};

#[tokio::test]
async fn results_and_errors_pass_as_they_are() {
    for era in ERAS {
        let world = World::open(era).await;
        let door = world.door();
        let echo = Modern::call("echo", json!({"text": "hi"}))
            .result(&door)
            .await;
        assert_eq!(text(&echo), "hi");
        let rich = Modern::call("rich", json!({})).result(&door).await;
        assert_eq!(rich["structuredContent"], json!({"an": "object"}));
        assert_eq!(rich["content"].as_array().unwrap().len(), 3, "{rich}");
        let failed = Modern::call("fail", json!({})).result(&door).await;
        assert_eq!(failed["isError"], true);
        let error = Modern::call("protocol_error", json!({})).send(&door).await;
        assert_eq!(error.json()["error"]["message"], "seven", "{error:?}");
        let big = Modern::call("big", json!({"count": 1_000_000}))
            .result(&door)
            .await;
        assert_eq!(text(&big).len(), 1_000_000);
        world.stop().await;
    }
}

#[tokio::test]
async fn arguments_that_a_modern_upstream_wants_in_headers_are_there() {
    let world = World::open("modern").await;
    let arguments = json!({"region": "eu", "count": 3, "flag": true});
    let call = Modern::call("region_query", arguments.clone())
        .also("Mcp-Param-Region", "eu")
        .also("Mcp-Param-Count", "3")
        .also("Mcp-Param-Flag", "true");
    let result = call.result(&world.door()).await;
    let said: Value = serde_json::from_str(text(&result)).unwrap();
    assert_eq!(said, arguments);
    world.stop().await;
}

#[tokio::test]
async fn prompts_resources_and_completions_are_the_upstreams() {
    for era in ERAS {
        let world = World::open(era).await;
        let door = world.door();
        let read = |uri: &str| Modern::new("resources/read", json!({"uri": uri}));
        let fixed = read("mem://text").result(&door).await;
        assert_eq!(fixed["contents"][0]["text"], "some text");
        let of_template = read("mem://doc/7").result(&door).await;
        assert_eq!(of_template["contents"][0]["text"], "document 7");
        let unlisted = read("mem://unlisted").result(&door).await;
        assert_eq!(unlisted["contents"][0]["text"], "found by its URI");
        let get = json!({"name": "greet", "arguments": {"name": "Ada"}});
        let prompt = Modern::new("prompts/get", get).result(&door).await;
        let said = &prompt["messages"][0]["content"]["text"];
        assert_eq!(said, "Greet Ada.");
        let complete = json!({"ref": {"type": "ref/prompt", "name": "greet"},
            "argument": {"name": "name", "value": "an"}});
        let completed = Modern::new("completion/complete", complete)
            .result(&door)
            .await;
        let values = &completed["completion"]["values"];
        assert_eq!(values, &json!(["anna", "anton"]));
        world.stop().await;
    }
}

#[tokio::test]
async fn progress_and_logs_reach_the_client_of_the_call() {
    for era in ERAS {
        let world = World::open(era).await;
        let call = Modern::call("progress", json!({"count": 3})).meta("progressToken", "p");
        let messages = call.send(&world.door()).await.messages();
        let steps: Vec<_> = messages.iter().map(|m| &m["params"]["progress"]).collect();
        // The last message is the result.
        assert!(steps.len() > 1, "{messages:?}");
        assert_eq!(messages[0]["params"]["progressToken"], "p");
        let call = Modern::call("log", json!({})).meta("io.modelcontextprotocol/logLevel", "info");
        let messages = call.send(&world.door()).await.messages();
        let logs = messages
            .iter()
            .filter(|m| m["method"] == "notifications/message");
        let levels: Vec<_> = logs
            .map(|m| m["params"]["level"].as_str().unwrap())
            .collect();
        assert_eq!(levels, ["info", "error"], "{messages:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_at_the_upstream() {
    for era in ERAS {
        let world = World::open(era).await;
        let live = Modern::call("hold", json!({"gate": "g"}));
        let door = world.door();
        let sent = door.begin(&live.to(&door)).await;
        world.script.seen("started:g").await;
        drop(sent);
        world.script.seen("cancelled:g").await;
        world.stop().await;
    }
}

#[tokio::test]
async fn a_task_of_the_upstream_is_a_task_here() {
    let world = World::open("modern").await;
    let door = world.door();
    let call = Modern::call("job", json!({"gate": "g"})).can_follow(json!({}));
    let task = call.result(&door).await;
    assert_eq!(task["resultType"], "task", "{task} needs {TASKS}");
    world.script.seen("started:g").await;
    world.script.open("g");
    let get = Modern::new("tasks/get", json!({"taskId": task["taskId"]})).can_follow(json!({}));
    let done = loop {
        let view = get.result(&door).await;
        if view["status"] != "working" {
            break view;
        }
    };
    assert_eq!(text(&done["result"]), "passed g", "{done}");
    world.stop().await;
}

#[tokio::test]
async fn legacy_clients_get_the_same() {
    for era in ERAS {
        let world = World::open(era).await;
        let session = Session::open(&world.door(), json!({})).await;
        let call = json!({"name": "echo", "arguments": {"text": "hi"}});
        let echo = session.result(1, "tools/call", call).await;
        assert_eq!(text(&echo), "hi");
        let unlisted = json!({"uri": "mem://unlisted"});
        let read = session.result(2, "resources/read", unlisted).await;
        assert_eq!(read["contents"][0]["text"], "found by its URI");
        // The one is nowhere, the other is not where it would be.
        for (id, uri) in [(3, "mem://nothing"), (4, "mem://doc/nothing")] {
            let read = json!({"uri": uri});
            let error = session.ask(id, "resources/read", read).await.json();
            assert_eq!(error["error"]["code"], -32002, "{error}");
            assert_eq!(error["error"]["data"], json!({"uri": uri}), "{error}");
        }
        assert_eq!(session.delete().await.status, 204);
        world.stop().await;
    }
}
