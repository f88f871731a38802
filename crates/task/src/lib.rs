//! Calls that outlive a request: parked calls, which a client resumes with a sealed
//! `requestState`, and tasks, which it follows by handle. One kind of actor owns both.
//!
//! Invariant: nothing is shown before it is stored, each answer is fed once, and an outcome is
//! stored once. A node that dies in between costs the client nothing but time.
//! Must not know: HTTP statuses, headers, event streams, sessions, how a worker is reached.
//! Start with [`Tasks`], then `state` (the machine), `actor` (what performs its effects) and
//! `token` (what a client carries between rounds). Tasks have two dialects over one store: what
//! only that of 2025-11-25 has is in `requested` and `waiting`. Approvals are to be a further
//! face of the same actor.

mod actor;
mod config;
mod digest;
mod dispatched;
mod error;
mod facts;
mod follow;
mod known;
mod live;
mod metrics;
mod quota;
mod record;
mod requested;
mod round;
mod state;
mod tasks;
mod token;
mod waiting;
mod work;

pub use config::Config;
pub use error::TaskError;
pub use facts::{CallFacts, TaskRequest};
pub use follow::TaskUpdates;
pub use known::{KnownAnswers, Split, split};
pub use requested::{Listener, News, TaskResult};
pub use round::{End, InputRequired, Resumed, RoundEvent, RoundStream};
pub use tasks::{Reserved, Tasks};
