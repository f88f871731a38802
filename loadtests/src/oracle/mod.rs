//! The oracle: clients and workers that write down every acknowledged fact, and a verdict on what
//! they wrote. `cargo xtask kill` starts them and kills the node under them.
//!
//! A fact is on the disk before whoever wrote it acts on it, so that a file holds all that was
//! promised, whichever process dies.

mod client;
mod fact;
mod ledger;
mod verdict;
mod worker;

use clap::Subcommand;
use ostler_env::Env;

#[derive(Subcommand)]
pub enum Command {
    /// Clients of both eras that come back to a node that dies.
    Client(client::Arguments),
    /// A worker that outlives the node.
    Worker(worker::Arguments),
    /// Judges what clients and workers wrote down; fails when a promise was broken.
    Verdict(verdict::Arguments),
}

pub async fn run(env: &Env, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Client(arguments) => client::run(env, arguments).await,
        Command::Worker(arguments) => worker::run(env, arguments).await,
        Command::Verdict(arguments) => verdict::run(&arguments),
    }
}
