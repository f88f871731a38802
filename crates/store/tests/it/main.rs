//! The store as its users see it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod memory;
mod sled;
mod faults;
mod metrics;
mod model;
