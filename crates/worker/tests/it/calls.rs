//! One call: from its frame to its outcome.

use std::time::Duration;

use ostler_rpc::worker_v1::{Cancel, Ping, to_worker::Frame};
use ostler_worker::{Capability, Content, Ctx, Json, LogLevel, Server, ToolError, ToolResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::hub::{Hub, call_id};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Pair {
    a: i64,
    b: i64,
}

async fn add(_ctx: Ctx, Pair { a, b }: Pair) -> i64 {
    a + b
}

async fn swap(_ctx: Ctx, Pair { a, b }: Pair) -> Json<Pair> {
    Json(Pair { a: b, b: a })
}

async fn fail(_ctx: Ctx, args: Value) -> Result<(), ToolError> {
    Err(match args["how"].as_str() {
        Some("text") => ToolError::failed("it did not work"),
        Some("params") => ToolError::InvalidParams("nonsense".into()),
        Some("missing") => ToolError::NotFound("no such thing".into()),
        Some("capability") => ToolError::NeedsCapability(vec![Capability::Sample]),
        Some("scope") => ToolError::NeedsScope(vec!["write".into()]),
        Some("protocol") => ToolError::Protocol {
            code: -1,
            message: "mine".into(),
            data: None,
        },
        Some("parse") => "x".parse::<i64>().map(drop).expect_err("no number").into(),
        _ => panic!("as asked"),
    })
}

async fn report(ctx: Ctx) -> &'static str {
    ctx.progress(1.0, Some(2.0), Some("half"));
    ctx.log(LogLevel::Info, "text");
    ctx.log(LogLevel::Error, json!({"a": [1]}));
    ctx.sleep(Duration::from_millis(10)).await;
    ctx.progress(2.0, None, None);
    "done"
}

async fn wait(ctx: Ctx) -> Result<(), ToolError> {
    ctx.cancelled().await;
    ctx.sleep(Duration::from_millis(1)).await;
    Err(ToolError::Cancelled)
}

async fn ignore_cancel(_ctx: Ctx) {
    std::future::pending().await
}

async fn large(_ctx: Ctx, args: Value) -> String {
    args["text"].as_str().unwrap_or_default().repeat(2)
}

async fn mixed(_ctx: Ctx) -> ToolResult {
    ToolResult::error("no")
        .with(Content::image(b"x", "image/png"))
        .structured(json!(1))
}

async fn who(ctx: Ctx) -> String {
    let caller = ctx.caller();
    let left = ctx.time_left().map(|left| left.as_millis());
    let can_sample = ctx.client().sample;
    let session = &caller.session;
    let logged = format!("{caller:?}");
    format!(
        "{}/{} {left:?} {can_sample} {session} {}",
        caller.tenant,
        caller.subject,
        logged.contains(session)
    )
}

async fn blocking(ctx: Ctx) -> Result<i64, ToolError> {
    ctx.run_blocking(|| 7).await
}

fn panic_early(_ctx: Ctx) -> std::future::Ready<()> {
    panic!("before there is a future")
}

pub fn server() -> Server {
    Server::new("test", "1")
        .tool("add", "", add)
        .tool("swap", "", swap)
        .tool("fail", "", fail)
        .tool("report", "", report)
        .tool("wait", "", wait)
        .tool("ignore_cancel", "", ignore_cancel)
        .tool("large", "", large)
        .tool("mixed", "", mixed)
        .tool("who", "", who)
        .tool("blocking", "", blocking)
        .tool("panic_early", "", panic_early)
}

