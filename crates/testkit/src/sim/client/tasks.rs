//! Tasks of a modern client: from the handle on, everything about them is a promise.

use serde_json::{Value, json};

use super::{
    Client, Errand,
    errand::told,
    is_passing,
    modern::{Back, answers, send},
};
use crate::{message::Modern, sim::history::Told};

/// Creates a task, if it becomes one, and follows it to its end.
pub async fn task(client: &Client) {
    let tool = client.dice.pick(&["job", "maybe"]);
    let asks = match tool {
        "job" => client.dice.below(2),
        _ => 0,
    };
    let errand = client.errand(tool, asks);
    let call = Modern::call(tool, errand.arguments())
        .id(client.number())
        .can_follow(json!({"elicitation": {}}));
    let message = match send(client, &call).await {
        Back::Broken => return client.unknown(&errand),
        Back::Refused(status, body) => return client.refused(&errand, status, &body),
        Back::Message(message) => message,
    };
    let task = &message["result"]["taskId"];
    if task.is_null() {
        drop(client.ended(&errand, &message));
        return;
    }
    client.note(format_args!("has the task of {}", errand.token));
    follow(client, &errand, task).await;
}

async fn follow(client: &Client, errand: &Errand, task: &Value) {
    let mut cancelled = false;
    let end = client
        .insist("the end of a task", async || {
            client.pause(0, 2_000).await;
            if client.dice.chance(5) && !cancelled {
                cancelled = true;
                client.history.given_up(&errand.token);
                client.note(format_args!("cancels {}", errand.token));
                let _ = on_task(client, "tasks/cancel", task, &[]).await;
            }
            let seen = on_task(client, "tasks/get", task, &[]).await?;
            match seen["status"].as_str() {
                Some("working") => {
                    client.history.kept(&errand.token);
                    None
                }
                Some("input_required") => {
                    let answers = answers(errand, &seen);
                    let answers = [("inputResponses", answers)];
                    let _ = on_task(client, "tasks/update", task, &answers).await;
                    None
                }
                _ => Some(seen),
            }
        })
        .await;
    let Some(end) = end else {
        return;
    };
    let told = match end["status"].as_str() {
        Some("completed") => client.ended(errand, &end),
        Some("failed") => client.ended(errand, &end),
        Some("cancelled") if cancelled => return,
        _ => return client.violation(format_args!("{} ended as {end}", errand.token)),
    };
    client.pause(0, 2_000).await;
    again(client, errand, task, &told).await;
}

/// A task that ended has one outcome, whenever it is looked at.
async fn again(client: &Client, errand: &Errand, task: &Value, first: &Told) {
    let seen = client
        .insist("a task that ended", async || {
            on_task(client, "tasks/get", task, &[]).await
        })
        .await;
    let Some(seen) = seen else {
        return;
    };
    if told(&seen) != *first {
        client.violation(format_args!("{} ended otherwise: {seen}", errand.token));
    }
}

/// The result of a request about a task; nothing if it must be tried again.
async fn on_task(
    client: &Client,
    method: &str,
    task: &Value,
    params: &[(&str, Value)],
) -> Option<Value> {
    let mut request = Modern::new(method, json!({"taskId": task}))
        .can_follow(json!({"elicitation": {}}))
        .id(client.number());
    for (name, value) in params {
        request = request.param(name, value.clone());
    }
    match send(client, &request).await {
        Back::Broken => None,
        Back::Refused(status, _) if is_passing(status) => None,
        Back::Message(message) if message["result"].is_object() => Some(message["result"].clone()),
        Back::Message(message) if message["error"]["code"] == -31011 => None,
        Back::Message(body) | Back::Refused(_, body) => {
            client.violation(format_args!("a task is lost to {method}: {body}"));
            None
        }
    }
}
