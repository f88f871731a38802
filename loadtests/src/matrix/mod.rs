//! The matrix: clients of every revision against workers of every kind, feature by feature.
//!
//! All workers offer the same Server (`crates/xtask/interop/matrix/CONTRACT.md`). `cargo xtask
//! interop matrix` starts them, and bridges in front of those that are MCP servers; here are the
//! clients, the one worker in Rust, and what each cell must be.

mod checks;
mod feature;
mod person;
mod table;
mod worker;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use ostler_client::EraChoice;
use ostler_env::Env;
use ostler_protocol::Revision;

use self::{checks::Bench, feature::Feature, table::Table};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Where clients reach the node: `http://127.0.0.1:8080`.
    #[arg(long)]
    edge: String,
    /// Where workers reach it: `http://127.0.0.1:7070`.
    #[arg(long)]
    hub: String,
    /// The Servers to call, besides `rust`, which runs here.
    #[arg(long = "server")]
    servers: Vec<String>,
    /// Where the table goes.
    #[arg(long)]
    table: PathBuf,
}

/// The Server of the worker that runs here.
const OURS: &str = "rust";

/// What was seen in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Works,
    /// Nobody was asked, and the caller was told.
    Refused,
    Wrong(String),
}

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let worker = worker::start(env, &arguments.hub, OURS);
    let mut servers = vec![OURS.to_owned()];
    servers.extend(arguments.servers);
    let mut table = Table::default();
    for server in &servers {
        for &revision in Revision::ALL {
            let bench = Bench::new(env, &arguments.edge, server, revision);
            bench.wait_for_server().await?;
            for &feature in Feature::ALL {
                let seen = bench.check(feature).await;
                if seen != feature.expected(revision) {
                    eprintln!(
                        "{server} {} {}: {seen:?}",
                        revision.as_str(),
                        feature.name()
                    );
                }
                table.note(server, revision, feature, seen);
            }
        }
        eprintln!("{server}: done");
    }
    worker.abort();
    std::fs::write(&arguments.table, table.to_string())
        .with_context(|| format!("writing {}", arguments.table.display()))?;
    match table.wrong() {
        0 => Ok(()),
        wrong => bail!("{wrong} cells are not as they must be"),
    }
}

/// How a client of this revision is reached: 2024-11-05 has a transport of its own.
fn door(revision: Revision) -> (&'static str, EraChoice) {
    let path = match revision {
        Revision::V2024_11_05 => "sse",
        _ => "mcp",
    };
    (path, EraChoice::Only(revision))
}
