//! The store as its users see it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;
mod memory;
mod disk;
mod sled;
mod fjall;
mod compact;
mod recovery;
mod faults;
mod metrics;
mod model;
mod offline;
mod sweep;
