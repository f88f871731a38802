//! The store as its users see it.

mod memory;
mod sled;
mod faults;
mod metrics;
mod model;
