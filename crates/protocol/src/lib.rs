//! MCP on the wire as pure values: parse, validate, shape and frame, per era and revision.
//!
//! Invariant: a function of its arguments, nothing else. What [`json::Raw`] holds is one strict
//! JSON value without a line break, so it can be put on any wire as it is.
//! Must not know: HTTP statuses, `http` types, async, clocks, randomness, logs, metrics, sessions.
//! Start with [`inbound::parse`] for what comes in and [`reply`] for what goes out.

// What both directions share.
pub mod json;
pub mod revision;
pub mod id;
pub mod facet;
pub mod call;
pub mod fault;
pub mod code;
// Inbound.
pub mod inbound;
pub mod headers;
pub mod trace;
pub mod schema_rules;
pub mod text;
// Outbound.
pub mod reply;
pub mod listing;
pub mod notify;
pub mod relay;
pub mod ask;
pub mod task;
pub mod sse;
pub mod cursor;
// How it is read and written.
mod annotations;
mod floor;
mod meta;
mod write;

pub use id::RequestId;
pub use json::Raw;
pub use revision::{Era, Revision};
