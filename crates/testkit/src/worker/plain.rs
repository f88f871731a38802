//! Tools that answer, wait, report or fail.

use std::time::Duration;

use ostler_worker::{
    Capability, Content, Ctx, Declarations, LogLevel, Reply, ResourceLink, Server, TaskSupport,
    Tool, ToolError, ToolResult,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Script;

pub fn offer(server: Server, script: &Script) -> Server {
    let server = answering(server, script);
    let server = reporting(server);
    failing(waiting(server, script))
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Gate {
    pub(super) gate: String,
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    count: usize,
}

fn answering(server: Server, script: &Script) -> Server {
    let echo = noting(script, "echo", async |args: Text| args.text);
    let delete_all = noting(script, "delete_all", async |_: Value| "deleted".to_owned());
    server
        .tool("echo", "Says the same.", echo)
        .tool("big", "Says much.", |_ctx: Ctx, args: Count| async move {
            "x".repeat(args.count)
        })
        .tool(
            "broken_lines",
            "Says it with line breaks.",
            |ctx: Ctx| async move {
                ctx.progress(1.0, None, None);
                let lines =
                    "{\r\n\"content\":\r[\n\n{\"type\":\"text\",\r\r\"text\":\"a\\nb\"}\n]}\r\n";
                Reply::raw(lines)
            },
        )
        .tool("rich", "Says it in every way.", |_ctx: Ctx| async {
            ToolResult::text("plain")
                .with(Content::audio(b"wave", "audio/wav"))
                .with(Content::link(ResourceLink::new("mem://text", "Text")))
                .structured(json!({"an": "object"}))
        })
        .with(region_query(script))
        .with(Tool::new("delete_all", "Is never called.", delete_all))
        .tool("whoami", "Says who calls.", |ctx: Ctx| async move {
            let caller = ctx.caller();
            format!("{}/{} {}", caller.tenant, caller.subject, caller.session)
        })
        .tool(
            "change",
            "Adds a tool.",
            |ctx: Ctx, args: Text| async move {
                let added = Tool::new(&args.text, "Added.", |_ctx: Ctx| async { "added" });
                ctx.server().add(added);
            },
        )
        .tool(
            "touch",
            "Changes a resource.",
            |ctx: Ctx, args: Text| async move {
                ctx.server().resource_updated(&args.text);
            },
        )
}

/// A tool that writes down that it ran.
fn noting<A, F, R>(
    script: &Script,
    name: &'static str,
    run: F,
) -> impl Fn(Ctx, A) -> std::pin::Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync + 'static
where
    A: Send + 'static,
    F: Fn(A) -> R + Send + Sync + 'static,
    R: Future<Output = String> + Send + 'static,
{
    let script = script.clone();
    move |_ctx: Ctx, args: A| {
        script.note(name.to_owned());
        Box::pin(run(args))
    }
}

/// Three arguments that are mirrored in headers (protocol.md 5.3).
fn region_query(script: &Script) -> Tool {
    let schema = json!({
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "flag": {"type": "boolean", "x-mcp-header": "Flag"},
        },
    });
    let run = noting(script, "region_query", async |args: Value| args.to_string());
    Tool::new("region_query", "Mirrors its arguments.", run).input_schema(schema)
}

fn reporting(server: Server) -> Server {
    server
        .tool(
            "progress",
            "Reports progress.",
            |ctx: Ctx, args: Count| async move {
                for step in 1..=args.count {
                    ctx.progress(step as f64, Some(args.count as f64), Some("working"));
                }
                "done"
            },
        )
        .tool("log", "Logs at three levels.", |ctx: Ctx| async move {
            ctx.log(LogLevel::Debug, "a debug line");
            ctx.log(LogLevel::Info, json!({"an": "info object"}));
            ctx.log_as(Some("main"), LogLevel::Error, "an error line");
            "logged"
        })
}

fn waiting(server: Server, script: &Script) -> Server {
    let hold = hold(script, |_| {});
    let job = self::hold(script, |ctx| ctx.become_task());
    let required = self::hold(script, |ctx| ctx.become_task());
    let again = self::hold(script, |_| {});
    let again = Tool::new("hold_again", "Waits at a gate; may run twice.", again);
    let declare = |support| Declarations::new().task(support);
    let job = Tool::new("job", "Waits at a gate as a task.", job);
    let required = Tool::new("job_only", "Is a task or nothing.", required);
    let steps = Tool::new("job_steps", "Reports as a task.", steps(script));
    let fails = Tool::new("job_fails", "Fails as a task.", job_fails);
    let flood = flood(script);
    server
        .tool("hold", "Waits at a gate.", hold)
        .tool("flood", "Reports much until its gate opens.", flood)
        .with(again.declare(Declarations::new().idempotent()))
        .with(job.declare(declare(TaskSupport::Optional)))
        .with(required.declare(declare(TaskSupport::Required)))
        .with(steps.declare(declare(TaskSupport::Optional)))
        .with(fails.declare(declare(TaskSupport::Optional)))
}

async fn job_fails(ctx: Ctx) -> ToolResult {
    ctx.become_task();
    ToolResult::error("it did not work")
}

/// Between two reports of `flood`: 16 MiB in a second are more than any reader leaves unread for long.
const FLOOD_PAUSE: Duration = Duration::from_millis(1);
const FLOOD_BYTES: usize = 16 << 10;

fn flood(
    script: &Script,
) -> impl Fn(Ctx, Gate) -> std::pin::Pin<Box<dyn Future<Output = Result<String, ToolError>> + Send>>
+ Send
+ Sync
+ 'static {
    let script = script.clone();
    move |ctx: Ctx, Gate { gate }: Gate| {
        let script = script.clone();
        Box::pin(async move {
            let mut ended = std::pin::pin!(wait_at(&script, &ctx, &gate));
            let mut pauses = tokio::time::interval(FLOOD_PAUSE);
            let much = "x".repeat(FLOOD_BYTES);
            let mut step = 0.0;
            loop {
                tokio::select! {
                    ended = &mut ended => return ended,
                    _ = pauses.tick() => {}
                }
                step += 1.0;
                ctx.progress(step, None, Some(&much));
            }
        })
    }
}

