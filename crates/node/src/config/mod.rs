//! What an operator writes into `ostler.toml`, checked before anything uses it.
//!
//! Every key is optional; what is left out has the value that `deploy/ostler.toml` shows.

mod reader;
mod access;
mod names;
mod overrides;

use std::{net::SocketAddr, ops::Range, path::PathBuf, time::Duration};

use ostler_store::EngineChoice;
use ostler_types::{Limits, ServerId, ServerName, TenantId};
use toml::de::DeValue;

use self::reader::{Reader, Section, Value, millis, seconds};
pub use self::{access::Access, overrides::Overrides, reader::Problem};

/// Everything one node can be told.
#[derive(Debug, Clone)]
pub struct Config {
    pub edge: ostler_edge::Config,
    pub workers: Workers,
    pub admin: Admin,
    pub store: Store,
    pub session: ostler_session::Config,
    pub task: ostler_task::Config,
    pub log: Log,
    pub drain_timeout: Duration,
    /// How long a node that drains still takes connections, to tell those who come.
    pub drain_notice: Duration,
    /// Who may call and who may serve; taken anew at a reload.
    pub access: Access,
    pub limits: Limits,
}

/// Where workers link, and what is expected of their links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    pub listen: SocketAddr,
    pub hub: ostler_hub::Config,
}

/// The port for operators: health, metrics and commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    pub listen: SocketAddr,
    pub hosts: Vec<String>,
    /// Whose token commands need; else it is in the data directory.
    pub token_file: Option<PathBuf>,
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub engine: Engine,
    /// The data directory: the store, the key ring and the admin token.
    pub path: PathBuf,
    pub cache_bytes: usize,
    pub queue_bytes_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sled,
    Fjall,
    Memory,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            edge: ostler_edge::Config {
                default_server: Some(default_server()),
                ..ostler_edge::Config::default()
            },
            workers: Workers {
                listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
                hub: ostler_hub::Config::default(),
            },
            admin: Admin {
                listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
                hosts: Vec::new(),
                token_file: None,
            },
            store: Store {
                engine: Engine::Sled,
                path: PathBuf::from(".ostler"),
                cache_bytes: 32 << 20,
                queue_bytes_max: 32 << 20,
            },
            session: ostler_session::Config::from_limits(&limits),
            task: ostler_task::Config::with_limits(&limits),
            log: Log {
                format: LogFormat::Text,
                filter: "info".to_string(),
            },
            drain_timeout: Duration::from_secs(20),
            drain_notice: Duration::from_secs(2),
            access: Access::default(),
            limits,
        }
    }
}

/// The Server behind the bare `/mcp`.
fn default_server() -> ServerId {
    ServerId {
        tenant: TenantId::parse("default").expect("a label"),
        name: ServerName::parse("default").expect("a label"),
    }
}

impl Config {
    /// The token of the admin port. A node that stores nothing has one only where it is told to.
    pub fn admin_token_file(&self) -> Option<PathBuf> {
        let stored = || match self.store.engine {
            Engine::Sled | Engine::Fjall => Some(self.store.path.join("admin-token")),
            Engine::Memory => None,
        };
        self.admin.token_file.clone().or_else(stored)
    }

