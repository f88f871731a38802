//! Deterministic simulation: one seed, one world, one thread.
//!
//! A world is a node of all its real parts over a disk that outlives its processes, two workers on
//! the real SDK, and scripted clients of both eras, on wires in memory and a clock that is driven.
//! The seed decides what the clients do and what breaks: processes crash, wires are cut or stall,
//! the disk is full, slow or fails. Everything that a client was told and a worker ran is written
//! down and held against the promises; the same seed gives the same history.
//! Start with [`run`], then `faults` (what goes wrong), `client` (what is asked) and `check`.

mod check;
mod client;
mod dice;
mod faults;
mod history;
mod http;
mod network;
mod node;
mod panics;
mod wire;
mod workers;
mod world;

use std::time::Duration;

/// What one seed gave.
#[derive(Debug, Clone)]
pub struct Report {
    pub seed: u64,
    /// The same for the same history.
    pub digest: u64,
    /// How long the world lived, by its own clock.
    pub lived: Duration,
    /// Calls that clients sent.
    pub calls: usize,
    /// Promises that were broken.
    pub violations: Vec<String>,
    /// Every step in its order.
    pub lines: Vec<String>,
}

/// Lets the world of this seed live.
pub fn run(seed: u64) -> Report {
    panics::watch();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without a driver for sockets always starts");
    let report = runtime.block_on(world::live(seed));
    drop(runtime);
    report
}
