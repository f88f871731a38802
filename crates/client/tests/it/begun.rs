//! Requests that had begun when something failed: nobody may take them for requests that never were.

use ostler_client::{Client, EraChoice, Error, Request};
use ostler_env::Env;
use ostler_testkit::{Replay, Seen, Stub, soon};
use serde_json::{Value, json};

use crate::world::{
    Ear, at, call, call_of, connect, error, event, form, initialized, modern, ok, options, run,
};

/// What a server says that began something and knows nothing of it any more, or of who asks.
const DENIALS: [u16; 4] = [401, 404, 429, 503];

/// How a request ends at a session of a server that goes on like this, and what the server saw.
async fn at_session(
    request: &Request,
    rest: impl Fn(&Seen) -> Replay + Send + Sync + 'static,
) -> (Result<Value, Error>, Vec<String>) {
    let stub = Stub::start(move |seen| match seen.about().as_str() {
        "initialize" => ok(seen, initialized("2025-11-25")).header("Mcp-Session-Id", "s"),
        "notifications/initialized" | "notifications/cancelled" => Replay::status(202),
        _ => rest(seen),
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.abilities.url = true;
    let endpoint = at(&stub);
    let client = Client::connect(Env::system(), &endpoint, options);
    let client = soon("a client", client).await.expect("it connects");
    let ended = run(&client, request, &mut Ear::new()).await;
    (ended, stub.abouts())
}

fn check((ended, abouts): (Result<Value, Error>, Vec<String>), calls: usize, case: &str) {
    assert!(
        matches!(ended, Err(Error::Broken { .. })),
        "{case}: {ended:?}"
    );
    let called = abouts.iter().filter(|about| *about == "tools/call").count();
    assert_eq!(called, calls, "{case}: {abouts:?}");
}

#[tokio::test]
async fn a_call_whose_stream_cannot_be_taken_up_may_have_run() {
    for status in DENIALS {
        let ended = at_session(&call("t"), move |seen| match seen.method.as_str() {
            "GET" => Replay::status(status),
            _ => Replay::stream(&["id: s.0\nretry: 1\ndata: \n\n"]).cut(),
        })
        .await;
        check(ended, 1, &status.to_string());
    }
}

#[tokio::test]
async fn a_call_whose_question_cannot_be_answered_may_have_run() {
    for status in [401, 404, 429] {
        let ended = at_session(&call("t"), move |seen| match seen.about().as_str() {
            "tools/call" => {
                let ask = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create",
                    "params": form()});
                Replay::stream(&[&event("1", &ask)])
            }
            _ => Replay::status(status),
        })
        .await;
        check(ended, 1, &status.to_string());
    }
}

#[tokio::test]
async fn a_call_that_became_a_task_may_have_run() {
    let tool = json!({"name": "slow", "execution": {"taskSupport": "required"}});
    for (status, refused) in [
        (401, "tasks/get"),
        (404, "tasks/get"),
        (429, "tasks/get"),
        (404, "tasks/result"),
    ] {
        let ended = at_session(&call_of(&tool), move |seen| match seen.about().as_str() {
            about if about == refused => Replay::status(status),
            "tools/call" => ok(
                seen,
                json!({"task": {"taskId": "t", "status": "working", "pollInterval": 20}}),
            ),
            "tasks/get" => ok(seen, json!({"taskId": "t", "status": "completed"})),
            _ => Replay::status(404),
        })
        .await;
        check(ended, 1, &format!("{refused} {status}"));
    }
}

#[tokio::test]
async fn a_call_that_is_made_again_after_a_visit_had_begun() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let ended = at_session(&call("t"), move |seen| {
        match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => {
                let url = json!({"mode": "url", "message": "sign in", "url": "https://a.example",
                    "elicitationId": "e"});
                error(seen, 200, -32042, json!({"elicitations": [url]}))
            }
            false => Replay::status(404),
        }
    })
    .await;
    check(ended, 2, "a visit");
}

#[tokio::test]
async fn a_modern_call_had_begun_with_its_first_round() {
    for status in [401, 429] {
        let stub = modern(move |seen| {
            if seen.json()["params"].get("inputResponses").is_some() {
                return Replay::status(status);
            }
            let request = json!({"method": "elicitation/create", "params": form()});
            ok(
                seen,
                json!({"resultType": "input_required", "inputRequests": {"k": request}}),
            )
        })
        .await;
        let client = connect(&stub, EraChoice::Auto).await.unwrap();
        let ended = run(&client, &call("t"), &mut Ear::new()).await;
        check((ended, stub.abouts()), 2, &status.to_string());
    }
}

#[tokio::test]
async fn a_modern_call_that_became_a_task_had_begun() {
    for status in [401, 429] {
        let stub = modern(move |seen| match seen.about().as_str() {
            "tools/call" => ok(
                seen,
                json!({"resultType": "task", "taskId": "t", "status": "working",
                    "ttlMs": null, "pollIntervalMs": 20}),
            ),
            _ => Replay::status(status),
        })
        .await;
        let client = connect(&stub, EraChoice::Auto).await.unwrap();
        let ended = run(&client, &call("t"), &mut Ear::new()).await;
        check((ended, stub.abouts()), 1, &status.to_string());
    }
}

#[tokio::test]
async fn only_a_server_itself_says_that_it_did_not_begin() {
    let busy = |body: fn(&Seen) -> Replay| async move {
        let stub = modern(body).await;
        let client = connect(&stub, EraChoice::Auto).await.unwrap();
        run(&client, &call("t"), &mut Ear::new()).await
    };
    // Proxies say so too, of what they passed on.
    let bare = busy(|_| Replay::status(503)).await;
    assert!(
        matches!(bare, Err(Error::Status { status: 503, .. })),
        "{bare:?}"
    );
    let said = busy(|seen| error(seen, 503, -31002, Value::Null)).await;
    assert!(matches!(said, Err(Error::Busy { .. })), "{said:?}");
    let many = busy(|_| Replay::status(429)).await;
    assert!(matches!(many, Err(Error::Busy { .. })), "{many:?}");
}
