//! `oracle worker`: tools that write down that they ran, and how it ended.

use std::{io::Read, path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;
use ostler_env::Env;
use ostler_worker::{
    Ctx, Declarations, Server, TaskSupport, Template, Tool as Offered, ToolError, Worker,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    fact::{Fact, Tool},
    ledger::Ledger,
};

#[derive(Args)]
pub struct Arguments {
    /// Worker port of the node, such as http://127.0.0.1:7070.
    #[arg(long)]
    hub: String,
    /// The stable name of this worker.
    #[arg(long)]
    id: String,
    /// Where it writes what it does.
    #[arg(long)]
    facts: PathBuf,
}

/// How long a call may go on after the worker was told to end.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Serves until it is told to end, through any number of lives of the node. The end of its input
/// says that whoever started it is gone.
pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    ostler_env::log::init(ostler_env::log::Format::Text, "info")?;
    let Arguments { hub, id, facts } = arguments;
    let ledger = Ledger::open(env, &facts)?;
    let worker = || id.clone();
    ledger.write(Fact::Up { worker: worker() }).await;
    let serving = Worker::new(hub)
        .id(&id)
        .env(env.clone())
        .drain_max(DRAIN_MAX)
        .serve("default", "default", server(env, &ledger));
    tokio::select! {
        ended = serving.run() => ended?,
        () = alone(env) => bail!("whoever started this worker is gone"),
    }
    ledger.write(Fact::Down { worker: worker() }).await;
    Ok(())
}

/// Waits in a thread of its own: tokio's reader would keep a worker from ending that is told to.
async fn alone(env: &Env) {
    let (ended, end) = oneshot::channel();
    drop(env.spawn_thread("oracle.input", move || {
        // Nobody writes to it: whatever comes is its end.
        drop(std::io::stdin().read(&mut [0]));
        // The worker may have ended already.
        let _ = ended.send(());
    }));
    drop(end.await);
}

#[derive(Deserialize, JsonSchema)]
struct Work {
    /// The name that the client gave this call.
    call: String,
    /// How long it takes.
    #[serde(default)]
    ms: u64,
    /// Reports, or questions.
    #[serde(default)]
    steps: u64,
    /// What changes.
    #[serde(default)]
    uri: String,
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    id: String,
}

fn server(env: &Env, ledger: &Ledger) -> Server {
    let all = [
        (Tool::Echo, "Answers at once."),
        (Tool::Work, "Reports while it works."),
        (Tool::WorkAgain, "Reports while it works; may run twice."),
        (Tool::Wait, "Works until it is cancelled."),
        (Tool::Ask, "Asks between pieces of work."),
        (Tool::Job, "Works as a task."),
        (Tool::JobAsks, "Asks as a task."),
        (Tool::Touch, "Changes a resource."),
    ];
    let server = Server::new("oracle", "1.0.0").watchable();
    let template = Template::new(
        "oracle://{id}",
        "Changes",
        "text/plain",
        |_ctx: Ctx, args: Id| async move { args.id },
    );
    let tools = all.map(|(tool, description)| offered(env, ledger, tool, description));
    tools
        .into_iter()
        .fold(server.with(template), |server, tool| server.with(tool))
}

fn offered(env: &Env, ledger: &Ledger, tool: Tool, description: &str) -> Offered {
    let (env, ledger) = (env.clone(), ledger.clone());
    let handler = move |ctx: Ctx, work: Work| {
        let run = format!("{:016x}", env.random_u64());
        let running = Running {
            ledger: ledger.clone(),
            run,
            open: true,
        };
        async move { running.run(ctx, tool, work).await }
    };
    let declared = match tool {
        Tool::WorkAgain => Declarations::new().idempotent(),
        Tool::Job | Tool::JobAsks => Declarations::new().task(TaskSupport::Optional),
        _ => Declarations::new(),
    };
    Offered::new(tool.name(), description, handler).declare(declared)
}

/// A run that ends in the ledger, whatever becomes of it.
struct Running {
    ledger: Ledger,
    run: String,
    open: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.open {
            let run = self.run.clone();
            self.ledger.note(Fact::Dropped { run });
        }
    }
}

impl Running {
    async fn run(mut self, ctx: Ctx, tool: Tool, work: Work) -> Result<String, ToolError> {
        let run = || self.run.clone();
        let (call, began) = (work.call.clone(), run());
        let began = Fact::Began {
            call,
            tool,
            run: began,
        };
        self.ledger.write(began).await;
        let done = tokio::select! {
            done = perform(&ctx, tool, &work) => done,
            () = ctx.cancelled() => Err(ToolError::Cancelled),
        };
        let ended = match &done {
            Ok(said) => Fact::Ended {
                run: run(),
                text: format!("{} {} {said}", work.call, self.run),
            },
            Err(ToolError::Cancelled) => Fact::Cancelled { run: run() },
            Err(why) => Fact::Ended {
                run: run(),
                text: why.to_string(),
            },
        };
        self.ledger.write(ended).await;
        self.open = false;
        done.map(|said| format!("{} {} {said}", work.call, self.run))
    }
}

async fn perform(ctx: &Ctx, tool: Tool, work: &Work) -> Result<String, ToolError> {
    match tool {
        Tool::Echo => Ok("echo".to_owned()),
        Tool::Work | Tool::WorkAgain | Tool::Wait => report(ctx, work).await,
        Tool::Ask => ask(ctx, work).await,
        Tool::Job => {
            ctx.become_task();
            report(ctx, work).await
        }
        Tool::JobAsks => {
            ctx.become_task();
            ask(ctx, work).await
        }
        Tool::Touch => {
            ctx.server().resource_updated(&work.uri);
            Ok("touched".to_owned())
        }
    }
}

async fn report(ctx: &Ctx, work: &Work) -> Result<String, ToolError> {
    let steps = work.steps.max(1);
    for step in 1..=steps {
        ctx.sleep(Duration::from_millis(work.ms / steps)).await;
        ctx.progress(step as f64, Some(steps as f64), None);
    }
    Ok("worked".to_owned())
}

/// Every question gets another answer, so that a mixed-up one shows in the outcome.
async fn ask(ctx: &Ctx, work: &Work) -> Result<String, ToolError> {
    let schema = json!({"type": "object", "properties": {"said": {"type": "string"}},
        "required": ["said"]});
    let mut said = String::new();
    for step in 1..=work.steps.max(1) {
        let message = format!("{} {step}", work.call);
        let key = format!("q{step}");
        let elicited = ctx.elicit(&key, &message, schema.clone()).await?;
        let content = elicited.accepted().unwrap_or_default();
        if content["said"] != message.as_str() {
            return Err(ToolError::failed(format!(
                "asked {message:?}, got {content}"
            )));
        }
        said = format!("{said}+{step}");
        ctx.sleep(Duration::from_millis(work.ms / work.steps.max(1)))
            .await;
    }
    Ok(said)
}
