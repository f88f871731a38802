//! Whose ask is it? On a pipe nothing says so.

use ostler_client::{Ask, Client, EraChoice, Filter, Notice};
use ostler_env::Env;
use ostler_testkit::{Replay, Stub, soon};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    far::{Far, legacy, pipe},
    world::{Ear, at, call, call_of, event, fixed, form, initialized, ok, options, result, run},
};

fn done() -> Value {
    json!({"content": []})
}

const FORM: &str = "elicitation/create";

/// Two calls of these owners, and what the server does with them.
async fn two_calls(
    client: &Client,
    owners: [u64; 2],
    serving: impl Future<Output = ()>,
) -> [Ear; 2] {
    let [mut one, mut two] = owners.map(Ear::of);
    let call = call("t");
    let (first, second, ()) = tokio::join!(
        run(client, &call, &mut one),
        run(client, &call, &mut two),
        serving
    );
    assert_eq!((first, second), (Ok(done()), Ok(done())));
    [one, two]
}

/// Asks a form while two calls are there; its answer.
async fn ask_between(far: &mut Far, log: bool) -> Value {
    let calls = [far.hear("tools/call").await, far.hear("tools/call").await];
    if log {
        let params = json!({"level": "info", "data": "whose?"});
        far.note("notifications/message", params).await;
    }
    far.ask(7, FORM, form()).await;
    let answer = far.next().await.expect("an answer");
    for call in &calls {
        far.result(call, done()).await;
    }
    answer
}

#[tokio::test]
async fn what_may_be_for_one_of_several_principals_is_shown_to_none() {
    let (client, mut far) = legacy("2025-06-18").await;
    let mut listener = Ear::new();
    let wanted = fixed(&Filter::default());
    let answer = Mutex::new(Value::Null);
    let serving = async {
        *answer.lock() = ask_between(&mut far, true).await;
    };
    let ears = tokio::select! {
        biased;
        heard = client.listen(wanted, &mut listener) => panic!("{heard:?}"),
        ears = two_calls(&client, [1, 2], serving) => ears,
    };
    assert_eq!(answer.lock()["error"]["code"], -32603);
    for ear in ears {
        assert!(ear.asks.is_empty() && ear.notices.is_empty());
    }
    let [
        Notice::Listening,
        Notice::Log { .. },
        Notice::Refused { ask, .. },
    ] = &listener.notices[..]
    else {
        panic!("{:?}", listener.notices);
    };
    assert_eq!(ask, FORM);
}

#[tokio::test]
async fn among_calls_of_one_principal_the_newest_is_asked() {
    let (client, mut far) = legacy("2025-06-18").await;
    let answer = Mutex::new(Value::Null);
    let serving = async {
        *answer.lock() = ask_between(&mut far, true).await;
    };
    let [one, two] = two_calls(&client, [1, 1], serving).await;
    assert_eq!(answer.lock()["result"]["action"], "accept");
    assert!(one.asks.is_empty() && one.notices.is_empty());
    let [Ask::Form { params, .. }] = &two.asks[..] else {
        panic!("{:?}", two.asks);
    };
    assert_eq!(params.to::<Value>().unwrap(), form());
    assert_eq!(two.notices.len(), 1);
}

/// The server may not have read yet that a call is cancelled, or may not care.
#[tokio::test]
async fn what_a_cancelled_call_still_says_is_shown_to_no_other_principal() {
    let (client, mut far) = legacy("2025-06-18").await;
    let [mut one, mut two] = [1, 2].map(Ear::of);
    let call = call("t");
    let left = tokio::select! {
        biased;
        ended = client.run(&call, &mut one) => panic!("{ended:?}"),
        asked = far.hear("tools/call") => asked,
    };
    far.hear("notifications/cancelled").await;
    let serving = async {
        let other = far.hear("tools/call").await;
        let params = json!({"level": "info", "data": "of the first"});
        far.note("notifications/message", params).await;
        far.ask(7, FORM, form()).await;
        assert_eq!(far.next().await.unwrap()["error"]["code"], -32603);
        // Now it is over with the first one.
        far.result(&left, done()).await;
        far.ask(8, FORM, form()).await;
        assert_eq!(far.next().await.unwrap()["result"]["action"], "accept");
        far.result(&other, done()).await;
    };
    let (ran, ()) = tokio::join!(run(&client, &call, &mut two), serving);
    assert_eq!(ran, Ok(done()));
    assert_eq!((one.asks.len(), two.asks.len()), (0, 1));
    assert!(two.notices.is_empty(), "{:?}", two.notices);
}

