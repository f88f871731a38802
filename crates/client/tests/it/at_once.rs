//! Several questions of one request that stand at the same time.

use std::time::Duration;

use ostler_client::{Answer, Client, EraChoice, Notice};
use ostler_env::Env;
use ostler_testkit::{Replay, Seen, soon};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    far,
    world::{Panel, at, call, call_of, event, options, run},
};

const FORM: &str = "elicitation/create";

fn done() -> Value {
    json!({"content": []})
}

fn form(message: &str) -> Value {
    json!({"message": message, "requestedSchema": {"type": "object", "properties": {}}})
}

#[tokio::test]
async fn each_is_answered_when_its_answer_comes() {
    let (client, mut far) = far::legacy("2025-06-18").await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        let asked = far.hear("tools/call").await;
        far.ask(7, FORM, form("one")).await;
        far.ask(8, FORM, form("two")).await;
        let (one, two) = (questions.next().await, questions.next().await);
        assert_eq!((one.text(), two.text()), ("one", "two"));
        two.accept();
        assert_eq!(far.next().await.unwrap()["id"], 8);
        let params = json!({"level": "info", "data": "half way"});
        far.note("notifications/message", params).await;
        far.ask(9, FORM, form("three")).await;
        questions.next().await.give(Answer::declined());
        assert_eq!(far.next().await.unwrap()["result"]["action"], "decline");
        one.accept();
        assert_eq!(far.next().await.unwrap()["id"], 7);
        far.result(&asked, done()).await;
    };
    let call = call("t");
    let (ended, ()) = tokio::join!(run(&client, &call, &mut panel), serving);
    assert_eq!(ended, Ok(done()));
    let [Notice::Log { .. }] = &panel.notices[..] else {
        panic!("{:?}", panel.notices);
    };
}

#[tokio::test]
async fn one_is_taken_back_and_the_others_stand() {
    let (client, mut far) = far::legacy("2025-06-18").await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        let asked = far.hear("tools/call").await;
        far.ask(7, FORM, form("one")).await;
        far.ask(8, FORM, form("two")).await;
        // The same once more is the same.
        far.ask(8, FORM, form("two")).await;
        let (one, two) = (questions.next().await, questions.next().await);
        let taken_back = json!({"requestId": 7});
        far.note("notifications/cancelled", taken_back).await;
        one.dropped().await;
        two.accept();
        assert_eq!(far.next().await.unwrap()["id"], 8);
        far.result(&asked, done()).await;
        assert!(questions.is_empty());
    };
    let call = call("t");
    let (ended, ()) = tokio::join!(run(&client, &call, &mut panel), serving);
    assert_eq!(ended, Ok(done()));
    drop(client);
    assert_eq!(far.next().await, None, "nothing else was answered");
}

#[tokio::test]
async fn a_result_ends_those_that_stand() {
    let (client, mut far) = far::legacy("2025-06-18").await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        let asked = far.hear("tools/call").await;
        far.ask(7, FORM, form("one")).await;
        far.ask(8, FORM, form("two")).await;
        let (one, two) = (questions.next().await, questions.next().await);
        far.result(&asked, done()).await;
        one.dropped().await;
        two.dropped().await;
    };
    let call = call("t");
    let (ended, ()) = tokio::join!(run(&client, &call, &mut panel), serving);
    assert_eq!(ended, Ok(done()));
}

/// More than one message may have is not kept for any number of them.
#[tokio::test]
async fn what_stands_is_bounded_in_bytes() {
    let (client, mut far) = far::legacy("2025-06-18").await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        let asked = far.hear("tools/call").await;
        far.ask(7, FORM, form(&"a".repeat(40 << 10))).await;
        let one = questions.next().await;
        far.ask(8, FORM, form(&"b".repeat(40 << 10))).await;
        let refused = far.next().await.unwrap();
        assert_eq!(
            (&refused["id"], &refused["error"]["code"]),
            (&json!(8), &json!(-32603))
        );
        one.accept();
        assert_eq!(far.next().await.unwrap()["id"], 7);
        far.ask(9, FORM, form(&"c".repeat(40 << 10))).await;
        questions.next().await.accept();
        assert_eq!(far.next().await.unwrap()["id"], 9);
        far.result(&asked, done()).await;
    };
    let call = call("t");
    let (ended, ()) = tokio::join!(run(&client, &call, &mut panel), serving);
    assert_eq!(ended, Ok(done()));
}

/// The look at a task ends; what the task asked meanwhile does not.
#[tokio::test]
async fn what_a_task_asks_outlives_the_look_at_it() {
    let (client, mut far) = far::legacy("2025-11-25").await;
    let (mut panel, mut questions) = Panel::new();
    let task = |status: &str| {
        json!({"taskId": "t", "status": status, "pollInterval": 1, "ttl": null,
            "createdAt": "2025-11-25T00:00:00Z", "lastUpdatedAt": "2025-11-25T00:00:00Z"})
    };
    let serving = async {
        let asked = far.hear("tools/call").await;
        far.result(&asked, json!({"task": task("working")})).await;
        let look = far.hear("tasks/get").await;
        far.ask(7, FORM, form("one")).await;
        let one = questions.next().await;
        far.result(&look, task("working")).await;
        let look = far.hear("tasks/get").await;
        one.accept();
        assert_eq!(far.next().await.unwrap()["id"], 7);
        far.result(&look, task("completed")).await;
        let asked = far.hear("tasks/result").await;
        far.result(&asked, done()).await;
    };
    let tool = json!({"name": "slow", "execution": {"taskSupport": "required"}});
    let call = call_of(&tool);
    let (ended, ()) = tokio::join!(run(&client, &call, &mut panel), serving);
    assert_eq!(ended, Ok(done()));
}

/// It leaves the POST of the first answer open, and goes on with the second.
#[tokio::test]
async fn a_server_that_takes_one_answer_only_after_another_gets_both() {
    let (tx, rx) = mpsc::channel(4);
    let rx = Mutex::new(Some(rx));
    let call_id = Mutex::new(Value::Null);
    let stub = ostler_testkit::Stub::start(move |seen: &Seen| match seen.about().as_str() {
        "tools/call" => {
            *call_id.lock() = seen.json()["id"].clone();
            for id in ["one", "two"] {
                let ask = json!({"jsonrpc": "2.0", "id": id, "method": FORM, "params": form(id)});
                tx.try_send(event(id, &ask)).expect("room");
            }
            Replay::fed(rx.lock().take().expect("one call"))
        }
        "response" if seen.json()["id"] == "one" => Replay::silence(),
        "response" => {
            let ended = json!({"jsonrpc": "2.0", "id": *call_id.lock(), "result": done()});
            tx.try_send(event("r", &ended)).expect("room");
            Replay::status(202)
        }
        _ => crate::world::session("2025-11-25", seen),
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.limits.goodbye_max = Duration::from_millis(1);
    let endpoint = at(&stub);
    let client = Client::connect(Env::system(), &endpoint, options);
    let client = soon("a client", client).await.unwrap();
    let (mut panel, mut questions) = Panel::new();
    let answering = async {
        questions.next().await.accept();
        questions.next().await.accept();
    };
    let call = call("t");
    let (ended, ()) = tokio::join!(run(&client, &call, &mut panel), answering);
    assert_eq!(ended, Ok(done()));
}
