//! Tasks that clients of 2025-11-25 ask for (protocol.md 7).

use std::time::Duration;

use ostler_testkit::{Live, Modern, Pair, Session};
use serde_json::{Value, json};

use crate::world::{World, text};

const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Streams begin at once, so that a test can see that something waits.
async fn world() -> World {
    World::with(|config| {
        config.edge.stream_after = Duration::from_millis(20);
    })
    .await
}

fn wanted(tool: &str, arguments: Value, task: Value) -> Value {
    json!({"name": tool, "arguments": arguments, "task": task,
        "_meta": {"progressToken": "original"}})
}

/// The handle of a new task.
async fn create(session: &Session, tool: &str, arguments: Value) -> Value {
    let params = wanted(tool, arguments, json!({}));
    let created = session.result(tool, "tools/call", params).await;
    created["task"]["taskId"].clone()
}

async fn get(session: &Session, task: &Value) -> Value {
    session
        .result("get", "tasks/get", json!({"taskId": task}))
        .await
}

async fn until_status(session: &Session, task: &Value, status: &str) -> Value {
    loop {
        let standing = get(session, task).await;
        if standing["status"] == status {
            return standing;
        }
        assert_ne!(standing["status"], "failed", "{standing}");
    }
}

/// Waits for a result on a stream.
async fn wait(session: &Session, id: &str, task: &Value) -> Live {
    let request = session.request(id, "tasks/result", json!({"taskId": task}));
    let live = session.door.open(&request).await;
    assert!(live.head().is_stream(), "{:?}", live.head());
    live
}

/// The last message of a wait, whether it was there at once or came on a stream.
async fn finished(session: &Session, task: &Value) -> Value {
    let params = json!({"taskId": task});
    let response = session.ask("finished", "tasks/result", params).await;
    match response.is_stream() {
        true => response.messages().pop().expect("a last message"),
        false => response.json(),
    }
}

fn related(message: &Value) -> &Value {
    let body = match message["result"].is_null() {
        true => &message["params"],
        false => &message["result"],
    };
    &body["_meta"][RELATED]["taskId"]
}

async fn refused(session: &Session, method: &str, params: Value) -> (u16, i64) {
    let refused = session.ask(method, method, params).await;
    (refused.status, refused.code())
}

#[tokio::test]
async fn tasks_are_declared_and_tools_say_how_they_take_them() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let declared = &session.initialized["capabilities"]["tasks"];
    assert_eq!(
        *declared,
        json!({"cancel": {}, "requests": {"tools": {"call": {}}}})
    );
    let tools = session.result(1, "tools/list", json!({})).await;
    let support = |name: &str| {
        let mut tools = tools["tools"].as_array().unwrap().iter();
        let tool = tools.find(|tool| tool["name"] == name).unwrap();
        tool["execution"]["taskSupport"].clone()
    };
    assert_eq!(support("job"), "optional");
    assert_eq!(support("job_only"), "required");
    assert_eq!(support("echo"), Value::Null);
    world.end(session).await;
}

#[tokio::test]
async fn a_task_is_created_polled_and_gives_its_result() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let params = wanted("job_only", json!({"gate": "g"}), json!({"ttl": 60_000}));
    let created = session.result(1, "tools/call", params).await;
    let (handle, task) = (&created["task"], &created["task"]["taskId"]);
    assert_eq!(
        (&handle["status"], &handle["ttl"]),
        (&json!("working"), &json!(60_000)),
        "{created}"
    );
    assert_eq!(&created["_meta"][RELATED]["taskId"], task);
    let standing = get(&session, task).await;
    assert_eq!(standing["createdAt"], handle["createdAt"]);
    assert_eq!(standing["status"], "working");
    assert_eq!(standing["_meta"], Value::Null, "its id is in it");

    let mut live = wait(&session, "r", task).await;
    world.script.open("g");
    let last = live.message().await;
    assert_eq!(text(&last["result"]), "passed g", "{last}");
    assert_eq!(related(&last), task);
    assert_eq!(live.event().await, None);
    assert_eq!(get(&session, task).await["status"], "completed");
    // Again, at once, and from another session of the same principal.
    let other = Session::open(&world.door(), json!({})).await;
    let again = other
        .result(1, "tasks/result", json!({"taskId": task}))
        .await;
    assert_eq!(again, last["result"]);
    assert_eq!(other.delete().await.status, 204);
    world.end(session).await;
}

