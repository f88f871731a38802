//! Questions that take their time: the stream is heard meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ostler_client::{Answer, Answering, Ask, Client, EraChoice, Error, Host, Notice, Request};
use ostler_env::Env;
use ostler_protocol::Revision;
use ostler_testkit::{Replay, Seen, Stub, soon};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{
    Ear, at, call, call_of, connect, event, form, initialized, legacy, ok, options, result, run,
};

fn done() -> Value {
    json!({"content": []})
}

fn ask(id: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params})
}

fn answers(stub: &Stub) -> Vec<Value> {
    let seen = stub.seen();
    let answers = seen.iter().filter(|seen| seen.about() == "response");
    answers.map(Seen::json).collect()
}

/// A person who never answers; says when they are asked.
struct Slow {
    asked: mpsc::Sender<()>,
    notices: Vec<Notice>,
}

impl Host for Slow {
    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    fn answer(&mut self, _: Ask, _: Option<&str>) -> Answering {
        let _ = self.asked.try_send(());
        Box::pin(std::future::pending::<Answer>())
    }
}

/// A call whose stream asks, then says the rest once somebody is being asked.
async fn while_asked(rest: fn(&Seen) -> Vec<Value>) -> (Stub, Result<Value, Error>, Vec<Notice>) {
    let (tx, rx) = mpsc::channel(16);
    let (say, rx) = (Arc::new(Mutex::new(tx)), Mutex::new(Some(rx)));
    let later: Arc<Mutex<Vec<String>>> = Arc::default();
    let (into, sayer) = (later.clone(), say.clone());
    let stub = legacy("2025-11-25", move |seen| {
        let first = event("1", &ask("q", form()));
        sayer.lock().try_send(first).expect("room");
        *into.lock() = rest(seen)
            .iter()
            .map(|m| format!("data: {m}\n\n"))
            .collect();
        Replay::fed(rx.lock().take().expect("one call"))
    })
    .await;
    let client = connect(&stub, EraChoice::Legacy)
        .await
        .expect("it connects");
    let (asked, mut told) = mpsc::channel(1);
    let mut slow = Slow {
        asked,
        notices: Vec::new(),
    };
    let saying = async {
        told.recv().await;
        for piece in later.lock().drain(..) {
            say.lock().try_send(piece).expect("room");
        }
    };
    let call = call("t");
    let both = async { tokio::join!(client.run(&call, &mut slow), saying) };
    let (ended, ()) = soon("the end", both).await;
    let ended = ended.map(|result| result.to().expect("JSON"));
    (stub, ended, slow.notices)
}

fn note(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

#[tokio::test]
async fn a_server_is_heard_while_a_person_thinks() {
    let (stub, ended, notices) = while_asked(|seen| {
        vec![
            json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}),
            note(
                "notifications/message",
                json!({"level": "info", "data": "still here"}),
            ),
            note("notifications/cancelled", json!({"requestId": "q"})),
            result(seen, done()),
        ]
    })
    .await;
    assert_eq!(ended, Ok(done()));
    let pong = json!({"jsonrpc": "2.0", "id": "p", "result": {}});
    assert_eq!(
        answers(&stub),
        [pong],
        "a question taken back is not answered"
    );
    assert_eq!(notices.len(), 1);
}

#[tokio::test]
async fn a_result_ends_the_question_before_it() {
    let (stub, ended, _) = while_asked(|seen| vec![result(seen, done())]).await;
    assert_eq!((ended, answers(&stub)), (Ok(done()), vec![]));
}

#[tokio::test]
async fn an_answer_that_is_not_wanted_does_not_end_the_call() {
    for (status, sent) in [(400, 1), (503, 2)] {
        let posts = AtomicUsize::new(0);
        let stub = Stub::start(move |seen| match seen.about().as_str() {
            "initialize" => ok(seen, initialized("2025-11-25")).header("Mcp-Session-Id", "s"),
            "response" if posts.fetch_add(1, Ordering::SeqCst) == 0 => Replay::status(status),
            "tools/call" => Replay::stream(&[
                &event("1", &ask("q", form())),
                &event("2", &result(seen, done())),
            ]),
            _ => Replay::status(202),
        })
        .await;
        let client = connect(&stub, EraChoice::Legacy).await.unwrap();
        let ended = run(&client, &call("t"), &mut Ear::new()).await;
        assert_eq!(ended, Ok(done()));
        assert_eq!(answers(&stub).len(), sent, "{status}");
    }
}

