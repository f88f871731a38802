//! The command line of the client.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ostler_client::EraChoice;
use ostler_protocol::Revision;

/// What every exit status means; stands in the help of each command.
pub const EXITS: &str = "\
Exit status:
  0  done                                  5  the server failed or broke the protocol
  1  the tool says that it failed          6  no connection
  2  wrong use of this command             7  a question could not be answered
  3  refused: credential or permission     8  not done in time
  4  no such server, tool, prompt, ...   130  interrupted

A bearer token comes from --token-file, else from the environment variable OSTLER_TOKEN. It is sent to
whatever --url names, so set the variable only where every --url is the server the token is for.";

#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Show what a server offers.
    #[command(after_help = EXITS)]
    List(List),
    /// Call a tool.
    #[command(after_help = EXITS)]
    Call(Call),
    /// Read a resource.
    #[command(after_help = EXITS)]
    Read(Read),
    /// Get a prompt.
    #[command(after_help = EXITS)]
    Get(Get),
    /// Complete the value of an argument of a prompt or template.
    #[command(after_help = EXITS)]
    Complete(Complete),
    /// Tell of changes as they happen.
    #[command(after_help = EXITS)]
    Listen(Listen),
    /// Look at a server step by step, as a client would see it.
    #[command(after_help = EXITS)]
    Doctor(Doctor),
}

/// Which server, and how to talk to it.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// The server, for instance http://127.0.0.1:8080/mcp
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// What to speak; by default whatever the server speaks, the newest first.
    #[arg(long, value_enum, default_value_t = Era::Auto)]
    pub era: Era,
    /// Ask for one revision, for instance 2025-06-18.
    #[arg(long, value_name = "DATE", value_parser = revision, conflicts_with = "era")]
    pub revision: Option<Revision>,
    #[command(flatten)]
    pub credentials: Credentials,
    /// Write one JSON value per line, for scripts.
    #[arg(long)]
    pub json: bool,
    /// Give up after so many seconds; 0 for never. Default: 300; never for listen, nor where a person at
    /// the terminal may be asked.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// What goes along with every request to a server.
#[derive(Debug, Clone, Default, Args)]
pub struct Credentials {
    /// Send a header with every request; may be repeated. Not for credentials.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// A file with more of them, one a line; credentials may be among them. Lines that begin with # say
    /// nothing.
    #[arg(long, value_name = "FILE")]
    pub header_file: Option<PathBuf>,
    /// A file that holds the bearer token.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Era {
    Auto,
    Modern,
    Legacy,
}

/// What to answer when the server asks.
#[derive(Debug, Clone, Default, Args)]
pub struct Asks {
    /// Answer a field of a form without being asked; may be repeated. The rest keeps its defaults.
    #[arg(long = "answer", value_name = "FIELD=VALUE", value_parser = pair)]
    pub answers: Vec<(String, String)>,
    /// A directory (or file:// URI) that the server may know of; may be repeated.
    #[arg(long = "root", value_name = "DIR")]
    pub roots: Vec<String>,
    /// The least severe log messages to show; off for none.
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub log: LogLevel,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    Debug,
    #[default]
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
    Off,
}

#[derive(Debug, Clone, Args)]
pub struct List {
    /// Only one list.
    #[arg(value_enum)]
    pub kind: Option<Kind>,
    #[command(flatten)]
    pub server: Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Tools,
    Prompts,
    Resources,
    Templates,
    Skills,
}

#[derive(Debug, Clone, Args)]
pub struct Call {
    /// The tool.
    pub tool: String,
    /// Its arguments, typed by the tool's schema.
    #[arg(value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "args")]
    pub arguments: Vec<(String, String)>,
    /// All arguments as one JSON object; - reads it from standard input.
    #[arg(long, value_name = "JSON")]
    pub args: Option<String>,
    #[command(flatten)]
    pub server: Remote,
    #[command(flatten)]
    pub asks: Asks,
}

#[derive(Debug, Clone, Args)]
pub struct Read {
    /// The resource.
    pub uri: String,
    #[command(flatten)]
    pub server: Remote,
    #[command(flatten)]
    pub asks: Asks,
}

#[derive(Debug, Clone, Args)]
pub struct Get {
    /// The prompt.
    pub prompt: String,
    /// Its arguments.
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    pub arguments: Vec<(String, String)>,
    #[command(flatten)]
    pub server: Remote,
    #[command(flatten)]
    pub asks: Asks,
}

#[derive(Debug, Clone, Args)]
pub struct Complete {
    /// The argument and what is typed of it so far.
    #[arg(value_name = "ARGUMENT=START", value_parser = pair)]
    pub argument: (String, String),
    /// An argument of this prompt.
    #[arg(long, value_name = "NAME", required_unless_present = "template")]
    pub prompt: Option<String>,
    /// A variable of this resource template.
    #[arg(long, value_name = "URI", conflicts_with = "prompt")]
    pub template: Option<String>,
    /// An argument that is settled already; may be repeated.
    #[arg(long = "with", value_name = "KEY=VALUE", value_parser = pair)]
    pub settled: Vec<(String, String)>,
    #[command(flatten)]
    pub server: Remote,
}

