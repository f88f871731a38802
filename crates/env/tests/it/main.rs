//! The world as its users see it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod time;
mod tasks;
mod metrics;
