//! A Server whose entries were made elsewhere, in the words of MCP: what a bridge serves.

use std::sync::Arc;

use bytes::Bytes;
use ostler_protocol::Raw;
use ostler_rpc::worker_v1 as wire;

use crate::{
    ctx::Ctx,
    declare::Declarations,
    error::ToolError,
    handler::{Erased, tool_outcome},
    reply::Reply,
};

/// An MCP object in the form of 2026-07-28; it goes out as it is written.
#[derive(Debug, Clone)]
pub struct RawEntry {
    pub definition: Raw,
    pub declarations: Declarations,
}

/// Everything of a Server that was made elsewhere, for
/// [`Server::offer_raw`](crate::Server::offer_raw). Entries stand after those that the Server has
/// of its own.
#[derive(Debug, Clone, Default)]
pub struct RawOffer {
    /// The MCP `Implementation`, instead of the Server's own; `None` leaves that.
    pub info: Option<Raw>,
    pub instructions: String,
    pub tools: Vec<RawEntry>,
    pub prompts: Vec<RawEntry>,
    pub resources: Vec<RawEntry>,
    pub templates: Vec<RawEntry>,
    /// Entries of `skills/list`; their files are resources, or under templates.
    pub skills: Vec<RawEntry>,
    pub completions: bool,
    pub resource_watch: bool,
}

/// Runs calls of every kind: `ctx` says which and of what. `arguments` is the JSON text of the
/// arguments, for a completion of `{argument, context?}`; the result is that of the MCP request.
pub(crate) fn erase_raw<F, Running>(handler: F) -> Erased
where
    F: Fn(Ctx, Bytes) -> Running + Send + Sync + 'static,
    Running: Future<Output = Result<Reply, ToolError>> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |ctx, arguments| {
        let handler = handler.clone();
        Box::pin(async move {
            let kind = ctx.kind();
            tool_outcome(kind, handler(ctx, arguments).await)
        })
    })
}

impl RawEntry {
    fn parts(&self) -> (Bytes, Option<wire::Declarations>) {
        let definition = self.definition.bytes().clone();
        (definition, Some(self.declarations.to_wire()))
    }
}

impl RawOffer {
    /// Adds itself to what the Server offers of its own.
    pub(crate) fn add_to(&self, catalog: &mut wire::Catalog) {
        if let Some(info) = &self.info {
            catalog.server_info = info.bytes().clone();
        }
        if !self.instructions.is_empty() {
            catalog.instructions = self.instructions.clone();
        }
        catalog.tools.extend(self.tools.iter().map(|entry| {
            let (definition, declarations) = entry.parts();
            wire::Tool {
                definition,
                declarations,
            }
        }));
        catalog.prompts.extend(self.prompts.iter().map(|entry| {
            let (definition, declarations) = entry.parts();
            wire::Prompt {
                definition,
                declarations,
            }
        }));
        catalog.resources.extend(self.resources.iter().map(|entry| {
            let (definition, declarations) = entry.parts();
            wire::Resource {
                definition,
                declarations,
            }
        }));
        catalog.templates.extend(self.templates.iter().map(|entry| {
            let (definition, declarations) = entry.parts();
            wire::ResourceTemplate {
                definition,
                declarations,
            }
        }));
        catalog.skills.extend(self.skills.iter().map(|entry| {
            let (definition, declarations) = entry.parts();
            wire::Skill {
                definition,
                declarations,
            }
        }));
        catalog.completions |= self.completions;
        catalog.resource_watch |= self.resource_watch;
    }
}