#[tokio::test]
async fn a_task_that_is_one_too_many_never_runs() {
    let world = World::with(|config| config.task.unfinished_per_principal_max = 1).await;
    let session = Session::open(&world.door(), json!({})).await;
    let task = create(&session, "job", json!({"gate": "g"})).await;
    let second = wanted("job", json!({"gate": "h"}), json!({}));
    let found = refused(&session, "tools/call", second).await;
    assert_eq!(found, (429, -31012));
    // What came to the worker later has ended.
    session
        .result(
            1,
            "tools/call",
            json!({"name": "echo", "arguments": {"text": "hi"}}),
        )
        .await;
    assert_eq!(world.script.count("started:h"), 0);
    world.script.open("g");
    until_status(&session, &task, "completed").await;
    world.end(session).await;
}

/// Who cannot be asked waits as others do, and answers nothing for them.
#[tokio::test]
async fn a_question_finds_the_client_that_can_be_asked() {
    let world = world().await;
    let asked = Session::open(&world.door(), json!({"elicitation": {}})).await;
    let deaf = Session::open(&world.door(), json!({})).await;
    let task = create(&asked, "job_asks", json!({"amount": 5})).await;
    let mut waits = wait(&deaf, "r", &task).await;
    until_status(&asked, &task, "input_required").await;
    let mut answers = wait(&asked, "r", &task).await;
    let question = answers.message().await;
    let yes = json!({"action": "accept", "content": {"ok": true}});
    assert_eq!(asked.answer(&question, yes).await.status, 202);
    for live in [&mut waits, &mut answers] {
        let last = live.message().await;
        assert_eq!(text(&last["result"]), r#"5: accept {"ok":true}"#, "{last}");
    }
    assert_eq!(deaf.delete().await.status, 204);
    world.end(asked).await;
}

#[tokio::test]
async fn tools_and_clients_must_agree_on_tasks() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let call = |tool: &str, arguments: Value, task: Value| {
        let mut params = wanted(tool, arguments, task);
        if params["task"].is_null() {
            params.as_object_mut().unwrap().remove("task");
        }
        params
    };
    let (text_of, gate) = (json!({"text": "hi"}), json!({"gate": "g"}));
    for (params, code) in [
        (call("job_only", gate.clone(), Value::Null), -32601),
        (call("echo", text_of.clone(), json!({})), -32601),
        (call("nothing", json!({}), json!({})), -32602),
        (call("job", gate.clone(), json!({"ttl": "long"})), -32602),
        (call("job", gate.clone(), json!([])), -32602),
        // Whoever waits for a handle can read no other result.
        (call("job", json!({}), json!({})), -32602),
    ] {
        let found = refused(&session, "tools/call", params.clone()).await;
        assert_eq!(found, (200, code), "{params}");
    }
    world.script.open("g");
    let plain = session
        .result(2, "tools/call", call("job", gate, Value::Null))
        .await;
    assert_eq!(text(&plain), "passed g");
    let prompt = json!({"name": "plain", "task": {"ttl": "ignored"}});
    assert!(session.result(3, "prompts/get", prompt).await["messages"].is_array());
    // Not declared, or of the other dialect.
    for method in ["tasks/list", "tasks/update"] {
        let found = refused(&session, method, json!({"taskId": "x"})).await;
        assert_eq!(found, (200, -32601), "{method}");
    }
    world.end(session).await;
}

#[tokio::test]
async fn a_task_asks_on_the_stream_that_waits_for_its_result() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({"elicitation": {}})).await;
    let task = create(&session, "job_asks", json!({"amount": 5})).await;
    until_status(&session, &task, "input_required").await;
    let mut first = wait(&session, "r1", &task).await;
    let asked = first.message().await;
    assert_eq!(asked["method"], "elicitation/create");
    assert_eq!(related(&asked), &task);
    // The newest is asked; an older one is not, any more.
    let mut second = wait(&session, "r2", &task).await;
    let withdrawn = first.message().await;
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], asked["id"]);
    assert_eq!(related(&withdrawn), &task);
    let asked = second.message().await;
    let yes = json!({"action": "accept", "content": {"ok": true}});
    assert_eq!(session.answer(&asked, yes).await.status, 202);
    for live in [&mut first, &mut second] {
        let last = live.message().await;
        assert_eq!(text(&last["result"]), r#"5: accept {"ok":true}"#, "{last}");
        assert_eq!(related(&last), &task);
    }
    assert_eq!(get(&session, &task).await["status"], "completed");
    world.end(session).await;
}

