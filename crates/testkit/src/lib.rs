//! What tests of a whole node stand on: a node on loopback, a scripted worker, a client that
//! sends exactly the bytes it is told to; and a settled HTTP server for tests of clients.
//!
//! Invariant: nothing here sleeps to let something happen; it waits for a condition and gives up
//! with a message after [`PATIENCE`]. For development only: nothing shipped depends on it.
//! Must not know: how the parts of a node work; it sees their ports and their metrics.
//! Start with [`TestNode`], then [`Script`] and [`Door`].

mod wait;
mod http;
mod sse;
mod message;
mod legacy;
mod pair;
mod worker;
mod node;
mod accounts;
mod cancels;
mod stub;
pub mod sim;

pub use crate::{
    cancels::{Leaver, Levels, back_to},
    http::{Door, Live, Request, Response, Sent, cut_cable},
    legacy::Session,
    message::{Modern, TASKS, m_ok},
    node::{Access, Killed, TestNode},
    pair::Pair,
    sse::{Event, Parser},
    stub::{Replay, Seen, Stub},
    wait::{PATIENCE, soon, until, within},
    worker::{Script, TestWorker},
};
