//! HTTP+SSE of 2024-11-05: the stream is the session ([A-1] to ).

use std::time::Duration;

use ostler_testkit::{Door, Pair, Request, Session};
use serde_json::{Value, json};

use crate::world::{World, text};

const A: &str = "2024-11-05";
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

fn initialize(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"}}})
}

fn ping(id: i32) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "ping"})
}

///
#[tokio::test]
async fn the_first_event_says_where_messages_go() {
    let world = World::tenants().await;
    let [a1, _, b1] = world.principals();
    let mut tokens = Vec::new();
    for door in [&a1, &a1, &b1] {
        let pair = Pair::connect(door).await;
        let server = door.path.strip_suffix("mcp").unwrap();
        let prefix = format!("{server}messages?sessionId=");
        let token = pair.uri.strip_prefix(&prefix).expect("the same origin");
        assert!(token.len() >= 32, "{token}");
        tokens.push(token.to_owned());
    }
    // The Server behind the bare paths.
    let bare = Door {
        path: "/mcp".to_owned(),
        ..a1
    };
    let pair = Pair::open(A, &bare, json!({})).await;
    assert!(pair.uri.starts_with("/messages?sessionId="), "{}", pair.uri);
    tokens.push(pair.uri.clone());
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);
    drop(pair);
    world.stop().await;
}

/// transport and revision are two things.
#[tokio::test]
async fn clients_of_each_revision_are_served() {
    let world = World::open().await;
    for version in LEGACY {
        let mut pair = Pair::open(version, &world.door(), json!({})).await;
        assert_eq!(pair.initialized["protocolVersion"], version);
        assert_eq!(pair.initialized["serverInfo"]["name"], "testkit");
        let tools = pair.result(1, "tools/list", json!({})).await;
        assert_eq!(tools["tools"][0]["name"], "echo");
        let echo = json!({"name": "echo", "arguments": {"text": "hi"}});
        assert_eq!(text(&pair.result(2, "tools/call", echo).await), "hi");
        assert_eq!(pair.result("3", "ping", json!({})).await, json!({}));
        let read = json!({"uri": "mem://text"});
        let read = pair.result(4, "resources/read", read).await;
        assert_eq!(read["contents"][0]["text"], "some text");
        pair.request(5, "no/such", json!({})).await;
        assert_eq!(pair.message().await["error"]["code"], -32601);
        pair.request(6, "tools/call", json!({"name": "no_such"}))
            .await;
        assert_eq!(pair.message().await["error"]["code"], -32602);
        pair.request(7, "resources/read", json!({"uri": "mem://none"}))
            .await;
        assert_eq!(pair.message().await["error"]["code"], -32002, "[R-2]");
    }
    world.stop().await;
}

