//! The Server of the matrix, by the SDK for Rust.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ostler_env::{Env, JoinHandle};
use ostler_worker::{
    Completion, Content, Ctx, Elicited, Json, LogLevel, Prompt, PromptMessage, Resource,
    ResourceContents, Sample, Server, Template, Tool, ToolError, ToolResult, Worker,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const COUNTER: &str = "matrix://counter";

#[derive(Default)]
struct Counts {
    counter: AtomicU32,
    begun: AtomicU32,
    cancelled: AtomicU32,
}

pub fn start(env: &Env, hub: &str, name: &str) -> JoinHandle<()> {
    let worker = Worker::new(hub).serve("default", name, server());
    env.spawn("matrix worker", async move {
        if let Err(error) = worker.run().await {
            eprintln!("the worker in Rust ended: {error}");
        }
    })
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Terms {
    a: f64,
    b: f64,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: f64,
}

#[derive(Deserialize, JsonSchema)]
struct Big {
    bytes: usize,
}

#[derive(Deserialize, JsonSchema)]
struct Greeted {
    who: String,
}

#[derive(Deserialize, JsonSchema)]
struct Item {
    id: String,
}

fn server() -> Server {
    let counts = Arc::new(Counts::default());
    let server = Server::new("matrix-rust", "1.0.0")
        .watchable()
        .tool("echo", "Echoes.", async |_: Ctx, echo: Echo| echo.text)
        .tool("sum", "Adds.", async |_: Ctx, terms: Terms| {
            Json(Sum {
                sum: terms.a + terms.b,
            })
        })
        .tool("fail", "Fails.", async |_: Ctx| {
            ToolResult::error("it failed on purpose")
        })
        .tool("steps", "Tells of its progress.", steps)
        .tool("say", "Logs.", say)
        .tool("ask", "Asks for a name.", ask)
        .tool("visit", "Sends the user to a page.", visit)
        .tool("think", "Asks the model.", think)
        .tool("where", "Asks for the roots.", roots)
        .tool("grow", "Adds a tool, or takes it away.", grow)
        .tool("slow", "Takes two seconds.", async |ctx: Ctx| {
            ctx.sleep(Duration::from_secs(2)).await;
            "done"
        })
        .tool("big", "Answers much.", async |_: Ctx, big: Big| {
            "x".repeat(big.bytes)
        });
    counting(prompting(server), counts)
}

async fn steps(ctx: Ctx) -> &'static str {
    ctx.progress(1.0, Some(2.0), Some("step 1"));
    ctx.progress(2.0, Some(2.0), Some("step 2"));
    "done"
}

async fn say(ctx: Ctx) -> &'static str {
    ctx.log_as(Some("matrix"), LogLevel::Info, json!({"said": "hello"}));
    "said"
}

async fn ask(ctx: Ctx) -> Result<String, ToolError> {
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
    });
    Ok(match ctx.elicit("name", "Who are you?", schema).await? {
        Elicited::Accepted(form) => format!("hello {}", form["name"].as_str().unwrap_or("?")),
        Elicited::Declined | Elicited::Dismissed => "declined".to_owned(),
    })
}

async fn visit(ctx: Ctx) -> Result<&'static str, ToolError> {
    let url = "https://example.com/visit";
    Ok(match ctx.elicit_url("page", "Please visit.", url).await? {
        Elicited::Accepted(()) => "agreed",
        Elicited::Declined | Elicited::Dismissed => "declined",
    })
}

async fn think(ctx: Ctx) -> Result<String, ToolError> {
    let sampled = ctx.sample("ping", &Sample::new("ping", 16)).await?;
    Ok(format!("the model said: {}", sampled.text()))
}

async fn roots(ctx: Ctx) -> Result<String, ToolError> {
    let roots = ctx.roots("roots").await?;
    let uris: Vec<_> = roots.into_iter().map(|root| root.uri).collect();
    Ok(uris.join("\n"))
}

async fn grow(ctx: Ctx) -> &'static str {
    let server = ctx.server();
    if server.remove_tool("grown") {
        return "shrunk";
    }
    server.add(Tool::new("grown", "Is here.", async |_: Ctx| "here"));
    "grown"
}

/// What counts, and the resource that shows it.
fn counting(server: Server, counts: Arc<Counts>) -> Server {
    let (touched, waiting, waits) = (counts.clone(), counts.clone(), counts.clone());
    server
        .tool("touch", "Adds one to the counter.", move |ctx: Ctx| {
            let counts = touched.clone();
            async move {
                let count = counts.counter.fetch_add(1, Ordering::Relaxed) + 1;
                ctx.server().resource_updated(COUNTER);
                count.to_string()
            }
        })
        .tool("wait", "Runs until it is cancelled.", move |ctx: Ctx| {
            let counts = waiting.clone();
            async move {
                counts.begun.fetch_add(1, Ordering::Relaxed);
                ctx.cancelled().await;
                counts.cancelled.fetch_add(1, Ordering::Relaxed);
                Err::<&str, _>(ToolError::Cancelled)
            }
        })
        .tool("waits", "Counts waits.", move |_: Ctx| {
            let counts = waits.clone();
            async move {
                let begun = counts.begun.load(Ordering::Relaxed);
                format!("{begun} {}", counts.cancelled.load(Ordering::Relaxed))
            }
        })
        .with(Resource::new(
            COUNTER,
            "counter",
            "text/plain",
            move |_: Ctx| {
                let counts = counts.clone();
                async move {
                    let count = counts.counter.load(Ordering::Relaxed).to_string();
                    ResourceContents::text(COUNTER, count)
                }
            },
        ))
}

fn prompting(server: Server) -> Server {
    let greet = async |_: Ctx, greeted: Greeted| {
        PromptMessage::user(Content::text(format!("Greet {}.", greeted.who)))
    };
    let item = async |ctx: Ctx, item: Item| {
        ResourceContents::text(ctx.target(), format!("item {}", item.id))
    };
    server
        .with(Prompt::new("greet", "A greeting.", greet))
        .with(Template::new(
            "matrix://item/{id}",
            "item",
            "text/plain",
            item,
        ))
        .completion(async |_: Ctx, completion: Completion| {
            let names = ["ada", "alan", "grace"];
            let fits = |name: &&str| name.starts_with(&completion.value);
            names
                .into_iter()
                .filter(fits)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
}
