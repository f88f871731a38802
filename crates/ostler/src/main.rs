//! The binary `ostler`: a node, its tools for operators, and a demo to begin with.
//!
//! Must not know: how any part of a node works; it chooses what to run and prints what people need.

mod cli;
mod bridge;
mod serve;
mod admin;
mod dev;
mod drain;
mod key;
mod check;
mod store;
mod fixture;
mod client;
mod connect;
#[cfg(feature = "demo")]
mod demo;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let command = Cli::parse()
        .command
        .unwrap_or(Command::Dev(cli::Dev::default()));
    let result = match command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Store(arguments) => store::run(arguments),
        Command::Serve(arguments) => block_on(serve::run(arguments)),
        Command::Dev(arguments) => block_on(dev::run(arguments)),
        Command::Drain(arguments) => block_on(drain::run(arguments)),
        Command::Fixture(arguments) => block_on(async {
            fixture::run(arguments).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Client(command) => run_alone(async { Ok(client::run(command).await) }),
        Command::Connect(arguments) => run_alone(connect::run(arguments)),
        Command::Bridge(arguments) => block_on(bridge::run(arguments)),
        Command::Completions(arguments) => completions(&arguments),
        Command::Keep(arguments) => Ok(ostler_bridge::process::keep(&arguments.order)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("ostler: {error:#}");
        ExitCode::FAILURE
    })
}

fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let exit = runtime.block_on(work);
    // A disk that hangs must not keep a node that has ended.
    runtime.shutdown_timeout(LEFTOVERS);
    exit
}

/// For jobs that are under way on other threads.
const LEFTOVERS: Duration = Duration::from_millis(500);

/// On this thread; what is left of it ends with the process.
fn run_alone(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let exit = runtime.block_on(work);
    // A thread may wait for a line of a person who has gone.
    runtime.shutdown_background();
    exit
}

fn completions(arguments: &cli::Completions) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "ostler", &mut text);
    io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}