    /// Reads the text of a file; every problem is reported, not the first alone.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(text);
        let mut config = Self::default();
        let mut top = reader.document();
        config.read(&mut reader, &mut top);
        top.finish(&mut reader);
        match reader.problems.is_empty() {
            true => Ok(config),
            false => {
                reader.problems.sort_by_key(|problem| problem.line);
                Err(reader.problems)
            }
        }
    }

    fn read<'t>(&mut self, reader: &mut Reader<'t>, top: &mut Section<'t>) {
        top.set_with(reader, "drain_timeout_s", &mut self.drain_timeout, seconds);
        top.set_with(reader, "drain_notice_ms", &mut self.drain_notice, millis);
        read_limits(&mut self.limits, reader, top);
        self.edge.limits = self.limits.clone();
        self.session = ostler_session::Config::from_limits(&self.limits);
        self.task = ostler_task::Config::with_limits(&self.limits);
        self.workers.hub.outcome_bytes_max = self.limits.outcome_bytes_max;
        self.workers.hub.json_depth_max = self.limits.json_depth_max;
        self.workers.hub.watches_max = self.limits.watches_max;
        self.workers.hub.watches_per_tenant_max = self.limits.watches_per_tenant_max;
        read_edge(&mut self.edge, reader, top);
        let anonymous_workers = read_workers(&mut self.workers, reader, top);
        read_admin(&mut self.admin, reader, top);
        read_store(&mut self.store, reader, top);
        read_session(&mut self.session, reader, top);
        read_task(&mut self.task, reader, top);
        read_log(&mut self.log, reader, top);
        let doors = access::Doors {
            loopback: self.edge.listen.ip().is_loopback(),
            workers: anonymous_workers,
        };
        self.access.read(reader, top, doors);
    }

    /// Where the store is, and its bounds.
    pub fn stored(&self) -> ostler_store::Config {
        let Store {
            engine,
            ref path,
            cache_bytes,
            queue_bytes_max,
        } = self.store;
        let path = path.join("store");
        ostler_store::Config {
            engine: match engine {
                Engine::Memory => EngineChoice::Memory,
                Engine::Sled => EngineChoice::Sled { path },
                Engine::Fjall => EngineChoice::Fjall { path },
            },
            cache_bytes: cache_bytes as u64,
            queue_bytes_max,
            ..ostler_store::Config::memory()
        }
    }

    /// Lets callers and workers of the tenant `default` in without credentials. Refused off
    /// loopback [OR-4].
    pub fn allow_anonymous(&mut self) -> Result<(), String> {
        for (name, address) in [("edge", self.edge.listen), ("workers", self.workers.listen)] {
            if !address.ip().is_loopback() {
                return Err(format!(
                    "--anonymous works on loopback only, and {name} listens on {address}; \
                     use 127.0.0.1, or make keys with `ostler key new`"
                ));
            }
        }
        self.access.open(&default_server().tenant);
        Ok(())
    }
}

fn read_limits<'t>(limits: &mut Limits, reader: &mut Reader<'t>, top: &mut Section<'t>) {
    let mut section = top.section(reader, "limits");
    section.set(reader, "ask_rounds_max", &mut limits.ask_rounds_max);
    section.set(
        reader,
        "chatter_per_second_max",
        &mut limits.chatter_per_second_max,
    );
    section.set_with(reader, "call_timeout_s", &mut limits.call_timeout, seconds);
    let bounds = [
        ("body_bytes_max", &mut limits.body_bytes_max),
        ("header_bytes_max", &mut limits.header_bytes_max),
        ("json_depth_max", &mut limits.json_depth_max),
        ("id_bytes_max", &mut limits.id_bytes_max),
        ("connections_max", &mut limits.connections_max),
        (
            "connections_per_address_max",
            &mut limits.connections_per_address_max,
        ),
        ("requests_max", &mut limits.requests_max),
        (
            "requests_per_second_max",
            &mut limits.requests_per_second_max,
        ),
        ("calls_max", &mut limits.calls_max),
        ("calls_per_tenant_max", &mut limits.calls_per_tenant_max),
        (
            "sessions_per_principal_max",
            &mut limits.sessions_per_principal_max,
        ),
        (
            "sessions_per_tenant_max",
            &mut limits.sessions_per_tenant_max,
        ),
        (
            "streams_per_session_max",
            &mut limits.streams_per_session_max,
        ),
        ("reconnects_at_once_max", &mut limits.reconnects_at_once_max),
        (
            "stream_buffer_bytes_max",
            &mut limits.stream_buffer_bytes_max,
        ),
        ("stream_events_max", &mut limits.stream_events_max),
        (
            "listens_per_principal_max",
            &mut limits.listens_per_principal_max,
        ),
        ("subscriptions_max", &mut limits.subscriptions_max),
        ("watches_max", &mut limits.watches_max),
        ("watches_per_tenant_max", &mut limits.watches_per_tenant_max),
        (
            "tasks_per_principal_max",
            &mut limits.tasks_per_principal_max,
        ),
        ("tasks_per_tenant_max", &mut limits.tasks_per_tenant_max),
        ("outcome_bytes_max", &mut limits.outcome_bytes_max),
        ("page_entries_max", &mut limits.page_entries_max),
        (
            "request_state_bytes_max",
            &mut limits.request_state_bytes_max,
        ),
        ("completion_bytes_max", &mut limits.completion_bytes_max),
    ];
    for (key, bound) in bounds {
        section.set(reader, key, bound);
    }
    section.finish(reader);
}

