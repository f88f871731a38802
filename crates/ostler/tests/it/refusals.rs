//! What cannot be done, and how a script learns of it.

use std::io::Write;

use ostler_testkit::{Script, TestNode, soon};

use crate::world::{World, command, finish, run, url};

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let world = World::open().await;
    for era in ["modern", "legacy"] {
        for arguments in [["call", "nope"], ["read", "test://nope"], ["get", "nope"]] {
            let ran = world
                .run(&[&arguments[..], &["--era", era]].concat())
                .await
                .exits(4);
            assert!(!ran.err.is_empty() && ran.out.is_empty(), "{ran:?}");
        }
    }
    let nowhere = format!("http://{}/nowhere", world.node.edge);
    run(&nowhere, &["list"]).await.exits(4);
    let ran = run(&nowhere, &["list", "--json"]).await.exits(4);
    let error = ran.line("error");
    assert_eq!(
        (&error["exit"], &error["kind"]),
        (&4.into(), &"not_found".into())
    );
    world.stop().await;
}

#[tokio::test]
async fn wrong_use_is_said_before_anything_is_sent() {
    let nobody = "http://127.0.0.1:1/mcp";
    for arguments in [
        &["call"][..],
        &["call", "t", "novalue"],
        &["list", "--revision", "2025-01-01"],
        &["list", "--era", "stone"],
        &["call", "t", "--root", "/no/such/place"],
        &["list", "--token-file", "/no/such/file"],
    ] {
        run(nobody, arguments).await.exits(2);
    }
    run("ftp://a.example", &["list"]).await.exits(2);
    let world = World::open().await;
    let ran = world.run(&["call", "greet"]).await.exits(2);
    assert!(ran.err.contains("missing: name"), "{ran:?}");
    world
        .run(&["call", "slow_compute", "seconds=soon"])
        .await
        .exits(2);
    world
        .run(&["call", "greet", "--args", "[1]"])
        .await
        .exits(2);
    world.stop().await;
}

#[tokio::test]
async fn a_secret_is_not_taken_from_the_command_line() {
    for header in ["Authorization: Bearer x", "cookie: a=b"] {
        let ran = run("http://127.0.0.1:1/mcp", &["list", "--header", header])
            .await
            .exits(2);
        assert!(ran.err.contains("OSTLER_TOKEN"), "{ran:?}");
    }
}

#[tokio::test]
async fn without_the_right_token_it_is_refused() {
    let node = TestNode::tenants().await;
    let _worker = node.worker(&Script::new()).await;
    let url = url(&node);
    let ran = run(&url, &["list"]).await.exits(3);
    assert!(ran.err.contains("OSTLER_TOKEN"), "{ran:?}");
    let mut wrong = command(&url, &["list"]);
    wrong.env("OSTLER_TOKEN", "wrong");
    finish(wrong).await.exits(3);
    let mut right = command(&url, &["list"]);
    right.env("OSTLER_TOKEN", &node.access.a1);
    finish(right).await.exits(0);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", node.access.a1).unwrap();
    run(
        &url,
        &["list", "--token-file", file.path().to_str().unwrap()],
    )
    .await
    .exits(0);
    node.end().await;
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_connection() {
    let ran = run("http://127.0.0.1:1/mcp", &["list"]).await.exits(6);
    assert!(
        ran.err.contains("TCP") && ran.err.contains("ostler doctor"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn what_takes_too_long_is_cancelled_at_the_worker() {
    let world = World::open().await;
    for era in ["modern", "legacy"] {
        let call = [
            "call",
            "slow_compute",
            "seconds=600",
            "--timeout",
            "1",
            "--era",
            era,
        ];
        world.run(&call).await.exits(8);
        world.node.calls_close().await;
    }
    world.stop().await;
}

#[tokio::test]
async fn an_interrupted_call_is_cancelled_at_the_worker() {
    let world = World::open().await;
    for (at, era) in ["modern", "legacy"].into_iter().enumerate() {
        let arguments = ["call", "slow_compute", "seconds=600", "--era", era];
        let child = command(&world.url(), &arguments).spawn().unwrap();
        let started = "ostler_dispatch_calls_started_total";
        world.node.reaches(started, &[], (at + 1) as f64).await;
        if era == "modern" {
            // The call is a task by then. A client can cancel it once it has its handle, which is
            // certain when it looks at it: after the list of tools and the call.
            let requests = "ostler_edge_requests_total";
            world.node.reaches(requests, &[("era", era)], 3.0).await;
        }
        let pid = child.id().unwrap().to_string();
        let mut interrupt = tokio::process::Command::new("kill");
        finish({
            // SIGTERM is as polite as Ctrl-C.
            interrupt.args([["-INT", "-TERM"][at], &pid]);
            interrupt
        })
        .await
        .exits(0);
        let ended = soon("the end", child.wait_with_output()).await.unwrap();
        assert_eq!(ended.status.code(), Some(130), "{ended:?}");
        world.node.calls_close().await;
    }
    world.stop().await;
}
