//! Async functions as handlers, and their type-erased form.

use std::{borrow::Cow, pin::Pin, sync::Arc};

use bytes::Bytes;
use ostler_protocol::call::Failure;
use ostler_types::CallKind;
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
    let handler = Arc::new(handler);
    // All of the author's code runs inside the future, where a panic is caught.
    Arc::new(move |ctx, arguments| {
        let handler = handler.clone();
        Box::pin(async move {
            let result = match parse(&arguments) {
                Ok(args) => handler.run(ctx, args).await.into_tool_result(),
                Err(why) => Err(ToolError::Failed(why)),
            };
            tool_outcome(CallKind::Tool, result)
        })
    })
}

/// For prompts and resources, where arguments that do not fit are a protocol error [P-1].
pub(crate) fn erase<M, H: Handler<M>>(
    handler: H,
    finish: impl Fn(&Ctx, H::Output) -> Result<Reply, ToolError> + Send + Sync + 'static,
) -> Erased {
    let handler = Arc::new((handler, finish));
    Arc::new(move |ctx, arguments| {
        let handler = handler.clone();
        Box::pin(async move {
            let (handler, finish) = &*handler;
            let result = match parse(&arguments) {
                Ok(args) => {
                    let output = handler.run(ctx.clone(), args).await;
                    finish(&ctx, output)
                }
                Err(why) => Err(ToolError::InvalidParams(why)),
            };
            result.map_err(ToolError::into_failure)
        })
    })
}

/// A tool that ran and did not succeed has a result that says so; nothing else has one.
pub(crate) fn tool_outcome(
    kind: CallKind,
    result: Result<Reply, ToolError>,
) -> Result<Reply, Failure> {
    match (kind, result) {
        (CallKind::Tool, Err(ToolError::Failed(text))) => {
            Reply::of(&ToolResult::error(text)).map_err(ToolError::into_failure)
        }
        (_, other) => other.map_err(ToolError::into_failure),
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
