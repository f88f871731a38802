//! The legacy MCP session: what a client of 2025-11-25 or older holds on to between requests.
//!
//! Invariant: nothing that a client could come back with leaves before it is stored, and what
//! was stored is delivered by its cursor alone: no gap, no duplicate, never another stream's.
//! A plain call pays for none of this: it books its id, and the actor never hears of it. A session
//! that lives as long as one stream (HTTP+SSE) stores nothing, for nobody can come back to it.
//!
//! Knows no HTTP status, header or SSE byte (`edge` frames what a [`StreamReader`] yields) and
//! no wire form of JSON-RPC (`protocol` shapes every message).
//!
//! Start with [`Sessions`] and [`HeldSession`], then `state` (the pure machine that decides
//! everything), `actor` (the four beats around it) and `stream` (cursors, replay, readers).

mod config;
mod error;
mod metrics;
mod event_id;
mod lifetime;
mod record;
mod stream;
mod state;
mod book;
mod actor;
mod quota;
mod resources;
mod sessions;
mod held;
mod pair;
mod rebind;
mod news;

pub use config::Config;
pub use error::SessionError;
pub use held::{HeldSession, NewRequest, Reader, RunningCall, SessionFacts, TaskRef, Ticket};
pub use news::SessionNews;
pub use sessions::Sessions;
pub use state::News;
pub use stream::{Frame, StreamReader};

#[cfg(test)]
mod tests;
