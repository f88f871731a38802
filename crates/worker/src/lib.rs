//! Write a tool worker in Rust: functions become tools, and nodes call them over gRPC.
//!
//! A worker knows no revision of MCP and no session: it asks, reports and answers, and the
//! platform says it to each client in its own dialect. A call that must survive does: it runs
//! on through a lost link, and its outcome is offered until a node has stored it.
//!
//! Invariant: every call that began has one end, told at most once per link.
//! Must not know: HTTP, revisions, sessions, tasks or stores.
//! Start with `examples/calc.rs`, then [`Server`], [`Ctx`] and [`Worker`]; how it runs is in
//! `runtime`.

mod error;
mod content;
mod reply;
mod ask;
mod sample;
mod visit;
mod ctx;
mod handler;
mod schema;
mod declare;
mod template;
mod completion;
mod entry;
mod skill;
mod raw;
mod server;
mod runtime;

pub use ask::{Answers, Ask, Elicited, Root};
pub use completion::{Completion, IntoCompletion, Reference};
pub use content::{Content, PromptMessage, ResourceContents, ResourceLink};
pub use ctx::{CallerAssertion, Ctx};
pub use declare::{Declarations, TaskSupport};
pub use entry::{Entry, Prompt, Resource, Template, Tool};
pub use error::{AskError, ToolError};
pub use handler::{Handler, NoArgs};
pub use raw::{RawEntry, RawOffer};
pub use reply::{IntoContents, IntoPrompt, IntoToolResult, Json, Reply, ToolResult};
pub use runtime::worker::{Dial, Worker, WorkerError};
pub use sample::{Sample, Sampled, ToolChoice, ToolOutput, ToolUse};
pub use server::Server;
pub use skill::Skill;
pub use template::UriTemplate;
pub use visit::{Invitation, Stranger, Visit, Visitors};

// What handlers say in the words of the protocol.
pub use ostler_protocol::{
    Raw,
    call::{LogLevel, QuestionKind},
    facet::{Capability, ClientFacet},
};
pub use ostler_types::CallKind;
