//! What a modern client does with a node (protocol.md 5).

use ostler_testkit::{Live, Modern, TASKS, m_ok};
use serde_json::{Value, json};

use crate::world::{World, text};

fn names<'v>(result: &'v Value, list: &str, key: &str) -> Vec<&'v str> {
    let entries = result[list].as_array().expect("a list");
    entries
        .iter()
        .map(|entry| entry[key].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn discover_says_what_is_served() {
    let world = World::open().await;
    let found = Modern::new("server/discover", json!({}))
        .result(&world.door())
        .await;
    let versions = found["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{found}");
    for capability in ["tools", "prompts", "resources", "logging", "completions"] {
        assert!(found["capabilities"][capability].is_object(), "{found}");
    }
    // [D-3]
    assert!(
        found["capabilities"]["extensions"][TASKS].is_object(),
        "{found}"
    );
    assert_eq!(found["capabilities"]["tasks"], Value::Null);
    assert_eq!(found["resultType"], "complete");
    assert!(found["ttlMs"].is_u64() && found["cacheScope"].is_string());
    let info = &found["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(info["name"], "testkit");
    world.stop().await;
}

#[tokio::test]
async fn lists_are_complete_and_in_order() {
    let world = World::open().await;
    let rows = [
        ("tools/list", "tools", "name", "echo"),
        ("prompts/list", "prompts", "name", "plain"),
        ("resources/list", "resources", "uri", "mem://text"),
        (
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate",
            "mem://doc/{id}",
        ),
    ];
    for (method, list, key, first) in rows {
        let result = Modern::new(method, json!({})).result(&world.door()).await;
        assert_eq!(names(&result, list, key)[0], first, "{method}");
        assert_eq!(result["resultType"], "complete", "{method}");
        assert!(
            result["ttlMs"].is_u64() && result["cacheScope"].is_string(),
            "{method}"
        );
        let again = Modern::new(method, json!({})).result(&world.door()).await;
        assert_eq!(again[list], result[list], "{method}");
    }
    world.stop().await;
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let world = World::with(|config| config.edge.limits.page_entries_max = 4).await;
    let (mut all, mut cursor) = (Vec::new(), None::<Value>);
    loop {
        let mut list = Modern::new("tools/list", json!({}));
        if let Some(cursor) = cursor.take() {
            list = list.param("cursor", cursor);
        }
        let page = list.result(&world.door()).await;
        let found = names(&page, "tools", "name");
        assert!(found.len() <= 4);
        all.extend(found.into_iter().map(str::to_owned));
        match &page["nextCursor"] {
            Value::Null => break,
            next => cursor = Some(next.clone()),
        }
    }
    let mut once = all.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), all.len());
    assert!(all.contains(&"echo".to_owned()) && all.contains(&"degrade".to_owned()));
    world.stop().await;
}

#[tokio::test]
async fn calls_reads_gets_and_completions_are_answered() {
    let world = World::open().await;
    let door = world.door();
    let called = m_ok().result(&door).await;
    assert_eq!(
        (text(&called), &called["resultType"]),
        ("hi", &json!("complete"))
    );
    let read = Modern::new("resources/read", json!({"uri": "mem://doc/7"}));
    let read = read.result(&door).await;
    assert_eq!(read["contents"][0]["text"], "document 7");
    assert_eq!(read["contents"][0]["uri"], "mem://doc/7");
    let blob = Modern::new("resources/read", json!({"uri": "mem://blob"}));
    assert_eq!(blob.result(&door).await["contents"][0]["blob"], "AAEC");
    let params = json!({"name": "greet", "arguments": {"name": "Anna"}});
    let got = Modern::new("prompts/get", params).result(&door).await;
    assert_eq!(got["messages"][0]["content"]["text"], "Greet Anna.");
    let params = json!({"ref": {"type": "ref/prompt", "name": "greet"},
        "argument": {"name": "name", "value": "an"}});
    let completed = Modern::new("completion/complete", params)
        .result(&door)
        .await;
    assert_eq!(completed["completion"]["values"], json!(["anna", "anton"]));
    assert_eq!(completed["resultType"], "complete");
    world.stop().await;
}

#[tokio::test]
async fn failures_keep_their_kind() {
    let world = World::open().await;
    let door = world.door();
    let failed = Modern::call("fail", json!({})).result(&door).await;
    assert_eq!(
        (text(&failed), &failed["isError"]),
        ("it did not work", &json!(true))
    );
    let protocol = Modern::call("protocol_error", json!({})).send(&door).await;
    assert_eq!((protocol.status, protocol.code()), (200, 7));
    let crash = Modern::call("crash", json!({})).send(&door).await;
    assert_eq!((crash.status, crash.code()), (200, -32603));
    assert!(!crash.text().contains("on purpose"), "{}", crash.text());
    world.stop().await;
}

#[tokio::test]
async fn a_large_result_arrives_whole() {
    let world = World::open().await;
    let count = 3 << 20;
    let called = Modern::call("big", json!({"count": count}));
    assert_eq!(text(&called.result(&world.door()).await).len(), count);
    world.stop().await;
}

