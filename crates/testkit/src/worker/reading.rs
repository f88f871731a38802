//! Resources, templates, prompts and completions.

use ostler_worker::{
    Completion, Ctx, Declarations, Prompt, PromptMessage, Resource, Server, Template, ToolError,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Script;

pub fn offer(server: Server, script: &Script) -> Server {
    let notes = script.clone();
    let doc = move |_ctx: Ctx, args: Id| {
        notes.note("doc".to_owned());
        async move {
            match args.id.as_str() {
                "nothing" => Err(ToolError::NotFound("no such document".to_owned())),
                id => Ok(format!("document {id}")),
            }
        }
    };
    let unlisted = Resource::new(
        "mem://unlisted",
        "Unlisted",
        "text/plain",
        |_ctx: Ctx| async { "found by its URI" },
    );
    let users = |_ctx: Ctx, args: Value| async move { args.to_string() };
    server
        .with(Resource::new(
            "mem://text",
            "Text",
            "text/plain",
            |_ctx: Ctx| async { "some text" },
        ))
        .with(Resource::new(
            "mem://blob",
            "Blob",
            "image/png",
            |_ctx: Ctx| async { vec![0_u8, 1, 2] },
        ))
        .with(unlisted.declare(Declarations::new().unlisted()))
        .with(Template::new(
            "mem://doc/{id}",
            "Document",
            "text/plain",
            doc,
        ))
        .with(Template::new("mem://u{/id*}", "Users", "text/plain", users))
        .with(Prompt::new("plain", "Needs nothing.", |_ctx: Ctx| async {
            "Do it."
        }))
        .with(Prompt::new("greet", "Greets.", greet))
        .with(Prompt::new("context", "Asks first.", context))
        .completion(complete)
        .watchable()
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Whom to greet.
    name: String,
}

async fn greet(_ctx: Ctx, args: Name) -> Vec<PromptMessage> {
    vec![PromptMessage::user(format!("Greet {}.", args.name))]
}

async fn context(ctx: Ctx) -> Result<String, ToolError> {
    let schema = json!({"type": "object", "properties": {"context": {"type": "string"}}});
    let elicited = ctx.elicit("context", "Which context?", schema).await?;
    let content = elicited.accepted().unwrap_or_default();
    Ok(format!("Context: {}", content["context"]))
}

async fn complete(_ctx: Ctx, completion: Completion) -> Vec<String> {
    let known = ["anna", "anton", "berta"].into_iter();
    let fitting = known.filter(|name| name.starts_with(&completion.value));
    fitting.map(str::to_owned).collect()
}