/// Reports when its gate opens, and ends when the second one does.
fn steps(
    script: &Script,
) -> impl Fn(Ctx, Gate) -> std::pin::Pin<Box<dyn Future<Output = Result<String, ToolError>> + Send>>
+ Send
+ Sync
+ 'static {
    let script = script.clone();
    move |ctx: Ctx, Gate { gate }: Gate| {
        let script = script.clone();
        Box::pin(async move {
            ctx.become_task();
            wait_at(&script, &ctx, &gate).await?;
            ctx.progress(1.0, Some(2.0), Some("half"));
            wait_at(&script, &ctx, &format!("{gate}-end")).await
        })
    }
}

fn hold(
    script: &Script,
    begin: fn(&Ctx),
) -> impl Fn(Ctx, Gate) -> std::pin::Pin<Box<dyn Future<Output = Result<String, ToolError>> + Send>>
+ Send
+ Sync
+ 'static {
    let script = script.clone();
    move |ctx: Ctx, Gate { gate }: Gate| {
        let script = script.clone();
        Box::pin(async move {
            begin(&ctx);
            wait_at(&script, &ctx, &gate).await
        })
    }
}

/// Notes `started:`, then `cancelled:` or `passed:` with the gate's name.
pub(super) async fn wait_at(script: &Script, ctx: &Ctx, gate: &str) -> Result<String, ToolError> {
    script.note(format!("started:{gate}"));
    tokio::select! {
        () = script.pass(gate) => {
            script.note(format!("passed:{gate}"));
            Ok(format!("passed {gate}"))
        }
        () = ctx.cancelled() => {
            script.note(format!("cancelled:{gate}"));
            Err(ToolError::Cancelled)
        }
    }
}

fn failing(server: Server) -> Server {
    let needs = Declarations::new().requires([Capability::Sample]);
    let needs = Tool::new("needs", "Wants sampling declared.", |_ctx: Ctx| async {
        "can"
    })
    .declare(needs);
    server
        .with(needs)
        .tool("fail", "Fails as a tool does.", |_ctx: Ctx| async {
            ToolResult::error("it did not work")
        })
        .tool(
            "protocol_error",
            "Fails as a method does.",
            |_ctx: Ctx| async {
                ToolError::Protocol {
                    code: 7,
                    message: "seven".to_owned(),
                    data: None,
                }
            },
        )
        .tool("crash", "Panics.", |_ctx: Ctx| async { crash() })
}

fn crash() -> String {
    panic!("a tool of the test panics on purpose")
}