/// [LIF-9]: nobody is asked what was not declared, and nothing waits for it.
#[tokio::test]
async fn what_the_client_cannot_be_asked_fails_at_once() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let task = create(&session, "job_asks", json!({"amount": 5})).await;
    let last = finished(&session, &task).await;
    assert_eq!(last["result"]["isError"], true, "{last}");
    let standing = get(&session, &task).await;
    assert_eq!(standing["status"], "failed", "{standing}");
    world.end(session).await;
}

#[tokio::test]
async fn a_result_with_is_error_is_a_failed_task() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let task = create(&session, "job_fails", json!({})).await;
    let last = finished(&session, &task).await;
    assert_eq!(
        last["result"]["isError"], true,
        "as the call would have ended: {last}"
    );
    assert_eq!(text(&last["result"]), "it did not work");
    let standing = get(&session, &task).await;
    assert_eq!(
        (&standing["status"], &standing["statusMessage"]),
        (&json!("failed"), &json!("it did not work"))
    );
    let modern = Modern::new("tasks/get", json!({"taskId": task})).can_follow(json!({}));
    let modern = modern.result(&world.door()).await;
    assert_eq!(
        modern["status"], "completed",
        "each dialect has its own word: {modern}"
    );
    world.end(session).await;
}

/// [TK-8], [CAN-4].
#[tokio::test]
async fn a_task_is_cancelled_by_its_own_method_and_for_good() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let task = create(&session, "job", json!({"gate": "g"})).await;
    world.script.seen("started:g").await;
    let live = wait(&session, "r", &task).await;
    for request in ["r", "job"] {
        let told = session
            .notify("notifications/cancelled", json!({"requestId": request}))
            .await;
        assert_eq!(told.status, 202);
    }
    assert_eq!(
        live.finish().await.messages(),
        Vec::<Value>::new(),
        "[CAN-1]"
    );
    assert_eq!(get(&session, &task).await["status"], "working");

    let mut waits = wait(&session, "r2", &task).await;
    let cancelled = session
        .result(1, "tasks/cancel", json!({"taskId": task}))
        .await;
    assert_eq!(
        (&cancelled["status"], &cancelled["taskId"]),
        (&json!("cancelled"), &task)
    );
    let last = waits.message().await;
    assert_eq!(
        (&last["id"], &last["error"]["code"]),
        (&json!("r2"), &json!(-32603))
    );
    world.script.seen("cancelled:g").await;
    assert_eq!(get(&session, &task).await["status"], "cancelled");
    let again = refused(&session, "tasks/cancel", json!({"taskId": task})).await;
    assert_eq!(again, (200, -32602));
    let result = refused(&session, "tasks/result", json!({"taskId": task})).await;
    assert_eq!(result, (200, -32603));
    world.end(session).await;
}

/// [TK-2], [TK-3]
#[tokio::test]
async fn unknown_foreign_and_expired_tasks_look_the_same() {
    let world = World::tenants().await;
    let [a1, a2, b1] = world.principals();
    let mine = Session::open(&a1, json!({})).await;
    let task = create(&mine, "job", json!({"gate": "g"})).await;
    for door in [a2, b1] {
        let theirs = Session::open(&door, json!({})).await;
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            let foreign = theirs.ask(1, method, json!({"taskId": task})).await;
            let unknown = theirs.ask(1, method, json!({"taskId": "guess"})).await;
            assert_eq!((foreign.status, foreign.code()), (200, -32602), "{method}");
            assert_eq!(foreign.json(), unknown.json(), "{method}");
        }
        assert_eq!(theirs.delete().await.status, 204);
    }
    assert_eq!(get(&mine, &task).await["status"], "working");
    let cancelled = mine
        .result(1, "tasks/cancel", json!({"taskId": task}))
        .await;
    assert_eq!(cancelled["status"], "cancelled");
    world.end(mine).await;
}

