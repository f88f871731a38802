//! What an operator writes: `[[bridge]]` tables, or the `mcpServers` of a desktop client as it is.
//!
//! Every key is optional but those that say what is hosted; what is left out has the value that
//! `deploy/bridge.toml` shows. Checked before anything uses it.

mod desktop;
mod keys;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ostler_types::{ServerId, ServerName, TenantId};
use serde::Deserialize;

pub(crate) use self::keys::misplaced;
pub use self::value::{Source, SourceError};
use crate::scope::Isolation;

/// Everything one bridge can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub worker: Worker,
    /// Members, in the order in which their entries are listed.
    pub bridge: Vec<Table>,
}

/// The bridge as a worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// Worker ports of nodes.
    pub hubs: Vec<String>,
    pub token_file: Option<PathBuf>,
    /// Made up at each start without one.
    pub id: Option<String>,
    /// For members that name none.
    pub tenant: String,
    pub capacity: u32,
    pub drain_timeout_s: u64,
    /// How long to wait for members before the node is told what they offer.
    pub settle_timeout_s: u64,
    /// Connections and processes of MCP servers: of one tenant, and of all.
    pub upstreams_per_tenant_max: usize,
    pub upstreams_max: usize,
    /// One that nobody used for so long is closed, unless all callers share it.
    pub idle_ttl_s: u64,
    /// One that fails again and again is left alone for so long at most.
    pub rest_max_s: u64,
    /// Where health and metrics are shown, and by which names besides those of loopback.
    pub admin: Option<SocketAddr>,
    pub admin_hosts: Vec<String>,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            hubs: vec!["127.0.0.1:7070".to_owned()],
            token_file: None,
            id: None,
            tenant: "default".to_owned(),
            capacity: 1_000,
            drain_timeout_s: 30,
            settle_timeout_s: 30,
            upstreams_per_tenant_max: 64,
            upstreams_max: 256,
            idle_ttl_s: 600,
            rest_max_s: 60,
            admin: None,
            admin_hosts: Vec::new(),
        }
    }
}

/// One member of a Server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    pub server: String,
    pub tenant: Option<String>,
    /// Names it in logs, metrics and errors; the Server's name without one.
    pub name: Option<String>,
    /// What is hosted, one of three: an MCP server that is started with this command, …
    pub command: Vec<String>,
    /// … one at a URL, …
    pub url: Option<String>,
    /// … or a service by its OpenAPI description: a file, or a URL.
    pub openapi: Option<String>,
    /// The URL that the paths of that stand behind.
    pub base: Option<String>,
    /// What is shown of it, and how.
    pub prefix: String,
    pub rename: BTreeMap<String, String>,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// The longest run of a call; 0 for the node's own limit.
    pub timeout_s: u64,
    /// Who may share a connection or a process.
    pub isolation: Isolation,
    /// Variables the command gets, besides a few of the bridge's own.
    pub env: BTreeMap<String, Source>,
    /// Names of more of those.
    pub env_pass: Vec<String>,
    /// Where the command runs.
    pub cwd: Option<PathBuf>,
    /// Whether it may be a name on the `PATH`, or a shell.
    pub allow_relative: bool,
    pub allow_shell: bool,
    pub limits: ProcessLimits,
    /// How long the command may take to end when it is told to.
    pub grace_s: u64,
    /// Sent with every request; a credential comes from a file or the environment.
    pub headers: BTreeMap<String, Source>,
    /// A bearer token.
    pub token: Option<Source>,
    /// Other credentials, for an OpenAPI service.
    pub basic: Option<Basic>,
    pub api_key: Option<ApiKey>,
    /// Whether it may be at a private address.
    pub allow_private: bool,
    /// The largest answer of an OpenAPI service.
    pub response_bytes_max: usize,
    /// What it is expected to speak: `auto`, `modern`, `legacy` or a revision.
    pub speaks: String,
    /// The least severe log messages wanted.
    pub log_level: String,
    /// Between two looks at lists whose changes are not told.
    pub refresh_s: u64,
    /// How long a page that a user agreed to visit is waited for.
    pub visit_max_s: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            server: String::new(),
            tenant: None,
            name: None,
            command: Vec::new(),
            url: None,
            openapi: None,
            base: None,
            prefix: String::new(),
            rename: BTreeMap::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            timeout_s: 0,
            isolation: Isolation::Shared,
            env: BTreeMap::new(),
            env_pass: Vec::new(),
            cwd: None,
            allow_relative: false,
            allow_shell: false,
            limits: ProcessLimits::default(),
            grace_s: 4,
            headers: BTreeMap::new(),
            token: None,
            basic: None,
            api_key: None,
            allow_private: false,
            response_bytes_max: 4 << 20,
            speaks: "auto".to_owned(),
            log_level: "debug".to_owned(),
            refresh_s: 60,
            visit_max_s: 30,
        }
    }
}

