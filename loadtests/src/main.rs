//! Load on real processes: what no test of one process can show.
//!
//! Purpose: figures and facts about `ostler serve` and its store as they are run, on a disk, with real sockets.
//! Must not know: how any part of a node does its work.
//! Start with the subcommand's own file.

mod bridge;
mod cancels;
mod disk;
mod full;
mod http;
mod matrix;
mod node;
mod oracle;
mod power;
mod sessions;
mod slow;

use clap::{Parser, Subcommand};
use ostler_env::Env;

#[derive(Parser)]
#[command(about = "Load on real Ostler processes")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kills bridged servers under calls, again and again; fails when anything of them is left.
    BridgeKill(bridge::Arguments),
    /// Clients that go away in the middle; fails when anything of them is left.
    Cancels(cancels::Arguments),
    /// Clients and workers that write down whatever a node acknowledges, and a verdict on it.
    #[command(subcommand)]
    Oracle(oracle::Command),
    /// Clients of every revision at workers of every kind.
    Matrix(matrix::Arguments),
    /// Sessions by the hundred thousand: asleep, woken, abandoned.
    Sessions(sessions::Arguments),
    /// Cuts the power of a disk under a writing store, again and again; needs root.
    Power(power::Arguments),
    /// What `power` cuts off: writes and says what was acknowledged.
    PowerWriter(power::writer::Arguments),
    /// Fills the disk of a running node and frees it; needs root.
    FullDisk(full::Arguments),
    /// A node whose syncs take their time; whoever runs this makes them.
    SlowDisk(slow::Arguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::system();
    match Arguments::parse().command {
        Command::BridgeKill(arguments) => bridge::run(&env, arguments).await,
        Command::Cancels(arguments) => cancels::run(&env, arguments).await,
        Command::Oracle(command) => oracle::run(&env, command).await,
        Command::Matrix(arguments) => matrix::run(&env, arguments).await,
        Command::Sessions(arguments) => sessions::run(&env, arguments).await,
        Command::Power(arguments) => power::run(&env, arguments).await,
        Command::PowerWriter(arguments) => power::writer::run(&env, arguments).await,
        Command::FullDisk(arguments) => full::run(&env, arguments).await,
        Command::SlowDisk(arguments) => slow::run(&env, arguments).await,
    }
}
