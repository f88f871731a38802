//! From an authenticated request to a running call: resolve, permit, admit, route.
//!
//! Invariants: this is the only way to a worker, and nobody comes through without a permit and
//! room; a call ends exactly once, with one outcome; it runs a second time only where that was
//! declared harmless or the first time certainly did not happen.
//! Must not know: HTTP, JSON-RPC, sessions, tasks, the store.
//! Start with [`Dispatcher`], then [`call`] (the two ways to hold a call), then [`retry`].

pub mod workers;
pub mod refusal;
pub mod admission;
mod choice;
pub mod resolve;
pub mod control;
pub mod retry;
mod metrics;
mod flight;
mod source;
pub mod call;
pub mod dispatcher;

pub use call::{CallStream, KeptCall};
pub use control::CallControl;
pub use dispatcher::{Claim, Dispatcher, NewCall};
pub use refusal::Refusal;
pub use resolve::Admitted;
pub use source::{CallSource, FollowedBy, SourcedCall};
