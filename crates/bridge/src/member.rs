//! What a Server of the bridge is made of.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ostler_protocol::Raw;
use ostler_types::CallKind;
use ostler_worker::{Ctx, Reply, ToolError};
use tokio::sync::watch;

/// One upstream: an MCP server or an OpenAPI service.
pub trait Member: Send + Sync + 'static {
    /// What it offers, from now on. A member that is down keeps what it offered last.
    fn offer(&self) -> watch::Receiver<Arc<Offer>>;

    /// Runs a call to its end. Dropping the future cancels it at the upstream.
    fn call(&self, ctx: Ctx, asked: Asked) -> BoxFuture<'static, Result<Reply, ToolError>>;

    /// Whether somebody wants to hear of changes of `uri`; they are told by the offer's owner.
    fn watch(&self, uri: &str, wanted: bool);
}

/// What a call asks of its member, in the member's own names.
#[derive(Debug, Clone)]
pub struct Asked {
    pub kind: CallKind,
    /// Tool or prompt name, resource URI, or for completions the raw JSON of `ref`.
    pub target: String,
    /// JSON object: tool or prompt arguments, or the completion's `{argument, context}`.
    pub arguments: Bytes,
}

/// What a member offers. Entries are MCP objects in the form of 2026-07-28, as the upstream
/// wrote them but for what that revision says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// `serverInfo`.
    pub info: Raw,
    pub instructions: Option<String>,
    pub tools: Vec<Raw>,
    pub prompts: Vec<Raw>,
    pub resources: Vec<Raw>,
    pub templates: Vec<Raw>,
    pub skills: Vec<Raw>,
    /// It may have resources that it does not list.
    pub unlisted: bool,
    /// Any of its tools may become a task, without saying so [T-16].
    pub tasks: bool,
    pub completions: bool,
    pub resource_watch: bool,
    pub presence: Presence,
}

/// Whether a member is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Presence {
    /// It was not reached yet.
    #[default]
    Unknown,
    Up,
    /// Why it is not: calls to it fail at once, the other members go on.
    Down(String),
}