fn read_edge<'t>(edge: &mut ostler_edge::Config, reader: &mut Reader<'t>, top: &mut Section<'t>) {
    let mut section = top.section(reader, "edge");
    let s = &mut section;
    s.set(reader, "listen", &mut edge.listen);
    s.set_with(
        reader,
        "default_server",
        &mut edge.default_server,
        |value| read_server(value).map(Some),
    );
    s.set_with(reader, "hosts", &mut edge.hosts, names::hosts);
    s.set_with(reader, "origins", &mut edge.origins, names::origins);
    s.set_with(reader, "stream_after_ms", &mut edge.stream_after, millis);
    s.set_with(reader, "task_after_ms", &mut edge.task_after, millis);
    s.set_with(reader, "keep_alive_s", &mut edge.keep_alive, seconds);
    s.set_with(reader, "stall_timeout_s", &mut edge.stall_timeout, seconds);
    s.set_with(reader, "peer_timeout_s", &mut edge.peer_timeout, seconds);
    s.set_with(
        reader,
        "first_byte_timeout_s",
        &mut edge.first_byte_timeout,
        seconds,
    );
    s.set_with(
        reader,
        "header_timeout_s",
        &mut edge.header_timeout,
        seconds,
    );
    s.set_with(reader, "body_timeout_s", &mut edge.body_timeout, seconds);
    s.set_with(
        reader,
        "initialize_timeout_s",
        &mut edge.initialize_timeout,
        seconds,
    );
    section.finish(reader);
}

fn read_server(value: &DeValue<'_>) -> Result<ServerId, String> {
    let text = String::read(value)?;
    let rule = || format!("must be \"tenant/server\", not {text:?}");
    let (tenant, name) = text.split_once('/').ok_or_else(rule)?;
    let tenant = TenantId::parse(tenant).map_err(|bad| bad.to_string())?;
    let name = ServerName::parse(name).map_err(|bad| bad.to_string())?;
    Ok(ServerId { tenant, name })
}

/// Also says where workers without a token are let in.
fn read_workers<'t>(
    workers: &mut Workers,
    reader: &mut Reader<'t>,
    top: &mut Section<'t>,
) -> Option<Range<usize>> {
    let mut section = top.section(reader, "workers");
    let (s, hub) = (&mut section, &mut workers.hub);
    s.set(reader, "listen", &mut workers.listen);
    let anonymous = s.flag(reader, "anonymous");
    if let Some(at) = anonymous
        .as_ref()
        .filter(|_| !workers.listen.ip().is_loopback())
    {
        let what = "works on loopback only: let workers.listen be 127.0.0.1, or make tokens with `ostler key new --worker`";
        reader.problem(at, "workers.anonymous", what.to_string());
    }
    s.set_with(
        reader,
        "handshake_timeout_ms",
        &mut hub.handshake_timeout,
        millis,
    );
    s.set_with(reader, "heartbeat_ms", &mut hub.heartbeat, millis);
    s.set_with(reader, "grace_plain_ms", &mut hub.grace_plain, millis);
    s.set_with(reader, "grace_kept_ms", &mut hub.grace_kept, millis);
    s.set_with(reader, "grace_cancel_ms", &mut hub.grace_cancel, millis);
    s.set(reader, "byte_credit", &mut hub.byte_credit);
    s.set(reader, "waiting_bytes_max", &mut hub.waiting_bytes_max);
    s.set(reader, "catalog_bytes_max", &mut hub.catalog_bytes_max);
    s.set(
        reader,
        "workers_per_credential_max",
        &mut hub.workers_per_credential_max,
    );
    s.set(
        reader,
        "catalog_bytes_per_credential_max",
        &mut hub.catalog_bytes_per_credential_max,
    );
    s.set(
        reader,
        "servers_per_worker_max",
        &mut hub.servers_per_worker_max,
    );
    s.set(
        reader,
        "chatter_per_second_max",
        &mut hub.chatter_per_second_max,
    );
    s.set(
        reader,
        "links_per_ten_seconds_max",
        &mut hub.links_per_ten_seconds_max,
    );
    section.finish(reader);
    anonymous
}

