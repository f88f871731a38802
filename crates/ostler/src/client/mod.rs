//! `ostler list`, `call`, `read`, `get`, `complete`, `listen` and `doctor`: an MCP client for
//! people and scripts.
//!
//! Results go to standard output, everything else to standard error; with `--json` all of it is
//! one JSON value per line on standard output. Must not know: the wire; that is `ostler_client`.

pub mod args;
mod exit;
mod output;
mod address;
mod typed;
mod form;
mod dialog;
mod bar;
mod tell;
mod desk;
mod show;
mod commands;
mod doctor;
mod watch;

use std::{path::Path, process::ExitCode, time::Duration};

use ostler_client::{Endpoint, Limits, Options, Target, stopper};
use ostler_env::Env;
use ostler_types::Secret;

use self::{
    args::{Asks, ClientCommand, Remote},
    commands::Bench,
    desk::Desk,
    exit::{Exit, Failure},
    output::{Output, Style},
};

/// How long a command may take if nobody says otherwise and nobody watches.
const TIMEOUT: Duration = Duration::from_secs(300);
const TOKEN_VARIABLE: &str = "OSTLER_TOKEN";

/// Runs one command; says itself what went wrong.
pub async fn run(command: ClientCommand) -> ExitCode {
    let style = if command.server().json {
        Style::Json
    } else {
        Style::Text
    };
    let output = Output::new(style);
    match perform(command, output).await {
        Ok(exit) => exit.code(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.code()
        }
    }
}

async fn perform(command: ClientCommand, output: Output) -> Result<Exit, Failure> {
    let env = Env::system();
    let (stopper, stop) = stopper();
    let desk = Desk::new(env.clone(), output, command.asks())?;
    let server = command.server();
    let level = command.asks().and_then(|asks| asks.log.name());
    let options = Options {
        endpoint: endpoint(server)?,
        choice: server.choice(),
        abilities: desk.abilities(),
        log_level: level.map(str::to_owned),
        limits: Limits::default(),
        stop,
    };
    warn_of_open_token(&options.endpoint, output)?;
    let bench = Bench {
        env: env.clone(),
        output,
        options,
        desk,
        stopper: stopper.clone(),
    };
    let timeout = timeout(&command, output);
    // Boxed, because all commands are in it.
    let work = Box::pin(commands::run(&command, bench));
    watch::watched(env, work, stopper, timeout).await
}

fn endpoint(server: &Remote) -> Result<Endpoint, Failure> {
    Ok(Endpoint {
        url: server.url.clone(),
        token: token(server.token_file.as_deref())?,
        headers: server.headers.clone(),
    })
}

/// A token in the clear can be read on the way.
fn warn_of_open_token(endpoint: &Endpoint, output: Output) -> Result<(), Failure> {
    let target = Target::parse(&endpoint.url)?;
    if endpoint.token.is_some() && !target.is_tls && !target.is_local() {
        output.tell("careful: the token travels in the clear; use https");
    }
    Ok(())
}

/// A token from a file or the environment: never from the command line, which others can read.
/// The one variable that is read outside the configuration, because there is none here.
fn token(file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    let text = match file {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            let text =
                read.map_err(|why| Failure::wrong_use(format!("{}: {why}", path.display())))?;
            Some(text)
        }
        None => std::env::var(TOKEN_VARIABLE).ok(),
    };
    let text = text
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    Ok(text.map(Secret::new))
}

fn timeout(command: &ClientCommand, output: Output) -> Option<Duration> {
    let is_open_ended = matches!(command, ClientCommand::Listen(_));
    match command.server().timeout {
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None if is_open_ended || is_watched(command.asks(), output) => None,
        None => Some(TIMEOUT),
    }
}

/// A person who is asked takes their time, and has Ctrl-C.
fn is_watched(asks: Option<&Asks>, output: Output) -> bool {
    asks.is_some() && desk::is_interactive(output)
}