/// What a server of this revision gets for a question with these parameters.
async fn answer_to(date: &'static str, params: Value) -> Value {
    let stub = legacy(date, move |seen| {
        let pieces = [
            event("1", &ask("q", params.clone())),
            event("2", &result(seen, done())),
        ];
        Replay::stream(&pieces.each_ref().map(String::as_str))
    })
    .await;
    let revision = Revision::parse(date).expect("a known date");
    let (mut options, _stopper) = options(EraChoice::Only(revision));
    options.abilities.url = date != "2025-11-25";
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await;
    let mut ear = Ear::new();
    let ended = run(&client.expect("it connects"), &call("t"), &mut ear).await;
    assert_eq!(ended, Ok(done()));
    assert!(ear.asks.is_empty(), "nobody is asked");
    answers(&stub).remove(0)["error"]["code"].clone()
}

#[tokio::test]
async fn a_question_that_is_malformed_or_undeclared_is_refused() {
    assert_eq!(
        answer_to("2025-11-25", json!({"message": "m"})).await,
        -32602
    );
    let url =
        json!({"mode": "url", "message": "m", "url": "https://a.example", "elicitationId": "e"});
    assert_eq!(answer_to("2025-11-25", url.clone()).await, -32602);
    // Older revisions have no word for it, so it was not declared to them.
    assert_eq!(answer_to("2025-06-18", url).await, -32602);
    assert_eq!(answer_to("2025-03-26", form()).await, -32601);
}

#[tokio::test]
async fn a_person_who_will_not_answer_is_said_to_have_refused() {
    let stub = legacy("2025-11-25", |seen| {
        let pieces = [
            event("1", &ask("q", form())),
            event("2", &result(seen, done())),
        ];
        Replay::stream(&pieces.each_ref().map(String::as_str))
    })
    .await;
    let client = connect(&stub, EraChoice::Legacy).await.unwrap();
    let mut ear = Ear::new();
    ear.answer = Answer::Refused;
    assert_eq!(run(&client, &call("t"), &mut ear).await, Ok(done()));
    assert_eq!(answers(&stub)[0]["error"]["code"], -1);
}

#[tokio::test]
async fn questions_have_an_end() {
    let stub = legacy("2025-11-25", |_| {
        let asks: Vec<_> = (0..9)
            .map(|n| event(&n.to_string(), &ask(&n.to_string(), form())))
            .collect();
        Replay::stream(&asks.iter().map(String::as_str).collect::<Vec<_>>())
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.limits.asks_max = 3;
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await;
    let mut ear = Ear::new();
    let ended = run(&client.unwrap(), &call("t"), &mut ear).await;
    assert!(matches!(ended, Err(Error::Protocol(_))), "{ended:?}");
    assert_eq!(ear.asks.len(), 3);
}

#[tokio::test]
async fn what_a_task_asks_is_answered_for_it() {
    let related = json!({"io.modelcontextprotocol/related-task": {"taskId": "t/1"}});
    let meta = related.clone();
    let stub = legacy("2025-11-25", move |seen| match seen.about().as_str() {
        "tools/call" => ok(
            seen,
            json!({"task": {"taskId": "t/1", "status": "input_required"}}),
        ),
        _ => {
            let mut params = form();
            params["_meta"] = meta.clone();
            let pieces = [
                event("1", &ask("q", params)),
                event("2", &result(seen, done())),
            ];
            Replay::stream(&pieces.each_ref().map(String::as_str))
        }
    })
    .await;
    let client = connect(&stub, EraChoice::Legacy).await.unwrap();
    let tool = json!({"name": "slow", "execution": {"taskSupport": "required"}});
    let request: Request = call_of(&tool);
    assert_eq!(run(&client, &request, &mut Ear::new()).await, Ok(done()));
    assert_eq!(answers(&stub)[0]["result"]["_meta"], related);
}

#[tokio::test]
async fn a_stream_that_was_kept_alive_and_falls_silent_is_taken_up_again() {
    let (hold, held) = mpsc::channel(4);
    hold.try_send("id: 1\ndata: \n\n: ka\n\n".to_owned())
        .expect("room");
    let held = Mutex::new(Some(held));
    let stub = legacy("2025-11-25", move |seen| match seen.method.as_str() {
        "POST" => Replay::fed(held.lock().take().expect("one call")),
        _ => {
            let result = json!({"jsonrpc": "2.0", "id": 2, "result": done()});
            Replay::stream(&[&event("2", &result)])
        }
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.limits.silence_max = Duration::from_millis(20);
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await;
    let ended = run(&client.unwrap(), &call("t"), &mut Ear::new()).await;
    assert_eq!(ended, Ok(done()));
    drop(hold);
}
