//! Worker processes on the real SDK. What their tools do is written down.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use hyper_util::rt::TokioIo;
use ostler_env::Env;
use ostler_worker::{
    Ctx, Declarations, Dial, Server, TaskSupport, Tool, ToolError, ToolResult, Worker,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tonic::transport::Endpoint;

use super::{
    dice::Dice,
    history::{History, Process},
    network::{Network, Port},
};

/// One worker, whatever process of it runs now.
pub struct SimWorker {
    name: String,
    dice: Dice,
    network: Network,
    history: History,
    process: u32,
    running: Option<Env>,
}

/// Tenants that every worker serves, each with a Server `main`.
pub const TENANTS: [&str; 2] = ["a", "b"];

impl SimWorker {
    pub fn new(name: &str, dice: Dice, network: Network, history: History) -> Self {
        Self {
            name: name.to_owned(),
            dice,
            network,
            history,
            process: 0,
            running: None,
        }
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Starts a process of it.
    pub fn start(&mut self, world: &Env) {
        self.process += 1;
        // A worker's epoch is made of the wall clock: like a real process it takes a moment to start.
        let env = world.process(self.dice.seed(), Duration::from_millis(self.process.into()));
        let process = (self.name.clone(), self.process);
        self.history
            .note(&self.name, format_args!("starts as {}", self.process));
        let mut worker = Worker::new("http://hub")
            .id(&self.name)
            .env(env.clone())
            .dial_with(dial(self.network.clone(), env.clone()));
        for tenant in TENANTS {
            let tools = Tools {
                history: self.history.clone(),
                process: process.clone(),
                tenant,
            };
            worker = worker.serve(tenant, "main", tools.server());
        }
        let history = self.history.clone();
        drop(env.spawn("sim.worker", async move {
            let ended = worker.run_until(std::future::pending()).await;
            history.violation(&process.0, format_args!("ended by itself: {ended:?}"));
        }));
        self.running = Some(env);
    }

    /// Ends its process where it stands.
    pub async fn crash(&mut self, world: &Env) {
        let Some(env) = self.running.take() else {
            return;
        };
        self.history.note(&self.name, format_args!("crashes"));
        let process = (self.name.clone(), self.process);
        self.history.crashed(&process);
        self.drop_all(world, &env).await;
    }

    /// Ends its process where nobody needs it any more.
    pub async fn end(&mut self, world: &Env) {
        if let Some(env) = self.running.take() {
            self.drop_all(world, &env).await;
        }
    }

    async fn drop_all(&self, world: &Env, process: &Env) {
        process.crash();
        super::node::gone(world, process, &self.history, &self.name).await;
    }
}

/// All that the channel starts belongs to the worker's process, and ends with it.
fn dial(network: Network, env: Env) -> Dial {
    Arc::new(move |_hub| {
        let (network, env) = (network.clone(), env.clone());
        let connector = tower::service_fn(move |_| {
            let network = network.clone();
            async move { network.connect(Port::Workers).await.map(TokioIo::new) }
        });
        async move {
            let endpoint = Endpoint::from_static("http://hub")
                .executor(Spawn(env))
                .http2_keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(5));
            let channel = endpoint.connect_with_connector(connector).await;
            channel.map_err(|why| why.to_string())
        }
        .boxed()
    })
}

#[derive(Clone)]
struct Spawn(Env);

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.0.spawn("sim.channel", future));
    }
}

/// What a client asks of a tool.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct Args {
    /// Names the call in the history.
    token: String,
    /// How often it waits, and reports then.
    #[serde(default)]
    steps: u64,
    /// How long each time.
    #[serde(default)]
    ms: u64,
    /// Questions to ask, one after the other.
    #[serde(default)]
    asks: u64,
    /// Bytes of padding in the result.
    #[serde(default)]
    pad: usize,
}

/// The tools of one Server in one process.
#[derive(Clone)]
struct Tools {
    history: History,
    process: Process,
    tenant: &'static str,
}

impl Tools {
    fn server(&self) -> Server {
        let tool = |name: &str, as_task: bool| {
            let tools = self.clone();
            Tool::new(name, "Does it.", move |ctx: Ctx, args: Args| {
                tools.clone().work(ctx, args, as_task)
            })
        };
        let task = || Declarations::new().task(TaskSupport::Optional);
        Server::new("sim", "1.0.0")
            .with(tool("work", false))
            .with(tool("again", false).declare(Declarations::new().idempotent()))
            .with(tool("job", true).declare(task()))
            .with(tool("maybe", false).declare(task()))
    }

    async fn work(self, ctx: Ctx, args: Args, as_task: bool) -> Result<ToolResult, ToolError> {
        let caller = ctx.caller();
        let owner = format!("tok:{}:{}:", caller.tenant, caller.subject);
        if !args.token.starts_with(&owner) || &*caller.tenant != self.tenant {
            let token = &args.token;
            self.history.violation(
                &self.process.0,
                format_args!("{token} is not of {owner} at {}", self.tenant),
            );
        }
        let run = Running {
            number: self.history.run(&args.token, &self.process),
            history: self.history.clone(),
            token: args.token.clone(),
            how: "dropped",
        };
        if as_task {
            ctx.become_task();
        }
        let done = act(&ctx, &args).await;
        run.end(match &done {
            Ok(_) => "done",
            Err(_) => "given up",
        });
        done.map(|said| {
            let pad = "x".repeat(args.pad);
            ToolResult::text(format!("done {}{said} {pad}", args.token))
        })
    }
}

/// Waits, reports and asks as told. The text is what the client answered.
async fn act(ctx: &Ctx, args: &Args) -> Result<String, ToolError> {
    let mut said = String::new();
    for round in 1..=args.asks {
        let schema = json!({"type": "object", "properties": {"word": {"type": "string"}}});
        let (key, question) = (format!("q{round}"), format!("{} q{round}", args.token));
        let answer = ctx.elicit(&key, &question, schema).await?;
        let content = answer.accepted().unwrap_or_default();
        said += &format!(" {}", content["word"].as_str().unwrap_or("-"));
    }
    for step in 1..=args.steps {
        tokio::select! {
            // What is cancelled goes no further.
            biased;
            () = ctx.cancelled() => return Err(ToolError::Cancelled),
            () = ctx.sleep(Duration::from_millis(args.ms)) => {}
        }
        ctx.progress(step as f64, Some(args.steps as f64), Some(&args.token));
    }
    Ok(said)
}

/// A run ends in the history however it ends.
struct Running {
    number: usize,
    history: History,
    token: String,
    how: &'static str,
}

impl Running {
    fn end(mut self, how: &'static str) {
        self.how = how;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.history.run_ended(&self.token, self.number, self.how);
    }
}