/// The server is at work for a task until it has answered that it is cancelled.
#[tokio::test]
async fn a_cancelled_task_is_in_nobodys_way_once_that_is_answered() {
    let (client, mut far) = legacy("2025-11-25").await;
    let [mut one, mut two] = [1, 2].map(Ear::of);
    let tool = json!({"name": "t", "inputSchema": {"type": "object"},
        "execution": {"taskSupport": "required"}});
    let task = json!({"taskId": "t/1", "status": "working", "ttl": 1000, "pollInterval": 1,
        "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"});
    let begun = async {
        let asked = far.hear("tools/call").await;
        far.result(&asked, json!({"task": task})).await;
        far.hear("tasks/get").await
    };
    let call_of_task = call_of(&tool);
    let look = tokio::select! {
        biased;
        ended = client.run(&call_of_task, &mut one) => panic!("{ended:?}"),
        look = begun => look,
    };
    let cancel = far.hear("tasks/cancel").await;
    let call = call("u");
    let serving = async {
        let other = far.hear("tools/call").await;
        far.result(&look, task.clone()).await;
        far.ask(7, FORM, form()).await;
        assert_eq!(far.next().await.unwrap()["error"]["code"], -32603);
        far.result(&cancel, task.clone()).await;
        far.ask(8, FORM, form()).await;
        assert_eq!(far.next().await.unwrap()["result"]["action"], "accept");
        far.result(&other, done()).await;
    };
    let (ran, ()) = tokio::join!(run(&client, &call, &mut two), serving);
    assert_eq!(ran, Ok(done()));
    assert_eq!((one.asks.len(), two.asks.len()), (0, 1));
}

/// As many may wait as may come; what is answered waits no more.
#[tokio::test]
async fn a_long_listen_is_asked_as_often_as_it_answers() {
    let (pipe, mut far) = pipe();
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.limits.asks_max = 2;
    let opening = Client::over(Env::system(), pipe, options);
    let (client, ()) = tokio::join!(opening, far.open_legacy("2025-06-18"));
    let (client, mut listener) = (client.unwrap(), Ear::of(1));
    let serving = async {
        for id in 0..5 {
            far.ask(id, FORM, form()).await;
            let answer = far.next().await.unwrap();
            assert_eq!(answer["result"]["action"], "accept", "{id}: {answer}");
        }
    };
    let wanted = fixed(&Filter::default());
    tokio::select! {
        biased;
        heard = client.listen(wanted, &mut listener) => panic!("{heard:?}"),
        () = serving => {}
    }
    assert_eq!(listener.asks.len(), 5);
}

#[tokio::test]
async fn a_question_that_was_not_declared_or_comes_without_a_call_is_refused() {
    let (client, mut far) = legacy("2025-06-18").await;
    far.ask(1, FORM, form()).await;
    assert_eq!(far.next().await.unwrap()["error"]["code"], -32603);
    let (call, mut ear) = (call("t"), Ear::of(1));
    let serving = async {
        let asked = far.hear("tools/call").await;
        far.ask(
            2,
            "sampling/createMessage",
            json!({"messages": [], "maxTokens": 1}),
        )
        .await;
        assert_eq!(far.next().await.unwrap()["error"]["code"], -32601);
        far.ask(3, "ping", json!({})).await;
        assert_eq!(far.next().await.unwrap()["result"], json!({}));
        far.result(&asked, done()).await;
    };
    let (ran, ()) = tokio::join!(run(&client, &call, &mut ear), serving);
    assert_eq!(ran.unwrap(), done());
    assert!(ear.asks.is_empty());
}

