//! Tasks of 2025-11-25: asked for, polled, waited for on streams that ask.

use serde_json::{Value, json};

use super::{
    legacy::{Heard, Line},
    world::{PastTask, remember},
};
use crate::oracle::fact::{Fact, Handle, Tool};

/// One task to its result.
pub async fn story(line: &Line, tool: Tool, arguments: Value) -> bool {
    let world = &line.world;
    let call = world.name();
    world.sent(&call, tool).await;
    let request = line.request(&call, tool, &arguments, Some(json!({})));
    let created = match line.converse(&call, Some(&call), request).await {
        Heard::Response(message) => message,
        Heard::Refused(why) => {
            world.write(Fact::Refused { call, why }).await;
            return true;
        }
        Heard::Broken => {
            world.write(Fact::Broken { call }).await;
            return false;
        }
    };
    let Some(task) = created["result"]["task"]["taskId"].as_str() else {
        // No worker could be given it, or it was lost before there was a handle.
        world.told(&call, &created).await;
        return true;
    };
    let held = Fact::Held {
        call: call.clone(),
        handle: Handle::Task,
    };
    world.write(held).await;
    finish(line, &call, task).await;
    let past = PastTask {
        id: task.to_owned(),
        call,
    };
    remember(&mut world.past().lock().tasks, past);
    true
}

async fn finish(line: &Line, call: &str, task: &str) {
    let world = &line.world;
    let standing = line.ask("tasks/get", json!({"taskId": task})).await;
    if standing["result"]["taskId"] != task {
        world.told(call, &standing).await;
    }
    loop {
        // Each wait is a request of its own, with a stream of its own.
        let wait = format!("{call}/{}", world.number());
        let params = json!({"taskId": task});
        let request = line.session.request(wait.as_str(), "tasks/result", params);
        match line.converse(&wait, None, request).await {
            Heard::Response(message) => return world.told(call, &message).await,
            // Whoever waits without an event may wait anew.
            Heard::Broken | Heard::Refused(_) => world.pause().await,
        }
    }
}