fn read_admin<'t>(admin: &mut Admin, reader: &mut Reader<'t>, top: &mut Section<'t>) {
    let mut section = top.section(reader, "admin");
    section.set(reader, "listen", &mut admin.listen);
    section.set_with(reader, "hosts", &mut admin.hosts, names::hosts);
    section.set_with(reader, "token_file", &mut admin.token_file, |value| {
        let path = String::read(value)?;
        Ok((!path.is_empty()).then(|| PathBuf::from(path)))
    });
    section.finish(reader);
}

fn read_store<'t>(store: &mut Store, reader: &mut Reader<'t>, top: &mut Section<'t>) {
    let mut section = top.section(reader, "store");
    let s = &mut section;
    s.set_with(reader, "engine", &mut store.engine, |value| {
        let engines = [
            ("sled", Engine::Sled),
            ("fjall", Engine::Fjall),
            ("memory", Engine::Memory),
        ];
        choice(value, &engines)
    });
    s.set_with(reader, "path", &mut store.path, |value| {
        String::read(value).map(PathBuf::from)
    });
    s.set(reader, "cache_bytes", &mut store.cache_bytes);
    s.set(reader, "queue_bytes_max", &mut store.queue_bytes_max);
    section.finish(reader);
}

fn read_session<'t>(
    session: &mut ostler_session::Config,
    reader: &mut Reader<'t>,
    top: &mut Section<'t>,
) {
    let mut section = top.section(reader, "session");
    let s = &mut section;
    s.set_with(reader, "idle_ttl_s", &mut session.idle_ttl, seconds);
    s.set_with(reader, "age_max_s", &mut session.age_max, seconds);
    s.set_with(reader, "linger_s", &mut session.linger, seconds);
    s.set_with(
        reader,
        "event_retention_s",
        &mut session.event_retention,
        seconds,
    );
    s.set_with(reader, "retry_ms", &mut session.retry, millis);
    s.set_with(
        reader,
        "drain_retry_max_ms",
        &mut session.drain_retry_max,
        millis,
    );
    s.set_with(
        reader,
        "initialized_wait_ms",
        &mut session.initialized_wait,
        millis,
    );
    s.set_with(reader, "rebind_grace_ms", &mut session.rebind_grace, millis);
    s.set_with(
        reader,
        "elicitation_timeout_s",
        &mut session.elicitation_timeout,
        seconds,
    );
    s.set_with(
        reader,
        "sampling_timeout_s",
        &mut session.sampling_timeout,
        seconds,
    );
    s.set_with(
        reader,
        "roots_timeout_s",
        &mut session.roots_timeout,
        seconds,
    );
    s.set(
        reader,
        "requests_per_session_max",
        &mut session.requests_per_session_max,
    );
    section.finish(reader);
}

fn read_task<'t>(task: &mut ostler_task::Config, reader: &mut Reader<'t>, top: &mut Section<'t>) {
    let mut section = top.section(reader, "task");
    let s = &mut section;
    s.set_with(reader, "park_timeout_s", &mut task.park_timeout, seconds);
    s.set_with(reader, "ttl_s", &mut task.task_ttl, seconds);
    s.set_with(reader, "ttl_max_s", &mut task.task_ttl_max, seconds);
    s.set_with(reader, "result_keep_s", &mut task.result_keep, seconds);
    s.set_with(reader, "poll_interval_ms", &mut task.poll_interval, millis);
    s.set_with(reader, "cancel_grace_ms", &mut task.cancel_grace, millis);
    s.set_with(reader, "rebind_grace_ms", &mut task.rebind_grace, millis);
    s.set(
        reader,
        "questions_per_task_max",
        &mut task.questions_per_task_max,
    );
    section.finish(reader);
}

fn read_log<'t>(log: &mut Log, reader: &mut Reader<'t>, top: &mut Section<'t>) {
    let mut section = top.section(reader, "log");
    section.set_with(reader, "format", &mut log.format, |value| {
        choice(
            value,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        )
    });
    section.set_with(reader, "filter", &mut log.filter, |value| {
        let filter = String::read(value)?;
        let checked = ostler_env::log::check(&filter);
        checked.map(|()| filter).map_err(|bad| bad.to_string())
    });
    section.finish(reader);
}

fn choice<T: Copy>(value: &DeValue<'_>, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices
        .iter()
        .find(|(name, _)| value.as_str() == Some(name));
    let names: Vec<String> = choices
        .iter()
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    found
        .map(|(_, choice)| *choice)
        .ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests;
