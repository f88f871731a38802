//! Sessions with servers that fall silent, keep one waiting or start anew.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use ostler_client::{Ask, Client, EraChoice, Error, ListKind};
use ostler_env::Env;
use ostler_testkit::{Replay, Seen, Stub, soon};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{
    Ear, at, call, connect, error, event, fixed, initialized, legacy, ok, options, run,
};

fn done() -> Value {
    json!({"content": []})
}

/// A session with short spans.
async fn hasty(stub: &Stub) -> (Client, ostler_client::Stopper) {
    let (mut options, stopper) = options(EraChoice::Legacy);
    options.limits.goodbye_max = Duration::from_secs(1);
    options.limits.polls_max = 5;
    options.abilities.url = true;
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(stub), options),
    )
    .await;
    (client.expect("it connects"), stopper)
}

fn gets(stub: &Stub) -> usize {
    stub.abouts().iter().filter(|about| *about == "GET").count()
}

#[tokio::test]
async fn a_goodbye_is_not_waited_for() {
    let (tell, mut told) = mpsc::channel(1);
    let stub = Stub::start(move |seen| match seen.about().as_str() {
        "initialize" => ok(seen, initialized("2025-11-25")).header("Mcp-Session-Id", "s-1"),
        "notifications/initialized" => Replay::status(202),
        "tools/call" => {
            tell.try_send(()).expect("one call");
            Replay::silence()
        }
        _ => Replay::silence(),
    })
    .await;
    let (client, stopper) = hasty(&stub).await;
    let stopping = async {
        told.recv().await;
        stopper.stop();
    };
    let (call, mut ear) = (call("t"), Ear::new());
    let running = async { tokio::join!(client.run(&call, &mut ear), stopping) };
    let (ended, ()) = soon("the end of the call", running).await;
    assert_eq!(ended, Err(Error::Stopped));
    soon("the end of the session", client.close()).await;
    let abouts = stub.abouts();
    assert_eq!(
        abouts[2..],
        ["tools/call", "notifications/cancelled", "DELETE"]
    );
}

#[tokio::test]
async fn a_server_that_only_asks_to_come_again_is_left_in_the_end() {
    let at = AtomicUsize::new(0);
    let stub = legacy("2025-11-25", move |_| {
        let id = at.fetch_add(1, Ordering::SeqCst);
        Replay::stream(&[&format!("id: s.{id}\nretry: 0\ndata: \n\n")])
    })
    .await;
    let (client, _stopper) = hasty(&stub).await;
    let broken = run(&client, &call("t"), &mut Ear::new()).await;
    assert!(matches!(broken, Err(Error::Broken { .. })), "{broken:?}");
    assert_eq!(gets(&stub), 5);
}

#[tokio::test]
async fn a_stream_survives_that_its_server_starts_anew_behind_a_proxy() {
    let at = AtomicUsize::new(0);
    let stub = legacy("2025-11-25", move |seen| {
        match (seen.method.as_str(), at.fetch_add(1, Ordering::SeqCst)) {
            ("POST", _) => Replay::stream(&["id: 1\ndata: \n\n"]).cut(),
            (_, 1) => Replay::status(502),
            (_, 2) => Replay::status(504),
            _ => {
                let result = json!({"jsonrpc": "2.0", "id": 2, "result": done()});
                Replay::stream(&[&event("2", &result)])
            }
        }
    })
    .await;
    let client = connect(&stub, EraChoice::Legacy).await.unwrap();
    let result = run(&client, &call("t"), &mut Ear::new()).await;
    assert_eq!(result, Ok(done()));
    assert_eq!(gets(&stub), 3);
}

/// How a call ends whose stream breaks after this id, where a GET is refused.
async fn broken_after(id: &'static str) -> Result<Value, Error> {
    let stub = legacy("2025-11-25", move |seen| match seen.method.as_str() {
        "POST" => Replay::stream(&[&format!("id: {id}\ndata: \n\n")]).cut(),
        _ => Replay::status(405),
    })
    .await;
    let client = connect(&stub, EraChoice::Legacy)
        .await
        .expect("it connects");
    run(&client, &call("t"), &mut Ear::new()).await
}

#[tokio::test]
async fn what_cannot_be_taken_up_again_is_broken_or_the_servers_fault() {
    let refused = broken_after("1").await;
    assert!(matches!(refused, Err(Error::Broken { .. })), "{refused:?}");
    let unsendable = broken_after("a\u{1}b").await;
    assert!(
        matches!(unsendable, Err(Error::Protocol(_))),
        "{unsendable:?}"
    );
    let taken_back = broken_after("").await;
    assert!(matches!(taken_back, Err(Error::Broken { .. })));
}

