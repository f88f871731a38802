//! Clients of the modern era: everything is in every request.

use std::time::Duration;

use ostler_testkit::{Modern, Response};
use serde_json::{Map, Value, json};

use super::world::{PastParked, PastTask, World, is_busy, remember, said};
use crate::oracle::fact::{Fact, Handle, Tool};

/// A `requestState` expires; this is well before, as `cargo xtask kill` has it.
const STATE_GOOD: Duration = Duration::from_secs(10);

fn named(call: &str, tool: Tool, mut arguments: Value) -> Modern {
    arguments["call"] = call.into();
    Modern::call(tool.name(), arguments).meta("progressToken", call)
}

/// The response to a request that may be sent once; `None` when the connection broke.
async fn whole(world: &World, request: &Modern) -> Option<Response> {
    let live = world.once(&request.to(world.door())).await?;
    live.finish_whole().await
}

/// The first response to a call, or what became of it instead.
async fn begin(world: &World, call: &str, request: &Modern) -> Option<Value> {
    let call = call.to_owned();
    match whole(world, request).await {
        None => world.write(Fact::Broken { call }).await,
        Some(response) if !is_busy(response.status) => return Some(said(&response)),
        Some(response) => {
            let why = format!("{} {}", response.status, response.text());
            world.write(Fact::Refused { call, why }).await;
        }
    }
    None
}

/// A call that ends with its connection; whether it has a result.
pub async fn plain(world: &World, tool: Tool, arguments: Value) -> bool {
    let call = world.name();
    world.sent(&call, tool).await;
    let Some(message) = begin(world, &call, &named(&call, tool, arguments)).await else {
        return false;
    };
    world.told(&call, &message).await;
    message["result"].is_object()
}

/// A call that takes longer than anybody waits. Its worker must hear that nobody does.
pub async fn abandoned(world: &World, patience: Duration) {
    let call = world.name();
    world.sent(&call, Tool::Wait).await;
    let request = named(&call, Tool::Wait, json!({"ms": 60_000}));
    let until = world.env().now() + patience;
    let waited = begin(world, &call, &request);
    match world.env().until(until, waited).await {
        Some(Some(message)) => world.told(&call, &message).await,
        Some(None) => {}
        None => world.write(Fact::Left { call }).await,
    }
}

/// A call that asks: every round is a request of its own.
pub async fn parked(world: &World, arguments: Value) {
    let call = world.name();
    world.sent(&call, Tool::Ask).await;
    let first = named(&call, Tool::Ask, arguments).can(json!({"elicitation": {}}));
    let Some(mut message) = begin(world, &call, &first).await else {
        return;
    };
    let mut last = None;
    while message["result"]["resultType"] == "input_required" {
        let held = Fact::Held {
            call: call.clone(),
            handle: Handle::RequestState,
        };
        world.write(held).await;
        let answers = answers(&message["result"]["inputRequests"]);
        let retry = first.retry(&message["result"], answers);
        message = repeat(world, &retry).await;
        last = Some(retry);
    }
    world.told(&call, &message).await;
    if let Some(retry) = last {
        let until = world.env().now() + STATE_GOOD;
        let past = PastParked { call, retry, until };
        remember(&mut world.past().lock().parked, past);
    }
}

/// The last message of a request that may be repeated.
pub async fn repeat(world: &World, request: &Modern) -> Value {
    said(&world.patiently(&request.to(world.door())).await)
}

fn answers(asked: &Value) -> Value {
    let asked = asked.as_object().into_iter().flatten();
    let answer = |(key, asked): (&String, &Value)| {
        let content = json!({"said": asked["params"]["message"]});
        (key.clone(), json!({"action": "accept", "content": content}))
    };
    Value::Object(asked.map(answer).collect::<Map<_, _>>())
}

fn on_task(method: &str, task: &str) -> Modern {
    Modern::new(method, json!({"taskId": task})).can_follow(json!({"elicitation": {}}))
}

/// A call that becomes a task, to its result.
pub async fn task(world: &World, tool: Tool, arguments: Value) {
    if let Some(task) = create(world, tool, arguments).await {
        poll(world, &task.call, &task.id).await;
        remember(&mut world.past().lock().tasks, task);
    }
}

/// A task that its client does not want any more: when it was told so, that is final [TK-8].
pub async fn cancelled(world: &World) {
    let Some(task) = create(world, Tool::Job, json!({"ms": 60_000})).await else {
        return;
    };
    let call = task.call.clone();
    world.write(Fact::Cancelling { call }).await;
    let taken = repeat(world, &on_task("tasks/cancel", &task.id)).await;
    if taken["result"]["resultType"] != "complete" {
        return world.told(&task.call, &taken).await;
    }
    poll(world, &task.call, &task.id).await;
    remember(&mut world.past().lock().cancelled, task);
}

/// The handle of a new task, if it came to that.
async fn create(world: &World, tool: Tool, arguments: Value) -> Option<PastTask> {
    let call = world.name();
    world.sent(&call, tool).await;
    let request = named(&call, tool, arguments).can_follow(json!({"elicitation": {}}));
    let message = begin(world, &call, &request).await?;
    let Some(id) = message["result"]["taskId"].as_str() else {
        // It was lost before there was a handle.
        world.told(&call, &message).await;
        return None;
    };
    let held = Fact::Held {
        call: call.clone(),
        handle: Handle::Task,
    };
    world.write(held).await;
    let id = id.to_owned();
    Some(PastTask { id, call })
}

/// Looks at a task until it has ended, and tells how.
pub async fn poll(world: &World, call: &str, task: &str) {
    loop {
        let standing = repeat(world, &on_task("tasks/get", task)).await;
        let result = &standing["result"];
        match result["status"].as_str() {
            Some("working") => {}
            Some("input_required") => {
                let answers = answers(&result["inputRequests"]);
                let update = on_task("tasks/update", task).param("inputResponses", answers);
                let taken = repeat(world, &update).await;
                if taken["result"]["resultType"] != "complete" {
                    return world.told(call, &taken).await;
                }
            }
            // How it ended, in the place where a call has it.
            Some(_) => return world.told(call, result).await,
            None => return world.told(call, &standing).await,
        }
        world.pause().await;
    }
}
