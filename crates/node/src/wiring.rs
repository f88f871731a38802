//! How the parts of a node fit together, from the bottom up.

use std::{path::PathBuf, sync::Arc};

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

use crate::{
    config::{Config, Engine},
    drain,
    news::ToSessions,
    ports::{Addresses, Listeners, Ports},
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
    pub(crate) ports: Box<dyn Ports>,
    addresses: Addresses,
    pub(crate) drain_metrics: drain::Metrics,
}

/// What a node stands on: what outlives it, and how it is reached.
pub struct Ground {
    pub keys: Arc<KeyRing>,
    /// Without it nobody commands the node on its admin port.
    pub admin_token: Option<AdminToken>,
    pub store: Store,
    pub ports: Box<dyn Ports>,
    pub addresses: Addresses,
}

impl Node {
    /// Binds the ports, opens the store and builds the parts.
    pub async fn build(config: Config, env: Env) -> anyhow::Result<Self> {
        let (listeners, addresses) = Listeners::bind(&config).await?;
        let (stored, opener) = (config.stored(), env.clone());
        let open = move || Store::open(&stored, &opener);
        // It may have much to read, and what is bound answers meanwhile.
        let store = env.spawn_blocking("store-open", open).await??;
        let ground = Ground::bound(listeners, addresses, store, &config, &env)?;
        Self::on(ground, config, env)
    }

    /// The same on a store that is open already, whatever the configuration says of it.
    pub async fn build_on(store: Store, config: Config, env: Env) -> anyhow::Result<Self> {
        let (listeners, addresses) = Listeners::bind(&config).await?;
        let ground = Ground::bound(listeners, addresses, store, &config, &env)?;
        Self::on(ground, config, env)
    }

    /// Builds the parts on what is open already.
    pub fn on(ground: Ground, config: Config, env: Env) -> anyhow::Result<Self> {
        let Ground {
            keys,
            admin_token,
            store,
            ports,
            addresses,
        } = ground;
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
        let edge = Edge::new(parts, addresses.edge);
        let rebinder = Rebinder::new(found, hub.clone(), sessions.clone(), tasks.clone());
        Ok(Self {
            drain_metrics: drain::Metrics::register(env.metrics()),
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
            rebinder: Some(rebinder),
            ports,
            addresses,
        })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }
}

impl Ground {
    /// With the keys and the token of the data directory.
    fn bound(
        listeners: Listeners,
        addresses: Addresses,
        store: Store,
        config: &Config,
        env: &Env,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            keys: Arc::new(open_keys(config, env)?),
            admin_token: open_admin_token(config, env)?,
            store,
            ports: Box::new(listeners),
            addresses,
        })
    }
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
