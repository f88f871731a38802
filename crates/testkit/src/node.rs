//! A node on loopback, in a runtime of its own so that it can be killed.

use std::{net::SocketAddr, path::Path, pin::Pin, sync::Arc};

use ostler_auth::{ApiKey, CredentialKind, Serves, TenantAccess, mint};
use ostler_env::Env;
use ostler_node::{
    Config, Exit, Node, Source,
    config::{Engine, Overrides},
};
use ostler_store::{
    Store,
    faults::{self, Faults},
};
use ostler_types::{ServerId, ServerName, TenantId};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::oneshot};

use crate::{
    accounts::{self, Down},
    http::Door,
    wait::{LOOK, soon, until},
    worker::{Script, TestWorker},
};

/// A node under test.
pub struct TestNode {
    pub env: Env,
    pub edge: SocketAddr,
    pub workers: SocketAddr,
    pub admin: SocketAddr,
    pub access: Access,
    /// Boxed: futures that hold a node would be large.
    config: Box<Config>,
    /// Holds the data of a stored node; shared with those that restart on it.
    dir: Option<Arc<TempDir>>,
    runtime: Runtime,
    /// Gone when it drains.
    stop: Option<oneshot::Sender<()>>,
    exit: oneshot::Receiver<Exit>,
}

/// Who may call: everybody on loopback, or the principals a1, a2 of tenant `a` and b1 of `b`.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub a1: String,
    pub a2: String,
    pub b1: String,
}

