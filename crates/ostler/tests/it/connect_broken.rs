//! `ostler connect` at a remote whose every byte is settled: what is lost, refused, or never answered.

use std::sync::atomic::{AtomicUsize, Ordering};

use ostler_testkit::{Modern, Replay, Seen, Stub, until};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use crate::host::{Host, call, request};

/// A server with a session.
async fn legacy_stub(rest: impl Fn(&Seen) -> Replay + Send + Sync + 'static) -> Stub {
    Stub::start(move |seen| match seen.about().as_str() {
        "initialize" => {
            let result =
                json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}});
            let answer = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
            Replay::json(200, &answer).header("Mcp-Session-Id", "s-1")
        }
        "notifications/initialized" => Replay::status(202),
        _ => rest(seen),
    })
    .await
}

#[tokio::test]
async fn the_session_is_ended_however_the_host_ends() {
    for is_signal in [false, true] {
        let stub = legacy_stub(|seen| match seen.method.as_str() {
            "DELETE" => Replay::status(204),
            _ => Replay::silence(),
        })
        .await;
        let mut host = Host::open(&stub.url("/mcp"), "2025-11-25", json!({})).await;
        host.send(&call(1, "never", json!({}))).await;
        until("the call", || {
            stub.abouts()
                .contains(&"tools/call".to_owned())
                .then_some(())
        })
        .await;
        match is_signal {
            true => {
                let id = host.process.id().expect("it runs").to_string();
                let mut kill = tokio::process::Command::new("kill");
                let sent = kill.args(["-TERM", &id]).status().await;
                assert!(sent.expect("kill is there").success());
                let (code, err) = host.ended().await;
                assert_eq!(code, Some(0), "{err}");
            }
            false => drop(host.close().await),
        }
        let goodbye = stub.seen().pop().expect("a goodbye");
        assert_eq!(goodbye.about(), "DELETE");
        assert_eq!(goodbye.header("mcp-session-id"), Some("s-1"));
        assert_eq!(goodbye.header("mcp-protocol-version"), Some("2025-11-25"));
    }
}

/// Tells a host that a call may have run, and sends it once.
async fn check_lost(name: &str, rest: fn(&Seen) -> Replay) {
    let stub = legacy_stub(rest).await;
    let mut host = Host::open(&stub.url("/mcp"), "2025-11-25", json!({})).await;
    let lost = host.ask(call(1, "t", json!({}))).await;
    assert_eq!(lost["error"]["code"], -31003, "{name}: {lost}");
    assert_eq!(lost["error"]["data"]["executed"], "unknown", "{name}");
    let said = lost["error"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("may have been done"), "{name}: {lost}");
    let calls = |about: &&String| *about == "tools/call";
    assert_eq!(stub.abouts().iter().filter(calls).count(), 1, "{name}");
    host.close().await;
}

/// An answer that breaks off, with a place to take it up again; what comes of that is the status.
fn broken_off(seen: &Seen, status: u16) -> Replay {
    match (seen.method.as_str(), seen.header("last-event-id")) {
        ("POST", _) => Replay::stream(&["id: 1\nretry: 1\ndata: \n\n"]).cut(),
        (_, Some(_)) => Replay::status(status),
        (_, None) => Replay::status(405),
    }
}

fn answered(seen: &Seen, replay: Replay) -> Replay {
    match seen.method.as_str() {
        "POST" => replay,
        _ => Replay::status(405),
    }
}

#[tokio::test]
async fn a_call_that_may_have_run_is_not_sent_again() {
    check_lost("cut", |seen| {
        answered(seen, Replay::stream(&[": ka\n\n"]).cut())
    })
    .await;
    check_lost("500", |seen| answered(seen, Replay::status(500))).await;
    check_lost("502", |seen| answered(seen, Replay::status(502))).await;
    check_lost("503", |seen| answered(seen, Replay::status(503))).await;
    check_lost("504", |seen| answered(seen, Replay::status(504))).await;
    check_lost("no message", |seen| {
        answered(seen, Replay::json(200, &json!(["nothing"])))
    })
    .await;
    check_lost("nothing", |seen| answered(seen, Replay::status(202))).await;
}