/// [TK-7]
#[tokio::test]
async fn a_task_goes_when_the_time_is_over_that_its_client_asked_for() {
    let world = World::with(|config| {
        config.edge.stream_after = Duration::from_millis(20);
        config.task.poll_interval = Duration::from_millis(200);
    })
    .await;
    let session = Session::open(&world.door(), json!({})).await;
    let params = wanted("job", json!({"gate": "g"}), json!({"ttl": 1}));
    let created = session.result(1, "tools/call", params).await;
    let task = &created["task"]["taskId"];
    assert_eq!(created["task"]["ttl"], 200, "from one look to the next");
    let mut live = wait(&session, "r", task).await;
    let last = live.message().await;
    assert_eq!(last["error"]["code"], -32602, "{last}");
    let found = refused(&session, "tasks/get", json!({"taskId": task})).await;
    assert_eq!(found, (200, -32602));
    world.script.seen("cancelled:g").await;
    world.end(session).await;
}

/// [P-8]
#[tokio::test]
async fn progress_comes_under_the_first_token_wherever_the_client_listens() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let mut listens = session.listen().await;
    assert!(listens.event().await.unwrap().is_priming());
    let told = |message: &Value, task: &Value| {
        assert_eq!(message["method"], "notifications/progress", "{message}");
        assert_eq!(message["params"]["progressToken"], "original");
        assert_eq!(related(message), task);
    };
    // Nobody waits for the result: on the stream of the session.
    let polled = create(&session, "job_steps", json!({"gate": "a"})).await;
    world.script.open("a");
    told(&listens.message().await, &polled);
    assert_eq!(get(&session, &polled).await["statusMessage"], "half");
    world.script.open("a-end");
    let ended = listens.message().await;
    assert_eq!(ended["method"], "notifications/tasks/status");
    assert_eq!(
        (&ended["params"]["taskId"], &ended["params"]["status"]),
        (&polled, &json!("completed")),
        "{ended}"
    );
    // Somebody waits: there, and the session hears of the status only.
    let awaited = create(&session, "job_steps", json!({"gate": "b"})).await;
    let mut waits = wait(&session, "r", &awaited).await;
    world.script.open("b");
    told(&waits.message().await, &awaited);
    world.script.open("b-end");
    assert_eq!(text(&waits.message().await["result"]), "passed b-end");
    let ended = listens.message().await;
    assert_eq!(ended["params"]["taskId"], awaited, "{ended}");
    drop(listens);
    world.end(session).await;
}

/// [CAN-2]: a lost stream is no end, of the task neither.
#[tokio::test]
async fn waiting_goes_on_after_a_lost_stream() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let task = create(&session, "job", json!({"gate": "g"})).await;
    let mut live = wait(&session, "r", &task).await;
    let priming = live.event().await.unwrap().id.unwrap();
    drop(live);
    let mut resumed = session.resume(&priming).await;
    world.script.open("g");
    let last = resumed.message().await;
    assert_eq!(
        (&last["id"], text(&last["result"])),
        (&json!("r"), "passed g")
    );
    world.end(session).await;
}

/// Whoever ends its session has the handles still [TK-10].
#[tokio::test]
async fn a_task_outlives_the_session_that_asked_for_it() {
    let world = world().await;
    let first = Session::open(&world.door(), json!({})).await;
    let task = create(&first, "job", json!({"gate": "g"})).await;
    assert_eq!(first.delete().await.status, 204);
    let second = Session::open(&world.door(), json!({})).await;
    assert_eq!(get(&second, &task).await["status"], "working");
    world.script.open("g");
    let last = finished(&second, &task).await;
    assert_eq!(text(&last["result"]), "passed g");
    world.end(second).await;
}

