use ostler_env::log::Ear;
use ostler_hub::AttemptEnd;
use ostler_protocol::{Raw, call::Failure};
use serde_json::json;

use super::world::{outcome, world};

/// Whether a result of the tool `typed`, which returns `{"n": integer}`, is let through.
async fn check(result: &'static str, is_good: bool) {
    let world = world();
    let mut stream = world.start("typed");
    world.end_with(1, result);
    match outcome(&mut stream).await {
        Ok(passed) => assert!(is_good && passed == Raw::from_static(result), "{result}"),
        Err(Failure::BadResult(_)) => assert!(!is_good, "{result}"),
        Err(other) => panic!("{result}: {other:?}"),
    }
}

/// [T-11]
#[tokio::test(start_paused = true)]
async fn structured_content_follows_the_output_schema() {
    check(r#"{"content":[],"structuredContent":{"n":1}}"#, true).await;
    check(r#"{"content":[],"structuredContent":{"n":"x"}}"#, false).await;
    check(r#"{"content":[],"structuredContent":{}}"#, false).await;
    check(r#"{"content":[],"structuredContent":null}"#, false).await;
    check(r#"{"content":[]}"#, false).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_result_of_a_call_is_a_failure() {
    for result in [
        "[]",
        "{}",
        r#"{"content":"x"}"#,
        r#"{"content":[{"type":"odd"}]}"#,
    ] {
        let world = world();
        let mut stream = world.start("plain");
        world.end_with(1, result);
        let outcome = outcome(&mut stream).await;
        assert!(matches!(outcome, Err(Failure::BadResult(_))), "{outcome:?}");
        assert_eq!((world.ended("failed"), world.ended("ok")), (1.0, 0.0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_says_who_gave_what_bad_result_and_nothing_that_is_in_it() {
    let long = format!(r#"{{"content":[{{"type":"{}"}}]}}"#, "x".repeat(100_000));
    for (tool, result, why) in [
        (
            "plain",
            r#"{"content":[{"type":"text","text":7}]}"#,
            "`text` must be a string",
        ),
        (
            "typed",
            r#"{"content":[],"structuredContent":{"n":"hush"}}"#,
            "integer",
        ),
        ("plain", &long, "unknown content type"),
    ] {
        let ear = Ear::listen();
        let world = world();
        let mut stream = world.start(tool);
        let worker = world.script.attempts()[0].clone();
        let worker = worker.split('#').next().expect("a name comes first");
        let result = Raw::parse(result.to_owned().into(), 64).expect("it is JSON");
        world.end(1, AttemptEnd::Outcome(Ok(result)));
        assert!(outcome(&mut stream).await.is_err());
        let heard = ear.heard();
        let warnings = heard.lines().filter(|line| line.contains("WARN"));
        let [line] = warnings.collect::<Vec<_>>()[..] else {
            panic!("{heard}");
        };
        let who = [
            format!("worker={worker}"),
            "server=acme/calc".to_owned(),
            format!("entry={tool:?}"),
        ];
        for part in who.iter().map(String::as_str).chain([why]) {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert!(!line.contains("hush") && line.len() < 1_000, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_result_needs_no_structured_content() {
    check(r#"{"content":[],"isError":true}"#, true).await;
    check(
        r#"{"content":[],"isError":true,"structuredContent":{"n":"x"}}"#,
        true,
    )
    .await;
    check(r#"{"content":[],"isError":false}"#, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_without_an_output_schema_returns_what_it_likes() {
    let world = world();
    let mut stream = world.start("plain");
    world.end_with(1, r#"{"content":[],"structuredContent":"anything"}"#);
    assert!(outcome(&mut stream).await.is_ok());
}

#[tokio::test]
async fn a_large_result_is_checked_in_the_pool() {
    let world = world();
    for (last, is_good) in [(json!(1), true), (json!("x"), false)] {
        let mut items = vec![json!(1); 100_000];
        items.push(last);
        let result = Raw::from_value(&json!({"content": [], "structuredContent": items}));
        let mut stream = world.start("many");
        let number = world.script.attempts().len();
        world.end(number, AttemptEnd::Outcome(Ok(result)));
        assert_eq!(outcome(&mut stream).await.is_ok(), is_good);
    }
}

#[tokio::test]
async fn a_call_dropped_during_the_check_is_accounted_for() {
    let world = world();
    let result = json!({"content": [], "structuredContent": vec![1; 100_000]});
    let mut stream = world.start("many");
    world.end(1, AttemptEnd::Outcome(Ok(Raw::from_value(&result))));
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(stream.poll_next(cx).is_pending());
    drop(stream);
    assert_eq!(world.ended("cancelled"), 1.0);
    while world.env.tasks_alive() > 0 {
        tokio::task::yield_now().await;
    }
}