#[tokio::test]
async fn a_call_whose_rest_is_refused_may_have_run() {
    check_lost("400", |seen| broken_off(seen, 400)).await;
    check_lost("401", |seen| broken_off(seen, 401)).await;
    check_lost("404", |seen| broken_off(seen, 404)).await;
    check_lost("405", |seen| broken_off(seen, 405)).await;
}

#[tokio::test]
async fn what_the_remote_waits_for_does_not_wait_behind_a_notification() {
    let (hold, held) = mpsc::channel(1);
    let question = request("q", "roots/list", json!({}));
    hold.try_send(format!("data: {question}\n\n"))
        .expect("room");
    let held = Mutex::new(Some(held));
    let stub = legacy_stub(
        move |seen| match (seen.about().as_str(), held.lock().take()) {
            ("GET", Some(held)) => Replay::fed(held),
            // It would take this on if it had its answer.
            ("notifications/roots/list_changed", _) => Replay::silence(),
            _ => Replay::status(202),
        },
    )
    .await;
    let roots = json!({"roots": {"listChanged": true}});
    let mut host = Host::open(&stub.url("/mcp"), "2025-11-25", roots).await;
    let asked = host.told("roots/list").await;
    let seen = async |about: &str| {
        let is_there = || stub.abouts().iter().any(|seen| seen == about).then_some(());
        until(about, is_there).await;
    };
    for _ in 0..3 {
        host.notify("notifications/roots/list_changed", json!({}))
            .await;
    }
    seen("notifications/roots/list_changed").await;
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": []}});
    host.send(&answer).await;
    host.notify("notifications/cancelled", json!({"requestId": 9}))
        .await;
    seen("response").await;
    seen("notifications/cancelled").await;
    drop(hold);
    host.close().await;
}

#[tokio::test]
async fn a_call_whose_headers_cannot_be_learned_did_not_run() {
    let stub = Stub::start(|seen| match seen.about().as_str() {
        "tools/call" => {
            let error = json!({"code": -32020, "message": "a header is missing"});
            let answer = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error});
            Replay::json(400, &answer)
        }
        _ => Replay::status(500),
    })
    .await;
    let mut host = Host::start(&stub.url("/mcp"));
    let refused = host.ask(Modern::call("t", json!({})).message()).await;
    assert_eq!(refused["error"]["code"], -32020, "{refused}");
    let log = host.close().await;
    assert!(log.contains("the headers of a tool"), "{log}");
}

/// As the examples of libraries say it after a restart.
#[tokio::test]
async fn a_session_that_is_called_a_bad_request_is_opened_anew() {
    let opened = AtomicUsize::new(0);
    let stub = Stub::start(move |seen| match seen.about().as_str() {
        "initialize" => {
            let number = opened.fetch_add(1, Ordering::SeqCst);
            let result =
                json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}});
            let answer = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
            Replay::json(200, &answer).header("Mcp-Session-Id", &format!("s-{number}"))
        }
        "notifications/initialized" => Replay::status(202),
        "GET" => Replay::status(405),
        _ if seen.header("mcp-session-id") == Some("s-0") => {
            let error = json!({"code": -32000, "message": "no such session"});
            Replay::json(400, &json!({"jsonrpc": "2.0", "id": null, "error": error}))
        }
        _ => Replay::json(
            200,
            &json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": {"content": []}}),
        ),
    })
    .await;
    let mut host = Host::open(&stub.url("/mcp"), "2025-11-25", json!({})).await;
    let done = host.ask(call(1, "t", json!({}))).await;
    assert_eq!(done["result"], json!({"content": []}), "{done}");
    host.close().await;
}
