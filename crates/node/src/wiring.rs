//! How the parts of a node fit together, from the bottom up.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use ostler_auth::{AdminToken, Authenticator, KeyRing, WorkerTokens};
use ostler_catalog::Catalogs;
use ostler_dispatch::Dispatcher;
use ostler_edge::Edge;
use ostler_env::Env;
use ostler_hub::Hub;
use ostler_session::Sessions;
use ostler_store::Store;
use ostler_task::Tasks;
use tokio::net::TcpListener;

use crate::{
    config::{Config, Engine},
    drain,
    news::ToSessions,
    rebinder::{self, Rebinder},
};

/// A node whose parts are in place and whose ports are bound, but which serves nothing yet.
pub struct Node {
    pub(crate) env: Env,
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) worker_tokens: Arc<WorkerTokens>,
    pub(crate) admin_token: Option<AdminToken>,
    pub(crate) hub: Hub,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) sessions: Sessions,
    pub(crate) tasks: Tasks,
    pub(crate) edge: Edge,
    pub(crate) rebinder: Option<Rebinder>,
    pub(crate) listeners: Option<Listeners>,
    pub(crate) drain_metrics: drain::Metrics,
}

pub(crate) struct Listeners {
    pub edge: TcpListener,
    pub workers: TcpListener,
    pub admin: TcpListener,
}

/// Where a node listens; ports of 0 have become real ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub edge: SocketAddr,
    pub workers: SocketAddr,
    pub admin: SocketAddr,
}

impl Node {
    /// Binds the ports, opens the store and builds the parts.
    pub async fn build(config: Config, env: Env) -> anyhow::Result<Self> {
        let listeners = Listeners::bind(&config).await?;
        let store = Store::open(&config.stored(), &env)?;
        Self::over(store, listeners, config, env)
    }

    /// The same on a store that is open already, whatever the configuration says of it.
    pub async fn build_on(store: Store, config: Config, env: Env) -> anyhow::Result<Self> {
        let listeners = Listeners::bind(&config).await?;
        Self::over(store, listeners, config, env)
    }

    fn over(store: Store, listeners: Listeners, config: Config, env: Env) -> anyhow::Result<Self> {
        let keys = Arc::new(open_keys(&config, &env)?);
        let admin_token = open_admin_token(&config, &env)?;
        let authenticator = Arc::new(Authenticator::new(&env, &config.access.tenants)?);
        let worker_tokens = Arc::new(WorkerTokens::new(&env, &config.access.workers)?);
        let catalogs = Catalogs::new(&env);
        let (orphanage, found) = rebinder::orphanage();
        let hub = Hub::new(
            &env,
            config.workers.hub.clone(),
            catalogs.clone(),
            worker_tokens.clone(),
            orphanage,
        );
        let dispatcher = Dispatcher::new(&env, hub.clone(), catalogs, &config.limits);
        let tasks = Tasks::new(
            &env,
            store.clone(),
            dispatcher.clone(),
            keys.clone(),
            config.task.clone(),
        );
        let sessions = Sessions::new(
            &env,
            store.clone(),
            dispatcher.clone(),
            Arc::new(tasks.clone()),
            keys.clone(),
            config.session.clone(),
        );
        tasks.set_listener(Arc::new(ToSessions(sessions.news())));
        let parts = ostler_edge::Parts {
            env: env.clone(),
            config: config.edge.clone(),
            authenticator: authenticator.clone(),
            keys,
            dispatcher: dispatcher.clone(),
            sessions: sessions.clone(),
            tasks: tasks.clone(),
        };
        let edge = Edge::new(parts, listeners.edge.local_addr()?);
        let rebinder = Some(Rebinder::new(
            found,
            hub.clone(),
            sessions.clone(),
            tasks.clone(),
        ));
        let listeners = Some(listeners);
        let drain_metrics = drain::Metrics::register(env.metrics());
        Ok(Self {
            env,
            config,
            store,
            authenticator,
            worker_tokens,
            admin_token,
            hub,
            dispatcher,
            sessions,
            tasks,
            edge,
            rebinder,
            listeners,
            drain_metrics,
        })
    }

    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        let listeners = self.listeners.as_ref().context("the node runs already")?;
        Ok(Addresses {
            edge: listeners.edge.local_addr()?,
            workers: listeners.workers.local_addr()?,
            admin: listeners.admin.local_addr()?,
        })
    }
}

impl Listeners {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            edge: bind("edge.listen", config.edge.listen).await?,
            workers: bind("workers.listen", config.workers.listen).await?,
            admin: bind("admin.listen", config.admin.listen).await?,
        })
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| {
        format!("{key} = {address} cannot be bound; is another node running? choose another port")
    })
}

fn open_keys(config: &Config, env: &Env) -> anyhow::Result<KeyRing> {
    match config.store.engine {
        Engine::Memory => Ok(KeyRing::ephemeral(env)),
        Engine::Sled | Engine::Fjall => {
            let path = &config.store.path;
            std::fs::create_dir_all(path)
                .with_context(|| format!("making the data directory {}", path.display()))?;
            let file = path.join("keys");
            KeyRing::open_or_create(&file, env)
                .with_context(|| format!("opening the key ring {}", file.display()))
        }
    }
}

fn open_admin_token(config: &Config, env: &Env) -> anyhow::Result<Option<AdminToken>> {
    let open = |file: PathBuf| {
        AdminToken::open_or_create(&file, env)
            .with_context(|| format!("opening the token of the admin port {}", file.display()))
    };
    config.admin_token_file().map(open).transpose()
}
