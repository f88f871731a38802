//! Sessions over Streamable HTTP: asks, streams that break, ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use ostler_client::{Client, EraChoice, Error, Filter, Notice};
use ostler_env::Env;
use ostler_testkit::{Replay, Seen, soon};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{
    Ear, at, call, connect, error, event, fixed, form, legacy, nameless, ok, options, result, run,
};

fn done() -> Value {
    json!({"content": []})
}

fn log(text: &str) -> Value {
    let params = json!({"level": "info", "data": text});
    json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params})
}

fn ask(id: &str, method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": form()})
}

#[tokio::test]
async fn what_the_server_asks_is_answered_by_requests_of_their_own() {
    let stub = legacy("2025-11-25", |seen| {
        let pieces = [
            "id: 0\ndata: \n\n".to_owned(),
            event("1", &ask("q1", "elicitation/create")),
            event("2", &ask("q2", "ping")),
            event("3", &ask("q3", "sampling/createMessage")),
            event("4", &result(seen, done())),
        ];
        Replay::stream(&pieces.each_ref().map(String::as_str))
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    assert_eq!(run(&client, &call("t"), &mut ear).await.unwrap(), done());
    let answers: Vec<_> = stub
        .seen()
        .iter()
        .filter(|s| s.about() == "response")
        .map(Seen::json)
        .collect();
    let accepted = json!({"action": "accept", "content": {"name": "Ada"}});
    assert_eq!(
        answers[0],
        json!({"jsonrpc": "2.0", "id": "q1", "result": accepted})
    );
    assert_eq!(
        answers[1],
        json!({"jsonrpc": "2.0", "id": "q2", "result": {}})
    );
    assert_eq!(answers[2]["error"]["code"], -32601, "it was not declared");
    assert_eq!(ear.asks.len(), 1);
}

#[tokio::test]
async fn a_stream_that_broke_is_taken_up_from_its_last_event() {
    let stub = legacy("2025-11-25", |seen| match seen.header("last-event-id") {
        None => {
            let first = event("s.1", &log("one"));
            Replay::stream(&["id: s.0\nretry: 1\ndata: \n\n", &first]).cut()
        }
        Some("s.1") => Replay::stream(&[&event("s.2", &log("two"))]),
        Some(_) => Replay::stream(&[&event(
            "s.3",
            &json!({"jsonrpc": "2.0", "id": 2, "result": {"content": []}}),
        )]),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    assert_eq!(run(&client, &call("t"), &mut ear).await.unwrap(), done());
    let logs: Vec<_> = ear
        .notices
        .iter()
        .filter(|n| matches!(n, Notice::Log { .. }))
        .collect();
    assert_eq!(logs.len(), 2, "{:?}", ear.notices);
    assert_eq!(
        ear.notices
            .iter()
            .filter(|n| **n == Notice::Resumed)
            .count(),
        2
    );
    let gets: Vec<_> = stub
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "GET")
        .collect();
    let cursors: Vec<_> = gets
        .iter()
        .map(|seen| seen.header("last-event-id").unwrap())
        .collect();
    assert_eq!(cursors, ["s.1", "s.2"]);
    assert!(
        gets.iter()
            .all(|seen| seen.header("mcp-session-id") == Some("s-1"))
    );
}

#[tokio::test]
async fn a_stream_without_events_is_not_taken_up() {
    let stub = legacy("2025-06-18", |_| Replay::stream(&[": ka\n\n"]).cut()).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let broken = run(&client, &call("t"), &mut Ear::new()).await;
    assert!(matches!(broken, Err(Error::Broken { .. })), "{broken:?}");
    assert!(!stub.abouts().contains(&"GET".to_owned()));
}

#[tokio::test]
async fn a_stream_that_says_nothing_new_is_given_up() {
    let stub = legacy("2025-11-25", |seen| match seen.method.as_str() {
        "POST" => Replay::stream(&["id: s.0\nretry: 1\ndata: \n\n"]).cut(),
        _ => Replay::stream(&[]).cut(),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let broken = run(&client, &call("t"), &mut Ear::new()).await;
    assert!(matches!(broken, Err(Error::Broken { .. })), "{broken:?}");
    assert_eq!(
        stub.abouts().iter().filter(|about| *about == "GET").count(),
        3
    );
}

#[tokio::test]
async fn a_session_that_is_gone_says_so() {
    let stub = legacy("2025-11-25", |_| Replay::status(404)).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    assert_eq!(
        run(&client, &call("t"), &mut Ear::new()).await,
        Err(Error::SessionGone)
    );
}

/// As libraries say it after a restart, and as a server of the other era does.
#[tokio::test]
async fn a_session_that_is_unknown_is_gone_however_that_is_said() {
    let (gone, its_own) = (true, false);
    type Answer = fn(i64, &Seen) -> Replay;
    let rows: [(i64, Answer, bool); 6] = [
        (-32000, |code, _| nameless(400, code), gone),
        // The session is there: this is about the request.
        (
            -32000,
            |code, seen| match seen.about().as_str() {
                "ping" => ok(seen, json!({})),
                _ => nameless(400, code),
            },
            its_own,
        ),
        (
            -32000,
            |code, seen| error(seen, 400, code, Value::Null),
            its_own,
        ),
        (
            -32020,
            |code, seen| error(seen, 400, code, Value::Null),
            gone,
        ),
        (
            -32022,
            |code, seen| error(seen, 400, code, Value::Null),
            gone,
        ),
        (-32602, |code, _| nameless(400, code), its_own),
    ];
    for (code, answer, is_gone) in rows {
        let stub = legacy("2025-11-25", move |seen| answer(code, seen)).await;
        let client = connect(&stub, EraChoice::Auto).await.unwrap();
        match run(&client, &call("t"), &mut Ear::new()).await {
            Err(Error::SessionGone) => assert!(is_gone, "{code}"),
            Err(Error::Rpc(error)) => assert!(!is_gone && error.code == code, "{error:?}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

/// It is asked for once, and no other session is opened for it.
#[tokio::test]
async fn a_stream_that_is_refused_in_a_session_that_is_there_is_refused() {
    let stub = legacy("2025-11-25", |seen| match seen.about().as_str() {
        "ping" => ok(seen, json!({})),
        _ => nameless(400, -32000),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    let heard = client.listen(fixed(&Filter::default()), &mut ear);
    let heard = soon("an end", heard).await;
    assert!(matches!(heard, Err(Error::Rpc(_))), "{heard:?}");
    let asked = stub.abouts();
    let count = |wanted: &str| asked.iter().filter(|about| *about == wanted).count();
    assert_eq!([count("GET"), count("initialize")], [1, 1], "{asked:?}");
}

#[tokio::test]
async fn a_resource_that_is_refused_leaves_the_others_heard() {
    let gets = AtomicUsize::new(0);
    let stub = legacy("2025-06-18", move |seen| match seen.about().as_str() {
        "GET" if gets.fetch_add(1, Ordering::SeqCst) == 0 => Replay::stream(&[": ka\n\n"]),
        "GET" => Replay::status(404),
        "resources/subscribe" if seen.json()["params"]["uri"] == "a:b" => {
            error(seen, 200, -32002, Value::Null)
        }
        _ => ok(seen, json!({})),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    let filter = Filter {
        uris: vec!["a:b".to_owned(), "a:c".to_owned()],
    };
    let ended = soon("an end", client.listen(fixed(&filter), &mut ear)).await;
    assert_eq!(ended, Err(Error::SessionGone));
    let [Notice::Unwatched { uri, .. }, Notice::Listening, ..] = &ear.notices[..] else {
        panic!("{:?}", ear.notices);
    };
    assert_eq!(uri, "a:b");
}

#[tokio::test]
async fn a_batch_is_read_as_its_messages() {
    let stub = legacy("2025-03-26", |seen| {
        Replay::json(200, &json!([log("hello"), result(seen, done())]))
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    assert_eq!(run(&client, &call("t"), &mut ear).await.unwrap(), done());
    assert_eq!(ear.notices.len(), 1);
}

#[tokio::test]
async fn stopping_a_call_cancels_it_by_its_id() {
    let (hold, held) = mpsc::channel(1);
    let held = parking_lot::Mutex::new(Some(held));
    let (tell, mut told) = mpsc::channel(1);
    let stub = legacy("2025-11-25", move |seen| match seen.about().as_str() {
        "tools/call" => {
            tell.try_send(()).expect("one call");
            Replay::fed(held.lock().take().expect("one call"))
        }
        _ => Replay::status(202),
    })
    .await;
    let (options, stopper) = options(EraChoice::Auto);
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await
    .unwrap();
    let (call, mut ear) = (call("t"), Ear::new());
    let stopping = async {
        told.recv().await;
        stopper.stop();
    };
    let (ended, ()) = soon("the end", async {
        tokio::join!(client.run(&call, &mut ear), stopping)
    })
    .await;
    assert_eq!(ended, Err(Error::Stopped));
    let seen = stub.seen();
    let cancelled = seen.last().unwrap().json();
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(
        cancelled["params"]["requestId"],
        seen[seen.len() - 2].json()["id"]
    );
    drop(hold);
}

#[tokio::test]
async fn a_listen_subscribes_and_comes_back_without_a_cursor() {
    let gets = AtomicUsize::new(0);
    let stub = legacy("2025-06-18", move |seen| match seen.method.as_str() {
        "GET" if gets.fetch_add(1, Ordering::SeqCst) < 2 => {
            let params = json!({"uri": "a:b"});
            let message = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params});
            Replay::stream(&[&format!("data: {message}\n\n")]).cut()
        }
        "GET" => Replay::status(404),
        _ => ok(seen, json!({})),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    let filter = Filter {
        uris: vec!["a:b".to_owned()],
    };
    let ended = soon("the end", client.listen(fixed(&filter), &mut ear)).await;
    assert_eq!(ended, Err(Error::SessionGone));
    let updated = || Notice::Updated {
        uri: "a:b".to_owned(),
    };
    assert_eq!(
        ear.notices,
        [Notice::Listening, updated(), Notice::Resumed, updated()]
    );
    assert!(stub.abouts().contains(&"resources/subscribe".to_owned()));
}

#[tokio::test]
async fn a_server_without_a_stream_of_its_own_cannot_be_listened_to() {
    let stub = legacy("2025-11-25", |_| Replay::status(405)).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let heard = soon(
        "an end",
        client.listen(fixed(&Filter::default()), &mut Ear::new()),
    )
    .await;
    assert!(matches!(heard, Err(Error::NotOffered(_))), "{heard:?}");
}
