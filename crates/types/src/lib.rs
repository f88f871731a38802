//! The nouns of Ostler: names, ids, who is calling, what they want, limits and plain time.
//!
//! Invariant: nothing here does anything. No serde, no tokio, no I/O, no clock.
//! Wire forms live in `protocol` and `rpc`, stored forms with their owners.
//! Start with [`caller`], then [`ids`].

pub mod caller;
pub mod operation;
pub mod ids;
pub mod time;
pub mod limits;
pub mod secret;

pub use caller::{Caller, Identity, Principal, SessionAlias, TraceContext};
pub use ids::{
    BadName, CallId, InstanceEpoch, ServerId, ServerName, SessionId, Shard, TaskId, TenantId,
    WorkerId,
};
pub use limits::Limits;
pub use operation::{CallKind, Operation};
pub use secret::Secret;
pub use time::{Instant, Timestamp};
