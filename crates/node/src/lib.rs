//! A node as a library: reads its configuration, puts its parts together, runs, drains.
//!
//! Invariant: a part is started after everything it stands on and stopped before it; a bad
//! configuration never replaces a good one.
//! Must not know: how any part does its work. Start with `wiring` (one screen), then [`Node::run`].

pub mod config;
mod wiring;
mod run;
mod parts;
mod drain;
pub mod open_port;
mod admin;
mod health;
mod reload;
mod rebinder;
mod news;
pub mod worker_port;
mod ports;

pub use crate::{
    config::{Config, Overrides},
    ports::{Addresses, Port, Ports},
    run::{Exit, Source},
    wiring::{Ground, Node},
};
