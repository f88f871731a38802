//! Legacy servers on a pipe: beginning, many requests at once, and the end.

use ostler_client::{Client, EraChoice, Error, ListKind, Notice};
use ostler_env::Env;
use ostler_protocol::Revision;
use ostler_testkit::soon;
use serde_json::{Value, json};

use crate::{
    far::{discovered, legacy, modern, over, pipe},
    world::{Ear, call, call_of, initialized, options, run},
};

fn done(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

#[tokio::test]
async fn a_server_that_does_not_know_discover_is_legacy() {
    let (pipe, mut far) = pipe();
    let serving = async {
        let discover = far.hear("server/discover").await;
        far.error(&discover, -32602).await;
        far.open_legacy("2025-06-18").await;
    };
    let (client, ()) = tokio::join!(over(pipe, EraChoice::Auto), serving);
    let client = client.unwrap();
    assert_eq!(client.facts().revision, Revision::V2025_06_18);
    assert!(!client.facts().is_pair);
    soon("the end", async {
        tokio::join!(client.close(), far.next())
    })
    .await;
}

#[tokio::test]
async fn silence_leads_to_the_legacy_era_and_a_late_answer_back() {
    for is_late in [false, true] {
        let (pipe, mut far) = pipe();
        let serving = async {
            let discover = far.hear("server/discover").await;
            let initialize = far.hear("initialize").await;
            match is_late {
                true => far.result(&discover, discovered()).await,
                false => far.result(&initialize, initialized("2025-11-25")).await,
            }
            far
        };
        let (mut options, _) = options(EraChoice::Auto);
        options.limits.probe_max = std::time::Duration::from_millis(1);
        let connecting = Client::over(Env::system(), pipe, options);
        let (client, _far) = soon("both", async { tokio::join!(connecting, serving) }).await;
        let revision = client.unwrap().facts().revision;
        let expected = match is_late {
            true => Revision::LATEST_MODERN,
            false => Revision::LATEST_LEGACY,
        };
        assert_eq!(revision, expected);
    }
}

#[tokio::test]
async fn requests_at_once_get_their_own_news_and_results() {
    let (client, mut far) = legacy("2025-11-25").await;
    let (mut one, mut two) = (Ear::new(), Ear::new());
    let (first, second) = (call("one"), call("two"));
    let serving = async {
        let (a, b) = (far.hear("tools/call").await, far.hear("tools/call").await);
        for asked in [&b, &a] {
            let token = &asked["params"]["_meta"]["progressToken"];
            let params = json!({"progressToken": token, "progress": 1,
                "message": asked["params"]["name"]});
            far.note("notifications/progress", params).await;
        }
        for asked in [&b, &a] {
            let name = asked["params"]["name"].as_str().unwrap();
            far.result(asked, done(name)).await;
        }
    };
    let (ran_one, ran_two, ()) = tokio::join!(
        run(&client, &first, &mut one),
        run(&client, &second, &mut two),
        serving
    );
    for (name, ran, ear) in [("one", ran_one, one), ("two", ran_two, two)] {
        assert_eq!(ran.unwrap(), done(name));
        let [Notice::Progress { message, .. }] = &ear.notices[..] else {
            panic!("{:?}", ear.notices);
        };
        assert_eq!(message.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn what_is_no_message_is_skipped_up_to_a_bound() {
    let (pipe, mut far) = pipe();
    let (mut options, _) = options(EraChoice::Legacy);
    options.limits.garbage_max = 2;
    let opening = async {
        far.write("Starting server...\n\r\n{\"level\":\"info\"}\n")
            .await;
        far.open_legacy("2025-06-18").await;
    };
    let connecting = Client::over(Env::system(), pipe, options);
    let (client, ()) = soon("both", async { tokio::join!(connecting, opening) }).await;
    let client = client.unwrap();
    far.write("1\n2\n3\n").await;
    assert_eq!(
        soon("the end", client.gone()).await,
        "what the server writes is no MCP"
    );
}

#[tokio::test]
async fn a_line_without_end_breaks_the_pipe() {
    let (client, mut far) = legacy("2025-06-18").await;
    let endless = "x".repeat(80 << 10);
    let (gone, ()) = soon("the end", async {
        tokio::join!(client.gone(), far.write(&endless))
    })
    .await;
    assert!(gone.contains("a line of more than 65536 bytes"), "{gone}");
}

#[tokio::test]
async fn a_server_that_answers_anything_to_a_ping_is_there() {
    for (is_modern, method) in [(false, "ping"), (true, "server/discover")] {
        let (client, mut far) = match is_modern {
            true => modern().await,
            false => legacy("2025-06-18").await,
        };
        let serving = async {
            let ping = far.hear(method).await;
            far.result(&ping, pong(is_modern)).await;
            let ping = far.hear(method).await;
            far.error(&ping, -32601).await;
            far.hear(method).await;
            drop(far);
        };
        let pinging = async {
            [
                client.ping().await,
                client.ping().await,
                client.ping().await,
            ]
        };
        let (pongs, ()) = soon("the end", async { tokio::join!(pinging, serving) }).await;
        let [Ok(()), Ok(()), Err(Error::Broken { .. })] = pongs else {
            panic!("{pongs:?}");
        };
    }
}

fn pong(is_modern: bool) -> Value {
    match is_modern {
        true => discovered(),
        false => json!({}),
    }
}

#[tokio::test]
async fn a_dead_pipe_ends_what_was_sent_and_takes_nothing_more() {
    let (client, mut far) = legacy("2025-06-18").await;
    let dying = async {
        far.hear("tools/call").await;
        drop(far);
    };
    let (call, mut ear) = (call("t"), Ear::new());
    let (ended, ()) = tokio::join!(run(&client, &call, &mut ear), dying);
    assert!(matches!(ended, Err(Error::Broken { .. })), "{ended:?}");
    soon("the end", client.gone()).await;
    let ended = run(&client, &call, &mut ear).await;
    assert!(matches!(ended, Err(Error::NotSent { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_by_its_id() {
    let (client, mut far) = legacy("2025-06-18").await;
    let (call, mut ear) = (call("t"), Ear::new());
    let asked = tokio::select! {
        asked = far.hear("tools/call") => asked,
        ended = client.run(&call, &mut ear) => panic!("{ended:?}"),
    };
    let cancelled = far.hear("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], asked["id"]);
    // The late response is nobody's, and harms nobody.
    far.result(&asked, done("late")).await;
    let listing = async {
        let list = far.hear("tools/list").await;
        far.result(&list, json!({"tools": []})).await;
    };
    let mut ear = Ear::new();
    let (listed, ()) = tokio::join!(client.list(ListKind::Tools, &mut ear), listing);
    assert_eq!(listed.unwrap(), []);
}

#[tokio::test]
async fn a_server_that_does_not_read_holds_up_nobody_for_ever() {
    let (client, mut far) = legacy("2025-06-18").await;
    // It asks without end and reads no answer: what waits for it is bounded.
    let asking = async {
        for id in 0..100_000 {
            far.ask(id, "ping", json!({})).await;
        }
    };
    let gone = soon("the end", async {
        tokio::select! {
            gone = client.gone() => gone,
            () = asking => panic!("it is never too much"),
        }
    })
    .await;
    assert_eq!(gone, "the server asks and does not read");
}

#[tokio::test]
async fn closing_ends_the_servers_input_after_the_last_word() {
    let (client, mut far) = legacy("2025-06-18").await;
    let (call, mut ear) = (call("t"), Ear::new());
    tokio::select! {
        _ = far.hear("tools/call") => {}
        ended = client.run(&call, &mut ear) => panic!("{ended:?}"),
    }
    let hearing = async {
        far.hear("notifications/cancelled").await;
        assert_eq!(far.next().await, None);
    };
    soon("the end", async { tokio::join!(client.close(), hearing) }).await;
}

/// Progress of a task comes between two looks at it; on a pipe nothing else would be there for it.
#[tokio::test]
async fn a_task_is_heard_between_two_looks_at_it() {
    let (client, mut far) = legacy("2025-11-25").await;
    let tool = json!({"name": "t", "execution": {"taskSupport": "required"}});
    let (call, mut ear) = (call_of(&tool), Ear::new());
    let task = |status: &str| {
        json!({"taskId": "t-1", "status": status, "pollInterval": 20,
        "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": null})
    };
    let serving = async {
        let asked = far.hear("tools/call").await;
        let token = &asked["params"]["_meta"]["progressToken"];
        far.result(&asked, json!({"task": task("working")})).await;
        let params = json!({"progressToken": token, "progress": 1});
        far.note("notifications/progress", params).await;
        let look = far.hear("tasks/get").await;
        far.result(&look, task("completed")).await;
        let fetch = far.hear("tasks/result").await;
        let params = json!({"progressToken": token, "progress": 2});
        far.note("notifications/progress", params).await;
        far.result(&fetch, done("late")).await;
    };
    let (ran, ()) = tokio::join!(run(&client, &call, &mut ear), serving);
    assert_eq!(ran.unwrap(), done("late"));
    let progress = ear.notices.iter().filter_map(|notice| match notice {
        Notice::Progress { progress, .. } => Some(*progress),
        _ => None,
    });
    assert_eq!(progress.collect::<Vec<_>>(), [1.0, 2.0]);
}