/// What each process of a command may use; 0 for what the bridge itself may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessLimits {
    pub memory_bytes: u64,
    pub open_files: u64,
    pub processes: u64,
    pub cpu_s: u64,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 0,
            open_files: 1_024,
            processes: 0,
            cpu_s: 0,
        }
    }
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    pub user: String,
    pub password: Source,
}

/// A key under a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    #[serde(rename = "in")]
    pub place: KeyPlace,
    pub name: String,
    pub value: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPlace {
    Header,
    Query,
    Cookie,
}

/// Why a bridge cannot begin. All of it is the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path:?}: {why}")]
    Read { path: PathBuf, why: std::io::Error },
    /// What stands in the line is not shown: it may be a secret.
    #[error("line {line}: {why}")]
    Syntax { line: usize, why: String },
    #[error("no node to link to: give `hubs`")]
    NoHub,
    #[error("nothing to bridge: give a [[bridge]] table")]
    Nothing,
    #[error("member {member:?}: {why}")]
    Member { member: String, why: String },
}

/// A Server and the members it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub server: ServerId,
    pub members: Vec<Table>,
}

impl Config {
    /// Reads a file: TOML, or JSON if its name ends so.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|why| ConfigError::Read {
            path: path.to_owned(),
            why,
        })?;
        match path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            true => desktop::parse(&text),
            false => Config::parse(&text),
        }
    }

    fn parse(text: &str) -> Result<Config, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let begin = error.span().map_or(0, |span| span.start);
            ConfigError::Syntax {
                line: text[..begin].matches('\n').count() + 1,
                why: unquoted(error.message()),
            }
        })
    }

    /// Members by the Server they belong to, in the order of the file. Two of one Server have
    /// different names, or nobody could tell which is meant.
    pub fn groups(&self) -> Result<Vec<Group>, ConfigError> {
        let mut groups: Vec<Group> = Vec::new();
        let mut names = BTreeSet::new();
        for table in &self.bridge {
            let bad = |why: String| table.bad(why);
            let server = ServerId {
                tenant: TenantId::parse(table.tenant.as_ref().unwrap_or(&self.worker.tenant))
                    .map_err(|why| bad(why.to_string()))?,
                name: ServerName::parse(&table.server).map_err(|why| bad(why.to_string()))?,
            };
            if !names.insert((server.to_string(), table.label().to_owned())) {
                return Err(bad(format!(
                    "twice in the Server {server}; give it a `name`"
                )));
            }
            match groups.iter_mut().find(|group| group.server == server) {
                Some(group) => group.members.push(table.clone()),
                None => groups.push(Group {
                    server,
                    members: vec![table.clone()],
                }),
            }
        }
        match groups.is_empty() {
            true => Err(ConfigError::Nothing),
            false => Ok(groups),
        }
    }
}

/// What serde says of a value, without the value.
fn unquoted(message: &str) -> String {
    let told = message.split_once(": ").and_then(|(what, rest)| {
        let is_quoting = matches!(what, "invalid type" | "invalid value");
        let (found, expected) = rest.rsplit_once(", expected ")?;
        let found = found.split(' ').next()?;
        is_quoting.then(|| format!("{what}: {found}, expected {expected}"))
    });
    told.unwrap_or_else(|| message.to_owned())
}