#[tokio::test]
async fn progress_and_logs_come_before_the_result_on_the_same_stream() {
    let world = World::open().await;
    let call = Modern::call("progress", json!({"count": 3})).meta("progressToken", "tok");
    let response = call.send(&world.door()).await;
    let messages = response.messages();
    let steps = messages
        .iter()
        .filter(|m| m["method"] == "notifications/progress");
    let steps: Vec<f64> = steps
        .inspect(|m| assert_eq!(m["params"]["progressToken"], "tok"))
        .filter_map(|m| m["params"]["progress"].as_f64())
        .collect();
    assert_eq!(steps, [1.0, 2.0, 3.0]);
    assert_eq!(text(&messages.last().unwrap()["result"]), "done");
    // [M-1], [MS-2]
    assert!(
        response
            .events()
            .iter()
            .all(|event| event.id.is_none() && event.retry_ms.is_none())
    );
    world.stop().await;
}

/// [P-5].
#[tokio::test]
async fn logs_come_only_when_asked_for_and_from_the_level_on() {
    let world = World::open().await;
    for (level, wanted) in [
        (None, 0),
        (Some("debug"), 3),
        (Some("info"), 2),
        (Some("error"), 1),
    ] {
        let mut call = Modern::call("log", json!({}));
        if let Some(level) = level {
            call = call.meta("io.modelcontextprotocol/logLevel", level);
        }
        let response = call.send(&world.door()).await;
        let logs = match response.is_stream() {
            true => response.messages().len() - 1,
            false => 0,
        };
        assert_eq!(logs, wanted, "{level:?}: {}", response.text());
        assert_eq!(text(&response.json()["result"]), "logged");
    }
    world.stop().await;
}

/// [MR-1] to [MR-9].
#[tokio::test]
async fn a_question_ends_the_response_and_the_retry_goes_on() {
    let world = World::open().await;
    let door = world.door();
    let call = Modern::call("interview", json!({"name": "x", "rounds": 2}))
        .can(json!({"elicitation": {}}));
    let first = call.result(&door).await;
    assert_eq!(first["resultType"], "input_required", "{first}");
    let asked = &first["inputRequests"]["q1"];
    assert_eq!(asked["method"], "elicitation/create");
    assert_eq!(asked["params"]["message"], "x 1");
    let answer =
        |key: &str, text: &str| json!({key: {"action": "accept", "content": {"answer": text}}});
    let second = call.retry(&first, answer("q1", "one")).result(&door).await;
    assert_eq!(second["inputRequests"]["q2"]["params"]["message"], "x 2");
    assert_ne!(second["requestState"], first["requestState"]);
    let third = call.retry(&second, answer("q2", "two")).result(&door).await;
    assert_eq!(
        (text(&third), &third["resultType"]),
        ("x: one two", &json!("complete"))
    );
    world.stop().await;
}

#[tokio::test]
async fn several_questions_travel_in_one_result() {
    let world = World::open().await;
    let door = world.door();
    let call = Modern::call("ask_several", json!({}))
        .can(json!({"elicitation": {}, "sampling": {}, "roots": {}}));
    let first = call.result(&door).await;
    let asked = first["inputRequests"].as_object().unwrap();
    let methods: Vec<&Value> = asked.values().map(|asked| &asked["method"]).collect();
    assert_eq!(
        methods,
        ["sampling/createMessage", "elicitation/create", "roots/list"]
    );
    let answers = json!({
        "name": {"action": "accept", "content": {"name": "Anna"}},
        "model": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "hi"}},
        "roots": {"roots": [{"uri": "file:///x"}]},
    });
    let done = call.retry(&first, answers).result(&door).await;
    assert_eq!(text(&done), r#"accept {"name":"Anna"}, hi, 1"#);
    world.stop().await;
}

