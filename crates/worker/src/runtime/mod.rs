//! What runs between the author's handlers and the nodes.
//!
//! `worker` owns the links, which have `shared` in common. Each `link` is one task that reads frames and one `outbox` that
//! holds what waits to leave. `calls` knows every call of all links; a `call` is what its
//! handler sees, a `run` the task that polls the handler.

pub(crate) mod outbox;
pub(crate) mod watched;
pub(crate) mod asks;
pub(crate) mod call;
pub(crate) mod calls;
mod run;
mod link;
mod shared;
pub(crate) mod worker;
