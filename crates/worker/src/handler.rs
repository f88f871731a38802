//! Async functions as handlers, and their type-erased form.

use std::{borrow::Cow, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_util::future::ready;
use ostler_protocol::call::Failure;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    ctx::Ctx,
    error::ToolError,
    reply::{IntoToolResult, Reply, ToolResult},
};

/// An `async fn(Ctx, Args) -> Output` or `async fn(Ctx) -> Output`. `Marker` only tells the two
/// apart; the compiler finds it.
pub trait Handler<Marker>: Send + Sync + 'static {
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    type Output: Send + 'static;

    fn run(
        &self,
        ctx: Ctx,
        args: Self::Args,
    ) -> impl Future<Output = Self::Output> + Send + 'static;
}

/// No arguments at all; also what a handler without an argument parameter takes.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct NoArgs {}

/// By hand: a derived one would show the comment above to every client.
impl JsonSchema for NoArgs {
    fn schema_name() -> Cow<'static, str> {
        "NoArgs".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": false})
    }
}

impl<F, Running, Args, Output> Handler<fn(Ctx, Args) -> Output> for F
where
    F: Fn(Ctx, Args) -> Running + Send + Sync + 'static,
    Running: Future<Output = Output> + Send + 'static,
    Args: DeserializeOwned + JsonSchema + Send + 'static,
    Output: Send + 'static,
{
    type Args = Args;
    type Output = Output;

    fn run(&self, ctx: Ctx, args: Args) -> impl Future<Output = Output> + Send + 'static {
        self(ctx, args)
    }
}

impl<F, Running, Output> Handler<fn(Ctx) -> Output> for F
where
    F: Fn(Ctx) -> Running + Send + Sync + 'static,
    Running: Future<Output = Output> + Send + 'static,
    Output: Send + 'static,
{
    type Args = NoArgs;
    type Output = Output;

    fn run(&self, ctx: Ctx, _args: NoArgs) -> impl Future<Output = Output> + Send + 'static {
        self(ctx)
    }
}

/// A handler at work.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// A handler with its types erased: the call, and its arguments as JSON text.
pub(crate) type Erased = Arc<dyn Fn(Ctx, Bytes) -> Running + Send + Sync>;

/// Arguments that do not fit are the model's mistake, which it can correct: a result with
/// `isError`, not a protocol error [T-8].
pub(crate) fn erase_tool<M, H: Handler<M>>(handler: H) -> Erased
where
    H::Output: IntoToolResult,
{
    Arc::new(move |ctx, arguments| match parse(&arguments) {
        Ok(args) => {
            let running = handler.run(ctx, args);
            Box::pin(async move { tool_outcome(running.await.into_tool_result()) })
        }
        Err(why) => Box::pin(ready(tool_outcome(Err(ToolError::Failed(why))))),
    })
}

/// For prompts and resources, where arguments that do not fit are a protocol error [P-1].
pub(crate) fn erase<M, H: Handler<M>>(
    handler: H,
    finish: impl Fn(&Ctx, H::Output) -> Result<Reply, ToolError> + Send + Sync + Clone + 'static,
) -> Erased {
    Arc::new(move |ctx, arguments| match parse(&arguments) {
        Ok(args) => {
            let running = handler.run(ctx.clone(), args);
            let finish = finish.clone();
            Box::pin(async move { finish(&ctx, running.await).map_err(ToolError::into_failure) })
        }
        Err(why) => Box::pin(ready(Err(Failure::InvalidParams(why)))),
    })
}

fn tool_outcome(result: Result<Reply, ToolError>) -> Result<Reply, Failure> {
    match result {
        Err(ToolError::Failed(text)) => {
            Reply::of(&ToolResult::error(text)).map_err(ToolError::into_failure)
        }
        other => other.map_err(ToolError::into_failure),
    }
}

fn parse<T: DeserializeOwned>(arguments: &Bytes) -> Result<T, String> {
    serde_json::from_slice(arguments).map_err(|error| {
        // The position says nothing to a model.
        let text = error.to_string();
        let end = text.rfind(" at line ").unwrap_or(text.len());
        format!("invalid arguments: {}", &text[..end])
    })
}
