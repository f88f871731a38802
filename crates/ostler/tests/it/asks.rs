//! Questions of a server to a command that nobody watches.

use crate::world::World;

const ERAS: [&str; 2] = ["modern", "legacy"];

#[tokio::test]
async fn forms_are_filled_from_the_command_line() {
    let world = World::open().await;
    for era in ERAS {
        let answers = ["--answer", "username=ada", "--answer", "email=a@b.example"];
        let call = [
            "call",
            "test_elicitation",
            "message=hi",
            "--json",
            "--era",
            era,
        ];
        let ran = world
            .run(&[&call[..], &answers[..]].concat())
            .await
            .exits(0);
        assert_eq!(ran.line("ask")["answer"]["action"], "accept");
        assert!(ran.text().contains(r#""username":"ada""#), "{ran:?}");
        // Defaults hold for what is not given.
        let call = [
            "call",
            "test_elicitation_sep1034_defaults",
            "--json",
            "--era",
            era,
        ];
        let ran = world
            .run(&[&call[..], &["--answer", "age=7"]].concat())
            .await
            .exits(0);
        let text = ran.text();
        assert!(
            text.contains(r#""age":7"#) && text.contains(r#""name":"John Doe""#),
            "{text}"
        );
        let multi = "test_input_required_result_multi_round";
        let call = [
            "call",
            multi,
            "--answer",
            "name=Ada",
            "--answer",
            "color=red",
            "--era",
            era,
        ];
        assert_eq!(world.run(&call).await.exits(0).out, "Ada likes red.\n");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_form_that_cannot_be_filled_is_declined_and_said() {
    let world = World::open().await;
    for era in ERAS {
        for answer in ["username=ada", "other=x"] {
            let call = [
                "call",
                "test_elicitation",
                "message=hi",
                "--answer",
                answer,
                "--era",
                era,
            ];
            let ran = world.run(&call).await.exits(7);
            assert!(ran.err.contains("email"), "{ran:?}");
            assert!(ran.out.contains("action=decline"), "{ran:?}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_not_declared() {
    let world = World::open().await;
    let declared = "test_input_required_result_capabilities";
    for era in ERAS {
        let ran = world.run(&["call", declared, "--era", era]).await.exits(0);
        assert_eq!(ran.out, "0 questions answered\n");
    }
    // The modern era has an error for it, the legacy one a result.
    let call = ["call", "test_missing_capability", "--era"];
    let ran = world.run(&[&call[..], &["modern"]].concat()).await.exits(7);
    assert!(ran.err.contains("--answer"), "{ran:?}");
    world.run(&[&call[..], &["legacy"]].concat()).await.exits(1);
    world.stop().await;
}

#[tokio::test]
async fn roots_are_those_of_the_command_line() {
    let world = World::open().await;
    for era in ERAS {
        let call = [
            "call",
            "test_input_required_result_list_roots",
            "--root",
            "/",
            "--era",
            era,
        ];
        assert_eq!(
            world.run(&call).await.exits(0).out,
            "Client roots: file:///\n"
        );
    }
    world.stop().await;
}