/// Where there are no tasks, what may be one runs to its end, and what is only one says so.
#[tokio::test]
async fn a_client_of_an_older_revision_gets_a_result_or_is_told_why_not() {
    let world = world().await;
    world.script.open("g");
    for version in ["2025-06-18", "2025-03-26"] {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        assert_eq!(session.initialized["capabilities"]["tasks"], Value::Null);
        let tools = session.result(1, "tools/list", json!({})).await;
        assert!(!tools.to_string().contains("taskSupport"), "{version}");
        let job = wanted("job", json!({"gate": "g"}), json!({"ttl": "junk"}));
        let done = session.result(2, "tools/call", job).await;
        assert_eq!(text(&done), "passed g", "{version}");
        let only = wanted("job_only", json!({"gate": "g"}), json!({}));
        let unfit = session.result(3, "tools/call", only).await;
        assert_eq!(unfit["isError"], true, "{version}");
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            let found = refused(&session, method, json!({"taskId": "x"})).await;
            assert_eq!(found, (200, -32601), "{version} {method}");
        }
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// Its head came before the node drained, its body comes after. The task goes on at its worker.
#[tokio::test]
async fn a_draining_node_waits_for_no_result() {
    let world = world().await;
    let session = Session::open(&world.door(), json!({})).await;
    let task = create(&session, "job_only", json!({"gate": "g"})).await;
    let wait = session.request("r", "tasks/result", json!({"taskId": task}));
    let body = wait.body.clone();
    let begun = wait
        .also("Content-Length", body.len().to_string())
        .also("Expect", "100-continue")
        .body("");
    let mut sent = session.door.begin(&begun).await;
    sent.is_wanted().await;
    let mut live = session.listen().await;
    let client = async {
        // Streams are closed when the node drains [SSE-4].
        while live.event().await.is_some() {}
        sent.send(&body).await;
        let refused = sent.head().await.finish().await;
        assert_eq!((refused.status, refused.code()), (503, -31007));
    };
    tokio::join!(world.node.end(), client);
}

/// [CAN-2]: what was begun is answered on the stream, though the socket that asked for it is gone.
#[tokio::test]
async fn a_handle_is_said_to_a_pair_whose_post_broke_off() {
    let world = world().await;
    let mut pair = Pair::open("2025-11-25", &world.door(), json!({})).await;
    let created = || world.node.metric("ostler_task_created_total", &[]);
    // The later ones break off later, so in the end some are read, however slow the machine.
    const POSTS_MIN: u32 = 40;
    for id in (0..).take_while(|id| *id < POSTS_MIN || created() == 0.0) {
        let params = wanted("job_fails", json!({}), json!({}));
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let sent = pair.door.begin(&pair.post(&call)).await;
        // From nothing read to all but answered: each breaks off elsewhere.
        for _ in 0..id {
            tokio::task::yield_now().await;
        }
        drop(sent);
    }
    pair.request("last", "ping", json!({})).await;
    let (mut handles, mut answered) = (0.0, false);
    while !answered || handles < created() {
        let message = pair.message().await;
        answered |= message["id"] == "last";
        if message["result"]["task"].is_object() {
            handles += 1.0;
        }
    }
    assert!(handles > 0.0, "no POST was read before it broke off");
    drop(pair);
    world.stop().await;
}

/// The next message that is this, past news of the task.
async fn heard(pair: &mut Pair, is_it: impl Fn(&Value) -> bool) -> Value {
    loop {
        let message = pair.message().await;
        if is_it(&message) {
            return message;
        }
        assert_eq!(message["method"], "notifications/tasks/status", "{message}");
    }
}

/// [A-7]: over HTTP+SSE all of it comes on the one stream.
#[tokio::test]
async fn a_task_is_followed_over_the_stream_of_a_pair() {
    let world = world().await;
    let can = json!({"elicitation": {}});
    let mut pair = Pair::open("2025-11-25", &world.door(), can).await;
    let params = wanted("job_asks", json!({"amount": 6}), json!({}));
    pair.request("c", "tools/call", params).await;
    let created = heard(&mut pair, |message| message["id"] == "c").await;
    let task = created["result"]["task"]["taskId"].clone();
    let wait = json!({"taskId": task});
    pair.request("r", "tasks/result", wait).await;
    let asked = heard(&mut pair, |message| {
        message["method"] == "elicitation/create"
    })
    .await;
    assert_eq!(related(&asked), &task);
    let yes = json!({"action": "accept", "content": {"ok": true}});
    pair.answer(&asked, yes).await;
    let last = heard(&mut pair, |message| message["id"] == "r").await;
    assert_eq!(text(&last["result"]), r#"6: accept {"ok":true}"#, "{last}");
    drop(pair);
    world.stop().await;
}
