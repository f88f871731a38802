//! A client of 2025-11-25: sessions, streams, requested tasks.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    Client, Errand, STEP_MAX, is_passing,
    stream::{Ended, Followed},
};
use crate::{
    legacy::Session,
    sim::{
        history::Told,
        http::{Answer, Whole},
    },
};

/// The script: sessions one after the other, lanes of requests side by side in each.
pub async fn legacy(client: Client) {
    for _ in 0..client.dice.between(1, 3) {
        let Some(session) = open(&client).await else {
            return;
        };
        let lanes = client.dice.between(1, 3);
        join_all((0..lanes).map(|_| lane(&client, &session))).await;
        finish(&client, &session).await;
    }
}

async fn open(client: &Client) -> Option<Session> {
    let door = client.door();
    let initialize = Session::initialize(&door, json!({"elicitation": {}}));
    let session = client
        .insist("a session", async || {
            let Answer::Whole(Whole {
                status,
                session,
                body,
            }) = client.exchange(&initialize).await
            else {
                return None;
            };
            match (status, session) {
                (200, Some(id)) => Some(Session {
                    door: door.clone(),
                    id,
                    initialized: body["result"].clone(),
                    version: "2025-11-25",
                }),
                (status, _) if is_passing(status) => None,
                (status, _) => {
                    client.violation(format_args!("no session: {status} {body}"));
                    None
                }
            }
        })
        .await?;
    client.note(format_args!("has a session"));
    let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let told = session.post(&told);
    client
        .insist("to be initialized", async || {
            status(client, client.exchange(&told).await).filter(|status| *status == 202)
        })
        .await?;
    Some(session)
}

/// The status of a whole answer that is no reason to try again.
fn status(client: &Client, answer: Answer) -> Option<u16> {
    let Answer::Whole(whole) = answer else {
        return None;
    };
    if whole.status == 404 {
        client.violation(format_args!("a session is lost: {}", whole.body));
    }
    (!is_passing(whole.status)).then_some(whole.status)
}

async fn lane(client: &Client, session: &Session) {
    for _ in 0..client.dice.between(1, 5) {
        client.pause(0, STEP_MAX.as_millis() as u64).await;
        match client.dice.below(10) {
            0 => ping(client, session).await,
            1 | 2 => call(client, session, "again", 0).await,
            3..6 => call(client, session, "work", 0).await,
            6 | 7 => {
                let asks = client.dice.between(1, 2);
                call(client, session, "work", asks).await;
            }
            _ => requested_task(client, session).await,
        }
    }
}

async fn ping(client: &Client, session: &Session) {
    let request = session.request(client.number(), "ping", json!({}));
    client
        .insist("a ping", async || {
            status(client, client.exchange(&request).await)
        })
        .await;
}

async fn call(client: &Client, session: &Session, tool: &'static str, asks: u64) {
    let errand = client.errand(tool, asks);
    let number = client.number();
    let params = params(client, &errand);
    let request = session.request(number, "tools/call", params);
    let followed = Followed::new(client, session, &errand, number);
    if let Ended::Unknown = followed.run(request).await {
        client.unknown(&errand);
    }
}

fn params(client: &Client, errand: &Errand) -> Value {
    let mut params = json!({"name": errand.tool, "arguments": errand.arguments()});
    if client.dice.chance(70) {
        params["_meta"]["progressToken"] = json!(client.number());
    }
    params
}

/// A task that the client asks for: its handle is a promise.
async fn requested_task(client: &Client, session: &Session) {
    let asks = client.dice.below(2);
    let tool = client.dice.pick(&["job", "maybe"]);
    let errand = client.errand(tool, asks);
    let mut params = params(client, &errand);
    params["task"] = json!({});
    let request = session.request(client.number(), "tools/call", params);
    let Answer::Whole(whole) = client.exchange(&request).await else {
        return client.unknown(&errand);
    };
    let task = whole.body["result"]["task"]["taskId"].clone();
    if task.is_null() {
        match whole.status {
            200 => drop(client.ended(&errand, &whole.body)),
            status => client.refused(&errand, status, &whole.body),
        }
        return;
    }
    client.note(format_args!("has the task of {}", errand.token));
    if client.dice.chance(50) {
        client.pause(0, 3_000).await;
        get_task(client, session, &task).await;
    }
    // The wait is a read: it may be asked for again.
    let told = client
        .insist("the result of a task", async || {
            let number = client.number();
            let request = session.request(number, "tasks/result", json!({"taskId": task}));
            let followed = Followed::new(client, session, &errand, number).waiting();
            match followed.run(request).await {
                Ended::Told(told) => Some(told),
                Ended::Cancelled => Some(Told::Text(String::new())),
                Ended::Unknown | Ended::Refused => None,
            }
        })
        .await;
    if told.is_some() {
        get_task(client, session, &task).await;
    }
}

async fn get_task(client: &Client, session: &Session, task: &Value) {
    let request = session.request(client.number(), "tasks/get", json!({"taskId": task}));
    client
        .insist("a task", async || {
            let Answer::Whole(whole) = client.exchange(&request).await else {
                return None;
            };
            if is_passing(whole.status) || whole.body["error"]["code"] == -31011 {
                return None;
            }
            if whole.body["result"]["status"].is_null() {
                client.violation(format_args!(
                    "a task is lost: {} {}",
                    whole.status, whole.body
                ));
            }
            Some(())
        })
        .await;
}

/// Ends the session, or leaves it to itself.
async fn finish(client: &Client, session: &Session) {
    if client.dice.chance(40) {
        return;
    }
    let request = session
        .door
        .request("DELETE")
        .also("Mcp-Session-Id", &session.id);
    let mut unsure = false;
    client
        .insist("the end of a session", async || {
            match client.exchange(&request).await {
                Answer::Whole(whole) if whole.status == 204 => Some(()),
                Answer::Whole(whole) if whole.status == 404 && unsure => Some(()),
                Answer::Whole(whole) if is_passing(whole.status) => {
                    unsure = true;
                    None
                }
                Answer::Whole(whole) => {
                    client.violation(format_args!("no end: {} {}", whole.status, whole.body));
                    Some(())
                }
                Answer::Broken | Answer::Stream(_) => {
                    unsure = true;
                    None
                }
            }
        })
        .await;
    client.note(format_args!("ended a session"));
    let request = session.request(client.number(), "ping", json!({}));
    client
        .insist("to see that a session has ended", async || {
            let Answer::Whole(whole) = client.exchange(&request).await else {
                return None;
            };
            match whole.status {
                404 => Some(()),
                status if is_passing(status) => None,
                status => {
                    client.violation(format_args!("an ended session answers: {status}"));
                    Some(())
                }
            }
        })
        .await;
}