#[tokio::test]
async fn progress_and_logs_come_before_the_result() {
    let world = World::open().await;
    for (version, has_message) in [(A, false), ("2025-03-26", true), ("2025-11-25", true)] {
        let mut pair = Pair::open(version, &world.door(), json!({})).await;
        let params = json!({"name": "progress", "arguments": {"count": 3},
            "_meta": {"progressToken": "p"}});
        pair.request(1, "tools/call", params).await;
        let mut last = pair.message().await;
        let mut shown = Vec::new();
        while last["method"] == "notifications/progress" {
            assert_eq!(last["params"]["message"].is_string(), has_message, "{last}");
            shown.push(last["params"]["progress"].clone());
            last = pair.message().await;
        }
        assert_eq!(shown.last(), Some(&json!(3)), "{version}");
        assert_eq!((&last["id"], text(&last["result"])), (&json!(1), "done"));
        pair.result(2, "logging/setLevel", json!({"level": "debug"}))
            .await;
        pair.call(3, "log", json!({})).await;
        for _ in 0..3 {
            assert_eq!(pair.message().await["method"], "notifications/message");
        }
        assert_eq!(pair.message().await["id"], 3);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_client_is_asked_over_its_stream() {
    let world = World::open().await;
    let can = json!({"sampling": {}, "roots": {}, "elicitation": {}});
    for (version, elicits) in [(A, false), ("2025-03-26", false), ("2025-06-18", true)] {
        let mut pair = Pair::open(version, &world.door(), can.clone()).await;
        pair.call(1, "sample", json!({})).await;
        let asked = pair.message().await;
        assert_eq!(asked["method"], "sampling/createMessage", "{asked}");
        let reply = json!({"role": "assistant", "model": "m",
            "content": {"type": "text", "text": "hi"}});
        pair.answer(&asked, reply).await;
        assert_eq!(text(&pair.message().await["result"]), "hi");
        pair.call(2, "transfer", json!({"amount": 1})).await;
        let next = pair.message().await;
        assert_eq!(next["method"] == "elicitation/create", elicits, "{next}");
        match elicits {
            false => assert!(text(&next["result"]).contains("elicitation"), "{next}"),
            true => {
                assert_eq!(next["params"]["mode"], Value::Null, "no modes yet");
                pair.answer(&next, json!({"action": "decline"})).await;
                assert_eq!(text(&pair.message().await["result"]), "1: decline");
            }
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn changes_come_on_the_stream() {
    let world = World::open().await;
    let mut pair = Pair::open(A, &world.door(), json!({})).await;
    let uri = json!({"uri": "mem://text"});
    assert_eq!(
        pair.result(1, "resources/subscribe", uri.clone()).await,
        json!({})
    );
    pair.call(2, "touch", json!({"text": "mem://text"})).await;
    pair.call(3, "change", json!({"text": "added"})).await;
    let mut told = Vec::new();
    while told.len() < 4 {
        let message = pair.message().await;
        let what = message["method"].as_str().map(str::to_owned);
        told.push(what.unwrap_or_else(|| message["id"].to_string()));
    }
    told.sort();
    let methods = ["resources/updated", "tools/list_changed"];
    let [updated, changed] = methods.map(|method| format!("notifications/{method}"));
    assert_eq!(told, ["2", "3", &updated, &changed]);
    drop(pair);
    world.stop().await;
}

#[tokio::test]
async fn a_cancelled_request_gets_no_answer() {
    let world = World::open().await;
    let mut pair = Pair::open(A, &world.door(), json!({})).await;
    pair.call(1, "hold", json!({"gate": "g"})).await;
    world.script.seen("started:g").await;
    pair.notify("notifications/cancelled", json!({"requestId": 1}))
        .await;
    world.script.seen("cancelled:g").await;
    assert_eq!(pair.result(2, "ping", json!({})).await, json!({}));
    drop(pair);
    world.stop().await;
}

/// and the name of the session means nothing any more.
#[tokio::test]
async fn the_end_of_the_stream_cancels_what_runs_and_ends_the_session() {
    let world = World::open().await;
    let pair = Pair::open(A, &world.door(), json!({})).await;
    pair.call(1, "hold", json!({"gate": "g"})).await;
    world.script.seen("started:g").await;
    let message = pair.post(&ping(2));
    drop(pair);
    world.script.seen("cancelled:g").await;
    world
        .node
        .reaches("ostler_session_ended_total", &[("by", "client")], 1.0)
        .await;
    let late = world.door().send(&message).await;
    assert_eq!((late.status, late.code()), (404, -32600));
    let gone = [("kind", "pair"), ("reason", "gone")];
    world
        .node
        .reaches("ostler_edge_streams_ended_total", &gone, 1.0)
        .await;
    world.stop().await;
}

///
#[tokio::test]
async fn messages_name_a_session_that_is_there() {
    let world = World::open().await;
    let door = world.door();
    let pair = Pair::open(A, &door, json!({})).await;
    let to = |target: &str| {
        let mut request = pair.post(&ping(1));
        request.target = target.to_owned();
        request
    };
    let bent = format!("{}x", &pair.uri[..pair.uri.len() - 1]);
    let twice = format!("{}&sessionId=x", pair.uri);
    for (target, status) in [
        ("/messages", 400),
        ("/messages?sessionId", 400),
        (twice.as_str(), 400),
        ("/messages?sessionId=", 404),
        ("/messages?sessionId=never-issued", 404),
        (bent.as_str(), 404),
    ] {
        let refused = door.send(&to(target)).await;
        let told = (refused.status, refused.code());
        assert_eq!(told, (status, -32600), "{target}: {}", refused.text());
    }
    drop(pair);
    world.stop().await;
}

/// Names of one kind of session are unknown to the other.
#[tokio::test]
async fn the_transports_do_not_share_their_sessions() {
    let world = World::open().await;
    let door = world.door();
    let pair = Pair::open(A, &door, json!({})).await;
    let session = Session::open_as(A, &door, json!({})).await;
    let token = pair.uri.rsplit_once('=').unwrap().1.to_owned();
    let crossed = Session {
        id: token,
        ..session.clone()
    };
    assert_eq!(crossed.ask(1, "ping", json!({})).await.status, 404);
    assert_eq!(crossed.listen().await.finish().await.status, 404);
    assert_eq!(crossed.delete().await.status, 404);
    let mut message = pair.post(&ping(1));
    message.target = format!("/messages?sessionId={}", session.id);
    assert_eq!(door.send(&message).await.status, 404);
    drop(pair);
    world.end(session).await;
}

/// [SES-7]: before and after `initialize`.
#[tokio::test]
async fn a_foreign_token_is_an_unknown_one() {
    let world = World::tenants().await;
    let [a1, a2, b1] = world.principals();
    let waiting = Pair::connect(&a1).await;
    let mut open = Pair::open(A, &a1, json!({})).await;
    for door in [&a2, &b1] {
        let own = Pair::connect(door).await;
        let here = own.uri.split_once('=').unwrap().0;
        for (uri, message) in [
            (&waiting.uri, initialize(A)),
            (&waiting.uri, ping(1)),
            (&open.uri, ping(1)),
        ] {
            let token = uri.split_once('=').unwrap().1;
            let mut stolen = own.post(&message);
            stolen.target = format!("{here}={token}");
            let refused = door.send(&stolen).await;
            let mut unknown = own.post(&message);
            unknown.target = format!("{here}={}x", &token[1..]);
            let unknown = door.send(&unknown).await;
            assert_eq!((refused.status, refused.text()), (404, unknown.text()));
        }
    }
    // At another Server of the same tenant.
    let mut elsewhere = open.post(&ping(1));
    elsewhere.target = open.uri.replace("/a/main/", "/a/other/");
    assert_eq!(a1.send(&elsewhere).await.status, 404);
    // Without the credential.
    let bare = open.post(&ping(1)).without("Authorization");
    assert_eq!(a1.send(&bare).await.status, 401, "[A-6]");
    let bare = Pair::get(&a1).without("Authorization");
    assert_eq!(a1.send(&bare).await.status, 401, "[A-6]");
    assert_eq!(open.result(1, "ping", json!({})).await, json!({}));
    drop((waiting, open));
    world.stop().await;
}

#[tokio::test]
async fn initialize_comes_first_and_once() {
    let world = World::open().await;
    let mut pair = Pair::connect(&world.door()).await;
    let mut malformed = initialize(A);
    malformed["params"]["capabilities"] = json!(7);
    for (message, code) in [
        (ping(1), -32600),
        (
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            -32600,
        ),
        (malformed, -32602),
        (json!(7), -32600),
    ] {
        let refused = pair.send(&message).await;
        let told = (refused.status, refused.code());
        assert_eq!(told, (400, code), "{message}: {}", refused.text());
        assert_eq!(refused.json()["id"], message["id"], "[RPC-3]");
    }
    let mut large = initialize(A);
    large["params"]["capabilities"]["experimental"] = json!({"x": "x".repeat(70_000)});
    let refused = pair.send(&large).await;
    assert_eq!((refused.status, refused.code()), (400, -32602));
    // None of this hurts the stream.
    pair.take(&initialize(A)).await;
    let result = pair.message().await;
    assert_eq!(result["result"]["protocolVersion"], A, "{result}");
    let again = pair.send(&initialize(A)).await;
    assert_eq!((again.status, again.code()), (400, -32600));
    assert_eq!(pair.result(1, "ping", json!({})).await, json!({}));
    drop(pair);
    world.stop().await;
}

#[tokio::test]
async fn of_several_initializes_one_opens_the_session() {
    let world = World::open().await;
    let mut pair = Pair::connect(&world.door()).await;
    let hello = initialize(A);
    let sent = tokio::join!(pair.send(&hello), pair.send(&hello), pair.send(&hello));
    let mut statuses: Vec<_> = [sent.0, sent.1, sent.2].map(|sent| sent.status).into();
    statuses.sort_unstable();
    assert_eq!(statuses[0], 202);
    assert!(
        statuses[1..].iter().all(|late| [400, 404].contains(late)),
        "{statuses:?}"
    );
    assert_eq!(pair.message().await["result"]["protocolVersion"], A);
    assert_eq!(pair.result(1, "ping", json!({})).await, json!({}));
    drop(pair);
    world.stop().await;
}

/// What is taken as the stream ends is cancelled with it; what comes later finds nothing.
#[tokio::test]
async fn a_message_that_meets_the_end_of_its_stream_leaves_nothing_behind() {
    let world = World::open().await;
    let door = world.door();
    for round in 0..10 {
        let pair = Pair::open(A, &door, json!({})).await;
        let hold = json!({"name": "hold", "arguments": {"gate": format!("g{round}")}});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": hold});
        let post = pair.post(&call);
        let (sent, ()) = tokio::join!(door.send(&post), async { drop(pair) });
        assert!([202, 404, 503].contains(&sent.status), "{}", sent.text());
    }
    world.node.calls_close().await;
    world.stop().await;
}

/// [LIF-2] over this transport.
#[tokio::test]
async fn a_version_nobody_serves_so_becomes_the_newest_legacy_one() {
    let world = World::open().await;
    for asked in ["2026-07-28", "1999-01-01"] {
        let pair = Pair::open(asked, &world.door(), json!({})).await;
        assert_eq!(pair.initialized["protocolVersion"], "2025-11-25");
    }
    world.stop().await;
}

/// [BAT-1], [A-7].
#[tokio::test]
async fn only_one_revision_has_batches_here_too() {
    let world = World::open().await;
    let batch = json!([ping(1), ping(2)]);
    for version in [A, "2025-06-18", "2025-11-25"] {
        let pair = Pair::open(version, &world.door(), json!({})).await;
        let refused = pair.send(&batch).await;
        assert_eq!((refused.status, refused.code()), (400, -32600), "{version}");
    }
    let mut pair = Pair::open("2025-03-26", &world.door(), json!({})).await;
    pair.take(&batch).await;
    let answers = [pair.message().await, pair.message().await];
    assert_eq!([&answers[0]["id"], &answers[1]["id"]], [1, 2]);
    drop(pair);
    world.stop().await;
}

/// What of a batch was taken is answered on the stream, and so is the rest of it.
#[tokio::test]
async fn a_batch_goes_on_past_what_is_refused_in_it() {
    let world = World::open().await;
    let mut pair = Pair::open("2025-03-26", &world.door(), json!({})).await;
    let request = |id: i32, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method});
    pair.take(&json!([
        request(1, "no/such"),
        request(1, "no/such"),
        ping(2)
    ]))
    .await;
    for id in [1, 1, 2] {
        let message = pair.message().await;
        assert_eq!(message["id"], id, "{message}");
    }
    drop(pair);
    world.stop().await;
}

/// [BAT-8].
#[tokio::test]
async fn each_message_of_a_batch_counts_for_the_rate_here_too() {
    let world = World::with(|config| config.edge.limits.requests_per_second_max = 20).await;
    let pair = Pair::open("2025-03-26", &world.door(), json!({})).await;
    let batch = |len: i32| Value::from((0..len).map(ping).collect::<Vec<_>>());
    let refused = pair.send(&batch(21)).await;
    assert_eq!((refused.status, refused.code()), (400, -32600));
    let mut sent = 0;
    let refused = loop {
        let response = pair.send(&batch(15)).await;
        sent += 1;
        match response.status {
            202 => assert!(sent < 20, "nothing is refused"),
            _ => break response,
        }
    };
    assert_eq!((refused.status, refused.code()), (429, -31001));
    drop(pair);
    world.stop().await;
}

/// Who never says `initialize` does not keep a stream; who has said it does, however silent.
#[tokio::test]
async fn a_stream_that_is_not_initialized_in_time_ends() {
    let wait = |config: &mut ostler_node::Config| {
        config.edge.initialize_timeout = Duration::from_secs(2);
    };
    let world = World::with(wait).await;
    let mut open = Pair::open(A, &world.door(), json!({})).await;
    let mut silent = Pair::connect(&world.door()).await;
    assert_eq!(silent.live.event().await, None);
    let late = silent.send(&initialize(A)).await;
    assert_eq!((late.status, late.code()), (404, -32600));
    assert_eq!(open.result(1, "ping", json!({})).await, json!({}));
    drop(open);
    world.stop().await;
}

/// [SSE-11].
#[tokio::test]
async fn a_stream_is_kept_alive_while_it_waits_for_initialize() {
    let soon = |config: &mut ostler_node::Config| {
        config.edge.keep_alive = Duration::from_millis(50);
        config.edge.initialize_timeout = Duration::from_secs(2);
    };
    let world = World::with(soon).await;
    let door = world.door();
    let waited = door.open(&Pair::get(&door)).await.finish().await;
    let (endpoint, after) = waited.text().split_once("\n\n").expect("an event");
    assert!(endpoint.starts_with("event: endpoint"), "{endpoint}");
    assert!(after.starts_with(": ka\n"), "{after}");
    world.stop().await;
}

/// What is checked on every endpoint, and what each takes.
#[tokio::test]
async fn the_door_is_as_narrow_here_as_elsewhere() {
    let world = World::open().await;
    let door = world.door();
    let pair = Pair::open(A, &door, json!({})).await;
    let (get, post) = (Pair::get(&door), pair.post(&ping(1)));
    let with_method = |request: &Request, method: &str| Request {
        method: method.to_owned(),
        ..request.clone()
    };
    let evil = "http://evil.example";
    let rows = [
        ("origin", get.clone().also("Origin", evil), 403),
        ("origin", post.clone().also("Origin", evil), 403),
        ("host", get.clone().header("Host", "evil.example"), 421),
        ("host", post.clone().header("Host", "evil.example"), 421),
        (
            "accept",
            get.clone().header("Accept", "application/json"),
            406,
        ),
        (
            "type",
            post.clone().header("Content-Type", "text/plain"),
            415,
        ),
        ("json", post.clone().body("{x"), 400),
        ("size", post.clone().also("Content-Length", "5242880"), 413),
        ("POST to the stream", with_method(&get, "POST"), 405),
        ("DELETE of the stream", with_method(&get, "DELETE"), 405),
        (
            "GET of messages",
            with_method(&post.clone().body(""), "GET"),
            405,
        ),
        ("DELETE of messages", with_method(&post, "DELETE"), 405),
    ];
    for (about, request, status) in rows {
        let refused = door.send(&request).await;
        assert_eq!(refused.status, status, "{about}: {}", refused.text());
        if status == 405 {
            let allowed = refused.header("allow").unwrap();
            assert!(!allowed.contains(&request.method), "{about}: {allowed}");
        }
    }
    drop(pair);
    world.stop().await;
}

/// An id that is in flight is refused on the stream, as everything is that was taken.
#[tokio::test]
async fn an_id_in_flight_is_refused_on_the_stream() {
    let world = World::open().await;
    let mut pair = Pair::open(A, &world.door(), json!({})).await;
    pair.call(1, "hold", json!({"gate": "g"})).await;
    world.script.seen("started:g").await;
    pair.call(1, "echo", json!({"text": "x"})).await;
    assert_eq!(pair.message().await["error"]["code"], -32600);
    world.script.open("g");
    assert_eq!(text(&pair.message().await["result"]), "passed g");
    drop(pair);
    world.stop().await;
}

#[tokio::test]
async fn open_streams_of_a_principal_are_bounded() {
    let world = World::with(|config| config.edge.limits.listens_per_principal_max = 2).await;
    let door = world.door();
    let _first = Pair::connect(&door).await;
    let second = Pair::open(A, &door, json!({})).await;
    let third = door.send(&Pair::get(&door)).await;
    assert_eq!((third.status, third.code()), (429, -31012));
    drop(second);
    let gone = [("kind", "pair"), ("reason", "gone")];
    world
        .node
        .reaches("ostler_edge_streams_ended_total", &gone, 1.0)
        .await;
    let _third = Pair::connect(&door).await;
    world.node.end().await;
}

/// Far more than what may wait for a reader, and than what the sockets hold.
#[tokio::test]
async fn a_burst_of_large_results_ends_no_session() {
    let world = World::open().await;
    let mut pair = Pair::open(A, &world.door(), json!({})).await;
    for id in 1..=30 {
        pair.call(id, "big", json!({"count": 900_000})).await;
    }
    let mut ids = Vec::new();
    for _ in 1..=30 {
        ids.extend(pair.message().await["id"].as_i64());
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=30).collect::<Vec<_>>());
    assert_eq!(pair.result(31, "ping", json!({})).await, json!({}));
    drop(pair);
    world.stop().await;
}

/// A node that stops lets what runs end, then closes the streams.
#[tokio::test]
async fn a_draining_node_ends_the_streams_with_their_calls() {
    let world = World::open().await;
    let door = world.door();
    let mut waiting = Pair::connect(&door).await;
    let mut idle = Pair::open(A, &door, json!({})).await;
    let mut busy = Pair::open(A, &door, json!({})).await;
    busy.call(1, "hold", json!({"gate": "g"})).await;
    world.script.seen("started:g").await;
    let script = world.script.clone();
    let clients = async {
        assert_eq!(waiting.live.event().await, None);
        assert_eq!(idle.live.event().await, None);
        script.open("g");
        let last = busy.message().await;
        assert_eq!(text(&last["result"]), "passed g");
        assert_eq!(busy.live.event().await, None);
    };
    tokio::join!(world.node.end(), clients);
    assert_eq!(script.count("cancelled:g"), 0);
}
