//! The demo worker: a SQLite database that models can read.

mod database;
mod server;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use ostler_env::Env;
use ostler_worker::Worker;

use self::database::Database;

/// What the demo serves, and where.
#[derive(Debug)]
pub struct Options {
    /// Address of a node's worker port.
    pub hub: String,
    /// The database; a small sample without one.
    pub sqlite: Option<PathBuf>,
}

/// Serves the database as default/default until the process is told to end.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let env = Env::system();
    let file = options.sqlite;
    let opening = env.spawn_blocking("demo open", move || Database::open(file.as_deref()));
    let server = server::server(opening.await??, env.clone())?;
    let worker = Worker::new(options.hub).id("demo").env(env);
    worker.serve("default", "default", server).run().await?;
    Ok(())
}
