//! Hosts what exists: MCP servers of any revision over stdio and HTTP, and OpenAPI services, each
//! as a [`Member`] of a Server that a worker serves.
//!
//! Invariant: one member's failure is never another's; what a member is asked for one caller is
//! shown to no other.
//! Must not know: nodes, sessions, stores. It is a worker like any other.
//! Start with [`run`](fn@run), [`Member`] and [`Served`], which makes a Server of members; `mcp` is the member
//! that most are.

pub mod member;
mod metrics;
pub mod pool;
pub mod process;
pub mod scope;
mod entry;
mod federation;
mod glob;
pub mod mcp;
mod served;
pub mod config;
mod kind;
mod run;
pub mod openapi;

pub use federation::Rules;
pub use kind::report;
pub use member::{Asked, Member, Offer, Presence};
pub use metrics::{Metrics, ProcessEnd};
pub use run::{RunError, run};
pub use served::{Seat, Served};
