//! A bridge from its configuration to its end: members, Servers, the worker that serves them.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use ostler_env::Env;
use ostler_types::ServerId;
use ostler_worker::{Server, Worker, WorkerError};

use crate::{
    config::{self, Config, ConfigError, Group, Table},
    federation::Rules,
    kind::{self, Kind},
    mcp::{Connector, McpMember, MemberId},
    member::Member,
    metrics::Metrics,
    pool::{self, Pool},
    process::Keeper,
    served::{Seat, Served},
};

/// Why a bridge does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the worker token: {0}")]
    Token(#[from] config::SourceError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// Serves what is configured until `shutdown` ends; running calls then have their time to end, and
/// after them every process. `settled` gets the Servers when nodes are about to be told what there is.
pub async fn run(
    env: Env,
    config: Config,
    keeper: Keeper,
    settled: impl FnOnce(Vec<Server>),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let worker = worker(&env, &config.worker)?;
    let groups = kinds(&env, config.groups()?)?;
    let pool = Arc::new(pool(&env, &config.worker, keeper, &groups));
    let served = groups.into_iter().map(|group| group.serve(&env, &pool));
    let served: Vec<_> = served.collect();
    tokio::pin!(shutdown);
    let ended = tokio::select! {
        biased;
        () = &mut shutdown => Ok(()),
        () = settle(&env, &served, &config.worker) => {
            settled(served.iter().map(Served::server).collect());
            serve(worker, &served).run_until(shutdown).await
        }
    };
    // Who follows an upstream need not see it closed.
    drop(served);
    pool.close().await;
    Ok(ended?)
}

async fn settle(env: &Env, served: &[Served], config: &config::Worker) {
    let patience = Duration::from_secs(config.settle_timeout_s);
    join_all(served.iter().map(|it| it.settled(env, patience))).await;
}

fn serve(mut worker: Worker, served: &[Served]) -> Worker {
    for server in served {
        let ServerId { tenant, name } = server.id();
        worker = worker.serve(tenant.as_str(), name.as_str(), server.server());
    }
    worker
}

fn worker(env: &Env, config: &config::Worker) -> Result<Worker, RunError> {
    let (first, others) = config.hubs.split_first().ok_or(ConfigError::NoHub)?;
    let mut worker = Worker::new(first)
        .env(env.clone())
        .capacity(config.capacity)
        .drain_max(Duration::from_secs(config.drain_timeout_s));
    for hub in others {
        worker = worker.hub(hub);
    }
    if let Some(id) = &config.id {
        worker = worker.id(id);
    }
    if let Some(file) = &config.token_file {
        let file = file.clone();
        let token = config::Source::File { file }.load()?;
        worker = worker.token(token.expose());
    }
    Ok(worker)
}

fn pool(env: &Env, config: &config::Worker, keeper: Keeper, groups: &[Kinds]) -> Pool<Connector> {
    let metrics = Metrics::register(env.metrics());
    let members = groups.iter().flat_map(|group| &group.members);
    let upstreams = members.filter_map(|(_, kind)| match kind {
        Kind::Mcp(settings) => Some((**settings).clone()),
        Kind::Ready(_) => None,
    });
    let upstreams: Vec<_> = upstreams.collect();
    let close_max = upstreams.iter().map(|it| it.way.close_max(&it.limits));
    let close_max = close_max.max().unwrap_or_default();
    let connector = Connector::new(env.clone(), metrics.clone(), keeper, upstreams);
    let limits = pool::Limits {
        tenant_max: config.upstreams_per_tenant_max,
        bridge_max: config.upstreams_max,
        close_max,
        idle_ttl: Duration::from_secs(config.idle_ttl_s.max(1)),
        rest_max: Duration::from_secs(config.rest_max_s.max(1)),
        ..pool::Limits::default()
    };
    Pool::new(env, &metrics, limits, connector)
}

/// A Server with what its members are.
struct Kinds {
    server: ServerId,
    members: Vec<(Table, Kind)>,
}

fn kinds(env: &Env, groups: Vec<Group>) -> Result<Vec<Kinds>, ConfigError> {
    let mut all = Vec::new();
    for Group { server, members } in groups {
        let mut known = Vec::new();
        for table in members {
            let id = MemberId::new(server.clone(), table.label());
            let kind = kind::of(env, id, &table)?;
            known.push((table, kind));
        }
        let members = known;
        all.push(Kinds { server, members });
    }
    Ok(all)
}

impl Kinds {
    fn serve(self, env: &Env, pool: &Arc<Pool<Connector>>) -> Served {
        let server = Server::new(self.server.name.as_str(), env!("CARGO_PKG_VERSION"));
        let seats = self.members.into_iter().map(|(table, kind)| {
            let member: Arc<dyn Member> = match kind {
                Kind::Ready(member) => member,
                Kind::Mcp(settings) => Arc::new(McpMember::start(
                    env.clone(),
                    *settings,
                    pool.clone(),
                    server.clone(),
                )),
            };
            Seat {
                name: table.label().to_owned(),
                rules: rules(&table),
                member,
            }
        });
        let seats = seats.collect();
        Served::start(env, &self.server, server, seats)
    }
}

/// An OpenAPI service filters its operations itself, by more than their names.
fn rules(table: &Table) -> Rules {
    let filters = |globs: &[String]| match table.openapi {
        Some(_) => Vec::new(),
        None => globs.to_vec(),
    };
    Rules {
        prefix: table.prefix.clone(),
        rename: table.rename.clone(),
        include: filters(&table.include),
        exclude: filters(&table.exclude),
        timeout: (table.timeout_s > 0).then(|| Duration::from_secs(table.timeout_s)),
    }
}
