//! What a member is, from what is written of it: the only place that knows which kinds there are.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ostler_client::{Endpoint, EraChoice, Limits, Reach, Target};
use ostler_env::Env;
use ostler_protocol::Revision;
use ostler_types::Secret;
use ostler_worker::LogLevel;

use crate::{
    config::{self, ApiKey, Basic, ConfigError, Source, Table},
    mcp::{MemberId, Settings, Way},
    member::Member,
    openapi::{self, Credential, Fetched, KeyPlace, OpenApi},
    process::{self, Lookup, Program, Shells, Spec},
};

/// A member that can begin.
pub(crate) enum Kind {
    /// An MCP server, whose connections are the pool's.
    Mcp(Box<Settings>),
    /// Any other, whole already.
    Ready(Arc<dyn Member>),
}

/// Checks what is written. Nothing is started yet, but for the fetching of a description: a service
/// that is away at the start comes later, and holds up nobody.
pub(crate) fn of(env: &Env, id: MemberId, table: &Table) -> Result<Kind, ConfigError> {
    if let Some(key) = config::misplaced(table) {
        return Err(table.bad(format!("`{key}` means nothing for what it hosts")));
    }
    let command = (!table.command.is_empty()).then_some(&table.command);
    match (command, &table.url, &table.openapi) {
        (Some(command), None, None) => {
            let way = Way::Process(program(table, command)?);
            Ok(Kind::Mcp(Box::new(settings(id, table, way)?)))
        }
        (None, Some(url), None) => {
            let way = Way::Url(endpoint(table, url)?);
            Ok(Kind::Mcp(Box::new(settings(id, table, way)?)))
        }
        (None, None, Some(place)) => Ok(Kind::Ready(service(env, table, place)?)),
        _ => Err(table.bad("give one of `command`, `url` and `openapi`")),
    }
}

/// What becomes of each operation of an OpenAPI service.
pub async fn report(env: &Env, table: &Table) -> Result<openapi::Report, ConfigError> {
    let bad = |why: openapi::Error| table.bad(why.to_string());
    let place = table.openapi.as_deref().unwrap_or_default();
    let description = match is_url(place) {
        true => openapi::fetch(env, place, reach(table))
            .await
            .map_err(bad)?,
        false => read(table, place)?,
    };
    let service = OpenApi::new(env.clone(), &described(table, description)?);
    Ok(service.map_err(bad)?.report().clone())
}

fn service(env: &Env, table: &Table, place: &str) -> Result<Arc<dyn Member>, ConfigError> {
    if is_url(place) {
        Target::parse(place).map_err(|why| table.bad(why.to_string()))?;
        let config = described(table, String::new())?;
        return Ok(Arc::new(Fetched::start(env, table.label(), place, config)));
    }
    let config = described(table, read(table, place)?)?;
    let service = OpenApi::new(env.clone(), &config);
    let service = service.map_err(|why| table.bad(why.to_string()))?;
    service.report().tell(table.label());
    Ok(Arc::new(service))
}

fn is_url(place: &str) -> bool {
    place.contains("://")
}

fn read(table: &Table, path: &str) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path);
    text.map_err(|why| table.bad(format!("cannot read {path:?}: {why}")))
}

fn settings(id: MemberId, table: &Table, way: Way) -> Result<Settings, ConfigError> {
    if LogLevel::parse(&table.log_level).is_none() {
        return Err(table.bad(format!("{:?} is no log level", table.log_level)));
    }
    Ok(Settings {
        id,
        way,
        isolation: table.isolation,
        choice: choice(table)?,
        log_level: table.log_level.clone(),
        refresh: Duration::from_secs(table.refresh_s.max(1)),
        visit_max: Duration::from_secs(table.visit_max_s),
        limits: Limits::default(),
    })
}

fn choice(table: &Table) -> Result<EraChoice, ConfigError> {
    match table.speaks.as_str() {
        "auto" => Ok(EraChoice::Auto),
        "modern" => Ok(EraChoice::Modern),
        "legacy" => Ok(EraChoice::Legacy),
        date => match Revision::parse(date) {
            Some(revision) => Ok(EraChoice::Only(revision)),
            None => Err(table.bad(format!("it cannot speak {date:?}"))),
        },
    }
}

