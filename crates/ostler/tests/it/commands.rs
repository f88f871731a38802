//! What each command gives, in both eras.

use ostler_testkit::soon;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::world::{World, command};

const ERAS: [&str; 2] = ["modern", "legacy"];

#[tokio::test]
async fn list_shows_everything_that_is_offered() {
    let world = World::open().await;
    for era in ERAS {
        let ran = world.run(&["list", "--era", era]).await.exits(0);
        for shown in [
            "tools (",
            "greet(name)",
            "test://template/{id}/data",
            "test_simple_prompt()",
        ] {
            assert!(ran.out.contains(shown), "{ran:?}");
        }
        // Skills are of the modern era.
        let skills = "skills (1)\n  skill://conformance-words/SKILL.md  Use when";
        assert_eq!(ran.out.contains(skills), era == "modern", "{ran:?}");
        let ran = world
            .run(&["list", "prompts", "--json", "--era", era])
            .await
            .exits(0);
        let server = ran.line("server");
        let revision = if era == "modern" {
            "2026-07-28"
        } else {
            "2025-11-25"
        };
        assert_eq!(server["revision"], revision);
        assert_eq!(server["info"]["name"], "ostler-fixture");
        let lines = ran.lines();
        let mut prompts = lines.iter().filter(|line| line["type"] == "prompt");
        assert!(prompts.any(|line| line["entry"]["name"] == "test_simple_prompt"));
    }
    world.stop().await;
}

#[tokio::test]
async fn call_gives_the_result_and_tells_of_the_rest() {
    let world = World::open().await;
    for era in ERAS {
        let ran = world
            .run(&["call", "greet", "name=Ada", "--era", era])
            .await
            .exits(0);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("Hello, Ada!\n", ""));
        let ran = world
            .run(&["call", "test_tool_with_logging", "--era", era])
            .await
            .exits(0);
        assert!(ran.err.contains("[info] Tool processing data"), "{ran:?}");
        let ran = world
            .run(&[
                "call",
                "test_tool_with_logging",
                "--log",
                "off",
                "--era",
                era,
            ])
            .await;
        assert_eq!((ran.exit, ran.err.as_str()), (0, ""), "{ran:?}");
        let ran = world
            .run(&["call", "test_tool_with_progress", "--json", "--era", era])
            .await;
        let shares: Vec<_> = ran
            .lines()
            .into_iter()
            .filter(|line| line["type"] == "progress")
            .collect();
        assert!(
            shares.iter().all(|line| line["total"] == 100.0) && shares.len() == 3,
            "{ran:?}"
        );
        let ran = world
            .run(&["call", "test_error_handling", "--era", era])
            .await
            .exits(1);
        assert!(ran.out.contains("intentionally"), "{ran:?}");
        let ran = world
            .run(&[
                "call",
                "test_custom_header",
                "value=gr\u{fc}n ",
                "--era",
                era,
            ])
            .await;
        assert_eq!(ran.out, "gr\u{fc}n \n", "{ran:?}");
        let json = r#"{"seconds": 0, "label": "naught"}"#;
        let ran = world
            .run(&["call", "slow_compute", "--args", json, "--era", era])
            .await
            .exits(0);
        assert_eq!(ran.out, "Computed naught in 0 seconds\n");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_task_is_followed_to_its_result() {
    let world = World::open().await;
    let ran = world
        .run(&["call", "slow_compute", "seconds=0.2", "--json"])
        .await
        .exits(0);
    let statuses: Vec<_> = ran
        .lines()
        .into_iter()
        .filter(|line| line["type"] == "task")
        .collect();
    assert_eq!(statuses[0]["status"], "working");
    assert_eq!(ran.text(), "Computed work in 0.2 seconds");
    let ran = world
        .run(&[
            "call",
            "confirm_delete",
            "filename=x",
            "--answer",
            "confirm=y",
            "--json",
        ])
        .await;
    assert_eq!(ran.text(), "Deleted x", "{ran:?}");
    world.stop().await;
}

#[tokio::test]
async fn read_get_and_complete_give_what_they_are_named_for() {
    let world = World::open().await;
    for era in ERAS {
        let ran = world
            .run(&["read", "test://static-text", "--era", era])
            .await
            .exits(0);
        assert_eq!(
            ran.out,
            "This is the content of the static text resource.\n"
        );
        let arguments = [
            "get",
            "test_prompt_with_arguments",
            "arg1=a",
            "arg2=b",
            "--era",
            era,
        ];
        let ran = world.run(&arguments).await.exits(0);
        assert_eq!(ran.out, "user\nPrompt with arguments: arg1='a', arg2='b'\n");
        let prompt = "test_prompt_with_arguments";
        let arguments = ["complete", "arg1=testV", "--prompt", prompt, "--era", era];
        let ran = world.run(&arguments).await.exits(0);
        assert_eq!(ran.out, "testValue1\n");
    }
    world.stop().await;
}

#[tokio::test]
async fn bytes_of_a_resource_reach_a_file_as_they_are() {
    let world = World::open().await;
    let mut child = command(&world.url(), &["read", "test://static-binary"])
        .spawn()
        .unwrap();
    let mut bytes = Vec::new();
    let mut out = child.stdout.take().unwrap();
    soon("its output", out.read_to_end(&mut bytes))
        .await
        .unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{bytes:?}");
    world.stop().await;
}

#[tokio::test]
async fn listen_tells_of_changes_and_ends_when_enough_was_heard() {
    let world = World::open().await;
    for era in ERAS {
        let arguments = ["listen", "--count", "1", "--json", "--era", era];
        let mut listen = command(&world.url(), &arguments).spawn().unwrap();
        let mut lines = BufReader::new(listen.stdout.take().unwrap()).lines();
        let first = soon("the beginning", lines.next_line()).await.unwrap();
        assert_eq!(first.as_deref(), Some(r#"{"type":"listening"}"#));
        world
            .run(&["call", "test_trigger_tool_change"])
            .await
            .exits(0);
        let changed = soon("a change", lines.next_line()).await.unwrap();
        assert_eq!(
            changed.as_deref(),
            Some(r#"{"type":"changed","list":"tools"}"#)
        );
        let status = soon("the end", listen.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0));
    }
    world.stop().await;
}

#[tokio::test]
async fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let mut completions = tokio::process::Command::new(env!("CARGO_BIN_EXE_ostler"));
        let ran = crate::world::finish({
            completions.args(["completions", shell]);
            completions
        });
        let ran = ran.await.exits(0);
        assert!(
            ran.out.contains("doctor") && ran.out.contains("token-file"),
            "{shell}"
        );
    }
}
