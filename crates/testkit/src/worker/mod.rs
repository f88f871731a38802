//! A scripted worker on the real SDK, and what a test and its tools tell each other.

mod plain;
mod asking;
mod reading;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use ostler_env::Env;
use ostler_worker::{Server, Worker};
use tokio::{sync::watch, task::JoinHandle};

use crate::wait::soon;

/// What happens at the tools of a test: they note what they see, and wait at gates.
#[derive(Clone)]
pub struct Script {
    notes: Arc<watch::Sender<BTreeMap<String, usize>>>,
    gates: Arc<watch::Sender<BTreeSet<String>>>,
    server: Server,
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Script {
    pub fn new() -> Self {
        let mut script = Self {
            notes: Arc::default(),
            gates: Arc::default(),
            server: Server::new("testkit", "1.0.0").instructions("For tests."),
        };
        let server = plain::offer(script.server.clone(), &script);
        let server = asking::offer(server, &script);
        script.server = reading::offer(server, &script);
        script
    }

    /// The Server itself, to change what it offers.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Tools write down what happens to them, such as `started:x`.
    pub(crate) fn note(&self, what: String) {
        self.notes
            .send_modify(|notes| *notes.entry(what).or_default() += 1);
    }

    /// How often this was noted.
    pub fn count(&self, what: &str) -> usize {
        self.notes.borrow().get(what).copied().unwrap_or_default()
    }

    /// Waits until this was noted.
    pub async fn seen(&self, what: &str) {
        let mut notes = self.notes.subscribe();
        let noted = notes.wait_for(|notes| notes.contains_key(what));
        soon(what, noted).await.expect("the script holds the notes");
    }

    /// Lets those who wait at this gate go on, now and later.
    pub fn open(&self, gate: &str) {
        self.gates.send_modify(|gates| {
            gates.insert(gate.to_owned());
        });
    }

    pub(crate) async fn pass(&self, gate: &str) {
        let mut gates = self.gates.subscribe();
        let opened = gates.wait_for(|gates| gates.contains(gate)).await;
        opened.expect("the script holds the gates");
    }
}

/// A worker that is linked, or dials. Dropping it ends it at once, as a crash does.
pub struct TestWorker {
    pub env: Env,
    task: JoinHandle<()>,
}

impl TestWorker {
    pub fn start(hub: SocketAddr, id: &str, tenant: &str, name: &str, script: &Script) -> Self {
        let env = Env::system();
        let worker = Worker::new(format!("http://{hub}"))
            .id(id)
            .env(env.clone())
            .serve(tenant, name, script.server.clone());
        let never = std::future::pending::<()>();
        let task = env.spawn("test.worker", async move {
            let ended = worker.run_until(never).await;
            panic!("a worker ended by itself: {ended:?}");
        });
        Self { env, task }
    }

    /// Ends it as a crash does, and waits until nothing of it is left.
    pub async fn kill(self) {
        self.task.abort();
        let env = self.env.clone();
        drop(self);
        crate::wait::until("the end of a worker", || {
            (env.tasks_alive() == 0).then_some(())
        })
        .await;
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.task.abort();
    }
}
