//! What can be said on the command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

/// Hosts MCP servers: tool workers dial in over gRPC, MCP clients of every era connect over HTTP.
#[derive(Debug, Parser)]
#[command(name = "ostler", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node with a demo worker, for trying things out (the default).
    Dev(Dev),
    /// Run a node.
    Serve(Serve),
    /// Host MCP servers and OpenAPI services as they are: a worker that stands before them.
    Bridge(Bridge),
    /// Tell a node to refuse new work, finish the old and exit.
    Drain(Drain),
    /// Check a configuration file and report every problem.
    Check(Check),
    /// Make credentials for clients and workers.
    Key(Key),
    /// Look at the store of a stopped node, or move it.
    Store(Store),
    /// Run the worker that the official conformance suite expects.
    Fixture(crate::fixture::FixtureArgs),
    #[command(flatten)]
    Client(crate::client::args::ClientCommand),
    /// Be a remote server on standard input and output, for hosts that only start commands.
    #[command(after_help = crate::connect::HELP)]
    Connect(crate::connect::Connect),
    /// Write what a shell needs to complete these commands.
    Completions(Completions),
    /// Keep a server of a bridge, which starts this; not for use by hand.
    #[command(hide = true)]
    Keep(Keep),
}

#[derive(Debug, Args)]
pub struct Keep {
    /// What a bridge tells it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub order: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Where a node listens and keeps its state; goes before the configuration file.
#[derive(Debug, Default, Clone, Args)]
pub struct Place {
    /// Address for MCP clients.
    #[arg(long, value_name = "ADDR")]
    pub edge: Option<SocketAddr>,
    /// Address for workers.
    #[arg(long, value_name = "ADDR")]
    pub workers: Option<SocketAddr>,
    /// Address for operators: health, metrics, commands.
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Default, Args)]
pub struct Dev {
    #[command(flatten)]
    pub place: Place,
    /// The SQLite database to serve; a small sample is made when none is given.
    #[arg(long, value_name = "FILE")]
    pub sqlite: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Configuration file; without one the defaults hold.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
    /// Take callers and workers without credentials; works on loopback only.
    #[arg(long)]
    pub anonymous: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("hosted").required(true).args(["config", "url", "openapi", "command"])))]
pub struct Bridge {
    /// What to host, from a file: TOML as in deploy/bridge.toml, or the `mcpServers` of a desktop
    /// client if its name ends in .json.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An MCP server over Streamable HTTP or HTTP+SSE, of any revision.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A service, by its OpenAPI description: a file or a URL.
    #[arg(long, value_name = "FILE")]
    pub openapi: Option<String>,
    /// The URL that its paths stand behind; without it the first one that the description names.
    #[arg(long, value_name = "URL", requires = "openapi")]
    pub base: Option<String>,
    /// Say what of it is served and what is not, and why, and end.
    #[arg(long, requires = "openapi")]
    pub check: bool,
    /// The Server it becomes.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        conflicts_with = "config"
    )]
    pub server: String,
    /// The tenant of that; of all members that name none in a file.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// Address of a node's worker port; may be repeated. 127.0.0.1:7070 unless told.
    #[arg(long = "hub", value_name = "ADDR")]
    pub hubs: Vec<String>,
    /// Address for operators: health and metrics; not shown without it.
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
    /// The file with its worker token; not needed where the node takes anonymous workers.
    #[arg(long, value_name = "FILE")]
    pub worker_token_file: Option<PathBuf>,
    /// A file with the bearer token for the URL or the service.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "command"])]
    pub token_file: Option<PathBuf>,
    /// A file with headers for every request to it, one a line: NAME: VALUE. Lines that begin with # say
    /// nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "command"])]
    pub header_file: Option<PathBuf>,
    /// Let it be at a private, loopback or link-local address.
    #[arg(long, conflicts_with_all = ["config", "command"])]
    pub allow_private: bool,
    /// Who may share a connection or a process.
    #[arg(long, value_enum, default_value_t = Isolation::Shared, conflicts_with = "config")]
    pub isolation: Isolation,
    /// Let the command be a shell.
    #[arg(long, requires = "command")]
    pub allow_shell: bool,
    /// Give the command this variable of the environment too; may be repeated.
    #[arg(long = "env", value_name = "NAME", requires = "command")]
    pub env_pass: Vec<String>,
    /// Where the command runs.
    #[arg(long, value_name = "DIR", requires = "command")]
    pub cwd: Option<PathBuf>,
    /// An MCP server over standard input and output: the command that starts it, after `--`.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    /// All callers.
    Shared,
    /// Each principal has its own.
    PerPrincipal,
    /// Each session has its own; modern calls, which have none, that of their principal.
    PerSession,
}

#[derive(Debug, Args)]
pub struct Drain {
    /// The admin port of the node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub admin: String,
    /// The file with its token, which the node makes in its data directory.
    #[arg(long, value_name = "FILE", default_value = ".ostler/admin-token")]
    pub token_file: PathBuf,
    /// Wait until the node is gone.
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The file to check.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key; it is shown once, the configuration gets its hash.
    New(NewKey),
}

#[derive(Debug, Args)]
pub struct NewKey {
    /// The tenant it belongs to.
    #[arg(long, value_name = "NAME")]
    pub tenant: String,
    /// Make a token for a worker instead of an API key for a client.
    #[arg(long)]
    pub worker: bool,
    /// Who the client is, for policy and audit.
    #[arg(long, value_name = "NAME", conflicts_with = "worker")]
    pub subject: Option<String>,
    /// A scope of the client; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with = "worker")]
    pub scopes: Vec<String>,
    /// A Server the worker may serve; may be repeated. Without one: all of the tenant.
    #[arg(long = "server", value_name = "NAME", requires = "worker")]
    pub servers: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Store {
    #[command(subcommand)]
    pub command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Check every record, its parts and its deadline, on a copy that is deleted again; exits 1 if
    /// something is damaged.
    Verify(Stopped),
    /// Write what is live to fresh files, which gives space back to the disk; needs room for them
    /// beside the old ones. With --admin a running node does it and works on.
    Compact(Compact),
    /// Write all records to one file, which any engine can import. The key ring (`keys` in the data
    /// directory) is not part of it.
    Export(Export),
    /// Make the store of a new data directory of an exported file; it is verified before it counts.
    Import(Import),
}

/// The node whose data directory it is; it must not run.
#[derive(Debug, Args)]
pub struct Stopped {
    /// Its configuration file; without one the defaults hold.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Its data directory; goes before the configuration file.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Compact {
    #[command(flatten)]
    pub stopped: Stopped,
    /// The admin port of the node, if it runs.
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "data"])]
    pub admin: Option<String>,
    /// The file with its token, which the node makes in its data directory.
    #[arg(
        long,
        value_name = "FILE",
        requires = "admin",
        default_value = ".ostler/admin-token"
    )]
    pub token_file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub stopped: Stopped,
    /// The file to make, readable by its owner only; `-` is the standard output.
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub stopped: Stopped,
    /// The engine of the new store; without it the one that is configured. The configuration must
    /// name it when the node starts.
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<EngineName>,
    /// The exported file; `-` is the standard input.
    pub file: PathBuf,
}

/// Engines that keep.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EngineName {
    Sled,
    Fjall,
}

impl From<EngineName> for ostler_node::config::Engine {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Sled => Self::Sled,
            EngineName::Fjall => Self::Fjall,
        }
    }
}