/// [MR-8].
#[tokio::test]
async fn answers_may_come_with_the_first_request() {
    let world = World::open().await;
    let call = Modern::call("transfer", json!({"amount": 5}))
        .can(json!({"elicitation": {}}))
        .param(
            "inputResponses",
            json!({
                "confirm": {"action": "accept", "content": {"ok": true}},
                "unknown": 5,
            }),
        );
    let done = call.result(&world.door()).await;
    assert_eq!(text(&done), r#"5: accept {"ok":true}"#);
    world.stop().await;
}

/// [MR-1].
#[tokio::test]
async fn a_prompt_may_ask_too() {
    let world = World::open().await;
    let door = world.door();
    let get =
        Modern::new("prompts/get", json!({"name": "context"})).can(json!({"elicitation": {}}));
    let first = get.result(&door).await;
    let answers = json!({"context": {"action": "accept", "content": {"context": "c"}}});
    let got = get.retry(&first, answers).result(&door).await;
    assert_eq!(got["messages"][0]["content"]["text"], r#"Context: "c""#);
    world.stop().await;
}

fn on_task(method: &str, task: &Value) -> Modern {
    Modern::new(method, json!({"taskId": task["taskId"]})).can_follow(json!({}))
}

async fn task_until(world: &World, task: &Value, status: &str) -> Value {
    loop {
        let seen = on_task("tasks/get", task).result(&world.door()).await;
        if seen["status"] == status {
            return seen;
        }
        let running = ["working", "input_required"].map(Value::from);
        assert!(running.contains(&seen["status"]), "{seen}");
        tokio::task::yield_now().await;
    }
}

/// protocol.md 7, [TK-1], [TK-5].
#[tokio::test]
async fn a_task_is_created_followed_and_finished() {
    let world = World::open().await;
    let call = Modern::call("job", json!({"gate": "g"})).can_follow(json!({}));
    let task = call.result(&world.door()).await;
    assert_eq!(
        (&task["resultType"], &task["status"]),
        (&json!("task"), &json!("working"))
    );
    assert!(
        task["ttlMs"].is_u64() && task["createdAt"].is_string(),
        "{task}"
    );
    let working = on_task("tasks/get", &task).result(&world.door()).await;
    assert_eq!(
        (&working["resultType"], &working["status"]),
        (&json!("complete"), &json!("working"))
    );
    world.script.open("g");
    let done = task_until(&world, &task, "completed").await;
    assert_eq!(text(&done["result"]), "passed g");
    world.stop().await;
}

#[tokio::test]
async fn a_cancelled_task_is_cancelled_at_its_worker() {
    let world = World::open().await;
    let call = Modern::call("job", json!({"gate": "g"})).can_follow(json!({}));
    let task = call.result(&world.door()).await;
    for _ in 0..2 {
        let ack = on_task("tasks/cancel", &task).result(&world.door()).await;
        assert_eq!(ack["resultType"], "complete");
        assert_eq!(ack["taskId"], Value::Null);
    }
    world.script.seen("cancelled:g").await;
    task_until(&world, &task, "cancelled").await;
    world.stop().await;
}

#[tokio::test]
async fn a_task_asks_and_takes_its_answer_by_update() {
    let world = World::open().await;
    let call =
        Modern::call("job_asks", json!({"amount": 3})).can_follow(json!({"elicitation": {}}));
    let task = call.result(&world.door()).await;
    let waiting = task_until(&world, &task, "input_required").await;
    assert_eq!(
        waiting["inputRequests"]["confirm"]["params"]["message"],
        "Transfer 3?"
    );
    let answers = json!({"confirm": {"action": "accept", "content": {"ok": true}},
        "junk": {"ignored": true}});
    let ack = on_task("tasks/update", &task).param("inputResponses", answers);
    assert_eq!(ack.result(&world.door()).await["resultType"], "complete");
    let done = task_until(&world, &task, "completed").await;
    assert_eq!(text(&done["result"]), r#"3: accept {"ok":true}"#);
    world.stop().await;
}

async fn listen(world: &World, filter: Value) -> Live {
    let listen = Modern::new("subscriptions/listen", json!({"notifications": filter}));
    let mut live = listen
        .id("L")
        .can_follow(json!({}))
        .open(&world.door())
        .await;
    let first = live.message().await;
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    live
}

/// Every notification of a listen names it [L-3].
fn tagged(message: &Value) -> &str {
    let meta = &message["params"]["_meta"];
    assert_eq!(
        meta["io.modelcontextprotocol/subscriptionId"], "L",
        "{message}"
    );
    message["method"].as_str().expect("a notification")
}

/// [L-1] to [L-4], [R-5].
#[tokio::test]
async fn a_listen_tells_of_lists_resources_and_tasks_it_asked_for() {
    let world = World::open().await;
    let door = world.door();
    let call = Modern::call("job", json!({"gate": "g"})).can_follow(json!({}));
    let task = call.result(&door).await;
    let mut tools = listen(&world, json!({"toolsListChanged": true})).await;
    let mut resource = listen(&world, json!({"resourceSubscriptions": ["mem://text"]})).await;
    let mut tasks = listen(&world, json!({"taskIds": [task["taskId"]]})).await;
    Modern::call("change", json!({"text": "added"}))
        .result(&door)
        .await;
    assert_eq!(
        tagged(&tools.message().await),
        "notifications/tools/list_changed"
    );
    Modern::call("touch", json!({"text": "mem://text"}))
        .result(&door)
        .await;
    let updated = resource.message().await;
    assert_eq!(tagged(&updated), "notifications/resources/updated");
    assert_eq!(updated["params"]["uri"], "mem://text");
    world.script.open("g");
    let told = tasks.message().await;
    assert_eq!(tagged(&told), "notifications/tasks");
    assert_eq!(told["params"]["status"], "completed", "{told}");
    assert_eq!(
        text(&Modern::call("added", json!({})).result(&door).await),
        "added"
    );
    drop((tools, resource, tasks));
    world.stop().await;
}

/// [L-6].
#[tokio::test]
async fn a_draining_node_ends_a_listen_with_its_result() {
    let world = World::open().await;
    let live = listen(&world, json!({"toolsListChanged": true})).await;
    let (_, response) = tokio::join!(world.stop(), live.finish());
    let last = response.json();
    assert_eq!(last["id"], "L");
    assert_eq!(last["result"]["resultType"], "complete");
    let meta = &last["result"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/subscriptionId"], "L");
}
