//! Modern requests: streams, rounds of questions, listening.

use std::sync::atomic::{AtomicBool, Ordering};

use ostler_client::{
    Answer, Client, EraChoice, Error, Filter, ListKind, Notice, Request, object, parse,
};
use ostler_env::Env;
use ostler_testkit::{Replay, Stub, soon};
use serde_json::{Value, json};

use crate::world::{
    Ear, at, call, connect, event, fixed, form, modern, nameless, ok, options, result, run,
};

fn done(text: &str) -> Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
}

#[tokio::test]
async fn news_comes_before_the_result_of_a_stream() {
    let stub = modern(|seen| {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": 2, "progress": 1, "total": 2, "message": "half"}});
        let log = json!({"jsonrpc": "2.0", "method": "notifications/message",
            "params": {"level": "info", "data": "hello"}});
        let result = result(seen, done("yes"));
        let pieces = [progress, log, result].map(|message| format!(": ka\n\ndata: {message}\n\n"));
        Replay::stream(&pieces.each_ref().map(String::as_str))
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    assert_eq!(
        run(&client, &call("t"), &mut ear).await.unwrap(),
        done("yes")
    );
    let [Notice::Progress { progress, .. }, Notice::Log { level, .. }] = &ear.notices[..] else {
        panic!("{:?}", ear.notices);
    };
    assert_eq!((*progress, level.as_str()), (1.0, "info"));
}

/// It was started anew as another one, which asks for a session. One that is still there dislikes
/// the request.
#[tokio::test]
async fn a_server_that_speaks_the_other_era_by_now_is_gone() {
    for is_other in [true, false] {
        let discovered = AtomicBool::new(false);
        let stub = Stub::start(move |seen| match seen.about().as_str() {
            "server/discover" if !(discovered.swap(true, Ordering::SeqCst) && is_other) => {
                let facts = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                    "ttlMs": 0, "cacheScope": "private", "capabilities": {"tools": {}}});
                ok(seen, facts)
            }
            _ => nameless(400, -32000),
        })
        .await;
        let client = connect(&stub, EraChoice::Auto).await.unwrap();
        match run(&client, &call("t"), &mut Ear::new()).await {
            Err(Error::SessionGone) => assert!(is_other),
            Err(Error::Rpc(error)) => assert!(!is_other, "{error:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_no_result() {
    for cut in [true, false] {
        let stub = modern(move |_| {
            let stream = Replay::stream(&[": ka\n\n"]);
            if cut { stream.cut() } else { stream }
        })
        .await;
        let client = connect(&stub, EraChoice::Auto).await.unwrap();
        let broken = run(&client, &call("t"), &mut Ear::new()).await;
        assert!(matches!(broken, Err(Error::Broken { .. })), "{broken:?}");
    }
}

#[tokio::test]
async fn rounds_of_questions_are_answered_with_the_state_as_it_came() {
    let stub = modern(|seen| {
        let params = &seen.json()["params"];
        let ask = |state: &str, key: &str| {
            let request = json!({"method": "elicitation/create", "params": form()});
            json!({"resultType": "input_required", "inputRequests": {key: request}, "requestState": state})
        };
        ok(seen, match params["requestState"].as_str() {
            None => ask("s/1", "first"),
            Some("s/1") => ask("s/2", "second"),
            Some(_) => done(&params["inputResponses"].to_string()),
        })
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    let answered = run(&client, &call("t"), &mut ear).await.unwrap();
    let expected = r#"{"second":{"action":"accept","content":{"name":"Ada"}}}"#;
    assert_eq!(answered["content"][0]["text"], expected);
    assert_eq!(ear.asks.len(), 2);
    // Each retry is a whole request of its own [MR-4].
    let calls = stub.seen();
    let ids: Vec<_> = calls[1..]
        .iter()
        .map(|seen| seen.json()["id"].clone())
        .collect();
    assert_eq!(ids, [json!(2), json!(3), json!(4)]);
    assert!(
        calls[1..]
            .iter()
            .all(|seen| seen.json()["params"]["name"] == "t")
    );
    assert!(
        calls[1..]
            .iter()
            .all(|seen| seen.header("mcp-name") == Some("t"))
    );
}

#[tokio::test]
async fn what_is_not_answered_ends_the_request() {
    let ask = |method: &'static str| {
        let request = json!({"method": method, "params": form()});
        json!({"resultType": "input_required", "inputRequests": {"k": request}})
    };
    let stub = modern(move |seen| ok(seen, ask("elicitation/create"))).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    // Without end: each round is answered, and asked again.
    let endless = run(&client, &call("t"), &mut ear).await;
    assert!(matches!(endless, Err(Error::Protocol(_))), "{endless:?}");
    assert_eq!(ear.asks.len(), 16);
    ear.answer = Answer::Refused;
    let refused = run(&client, &call("t"), &mut ear).await;
    assert_eq!(refused, Err(Error::Unanswered("elicitation/create")));
    // Nobody is asked what was not declared.
    let stub = modern(move |seen| ok(seen, ask("sampling/createMessage"))).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    let undeclared = run(&client, &call("t"), &mut ear).await;
    assert!(matches!(undeclared, Err(Error::Protocol(_))) && ear.asks.is_empty());
}

#[tokio::test]
async fn annotated_arguments_go_along_as_headers() {
    let stub = modern(|seen| ok(seen, done("x"))).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let tool =
        r#"{"name":"t","inputSchema":{"properties":{"to":{"type":"string","x-mcp-header":"To"}}}}"#;
    let request = Request::Call {
        name: "t".to_owned(),
        arguments: parse(r#"{"to":"grün"}"#).unwrap(),
        tool: Some(parse(tool).unwrap()),
    };
    run(&client, &request, &mut Ear::new()).await.unwrap();
    assert_eq!(
        stub.seen()[1].header("mcp-param-to"),
        Some("=?base64?Z3LDvG4=?=")
    );
}

#[tokio::test]
async fn what_is_too_large_is_not_held() {
    let text = "x".repeat(70 << 10);
    let stub = modern(move |seen| ok(seen, done(&text))).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let large = run(&client, &call("t"), &mut Ear::new()).await;
    assert!(matches!(large, Err(Error::Protocol(_))), "{large:?}");
}

#[tokio::test]
async fn a_listen_hears_changes_and_begins_anew_when_its_stream_ends() {
    let stub = modern(|seen| {
        let filter = &seen.json()["params"]["notifications"];
        assert_eq!(
            *filter,
            json!({"toolsListChanged": true, "resourceSubscriptions": ["a:b"]})
        );
        let note = |method: &str, params: Value| {
            let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
            format!("data: {message}\n\n")
        };
        let pieces = [
            note("notifications/subscriptions/acknowledged", json!({})),
            note("notifications/tools/list_changed", json!({})),
            note("notifications/resources/updated", json!({"uri": "a:b"})),
        ];
        Replay::stream(&pieces.each_ref().map(String::as_str)).cut()
    })
    .await;
    let (options, stopper) = options(EraChoice::Auto);
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await
    .unwrap();
    let mut ear = Counting {
        ear: Ear::new(),
        stopper,
    };
    let filter = Filter {
        uris: vec!["a:b".to_owned()],
    };
    let heard = soon("the end", client.listen(fixed(&filter), &mut ear)).await;
    assert_eq!(heard, Err(Error::Stopped));
    let once = [
        Notice::Listening,
        Notice::Changed(ListKind::Tools),
        Notice::Updated {
            uri: "a:b".to_owned(),
        },
    ];
    assert_eq!(ear.ear.notices, [once.clone(), once].concat());
}

/// Has enough after six notices.
struct Counting {
    ear: Ear,
    stopper: ostler_client::Stopper,
}

impl ostler_client::Host for Counting {
    fn notice(&mut self, notice: Notice) {
        if self.ear.notices.len() < 6 {
            self.ear.notices.push(notice);
        }
        if self.ear.notices.len() == 6 {
            self.stopper.stop();
        }
    }

    fn answer(&mut self, ask: ostler_client::Ask, _: Option<&str>) -> ostler_client::Answering {
        self.ear.answer(ask, None)
    }
}

#[tokio::test]
async fn numbers_pass_as_they_are() {
    let stub = modern(|seen| {
        let body = seen.json();
        assert!(String::from_utf8_lossy(&seen.body).contains("12345678901234567890123.5"));
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","n":1.000000000000000000001}}}}"#,
            body["id"]
        );
        Replay::stream(&[&format!("data: {text}\n\n")])
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let number = parse("12345678901234567890123.5").unwrap();
    let request = Request::Call {
        name: "t".to_owned(),
        arguments: object([("n", number)]),
        tool: None,
    };
    let result = soon("a result", client.run(&request, &mut Ear::new()))
        .await
        .unwrap();
    assert!(result.as_str().contains("1.000000000000000000001"));
}

#[tokio::test]
async fn ids_and_priming_events_of_a_confused_server_do_no_harm() {
    let stub = modern(|seen| {
        let result = event("9", &result(seen, done("yes")));
        Replay::stream(&["id: 1\ndata: \n\n", &result])
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    assert_eq!(
        run(&client, &call("t"), &mut Ear::new()).await.unwrap(),
        done("yes")
    );
}

#[tokio::test]
async fn a_tool_whose_mirrored_arguments_break_the_rules_is_left_out() {
    let stub = modern(|seen| {
        let bad = json!({"properties": {"a": {"type": "number", "x-mcp-header": "A"}}});
        let tools =
            json!([{"name": "good", "inputSchema": {}}, {"name": "bad", "inputSchema": bad}]);
        ok(seen, json!({"resultType": "complete", "tools": tools}))
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let mut ear = Ear::new();
    let tools = soon("tools", client.list(ListKind::Tools, &mut ear)).await;
    assert_eq!(tools.unwrap().len(), 1);
    let [Notice::Dropped { tool, .. }] = &ear.notices[..] else {
        panic!("{:?}", ear.notices);
    };
    assert_eq!(tool, "bad");
}

#[tokio::test]
async fn coming_again_is_no_round_of_questions() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let stub = modern(
        move |seen| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            20.. => ok(seen, done("yes")),
            n => ok(
                seen,
                json!({"resultType": "input_required", "requestState": n.to_string()}),
            ),
        },
    )
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let ended = run(&client, &call("t"), &mut Ear::new()).await;
    assert_eq!(ended, Ok(done("yes")));
    let endless = modern(|seen| {
        ok(
            seen,
            json!({"resultType": "input_required", "requestState": "s"}),
        )
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Auto);
    options.limits.polls_max = 4;
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&endless), options),
    )
    .await;
    let ended = run(&client.unwrap(), &call("t"), &mut Ear::new()).await;
    assert!(matches!(ended, Err(Error::Protocol(_))), "{ended:?}");
}

#[tokio::test]
async fn a_listen_that_is_not_acknowledged_is_none() {
    let stub = modern(|seen| Replay::stream(&[&event("1", &result(seen, json!({})))])).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let (filter, mut ear) = (Filter::default(), Ear::new());
    let heard = soon("the end", client.listen(fixed(&filter), &mut ear)).await;
    assert!(matches!(heard, Err(Error::Protocol(_))), "{heard:?}");
}

#[tokio::test]
async fn a_list_is_held_within_its_bounds() {
    let stub = modern(|seen| {
        let entries = vec![json!({"name": "x".repeat(100)}); 10];
        let cursor = seen.json()["params"]["cursor"]
            .as_str()
            .unwrap_or_default()
            .len();
        let next = "c".repeat(cursor + 1);
        ok(
            seen,
            json!({"resultType": "complete", "prompts": entries, "nextCursor": next}),
        )
    })
    .await;
    let listed = async |change: fn(&mut ostler_client::Limits)| {
        let (mut options, _stopper) = options(EraChoice::Modern);
        change(&mut options.limits);
        let client = soon(
            "a client",
            Client::connect(Env::system(), &at(&stub), options),
        )
        .await;
        let client = client.unwrap();
        let before = stub.seen().len();
        let listed = soon("an end", client.list(ListKind::Prompts, &mut Ear::new())).await;
        assert!(matches!(listed, Err(Error::Protocol(_))), "{listed:?}");
        stub.seen().len() - before
    };
    assert_eq!(listed(|limits| limits.pages_max = 3).await, 3);
    assert_eq!(listed(|limits| limits.entries_max = 15).await, 2);
    assert_eq!(listed(|limits| limits.list_bytes_max = 3_000).await, 3);
}
