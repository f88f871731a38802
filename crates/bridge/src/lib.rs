//! Hosts what exists: MCP servers of any revision over stdio and HTTP, and OpenAPI services, each
//! as a [`Member`] of a Server that a worker serves.
//!
//! Invariant: one member's failure is never another's; what a member is asked for one caller is
//! shown to no other.
//! Must not know: nodes, sessions, stores. It is a worker like any other.
//! Start with [`Member`].

pub mod member;
mod metrics;
pub mod pool;
pub mod process;
pub mod scope;
pub mod openapi;

pub use crate::{
    member::{Member, Offer, Presence},
    metrics::{Metrics, ProcessEnd},
};
