//! What a Server offers, and how changes of it are told.

use ostler_rpc::worker_v1::{self as wire, CallKind, from_worker, to_worker::Frame};
use ostler_worker::{
    Capability, Completion, Content, Ctx, Declarations, Prompt, PromptMessage, Resource, Server,
    Skill, TaskSupport, Template, Tool,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hub::Hub;

#[derive(Deserialize, JsonSchema)]
struct Topic {
    topic: String,
}

async fn write(_ctx: Ctx, args: Topic) -> PromptMessage {
    PromptMessage::user(Content::text(format!("Write about {}.", args.topic)))
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    id: String,
}

async fn read(ctx: Ctx, args: Id) -> String {
    format!("{} at {}", args.id, ctx.target())
}

async fn touch(ctx: Ctx) {
    let server = ctx.server();
    server.resource_updated("a://fixed");
    server.resource_updated("a://other");
    server.add(Tool::new("extra", "", |_ctx: Ctx| async {}));
    server.add(Tool::new("gone", "", |_ctx: Ctx| async {}));
    server.remove_tool("gone");
}

fn server() -> Server {
    let declared = Declarations::new()
        .requires([Capability::Sample])
        .scopes(["write"])
        .idempotent()
        .task(TaskSupport::Optional);
    Server::new("test", "1")
        .instructions("Be kind.")
        .with(Tool::new("touch", "Touches.", touch).declare(declared))
        .with(Prompt::new("write", "Writes.", write))
        .with(Resource::new(
            "a://fixed",
            "fixed",
            "text/plain",
            |_ctx: Ctx| async { "text" },
        ))
        .with(Resource::new(
            "a://bytes",
            "bytes",
            "image/png",
            |_ctx: Ctx| async { vec![1_u8] },
        ))
        .with(Template::new("a://items/{id}", "items", "text/plain", read))
        .completion(|_ctx: Ctx, completion: Completion| async move {
            vec![format!("{}!", completion.value)]
        })
        .watchable()
}

async fn check(kind: CallKind, target: &str, arguments: Value, wanted: &str) {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call_with(1, target, arguments, |call| call.kind = kind.into())
        .await;
    assert_eq!(link.said().await, wanted);
}

#[tokio::test(start_paused = true)]
async fn the_catalog_says_what_is_offered_and_declared() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    let catalog = link.catalog();
    assert_eq!(catalog.instructions, "Be kind.");
    assert!(catalog.completions && catalog.logging && catalog.resource_watch);
    let info: Value = serde_json::from_slice(&catalog.server_info).unwrap();
    assert_eq!(info, json!({"name": "test", "version": "1"}));
    let declarations = catalog.tools[0].declarations.clone().unwrap();
    assert_eq!(declarations.requires, [i32::from(wire::Capability::Sample)]);
    assert_eq!(declarations.scopes, ["write"]);
    assert!(declarations.idempotent && !declarations.replay_safe);
    assert_eq!(declarations.task(), wire::TaskSupport::Optional);
    let prompt: Value = serde_json::from_slice(&catalog.prompts[0].definition).unwrap();
    let arguments = json!([{"name": "topic", "required": true}]);
    let wanted = json!({"name": "write", "description": "Writes.", "arguments": arguments});
    assert_eq!(prompt, wanted);
    assert_eq!((catalog.resources.len(), catalog.templates.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn prompts_give_messages() {
    let wanted = r#"outcome 1 {"messages":[{"role":"user","content":{"type":"text","text":"Write about tea."}}]}"#;
    check(CallKind::Prompt, "write", json!({"topic": "tea"}), wanted).await;
    let wanted = "outcome 1 FAILURE_KIND_INVALID_PARAMS invalid arguments: missing field `topic`";
    check(CallKind::Prompt, "write", json!({}), wanted).await;
}

#[tokio::test(start_paused = true)]
async fn resources_give_text_or_bytes() {
    let wanted =
        r#"outcome 1 {"contents":[{"uri":"a://fixed","mimeType":"text/plain","text":"text"}]}"#;
    check(CallKind::Resource, "a://fixed", json!({}), wanted).await;
    let wanted =
        r#"outcome 1 {"contents":[{"uri":"a://bytes","mimeType":"image/png","blob":"AQ=="}]}"#;
    check(CallKind::Resource, "a://bytes", json!({}), wanted).await;
    let wanted = r#"outcome 1 {"contents":[{"uri":"a://items/7","mimeType":"text/plain","text":"7 at a://items/7"}]}"#;
    check(CallKind::Resource, "a://items/7", json!({}), wanted).await;
    let wanted = "refused 1 REFUSED_REASON_UNKNOWN_TARGET";
    check(CallKind::Resource, "a://items/7/8", json!({}), wanted).await;
}

#[tokio::test(start_paused = true)]
async fn completions_give_values() {
    let target = r#"{"type":"ref/prompt","name":"write"}"#;
    let arguments = json!({"argument": {"name": "topic", "value": "te"}});
    let wanted = r#"outcome 1 {"completion":{"total":1,"hasMore":false,"values":["te!"]}}"#;
    check(CallKind::Completion, target, arguments, wanted).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_sends_the_new_catalog_and_updates_only_what_is_watched() {
    let mut hub = Hub::new();
    let server = server();
    let (_running, mut link) = hub.start(hub.worker(server.clone())).await;
    let uri = "a://fixed".to_owned();
    link.send(Frame::Watch(wire::Watch { server: 0, uri }))
        .await;
    link.call(1, "touch", json!({})).await;
    assert_eq!(link.said().await, "updated a://fixed");
    assert!(server.is_watched("a://fixed") && !server.is_watched("a://other"));
    assert!(link.said().await.starts_with("outcome 1"));
    let Some(from_worker::Frame::CatalogChanged(changed)) = link.next().await else {
        panic!("a changed catalog");
    };
    let catalog = link.bytes(changed.catalog);
    let catalog: wire::Catalog = prost::Message::decode(catalog).unwrap();
    let last = &catalog.tools.last().unwrap().definition;
    let last: Value = serde_json::from_slice(last).unwrap();
    assert_eq!((catalog.tools.len(), &last["name"]), (2, &json!("extra")));
}

#[tokio::test(start_paused = true)]
async fn a_skill_brings_its_files_along_and_takes_them_away() {
    let mut hub = Hub::new();
    let skill = Skill::new("tea", "How to make tea.", "Boil water.");
    let server = server().with(skill.file("leaf.bin", "application/octet-stream", vec![255_u8]));
    let (_running, mut link) = hub.start(hub.worker(server.clone())).await;
    let catalog = link.catalog();
    assert_eq!((catalog.skills.len(), catalog.resources.len()), (1, 4));
    let unlisted = catalog.resources.iter().map(|resource| {
        let declarations = resource.declarations.as_ref();
        declarations.is_some_and(|declared| declared.unlisted)
    });
    assert_eq!(unlisted.collect::<Vec<_>>(), [false, false, false, true]);
    for (id, uri, wanted) in [
        (1, "skill://tea/SKILL.md", r#""text":"---\nname: \"tea\"\n"#),
        (2, "skill://tea/leaf.bin", r#""blob":"/w==""#),
    ] {
        link.call_with(id, uri, json!({}), |call| {
            call.kind = CallKind::Resource.into()
        })
        .await;
        let said = link.said().await;
        assert!(said.contains(wanted), "{said}");
    }
    assert!(server.remove_skill("skill://tea/SKILL.md"));
    assert!(!server.remove_skill("skill://tea/SKILL.md"));
    let Some(from_worker::Frame::CatalogChanged(changed)) = link.next().await else {
        panic!("a changed catalog");
    };
    let catalog: wire::Catalog = prost::Message::decode(link.bytes(changed.catalog)).unwrap();
    assert_eq!((catalog.skills.len(), catalog.resources.len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_catalog_larger_than_a_frame_goes_ahead_of_the_hello() {
    let mut hub = Hub::new();
    let long = "x".repeat(100 << 10);
    let worker = hub.worker(Server::new("test", "1").instructions(&long));
    let (_running, mut link) = hub.start(worker).await;
    assert_eq!(link.catalog().instructions.len(), 100 << 10);
}
