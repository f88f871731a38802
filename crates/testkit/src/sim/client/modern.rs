//! A client of 2026-07-28: plain calls, parked calls, tasks.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::{
    Client, Errand, STEP_MAX,
    errand::{is_refusal, told},
    is_passing, tasks,
};
use crate::{
    message::Modern,
    sim::{
        history::Told,
        http::{Answer, EventStream},
    },
};

/// The script: lanes of requests side by side.
pub async fn modern(client: Client) {
    let lanes = client.dice.between(1, 3);
    join_all((0..lanes).map(|_| lane(&client))).await;
}

async fn lane(client: &Client) {
    for _ in 0..client.dice.between(2, 7) {
        client.pause(0, STEP_MAX.as_millis() as u64).await;
        match client.dice.below(10) {
            0..2 => plain(client, "again").await,
            2..5 => plain(client, "work").await,
            5..7 => parked(client).await,
            _ => tasks::task(client).await,
        }
    }
}

/// What came back for a request.
pub(super) enum Back {
    /// The connection broke: nothing is known.
    Broken,
    Refused(u16, Value),
    /// The whole response.
    Message(Value),
}

/// Sends a request and reads its response, as JSON or at the end of a stream.
pub(super) async fn send(client: &Client, request: &Modern) -> Back {
    let request = request.to(&client.door());
    match client.exchange(&request).await {
        Answer::Broken => Back::Broken,
        Answer::Whole(whole) if whole.status == 200 => Back::Message(whole.body),
        Answer::Whole(whole) => Back::Refused(whole.status, whole.body),
        Answer::Stream(stream) => read(client, stream).await,
    }
}

async fn read(client: &Client, mut stream: EventStream) -> Back {
    let hangs_up = !client.is_calm() && client.dice.chance(20);
    while let Some(event) = stream.next().await {
        client.saw(&event.data);
        if event.id.is_some() {
            client.violation(format_args!("an id in a modern stream: {event:?}"));
        }
        let message = event.json();
        if message["method"].is_null() {
            return Back::Message(message);
        }
        if hangs_up {
            break;
        }
    }
    Back::Broken
}

async fn plain(client: &Client, tool: &'static str) {
    let errand = client.errand(tool, 0);
    let mut call = Modern::call(tool, errand.arguments()).id(client.number());
    if client.dice.chance(70) {
        call = call.meta("progressToken", client.number());
    }
    match send(client, &call).await {
        Back::Broken => client.unknown(&errand),
        Back::Refused(status, body) => client.refused(&errand, status, &body),
        Back::Message(message) => drop(client.ended(&errand, &message)),
    }
}

/// A call that asks: each round ends with `input_required`, and what it gives is a promise.
async fn parked(client: &Client) {
    let asks = client.dice.between(1, 2);
    let errand = client.errand("work", asks);
    let call = Modern::call("work", errand.arguments())
        .id(client.number())
        .can(json!({"elicitation": {}}));
    let first = match send(client, &call).await {
        Back::Broken => return client.unknown(&errand),
        Back::Refused(status, body) => return client.refused(&errand, status, &body),
        Back::Message(message) => message,
    };
    rounds(client, &errand, &call, first).await;
}

/// Answers until the outcome.
async fn rounds(client: &Client, errand: &Errand, call: &Modern, first: Value) {
    let mut message = first;
    let mut unsure = false;
    while message["result"]["resultType"] == "input_required" {
        client.history.kept(&errand.token);
        client.note(format_args!("is asked by {}", errand.token));
        client.pause(0, 2_000).await;
        if client.dice.chance(7) {
            // Nobody comes back: the call ends when its time is over.
            return client.history.given_up(&errand.token);
        }
        let retry = call
            .retry(&message["result"], answers(errand, &message["result"]))
            .id(client.number());
        if client.dice.chance(15) {
            unsure |= twin(client, errand, &retry).await;
        }
        let next = client
            .insist("the next round", async || {
                match send(client, &retry).await {
                    Back::Message(message) if is_refusal(&told(&message)) => None,
                    Back::Message(message) => Some(message),
                    Back::Broken => {
                        // Whoever hangs up on a round cancels its call.
                        unsure = true;
                        client.history.given_up(&errand.token);
                        None
                    }
                    Back::Refused(status, _) if is_passing(status) => None,
                    Back::Refused(status, body) => {
                        client.refused(errand, status, &body);
                        Some(body)
                    }
                }
            })
            .await;
        let Some(next) = next else {
            return;
        };
        message = next;
    }
    let told = client.ended(errand, &message);
    if let Told::Error { code: -32603, .. } = told
        && !unsure
    {
        client.violation(format_args!("{} ended as {message}", errand.token));
    }
}

/// Answers twice at once, as an impatient client does: the call is fed once, and both hear the
/// same. Whether the call may have been cancelled by it.
async fn twin(client: &Client, errand: &Errand, retry: &Modern) -> bool {
    let again = retry.clone().id(client.number());
    let (one, two) = join(send(client, retry), send(client, &again)).await;
    let mut unsure = false;
    for back in [one, two] {
        match back {
            Back::Message(message) if message["result"]["resultType"] == "input_required" => {}
            Back::Message(message) if is_refusal(&told(&message)) => {}
            Back::Message(message) => drop(client.ended(errand, &message)),
            Back::Refused(status, _) if is_passing(status) => {}
            Back::Refused(status, body) => client.refused(errand, status, &body),
            Back::Broken => {
                unsure = true;
                client.history.given_up(&errand.token);
            }
        }
    }
    unsure
}

/// The answers to all that a result asks.
pub(super) fn answers(errand: &Errand, result: &Value) -> Value {
    let asked = result["inputRequests"].as_object();
    let keys = asked.into_iter().flat_map(|asked| asked.keys());
    keys.map(|key| (key.clone(), errand.answer())).collect()
}
