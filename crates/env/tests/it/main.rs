//! The world as its users see it.

mod time;
mod tasks;
mod metrics;
