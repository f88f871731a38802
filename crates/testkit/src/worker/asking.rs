//! Tools that ask the client.

use std::time::Duration;

use ostler_worker::{
    Ask, Ctx, Declarations, Elicited, Sample, Server, TaskSupport, Tool, ToolError, Visit,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Script,
    plain::{self, Gate},
};

pub fn offer(server: Server, script: &Script) -> Server {
    let (script, waiting) = (script.clone(), script.clone());
    let sign_in = move |ctx: Ctx, args: Gate| {
        let script = waiting.clone();
        async move {
            let url = "https://example.com/sign-in?state=42";
            let visit = Visit::new("sign-in", "Please sign in", url).patience(PATIENCE);
            let visited = ctx.visit(&visit, script.pass(&args.gate)).await?;
            Ok::<_, ToolError>(visited.action().to_owned())
        }
    };
    let ask_then_hold = move |ctx: Ctx, args: Gate| {
        let script = script.clone();
        async move {
            ctx.elicit("go", "Go on?", form("go", "boolean")).await?;
            plain::wait_at(&script, &ctx, &args.gate).await
        }
    };
    let task = Declarations::new().task(TaskSupport::Optional);
    let job_asks = Tool::new("job_asks", "Asks as a task.", job_asks);
    let prefer = Tool::new("degrade", "Goes on without an answer.", degrade);
    server
        .tool("transfer", "Asks before it transfers.", transfer)
        .tool(
            "ask_then_hold",
            "Asks, then waits at a gate.",
            ask_then_hold,
        )
        .tool("interview", "Asks again and again.", interview)
        .tool("visit", "Sends the user to a page.", visit)
        .tool("sign_in", "Waits until a page is done.", sign_in)
        .tool("sample", "Asks the model.", sample)
        .tool(
            "sample_tools",
            "Asks the model and offers tools.",
            sample_tools,
        )
        .tool("roots", "Asks for roots.", roots)
        .tool("ask_several", "Asks three things at once.", several)
        .with(job_asks.declare(task))
        .with(prefer)
}

/// How long a visit waits before the user is asked again.
const PATIENCE: Duration = Duration::from_millis(200);

fn form(field: &str, kind: &str) -> Value {
    json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]})
}

fn shown(elicited: &Elicited<Value>) -> String {
    match elicited {
        Elicited::Accepted(content) => format!("accept {content}"),
        other => other.action().to_owned(),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Amount {
    amount: i64,
}

async fn transfer(ctx: Ctx, args: Amount) -> Result<String, ToolError> {
    let message = format!("Transfer {}?", args.amount);
    let elicited = ctx
        .elicit("confirm", &message, form("ok", "boolean"))
        .await?;
    Ok(format!("{}: {}", args.amount, shown(&elicited)))
}

#[derive(Deserialize, JsonSchema)]
struct Interview {
    name: String,
    rounds: usize,
}

async fn interview(ctx: Ctx, args: Interview) -> Result<String, ToolError> {
    let mut answers = Vec::new();
    for round in 1..=args.rounds {
        let message = format!("{} {round}", args.name);
        let key = format!("q{round}");
        let elicited = ctx.elicit(&key, &message, form("answer", "string")).await?;
        let content = elicited.accepted().unwrap_or_default();
        answers.push(content["answer"].as_str().unwrap_or("-").to_owned());
    }
    Ok(format!("{}: {}", args.name, answers.join(" ")))
}

async fn visit(ctx: Ctx) -> Result<String, ToolError> {
    let url = "https://example.com/consent";
    let elicited = ctx.elicit_url("consent", "Please visit", url).await?;
    Ok(elicited.action().to_owned())
}

async fn sample(ctx: Ctx) -> Result<String, ToolError> {
    let sampled = ctx.sample("model", &Sample::new("Say hi", 10)).await?;
    Ok(sampled.text())
}

async fn sample_tools(ctx: Ctx) -> Result<String, ToolError> {
    let tool = json!([{"name": "t", "inputSchema": {"type": "object"}}]);
    let question = Sample::new("Use the tool", 10).set("tools", tool);
    Ok(ctx.sample("model", &question).await?.text())
}

async fn roots(ctx: Ctx) -> Result<String, ToolError> {
    let roots = ctx.roots("roots").await?;
    let uris = roots.into_iter().map(|root| root.uri);
    Ok(uris.collect::<Vec<_>>().join(" "))
}

async fn several(ctx: Ctx) -> Result<String, ToolError> {
    let asks = [
        Ask::form("name", "Your name?", form("name", "string")),
        Ask::sample("model", &Sample::new("Say hi", 10)),
        Ask::roots("roots"),
    ];
    let answers = ctx.ask_all(asks).await;
    let name = shown(&answers.form::<Value>("name")?);
    let text = answers.sampled("model")?.text();
    Ok(format!("{name}, {text}, {}", answers.roots("roots")?.len()))
}

async fn job_asks(ctx: Ctx, args: Amount) -> Result<String, ToolError> {
    ctx.become_task();
    transfer(ctx, args).await
}

async fn degrade(ctx: Ctx) -> String {
    match ctx
        .elicit("name", "Your name?", form("name", "string"))
        .await
    {
        Ok(elicited) => shown(&elicited),
        Err(why) => format!("without: {why}"),
    }
}