async fn check(tool: &str, arguments: Value, wanted: &[&str]) {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call_with(1, tool, arguments, |call| call.wants_progress = true)
        .await;
    for wanted in wanted {
        assert_eq!(link.said().await, *wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_at_once_is_one_frame() {
    let wanted = r#"outcome 1 {"content":[{"type":"text","text":"3"}]}"#;
    check("add", json!({"a": 1, "b": 2}), &[wanted]).await;
}

#[tokio::test(start_paused = true)]
async fn a_structured_result_says_itself_as_text_too() {
    let wanted = r#"outcome 1 {"content":[{"type":"text","text":"{\"a\":2,\"b\":1}"}],"structuredContent":{"a":2,"b":1}}"#;
    check("swap", json!({"a": 1, "b": 2}), &[wanted]).await;
}

#[tokio::test(start_paused = true)]
async fn a_result_built_by_hand_has_all_its_parts() {
    let wanted = r#"outcome 1 {"content":[{"type":"text","text":"no"},{"type":"image","data":"eA==","mimeType":"image/png"}],"structuredContent":1,"isError":true}"#;
    check("mixed", json!({}), &[wanted]).await;
}

#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_fit_are_told_to_the_model() {
    let wanted = r#"outcome 1 {"content":[{"type":"text","text":"invalid arguments: missing field `b`"}],"isError":true}"#;
    check("add", json!({"a": 1}), &[wanted]).await;
}

#[tokio::test(start_paused = true)]
async fn every_error_keeps_its_kind() {
    for (how, wanted) in [
        (
            "text",
            r#"{"content":[{"type":"text","text":"it did not work"}],"isError":true}"#,
        ),
        (
            "parse",
            r#"{"content":[{"type":"text","text":"invalid digit found in string"}],"isError":true}"#,
        ),
        ("params", "FAILURE_KIND_INVALID_PARAMS nonsense"),
        ("missing", "FAILURE_KIND_NOT_FOUND no such thing"),
        ("capability", "FAILURE_KIND_NEEDS_CAPABILITY "),
        ("scope", "FAILURE_KIND_NEEDS_SCOPE "),
        ("protocol", "FAILURE_KIND_PROTOCOL mine"),
        ("panic", "FAILURE_KIND_INTERNAL the handler panicked"),
    ] {
        check(
            "fail",
            json!({"how": how}),
            &[&format!("outcome 1 {wanted}")],
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_call_only() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    for id in [1, 2] {
        link.call(id, "panic_early", json!({})).await;
        let wanted = format!("outcome {id} FAILURE_KIND_INTERNAL the handler panicked");
        assert_eq!(link.said().await, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn chatter_arrives_in_order_ahead_of_the_outcome() {
    let wanted = [
        "progress 1 1 Some(2.0) half",
        r#"log 1 LOG_LEVEL_INFO "text""#,
        r#"log 1 LOG_LEVEL_ERROR {"a":[1]}"#,
        "started 1",
        "progress 1 2 None ",
        r#"outcome 1 {"content":[{"type":"text","text":"done"}]}"#,
    ];
    check("report", json!({}), &wanted).await;
}

#[tokio::test(start_paused = true)]
async fn progress_that_nobody_wants_is_not_sent() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "report", json!({})).await;
    assert!(link.said().await.starts_with("log 1"));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_handler_may_end_by_itself() {
    check_cancel("wait").await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ignores_a_cancel_is_dropped() {
    check_cancel("ignore_cancel").await;
}

async fn check_cancel(tool: &str) {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, tool, json!({})).await;
    assert_eq!(link.said().await, "started 1");
    let (call, reason) = (Some(call_id(1)), "gone".to_owned());
    link.send(Frame::Cancel(Cancel { call, reason })).await;
    assert_eq!(link.said().await, "outcome 1 FAILURE_KIND_CANCELLED ");
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_the_capacity_are_refused_as_busy() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server()).capacity(1)).await;
    link.call(1, "wait", json!({})).await;
    assert_eq!(link.said().await, "started 1");
    link.call(2, "add", json!({"a": 1, "b": 2})).await;
    assert_eq!(link.said().await, "refused 2 REFUSED_REASON_BUSY");
    let (call, reason) = (Some(call_id(1)), String::new());
    link.send(Frame::Cancel(Cancel { call, reason })).await;
    assert!(link.said().await.starts_with("outcome 1"));
    link.call(3, "add", json!({"a": 1, "b": 2})).await;
    assert!(link.said().await.starts_with("outcome 3 {"));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_target_is_refused() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "no_such_tool", json!({})).await;
    assert_eq!(link.said().await, "refused 1 REFUSED_REASON_UNKNOWN_TARGET");
    link.call_with(2, "add", json!({}), |call| call.server = 9)
        .await;
    assert_eq!(link.said().await, "refused 2 REFUSED_REASON_UNKNOWN_TARGET");
}

#[tokio::test(start_paused = true)]
async fn payloads_larger_than_a_frame_go_both_ways() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    let text = "x".repeat(1 << 20);
    link.call(1, "large", json!({"text": text})).await;
    let said = link.said().await;
    assert!(said.starts_with(r#"outcome 1 {"content""#));
    assert!(said.len() > 2 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_small_outcome_overtakes_a_large_one_that_waits_for_credit() {
    let mut hub = Hub::new();
    let worker = hub.worker(server());
    let _running = crate::hub::Running::start(worker);
    let mut link = hub.attached().await;
    link.welcome_with(512 << 10, crate::hub::NEVER_MS).await;
    link.call(1, "large", json!({"text": "x".repeat(1 << 20)}))
        .await;
    link.call(2, "add", json!({"a": 1, "b": 2})).await;
    let said = link.said().await;
    assert!(said.starts_with("outcome 2"), "{said}");
    link.grants = true;
    link.send(Frame::Ping(Ping { nonce: 1 })).await;
    assert_eq!(link.said().await, "pong 1");
    assert!(link.said().await.starts_with("outcome 1"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_who_calls_and_how_long_it_may_take() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call_with(1, "who", json!({}), |call| {
        call.time_left_ms = 500;
        let sample = ostler_rpc::worker_v1::Capability::Sample.into();
        let capabilities = vec![sample];
        call.client = Some(ostler_rpc::worker_v1::ClientFacet { capabilities });
        call.caller = Some(ostler_rpc::worker_v1::CallerAssertion {
            tenant: "acme".into(),
            subject: "ann".into(),
            session: "s1".into(),
            ..Default::default()
        });
    })
    .await;
    assert!(
        link.said()
            .await
            .contains("acme/ann Some(500) true s1 false")
    );
}

#[tokio::test(start_paused = true)]
async fn blocking_work_runs_beside() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "blocking", json!({})).await;
    // It may be done before the handler is polled a second time, or not.
    let mut said = link.said().await;
    if said == "started 1" {
        said = link.said().await;
    }
    assert_eq!(
        said,
        r#"outcome 1 {"content":[{"type":"text","text":"7"}]}"#
    );
}