fn program(table: &Table, command: &[String]) -> Result<Program, ConfigError> {
    let some = |limit: u64| (limit > 0).then_some(limit);
    let limits = table.limits;
    let spec = Spec {
        command: command.to_vec(),
        lookup: match table.allow_relative {
            true => Lookup::Path,
            false => Lookup::Absolute,
        },
        shells: match table.allow_shell {
            true => Shells::Allowed,
            false => Shells::Refused,
        },
        env: secrets(table, &table.env)?.into_iter().collect(),
        env_pass: table.env_pass.clone(),
        folder: table.cwd.clone(),
        limits: process::Limits {
            memory_bytes: some(limits.memory_bytes),
            open_files: some(limits.open_files),
            processes: some(limits.processes),
            cpu: some(limits.cpu_s).map(Duration::from_secs),
        },
        grace: Duration::from_secs(table.grace_s),
    };
    let ambient = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.into_string().ok()?))
    });
    let program = Program::resolve(spec, &ambient.collect());
    let program = program.map_err(|why| table.bad(why.to_string()))?;
    tracing::info!(member = table.label(), path = ?program.path(), "found");
    Ok(program)
}

fn endpoint(table: &Table, url: &str) -> Result<Endpoint, ConfigError> {
    Target::parse(url).map_err(|why| table.bad(why.to_string()))?;
    Ok(Endpoint {
        url: url.to_owned(),
        token: token(table)?,
        headers: secrets(table, &table.headers)?,
        reach: reach(table),
    })
}

/// A service with this description.
fn described(table: &Table, description: String) -> Result<openapi::Config, ConfigError> {
    let mut config = openapi::Config::new(description);
    let patterns = |texts: &[String]| {
        let texts = texts.iter();
        texts.map(|text| openapi::Pattern::new(text)).collect()
    };
    config.base = table.base.clone();
    config.credential = credential(table)?;
    config.headers = secrets(table, &table.headers)?;
    config.include = patterns(&table.include);
    config.exclude = patterns(&table.exclude);
    config.reach = reach(table);
    config.response_bytes_max = table.response_bytes_max.max(1);
    if table.timeout_s > 0 {
        config.timeout = Duration::from_secs(table.timeout_s);
    }
    Ok(config)
}

/// What an OpenAPI service knows the bridge by; one at most.
fn credential(table: &Table) -> Result<Option<Credential>, ConfigError> {
    let load = |source: &Source| source.load().map_err(|why| table.bad(why.to_string()));
    match (token(table)?, &table.basic, &table.api_key) {
        (None, None, None) => Ok(None),
        (Some(token), None, None) => Ok(Some(Credential::Bearer(token))),
        (None, Some(Basic { user, password }), None) => Ok(Some(Credential::Basic {
            user: user.clone(),
            password: load(password)?,
        })),
        (None, None, Some(ApiKey { place, name, value })) => Ok(Some(Credential::Key {
            place: match place {
                config::KeyPlace::Header => KeyPlace::Header,
                config::KeyPlace::Query => KeyPlace::Query,
                config::KeyPlace::Cookie => KeyPlace::Cookie,
            },
            name: name.clone(),
            key: load(value)?,
        })),
        _ => Err(table.bad("give one of `token`, `basic` and `api_key`")),
    }
}

fn reach(table: &Table) -> Reach {
    match table.allow_private {
        true => Reach::Anywhere,
        false => Reach::Public,
    }
}

fn token(table: &Table) -> Result<Option<Secret>, ConfigError> {
    let token = table.token.as_ref().map(Source::load).transpose();
    token.map_err(|why| table.bad(why.to_string()))
}

fn secrets(
    table: &Table,
    values: &BTreeMap<String, Source>,
) -> Result<Vec<(String, Secret)>, ConfigError> {
    let load = |(name, value): (&String, &Source)| {
        let value = value.load().map_err(|why| table.bad(why.to_string()))?;
        Ok((name.clone(), value))
    };
    values.iter().map(load).collect()
}