#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// A resource to hear of, beside the lists; may be repeated.
    #[arg(long = "resource", value_name = "URI")]
    pub resources: Vec<String>,
    /// End after so many changes.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    #[command(flatten)]
    pub server: Remote,
}

#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// How long to wait for a keep-alive on a quiet stream, in seconds; any answer gets as long, 10 s
    /// at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub patience: u64,
    #[command(flatten)]
    pub server: Remote,
}

impl ClientCommand {
    pub fn server(&self) -> &Remote {
        match self {
            ClientCommand::List(List { server, .. })
            | ClientCommand::Call(Call { server, .. })
            | ClientCommand::Read(Read { server, .. })
            | ClientCommand::Get(Get { server, .. })
            | ClientCommand::Complete(Complete { server, .. })
            | ClientCommand::Listen(Listen { server, .. })
            | ClientCommand::Doctor(Doctor { server, .. }) => server,
        }
    }

    /// How asks are answered; commands that cannot be asked answer none.
    pub fn asks(&self) -> Option<&Asks> {
        match self {
            ClientCommand::Call(Call { asks, .. })
            | ClientCommand::Read(Read { asks, .. })
            | ClientCommand::Get(Get { asks, .. }) => Some(asks),
            ClientCommand::List(_)
            | ClientCommand::Complete(_)
            | ClientCommand::Listen(_)
            | ClientCommand::Doctor(_) => None,
        }
    }
}

impl Remote {
    pub fn choice(&self) -> EraChoice {
        match (self.revision, self.era) {
            (Some(revision), _) => EraChoice::Only(revision),
            (None, Era::Auto) => EraChoice::Auto,
            (None, Era::Modern) => EraChoice::Modern,
            (None, Era::Legacy) => EraChoice::Legacy,
        }
    }
}

impl LogLevel {
    /// Whether a message of this level is wanted. Servers of the legacy era may send what nobody
    /// asked for ([P-4]); a level nobody knows is shown.
    pub fn wants(self, level: &str) -> bool {
        self != LogLevel::Off
            && LogLevel::from_str(level, false).map_or(true, |level| level >= self)
    }

    /// As the protocol names it; nothing for none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            LogLevel::Debug => Some("debug"),
            LogLevel::Info => Some("info"),
            LogLevel::Notice => Some("notice"),
            LogLevel::Warning => Some("warning"),
            LogLevel::Error => Some("error"),
            LogLevel::Critical => Some("critical"),
            LogLevel::Alert => Some("alert"),
            LogLevel::Emergency => Some("emergency"),
            LogLevel::Off => None,
        }
    }
}

fn revision(date: &str) -> Result<Revision, String> {
    let known = || {
        let dates: Vec<_> = Revision::ALL.iter().map(|known| known.as_str()).collect();
        format!("known revisions are {}", dates.join(", "))
    };
    Revision::parse(date).ok_or_else(known)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("it must be KEY=VALUE".to_owned()),
    }
}

/// What is typed here ends in shell histories and process lists, so no secret may be.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = header_line(text)?;
    let secret = ["authorization", "proxy-authorization", "cookie"];
    if secret
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
    {
        return Err(format!(
            "a secret on the command line can be read by others: put the token into OSTLER_TOKEN or a \
             file for --token-file instead of {name}"
        ));
    }
    Ok((name, value))
}

/// The headers in a text, one a line; what begins with `#` says nothing.
pub fn header_lines(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().map(str::trim);
    let said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    said.map(header_line).collect()
}

fn header_line(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it must be NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_severe_enough_messages_are_wanted() {
        assert!(LogLevel::Warning.wants("error") && LogLevel::Warning.wants("warning"));
        assert!(!LogLevel::Warning.wants("info") && !LogLevel::Off.wants("emergency"));
        assert!(LogLevel::Emergency.wants("new"));
    }

    #[test]
    fn a_header_may_hold_anything_but_a_secret() {
        let good = header("X-Tenant: a:b").unwrap();
        assert_eq!(good, ("X-Tenant".to_owned(), "a:b".to_owned()));
        for bad in ["X-Tenant", "authorization: Bearer x", "Cookie: a"] {
            assert!(header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_of_headers_has_one_a_line() {
        let found = header_lines("# ours\nX-A: b: c\n\n X-D :e\n").unwrap();
        let wanted = [("X-A", "b: c"), ("X-D", "e")];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, wanted);
        assert!(header_lines("no header").is_err());
    }
}
