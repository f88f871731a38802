//! A Server whose entries were made elsewhere: what it offers, who runs it, what is watched.

use bytes::Bytes;
use ostler_rpc::worker_v1::{self as wire, CallKind, from_worker, to_worker::Frame};
use ostler_worker::{
    Ask, Ctx, Declarations, LogLevel, QuestionKind, Raw, RawEntry, RawOffer, Reply, Server,
    ToolError,
};
use serde_json::{Value, json};

use crate::hub::Hub;

/// Gives back what it was called with, or does what the target says.
async fn relay(ctx: Ctx, arguments: Bytes) -> Result<Reply, ToolError> {
    match ctx.target() {
        "fail" => return Err(ToolError::failed("no")),
        "ask" => {
            let params = Raw::from_static(
                r#"{"message":"m","requestedSchema":{"type":"object","properties":{}},"title":"kept"}"#,
            );
            let asked = ctx
                .ask(Ask::raw("k", QuestionKind::ElicitForm, params))
                .await?;
            return Ok(Reply::raw(asked.into_bytes()));
        }
        "log" => ctx.log_raw(None, LogLevel::Info, Raw::from_static("1.00")),
        _ => {}
    }
    let kind = format!("{:?}", ctx.kind());
    let target = ctx.target().to_owned();
    let arguments: Value = serde_json::from_slice(&arguments)?;
    Reply::of(&json!({"kind": kind, "target": target, "arguments": arguments}))
}

fn offer(name: &str) -> RawOffer {
    let definition = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}},"x":1.00}}"#);
    RawOffer {
        info: Some(Raw::from_static(r#"{"name":"far","version":"2"}"#)),
        instructions: "Far away.".to_owned(),
        tools: vec![RawEntry {
            definition: Raw::parse(definition.into(), 8).unwrap(),
            declarations: Declarations::new().idempotent(),
        }],
        completions: true,
        resource_watch: true,
        ..RawOffer::default()
    }
}

fn server() -> Server {
    let server = Server::new("near", "1").tool("own", "Ours.", |_ctx: Ctx| async { "own" });
    let server = server.relay(relay);
    server.offer_raw(offer("theirs"));
    server
}

#[tokio::test(start_paused = true)]
async fn entries_of_elsewhere_go_out_as_they_are_written_and_all_at_once() {
    let mut hub = Hub::new();
    let server = server();
    let (_running, mut link) = hub.start(hub.worker(server.clone())).await;
    let catalog = link.catalog();
    assert_eq!(catalog.instructions, "Far away.");
    assert_eq!(&catalog.server_info[..], br#"{"name":"far","version":"2"}"#);
    assert!(catalog.completions && catalog.resource_watch);
    let theirs = &catalog.tools[1];
    let wanted = r#"{"name":"theirs","inputSchema":{"type":"object"},"x":1.00}"#;
    assert_eq!(&theirs.definition[..], wanted.as_bytes());
    assert!(theirs.declarations.as_ref().unwrap().idempotent);

    server.offer_raw(RawOffer::default());
    let Some(from_worker::Frame::CatalogChanged(changed)) = link.next().await else {
        panic!("a changed catalog");
    };
    let catalog: wire::Catalog = prost::Message::decode(link.bytes(changed.catalog)).unwrap();
    assert_eq!((catalog.tools.len(), catalog.completions), (1, false));
}

async fn check(kind: CallKind, target: &str, wanted: &str) {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call_with(1, target, json!({"a": 1}), |call| call.kind = kind.into())
        .await;
    assert_eq!(link.said().await, wanted);
}

#[tokio::test(start_paused = true)]
async fn calls_of_every_kind_go_to_the_relay_unless_an_entry_runs_them() {
    let wanted = r#"outcome 1 {"content":[{"type":"text","text":"own"}]}"#;
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "own", json!({})).await;
    assert_eq!(link.said().await, wanted);
    for (kind, name, target) in [
        (CallKind::Tool, "Tool", "theirs"),
        (CallKind::Prompt, "Prompt", "p"),
        (CallKind::Resource, "Resource", "a://b"),
        (CallKind::Completion, "Completion", "ref"),
    ] {
        let said =
            format!(r#"outcome 1 {{"arguments":{{"a":1}},"kind":"{name}","target":"{target}"}}"#);
        check(kind, target, &said).await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_tool_that_fails_has_a_result() {
    let result = r#"outcome 1 {"content":[{"type":"text","text":"no"}],"isError":true}"#;
    check(CallKind::Tool, "fail", result).await;
    check(
        CallKind::Prompt,
        "fail",
        "outcome 1 FAILURE_KIND_PROTOCOL no",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn asks_and_logs_lose_nothing() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "log", json!({})).await;
    assert_eq!(link.said().await, "log 1 LOG_LEVEL_INFO 1.00");
    assert!(link.said().await.starts_with("outcome 1"));
    link.call(2, "ask", json!({})).await;
    assert_eq!(link.said().await, "started 2");
    let said = link.said().await;
    assert!(
        said.starts_with("ask 2 k QUESTION_KIND_ELICIT_FORM"),
        "{said}"
    );
    assert!(said.contains(r#""title":"kept""#), "{said}");
    let answer = json!({"action": "accept", "content": {}, "more": 1});
    link.answer(2, "k", answer.clone()).await;
    assert_eq!(link.said().await, format!("outcome 2 {answer}"));
}

#[tokio::test(start_paused = true)]
async fn an_author_hears_what_is_watched() {
    let mut hub = Hub::new();
    let server = server();
    let mut changes = server.watches_changed();
    let (_running, link) = hub.start(hub.worker(server.clone())).await;
    let uri = "a://b".to_owned();
    let watch = wire::Watch { server: 0, uri };
    link.send(Frame::Watch(watch)).await;
    changes.changed().await.unwrap();
    assert_eq!(server.watched().into_iter().collect::<Vec<_>>(), ["a://b"]);
    drop(link);
    changes.changed().await.unwrap();
    assert!(server.watched().is_empty());
}