impl TestNode {
    /// In memory, no credentials, one tenant `default`.
    pub async fn anonymous() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = base();
        change(&mut config);
        config.allow_anonymous().expect("it listens on loopback");
        Self::start(config, Access::default(), None).await
    }

    /// What this file says, which it reads again when it changes.
    pub async fn of_file(path: &Path) -> Self {
        Self::of_file_meanwhile(path, || {}).await
    }

    /// The same; something happens after the file is read and before it is watched.
    pub async fn of_file_meanwhile(path: &Path, meanwhile: impl FnOnce()) -> Self {
        let read = Source::read(path.to_owned(), Overrides::default());
        let (source, config) = read.expect("it is a good configuration");
        meanwhile();
        Self::start_with(config, Access::default(), None, Start::File(source)).await
    }

    /// Stored in a directory of its own, no credentials.
    pub async fn stored() -> Self {
        Self::stored_with(|_| {}).await
    }

    /// In memory, no credentials; its disk fails when the test says so.
    pub async fn faulty() -> (Self, Faults) {
        let env = Env::system();
        let (store, faults) = faults::memory(&env);
        let mut config = base();
        config.allow_anonymous().expect("it listens on loopback");
        let start = Start::Store(store);
        let node = Self::start_in(env, config, Access::default(), None, start).await;
        (node, faults)
    }

    pub async fn stored_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = Arc::new(TempDir::new().expect("there is a place for temporary files"));
        let mut config = base();
        config.store.engine = Engine::Sled;
        config.store.path = dir.path().to_owned();
        change(&mut config);
        config.allow_anonymous().expect("it listens on loopback");
        Self::start(config, Access::default(), Some(dir)).await
    }

    /// In memory, two tenants with keys; the bare `/mcp` is `a/main`.
    pub async fn tenants() -> Self {
        Self::tenants_with(|_| {}).await
    }

    pub async fn tenants_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = base();
        let access = add_tenants(&mut config, &Env::system());
        change(&mut config);
        Self::start(config, access, None).await
    }

    async fn start(config: Config, access: Access, dir: Option<Arc<TempDir>>) -> Self {
        Self::start_with(config, access, dir, Start::Plain).await
    }

    async fn start_with(
        config: Config,
        access: Access,
        dir: Option<Arc<TempDir>>,
        start: Start,
    ) -> Self {
        Self::start_in(Env::system(), config, access, dir, start).await
    }

    async fn start_in(
        env: Env,
        config: Config,
        access: Access,
        dir: Option<Arc<TempDir>>,
        start: Start,
    ) -> Self {
        if let Ok(filter) = std::env::var("OSTLER_TEST_LOG") {
            // Which test of the process was first does not matter.
            let _ = ostler_env::log::init(ostler_env::log::Format::Text, &filter);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the machine has room for two threads");
        let (source, build) = start.build(config.clone(), env.clone());
        let guard = runtime.enter();
        let built = env.spawn("test.build", build);
        drop(guard);
        let node = soon("a built node", built)
            .await
            .expect("it does not panic");
        let node = node.expect("a node can be built");
        let addresses = node.addresses();
        let (stop, stopped) = oneshot::channel();
        let (tell, exit) = oneshot::channel();
        let run = async move {
            let ended = node.run(source, async { stopped.await.unwrap_or_default() });
            // Nobody listens when the test has given the node up.
            let _ = tell.send(ended.await);
        };
        let guard = runtime.enter();
        drop(env.spawn("test.run", run));
        drop(guard);
        Self {
            env,
            edge: addresses.edge,
            workers: addresses.workers,
            admin: addresses.admin,
            access,
            config: Box::new(config),
            dir,
            runtime,
            stop: Some(stop),
            exit,
        }
    }

    /// The data directory of a stored node.
    pub fn data(&self) -> &Path {
        &self.config.store.path
    }

    /// Why another node on the same data does not start.
    pub async fn second_fails(&self) -> String {
        let second = Killed {
            config: (*self.config).clone(),
            access: Access::default(),
            dir: None,
        };
        second.fails().await
    }

    /// `/readyz` of the admin port.
    pub fn readiness(&self) -> Door {
        Door {
            address: self.admin,
            path: "/readyz".to_owned(),
            key: None,
        }
    }

    /// The bare `/mcp` without a credential.
    pub fn door(&self) -> Door {
        Door {
            address: self.edge,
            path: "/mcp".to_owned(),
            key: None,
        }
    }

    /// A Server of a tenant, with an API key.
    pub fn door_of(&self, tenant: &str, key: &str) -> Door {
        Door {
            address: self.edge,
            path: format!("/{tenant}/main/mcp"),
            key: Some(key.to_owned()),
        }
    }

    /// A worker for the Server behind the bare `/mcp`, linked.
    pub async fn worker(&self, script: &Script) -> TestWorker {
        let server = self.config.edge.default_server.clone();
        let server = server.expect("the test node has a default Server");
        self.worker_of("w1", server.tenant.as_str(), server.name.as_str(), script)
            .await
    }

    /// A worker for any Server, linked.
    pub async fn worker_of(
        &self,
        id: &str,
        tenant: &str,
        name: &str,
        script: &Script,
    ) -> TestWorker {
        let before = self.links_opened();
        let worker = TestWorker::start(self.workers, id, tenant, name, script);
        until("a linked worker", || {
            (self.links_opened() > before).then_some(())
        })
        .await;
        worker
    }

    fn links_opened(&self) -> f64 {
        self.metric("ostler_hub_links_opened_total", &[])
    }

    /// The value of a metric; 0 when it does not exist.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.env.metrics().value(name, labels).unwrap_or(0.0)
    }

    /// Waits until a metric has reached a value.
    pub async fn reaches(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name}{labels:?} = {value}");
        until(what, || (self.metric(name, labels) >= value).then_some(())).await;
    }

    /// Calls that dispatch has begun and not ended; 0 when nothing runs.
    pub fn calls_running(&self) -> f64 {
        accounts::calls_running(&self.env)
    }

    /// Waits until every call that was begun has ended.
    pub async fn calls_close(&self) {
        until("the end of every call", || {
            (self.calls_running() == 0.0).then_some(())
        })
        .await;
    }

    /// Begins to drain it; the test goes on meanwhile.
    pub async fn drain(&mut self) {
        self.tell_to_stop();
        let mut admin = self.door();
        admin.address = self.admin;
        admin.path = "/readyz".to_owned();
        let draining = async {
            let ask = admin.request("GET");
            while !admin.send(&ask).await.text().contains("draining") {
                tokio::time::sleep(LOOK).await;
            }
        };
        soon("the begin of a drain", draining).await;
    }

    fn tell_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("the node runs");
        }
    }

    /// Drains and ends it. Every call has ended and no task is left.
    pub async fn stop(self) -> Exit {
        self.calls_close().await;
        self.end().await
    }

    /// The same for a node whose calls go on at its workers.
    pub async fn end(mut self) -> Exit {
        self.tell_to_stop();
        self.ended().await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(self) -> Exit {
        let exit = soon("the end of a node", self.exit).await;
        gone(&self.env).await;
        accounts::check(&self.env, Down::Drained);
        self.runtime.shutdown_background();
        exit.expect("a node says how it ended")
    }

    /// Killed, and started again on the same data and ports; its worker is back.
    pub async fn crash(self) -> TestNode {
        let node = self.kill().await.restart().await;
        node.reaches("ostler_hub_links_opened_total", &[], 1.0)
            .await;
        node
    }

    /// Ends it as a crash does: nothing drains, no socket says goodbye, what was not stored is
    /// gone. Gives what a restart needs.
    pub async fn kill(self) -> Killed {
        let mut config = *self.config;
        config.edge.listen = self.edge;
        config.workers.listen = self.workers;
        config.admin.listen = self.admin;
        self.runtime.shutdown_background();
        // The lock on the data directory is free when the last thread is gone.
        gone(&self.env).await;
        accounts::check(&self.env, Down::Killed);
        Killed {
            config,
            access: self.access,
            dir: self.dir,
        }
    }
}

