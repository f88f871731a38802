//! The doctor at servers in good and bad health.

use ostler_testkit::{Replay, Script, Stub, TestNode};

use crate::world::{Ran, World, command, finish, run, url};

/// The verdict of each step, the last one where a step has several.
fn verdict(ran: &Ran, step: &str) -> String {
    let steps = ran.lines();
    let found = steps.iter().rfind(|line| line["step"] == step);
    let found = found.unwrap_or_else(|| panic!("no step {step}: {ran:?}"));
    found["verdict"].as_str().expect("a verdict").to_owned()
}

#[tokio::test]
async fn a_healthy_node_passes() {
    let world = World::open().await;
    let ran = world.run(&["doctor"]).await.exits(0);
    assert!(ran.out.contains("0 to look at, 0 failed"), "{ran:?}");
    let ran = world.run(&["doctor", "--json"]).await.exits(0);
    for step in [
        "DNS",
        "TCP",
        "Origin",
        "auth",
        "revisions",
        "lists",
        "buffering",
        "keep-alive",
    ] {
        assert_eq!(verdict(&ran, step), "ok", "{step}");
    }
    assert_eq!(verdict(&ran, "first call"), "skip");
    assert_eq!(ran.line("summary")["fail"], 0);
    world.stop().await;
}

#[tokio::test]
async fn a_closed_port_is_named_with_what_to_do() {
    let ran = run("http://127.0.0.1:1/mcp", &["doctor", "--json"])
        .await
        .exits(6);
    assert_eq!(verdict(&ran, "TCP"), "fail");
    assert!(
        ran.lines().iter().any(|line| line["advice"].is_string()),
        "{ran:?}"
    );
    let ran = run("https://127.0.0.1:1/mcp", &["doctor"]).await.exits(6);
    assert!(ran.out.contains("→ is the server running"), "{ran:?}");
}

#[tokio::test]
async fn a_missing_credential_is_named() {
    let node = TestNode::tenants().await;
    let _worker = node.worker(&Script::new()).await;
    let ran = run(&url(&node), &["doctor", "--json"]).await.exits(3);
    assert_eq!(
        (verdict(&ran, "auth"), verdict(&ran, "credential")),
        ("ok".into(), "fail".into())
    );
    let mut command_ = command(&url(&node), &["doctor", "--json"]);
    command_.env("OSTLER_TOKEN", &node.access.a1);
    let ran = finish(command_).await.exits(0);
    assert_eq!(verdict(&ran, "credential"), "ok");
    assert_eq!(verdict(&ran, "keep-alive"), "ok");
    node.end().await;
}

#[tokio::test]
async fn a_server_that_lets_every_page_in_fails() {
    let stub = Stub::start(|_| Replay::status(400)).await;
    let ran = run(&stub.url("/mcp"), &["doctor", "--json"]).await.exits(5);
    assert_eq!(
        (verdict(&ran, "Origin"), verdict(&ran, "revisions")),
        ("fail".into(), "fail".into())
    );
}

#[tokio::test]
async fn a_server_that_keeps_silent_is_a_finding() {
    let patience = ["doctor", "--json", "--patience", "1"];
    let stub = Stub::start(|_| Replay::silence()).await;
    let ran = run(&stub.url("/mcp"), &patience).await.exits(5);
    assert_eq!(verdict(&ran, "auth"), "fail");
    assert_eq!(ran.line("summary")["fail"], 1);
    // One that lets callers in, but opens no session.
    let stub = Stub::start(|seen| match seen.about().as_str() {
        "server/discover" => Replay::status(400),
        _ => Replay::silence(),
    })
    .await;
    let ran = run(&stub.url("/mcp"), &patience).await.exits(5);
    assert_eq!(verdict(&ran, "revisions"), "fail");
    assert_eq!(ran.line("summary")["fail"], 2, "{ran:?}");
}

#[tokio::test]
async fn what_was_found_is_told_though_it_takes_too_long() {
    let stub = Stub::start(|_| Replay::silence()).await;
    let arguments = ["doctor", "--json", "--timeout", "1"];
    let ran = run(&stub.url("/mcp"), &arguments).await.exits(8);
    assert_eq!(verdict(&ran, "TCP"), "ok");
    assert_eq!(ran.line("summary")["ok"], 2, "{ran:?}");
}

#[tokio::test]
async fn a_status_of_whatever_stands_before_it_says_nothing() {
    for status in [302, 500, 502] {
        let stub = Stub::start(move |_| Replay::status(status)).await;
        let mut token = command(&stub.url("/mcp"), &["doctor", "--json"]);
        token.env("OSTLER_TOKEN", "t");
        let ran = finish(token).await;
        for step in ["Origin", "auth", "credential"] {
            assert_eq!(verdict(&ran, step), "skip", "{step}: {ran:?}");
        }
    }
}
