//! `ostler connect`: a stdio MCP server that is a remote one, for hosts that only start commands.
//!
//! Each line of the host goes to the remote as a POST, whatever comes back is written as a line. Of
//! a message is read what its way needs: id, method, revision. Standard output carries the protocol
//! and nothing else. Must not know: what a request means; start with `router`, then `exchange`.

mod pipe;
mod message;
mod trouble;
mod flights;
mod schemas;
mod shared;
mod stream;
mod session;
mod exchange;
mod modern;
mod tell;
mod router;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use ostler_env::{Env, log};
use tokio::signal::unix::{SignalKind, signal};

use self::shared::Shared;
use crate::client::{OPEN_TOKEN, args::Credentials, endpoint, is_token_open};

/// A host may end us with a call in flight; what answers by then is still told.
const GRACE: Duration = Duration::from_millis(400);
/// For the goodbye to the session, and for the last lines to a host that reads no more: each.
const GOODBYE_MAX: Duration = Duration::from_millis(250);

/// Stands in the help of the command.
pub const HELP: &str = "\
A bearer token comes from --token-file, else from the environment variable OSTLER_TOKEN.
The log goes to standard error; it ends with status 0 when its standard input does.";

#[derive(Debug, Clone, Args)]
pub struct Connect {
    /// The server, for instance https://mcp.example.com/acme/files/mcp
    pub url: String,
    #[command(flatten)]
    pub credentials: Credentials,
}

/// Serves the host until it closes our input, reads our output no more, or ends us.
pub async fn run(arguments: Connect) -> anyhow::Result<ExitCode> {
    log::init(log::Format::Text, "info")?;
    let endpoint = endpoint(&arguments.url, &arguments.credentials)?;
    if is_token_open(&endpoint)? {
        tracing::warn!("{OPEN_TOKEN}");
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let env = Env::system();
    let shared = Shared::start(&env, &endpoint)?;
    tokio::select! {
        () = serve(&shared) => {}
        () = shared.out.closed() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shared.sessions.close(&env, GOODBYE_MAX).await;
    env.until(env.now() + GOODBYE_MAX, shared.out.flushed())
        .await;
    Ok(ExitCode::SUCCESS)
}

async fn serve(shared: &Arc<Shared>) {
    router::run(shared, pipe::lines(&shared.env)).await;
    let until = shared.env.now() + GRACE;
    shared.env.until(until, shared.flights.all_ended()).await;
}