#[tokio::test]
async fn resources_are_watched_and_left_while_a_listen_goes_on() {
    let (client, mut far) = legacy("2025-06-18").await;
    let filter = |uris: &[&str]| Filter {
        uris: uris.iter().map(|uri| uri.to_string()).collect(),
    };
    let (wanted, rx) = tokio::sync::watch::channel(filter(&["a:1"]));
    let mut ear = Ear::new();
    let serving = async {
        let asked = far.hear("resources/subscribe").await;
        far.result(&asked, json!({})).await;
        wanted.send_replace(filter(&["b:2"]));
        let asked = far.hear("resources/unsubscribe").await;
        assert_eq!(asked["params"]["uri"], "a:1");
        far.result(&asked, json!({})).await;
        let asked = far.hear("resources/subscribe").await;
        assert_eq!(asked["params"]["uri"], "b:2");
        far.error(&asked, -32002).await;
        far.note("notifications/tools/list_changed", json!({}))
            .await;
        far.note("notifications/resources/updated", json!({"uri": "a:1"}))
            .await;
        far.note(
            "notifications/elicitation/complete",
            json!({"elicitationId": "e"}),
        )
        .await;
        drop(far);
    };
    let listening = client.listen(rx, &mut ear);
    let (heard, ()) = soon("the end", async { tokio::join!(listening, serving) }).await;
    assert!(heard.is_err(), "{heard:?}");
    let [
        Notice::Listening,
        Notice::Unwatched { uri, .. },
        Notice::Changed(_),
        Notice::Updated { .. },
        Notice::Visited { id },
    ] = &ear.notices[..]
    else {
        panic!("{:?}", ear.notices);
    };
    assert_eq!((uri.as_str(), id.as_str()), ("b:2", "e"));
}

/// Some servers ask on the stream that belongs to no request. Calls of others that are over, or
/// never began, are in nobody's way.
#[tokio::test]
async fn what_a_standalone_stream_asks_reaches_the_only_call() {
    let (get, rx) = mpsc::channel(4);
    let (answer, rx_call) = mpsc::channel(4);
    let (rx, rx_call) = (Mutex::new(Some(rx)), Mutex::new(Some(rx_call)));
    // What the call's own stream says once its question is answered.
    let rest = Mutex::new(None);
    let stub = Stub::start(move |seen| match seen.about().as_str() {
        "initialize" => ok(seen, initialized("2025-11-25")).header("Mcp-Session-Id", "s-1"),
        "GET" => Replay::fed(rx.lock().take().expect("one stream")),
        "tools/call" if seen.json()["params"]["name"] == "over" => ok(seen, done()),
        "tools/call" if seen.json()["params"]["name"] == "many" => Replay::status(429),
        "tools/call" => {
            let ask = json!({"jsonrpc": "2.0", "id": 1, "method": FORM, "params": form()});
            get.try_send(event("g", &ask)).expect("room");
            *rest.lock() = Some(event("c", &result(seen, done())));
            Replay::fed(rx_call.lock().take().expect("one call"))
        }
        "response" => {
            let body = rest.lock().take().expect("a call");
            answer.try_send(body).expect("room");
            Replay::status(202)
        }
        _ => Replay::status(202),
    })
    .await;
    let (options, _stopper) = options(EraChoice::Legacy);
    let endpoint = at(&stub);
    let client = Client::connect(Env::system(), &endpoint, options);
    let client = soon("a client", client).await.unwrap();
    let (mut listener, mut ear) = (Ear::new(), Ear::of(1));
    let [over, many, call] = ["over", "many", "t"].map(call);
    assert!(run(&client, &over, &mut Ear::of(2)).await.is_ok());
    assert!(run(&client, &many, &mut Ear::of(3)).await.is_err());
    let ran = tokio::select! {
        biased;
        heard = client.listen(fixed(&Filter::default()), &mut listener) => panic!("{heard:?}"),
        ran = run(&client, &call, &mut ear) => ran,
    };
    assert_eq!(ran.unwrap(), done());
    assert_eq!((listener.asks.len(), ear.asks.len()), (0, 1));
}