/// What a node starts from besides its configuration.
enum Start {
    Plain,
    /// A file, which it reads again when it changes.
    File(Source),
    Store(Store),
}

type Build = Pin<Box<dyn Future<Output = anyhow::Result<Node>> + Send>>;

impl Start {
    fn build(self, config: Config, env: Env) -> (Option<Source>, Build) {
        match self {
            Start::Plain => (None, Box::pin(Node::build(config, env))),
            Start::File(source) => (Some(source), Box::pin(Node::build(config, env))),
            Start::Store(store) => (None, Box::pin(Node::build_on(store, config, env))),
        }
    }
}

/// What is left of a killed node.
pub struct Killed {
    config: Config,
    access: Access,
    dir: Option<Arc<TempDir>>,
}

impl Killed {
    /// The store that it left, to be looked at or forged; close it before the restart.
    pub fn store(&self) -> Store {
        Store::open(&self.config.stored(), &Env::system()).expect("nobody else has it open")
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.config.store.path
    }

    /// Why a node does not start on that data any more.
    pub async fn fails(&self) -> String {
        let built = Node::build(self.config.clone(), Env::system()).await;
        let why = built.err().expect("it does not start");
        format!("{why:#}")
    }

    /// A new node on the same data and the same ports.
    pub async fn restart(self) -> TestNode {
        TestNode::start(self.config, self.access, self.dir).await
    }
}

async fn gone(env: &Env) {
    let env = env.clone();
    let left = || {
        let left = env.tasks_alive_by_name();
        left.is_empty().then_some(())
    };
    let what = format!("the end of {:?}", env.tasks_alive_by_name());
    until(what, left).await;
}

fn base() -> Config {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::default();
    config.edge.listen = loopback;
    config.workers.listen = loopback;
    config.admin.listen = loopback;
    config.store.engine = Engine::Memory;
    // The wheel of heartbeats ends after a fifteenth of its period; tests do not wait for it.
    config.edge.keep_alive = std::time::Duration::from_millis(750);
    config.drain_timeout = std::time::Duration::from_secs(5);
    // Tests that come while it drains set it.
    config.drain_notice = std::time::Duration::ZERO;
    config
}

/// Two tenants with keys, and workers that serve both without any.
pub(crate) fn add_tenants(config: &mut Config, env: &Env) -> Access {
    let mut keys = |tenant: &str, subjects: &[&str]| {
        let minted = subjects.iter().map(|subject| {
            let key = mint(env, CredentialKind::Client);
            let known = ApiKey {
                id: key.id,
                hash: key.hash,
                subject: Some((*subject).to_owned()),
                scopes: Vec::new(),
                valid_until: None,
            };
            (known, key.shown.expose().to_owned())
        });
        let (keys, shown): (Vec<_>, Vec<_>) = minted.unzip();
        let access = TenantAccess {
            keys,
            anonymous: None,
        };
        config.access.tenants.push((label(tenant), access));
        shown
    };
    let a = keys("a", &["a1", "a2"]);
    let b = keys("b", &["b1"]);
    let [a1, a2] = a.try_into().expect("two keys were made");
    let [b1] = b.try_into().expect("one key was made");
    config.access.workers.anonymous = ["a", "b"].map(|name| Serves::Tenant(label(name))).into();
    config.edge.default_server = Some(ServerId {
        tenant: label("a"),
        name: ServerName::parse("main").expect("a label"),
    });
    Access { a1, a2, b1 }
}

fn label(tenant: &str) -> TenantId {
    TenantId::parse(tenant).expect("a label")
}