#[tokio::test]
async fn a_page_to_visit_that_is_not_named_ends_the_call() {
    for data in [Value::Null, json!({}), json!({"elicitations": []})] {
        let stub = legacy("2025-11-25", move |seen| {
            error(seen, 200, -32042, data.clone())
        })
        .await;
        let (client, _stopper) = hasty(&stub).await;
        let ended = run(&client, &call("t"), &mut Ear::new()).await;
        assert!(matches!(ended, Err(Error::Rpc(rpc)) if rpc.code == -32042));
        let calls = |about: &&String| *about == "tools/call";
        assert_eq!(stub.abouts().iter().filter(calls).count(), 1);
    }
}

#[tokio::test]
async fn a_call_is_made_again_only_after_the_visit_is_done() {
    let calls = AtomicUsize::new(0);
    let stub = legacy("2025-11-25", move |seen| {
        let url = json!({"mode": "url", "message": "sign in", "url": "https://a.example", "elicitationId": "e"});
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 => error(seen, 200, -32042, json!({"elicitations": [url]})),
            _ => ok(seen, done()),
        }
    })
    .await;
    let (client, _stopper) = hasty(&stub).await;
    let mut ear = Ear::new();
    assert_eq!(run(&client, &call("t"), &mut ear).await, Ok(done()));
    let [Ask::Url { url, .. }, Ask::Visited] = &ear.asks[..] else {
        panic!("{:?}", ear.asks);
    };
    assert_eq!(url, "https://a.example");
}

/// What `connect` finds at a server whose `initialize` is refused so, and whose GET so.
async fn at_the_door(initialize: fn() -> Replay, get: fn() -> Replay) -> Option<Error> {
    let stub = Stub::start(move |seen| match seen.about().as_str() {
        "GET" => get(),
        _ => initialize(),
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.limits.endpoint_max = Duration::from_millis(20);
    let found = soon(
        "an end",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await;
    found.err()
}

/// The head of an answer whose body never comes.
fn headless(status: u16) -> Replay {
    let (hold, held) = mpsc::channel(1);
    // Leaked on purpose: its end would end the body.
    std::mem::forget(hold);
    Replay::fed(held).with_status(status)
}

#[tokio::test]
async fn a_door_that_never_opens_is_left() {
    let expected = Some(Error::NoEndpoint { status: 404 });
    let silent = at_the_door(|| Replay::status(404), Replay::silence).await;
    assert_eq!(silent, expected);
    let endless = at_the_door(|| headless(404), || headless(404)).await;
    assert_eq!(endless, expected);
}

#[tokio::test]
async fn a_log_level_that_is_refused_is_no_reason_to_leave() {
    let stub = legacy("2025-11-25", |seen: &Seen| match seen.about().as_str() {
        "logging/setLevel" => error(seen, 200, -32601, Value::Null),
        _ => ok(seen, json!({"tools": []})),
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.log_level = Some("debug".to_owned());
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await;
    let client = client.unwrap();
    let listed = soon("tools", client.list(ListKind::Tools, &mut Ear::new())).await;
    assert_eq!(listed.map(|tools| tools.len()), Ok(0));
}

#[tokio::test]
async fn a_listen_goes_on_in_a_new_session_where_the_old_one_is_gone() {
    let sessions = AtomicUsize::new(0);
    let stub = Stub::start(move |seen| {
        let session = seen.header("mcp-session-id");
        match (seen.about().as_str(), session) {
            ("initialize", _) => match sessions.fetch_add(1, Ordering::SeqCst) {
                0 => ok(seen, initialized("2025-11-25")).header("Mcp-Session-Id", "old"),
                1 => Replay::status(502),
                _ => ok(seen, initialized("2025-11-25")).header("Mcp-Session-Id", "new"),
            },
            ("GET", Some("new")) => Replay::stream(&[&event(
                "1",
                &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
            )]),
            ("GET" | "DELETE", _) => Replay::status(404),
            _ => Replay::status(202),
        }
    })
    .await;
    let (options, stopper) = options(EraChoice::Legacy);
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await;
    let client = client.unwrap();
    let mut ear = UntilChanged { stopper };
    let filter = ostler_client::Filter::default();
    let heard = soon("a change", client.listen(fixed(&filter), &mut ear)).await;
    assert_eq!(heard, Err(Error::Stopped));
    let goodbye = stub.seen().pop().expect("a goodbye");
    assert_eq!(
        (goodbye.about().as_str(), goodbye.header("mcp-session-id")),
        ("DELETE", Some("new"))
    );
}

/// Has enough when a list changed.
struct UntilChanged {
    stopper: ostler_client::Stopper,
}

impl ostler_client::Host for UntilChanged {
    fn notice(&mut self, notice: ostler_client::Notice) {
        if let ostler_client::Notice::Changed(_) = notice {
            self.stopper.stop();
        }
    }

    fn answer(&mut self, _: Ask, _: Option<&str>) -> ostler_client::Answering {
        Box::pin(async { ostler_client::Answer::Refused })
    }
}