impl Table {
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.server)
    }

    pub(crate) fn bad(&self, why: impl Into<String>) -> ConfigError {
        ConfigError::Member {
            member: self.label().to_owned(),
            why: why.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../deploy/bridge.toml");

    /// The sample with its members uncommented.
    fn uncommented() -> String {
        let line = |line: &str| line.strip_prefix("#: ").unwrap_or(line).to_owned();
        SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_sample_shows_the_defaults() {
        let sample: Config = toml::from_str(SAMPLE).expect("the sample is good");
        assert_eq!(sample, Config::default());
        let sample: Config = toml::from_str(&uncommented()).expect("its members are good");
        let [first, ..] = &sample.bridge[..] else {
            panic!("it shows a member");
        };
        let defaults = Table {
            server: first.server.clone(),
            name: first.name.clone(),
            tenant: first.tenant.clone(),
            command: first.command.clone(),
            url: first.url.clone(),
            openapi: first.openapi.clone(),
            base: first.base.clone(),
            cwd: first.cwd.clone(),
            env: first.env.clone(),
            headers: first.headers.clone(),
            token: first.token.clone(),
            basic: first.basic.clone(),
            api_key: first.api_key.clone(),
            ..Table::default()
        };
        assert_eq!(*first, defaults);
    }

    #[test]
    fn the_sample_shows_every_key() {
        let text = uncommented();
        let shown = |key: &str| {
            let is_shown = |before: &str| text.contains(&format!("{before}{key} = "));
            is_shown("\n") || is_shown(" ")
        };
        for unknown in [
            "[worker]\nnone = 1",
            "[[bridge]]\nnone = 1",
            "[[bridge]]\nlimits.none = 1",
        ] {
            let error = toml::from_str::<Config>(unknown).expect_err("no such key");
            let keys = error.message().split('`').skip(3).step_by(2);
            for key in keys {
                assert!(shown(key), "{key} is not shown");
            }
        }
    }

    #[test]
    fn a_slip_is_told_by_its_line_and_shows_no_secret() {
        let check = |read: Result<Config, ConfigError>, line: usize| {
            let told = read.expect_err("it is none").to_string();
            assert!(told.starts_with(&format!("line {line}: ")), "{told}");
            assert!(!told.contains("s3cret"), "{told}");
        };
        for slip in [
            "headers = \"s3cret\"",
            "token = s3cret",
            "token = \"s3cret",
            "env = { KEY = [\"s3cret\"] }",
            "refresh_s = \"s3cret, expected by nobody\"",
            "basic = { user = \"me\", password = \"s3cret\", realm = \"s3cret\" }",
        ] {
            check(Config::parse(&format!("[[bridge]]\n{slip}\n")), 2);
        }
        for slip in [
            r#""headers": "s3cret""#,
            r#""env": {"KEY": s3cret}"#,
            r#""env": ["s3cret"]"#,
            r#""args": "s3cret""#,
        ] {
            let text = format!("{{\"mcpServers\": {{\"a\":\n{{{slip}}}}}}}");
            check(desktop::parse(&text), 2);
        }
    }

    fn groups(text: &str) -> Result<Vec<Group>, ConfigError> {
        toml::from_str::<Config>(text).expect("it is TOML").groups()
    }

    #[test]
    fn members_of_one_server_are_a_group_in_their_order() {
        let text = r#"
            bridge = [
                {server = "a", name = "x", url = "https://x"},
                {server = "b", url = "https://y"},
                {server = "a", name = "z", url = "https://z"},
            ]"#;
        let groups = groups(text).expect("they are good");
        let shown: Vec<_> = groups
            .iter()
            .map(|group| {
                let names: Vec<_> = group.members.iter().map(Table::label).collect();
                (group.server.to_string(), names.join(" "))
            })
            .collect();
        let wanted = [("default/a", "x z"), ("default/b", "b")];
        assert_eq!(
            shown,
            wanted.map(|(id, names)| (id.to_owned(), names.to_owned()))
        );
    }

    #[test]
    fn what_nobody_could_tell_apart_or_find_is_refused() {
        for bad in [
            "",
            "bridge = [{server = \"a\"}, {server = \"a\"}]",
            "bridge = [{server = \"a b\"}]",
            "bridge = [{server = \"a\", tenant = \"\"}]",
        ] {
            assert!(groups(bad).is_err(), "{bad}");
        }
    }
}
