//! `ostler list`, `call`, `read`, `get`, `complete`, `listen` and `doctor`: an MCP client for
//! people and scripts.
//!
//! Results go to standard output, everything else to standard error; with `--json` all of it is
//! one JSON value per line on standard output. Must not know: the wire; that is `ostler_client`.

pub mod args;
pub mod exit;
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

use ostler_client::{Endpoint, Limits, Options, Reach, Target, stopper};
use ostler_env::Env;
use ostler_types::Secret;

use self::{
    args::{Asks, ClientCommand, Credentials, header_lines},
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
    let endpoint = endpoint(&server.url, &server.credentials)?;
    let options = Options {
        choice: server.choice(),
        abilities: desk.abilities(),
        log_level: level.map(str::to_owned),
        limits: Limits::default(),
        stop,
    };
    if is_token_open(&endpoint)? {
        output.tell(OPEN_TOKEN);
    }
    let bench = Bench {
        env: env.clone(),
        output,
        endpoint,
        options,
        desk,
        stopper: stopper.clone(),
    };
    let timeout = timeout(&command, output);
    // Boxed, because all commands are in it.
    let work = Box::pin(commands::run(&command, bench));
    watch::watched(env, work, stopper, timeout).await
}

/// A server with the token and the headers that go along with every request.
pub fn endpoint(url: &str, credentials: &Credentials) -> Result<Endpoint, Failure> {
    let mut headers = credentials.headers.clone();
    if let Some(path) = &credentials.header_file {
        headers.extend(header_file(path)?);
    }
    Ok(Endpoint {
        url: url.to_owned(),
        token: token(credentials.token_file.as_deref())?,
        headers: headers
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value)))
            .collect(),
        reach: Reach::Anywhere,
    })
}

/// The headers in a file. What is wrong with it is told without its lines, which may be secrets.
pub fn header_file(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let bad = |why| Failure::wrong_use(format!("{}: {why}", path.display()));
    header_lines(&read_file(path)?).map_err(bad)
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let read = std::fs::read_to_string(path);
    read.map_err(|why| Failure::wrong_use(format!("{}: {why}", path.display())))
}

/// Whether the token can be read on the way.
pub fn is_token_open(endpoint: &Endpoint) -> Result<bool, Failure> {
    let target = Target::parse(&endpoint.url)?;
    Ok(endpoint.token.is_some() && !target.is_tls && !target.is_local())
}

/// Said to whoever lets it travel so.
pub const OPEN_TOKEN: &str = "careful: the token travels in the clear; use https";

/// A token from a file or the environment: never from the command line, which others can read.
/// The one variable that is read outside the configuration, because there is none here.
fn token(file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    let text = match file {
        Some(path) => Some(read_file(path)?),
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
