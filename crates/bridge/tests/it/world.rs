//! Two nodes with a bridge between them.

use std::net::SocketAddr;

use ostler_bridge::{
    config::{Config, Table, Worker},
    process::Keeper,
};
use ostler_env::Env;
use ostler_testkit::{Door, Script, TestNode, TestWorker, soon, until};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::process::example;

/// What an upstream may speak.
pub const ERAS: [&str; 2] = ["modern", "legacy"];

pub struct World {
    /// The upstream.
    pub far: TestNode,
    pub script: Script,
    _worker: TestWorker,
    /// Where clients are.
    pub near: TestNode,
    pub bridge: Bridge,
}

/// A bridge at work.
pub struct Bridge {
    pub env: Env,
    stop: oneshot::Sender<()>,
    run: JoinHandle<()>,
}

/// A member that is a node.
pub fn node(name: &str, address: SocketAddr, speaks: &str) -> Table {
    Table {
        name: Some(name.to_owned()),
        url: Some(format!("http://{address}/mcp")),
        allow_private: true,
        speaks: speaks.to_owned(),
        ..Table::default()
    }
}

/// A member that is a process.
pub fn process(name: &str, arguments: &[&str]) -> Table {
    let program = example("echo_stdio").display().to_string();
    let arguments = arguments.iter().map(|argument| argument.to_string());
    Table {
        name: Some(name.to_owned()),
        command: [program].into_iter().chain(arguments).collect(),
        grace_s: 1,
        ..Table::default()
    }
}

impl Bridge {
    /// Serves these members as the Server behind the bare `/mcp` of a node.
    pub async fn start(node: &TestNode, members: Vec<Table>) -> Bridge {
        let env = Env::system();
        let server = |table| Table {
            server: "default".to_owned(),
            ..table
        };
        let config = Config {
            worker: Worker {
                hubs: vec![node.workers.to_string()],
                id: Some("bridge".to_owned()),
                drain_timeout_s: 1,
                ..Worker::default()
            },
            bridge: members.into_iter().map(server).collect(),
        };
        let before = node.metric("ostler_hub_links_opened_total", &[]);
        let (stop, stopped) = oneshot::channel::<()>();
        let keeper = Keeper::new(example("keep"), []);
        let work = ostler_bridge::run(env.clone(), config, keeper, |_| {}, async {
            // Dropped or told: both end it.
            let _ = stopped.await;
        });
        let run = env.spawn("test.bridge", async move {
            work.await.expect("a bridge ends in peace");
        });
        let linked = || {
            let links = node.metric("ostler_hub_links_opened_total", &[]);
            (links > before).then_some(())
        };
        until("a linked bridge", linked).await;
        Bridge { env, stop, run }
    }

    /// Whether a member is there.
    pub fn up(&self, member: &str) -> bool {
        let labels = [("server", "default/default"), ("member", member)];
        let up = self.env.metrics().value("ostler_bridge_member_up", &labels);
        up == Some(1.0)
    }

    /// Ends it; nothing of it is left.
    pub async fn stop(self) {
        drop(self.stop);
        soon("the end of a bridge", self.run)
            .await
            .expect("it ends in peace");
        let env = self.env;
        until("no task of a bridge", || {
            (env.tasks_alive() == 0).then_some(())
        })
        .await;
    }
}

impl World {
    /// An upstream that is expected to speak this.
    pub async fn open(speaks: &str) -> World {
        Self::of(speaks, Script::new()).await
    }

    /// One that offers this.
    pub async fn of(speaks: &str, script: Script) -> World {
        let far = TestNode::anonymous().await;
        let worker = far.worker(&script).await;
        let near = TestNode::anonymous().await;
        let bridge = Bridge::start(&near, vec![node("far", far.edge, speaks)]).await;
        World {
            far,
            script,
            _worker: worker,
            near,
            bridge,
        }
    }

    pub fn door(&self) -> Door {
        self.near.door()
    }

    /// Ends all of it; the books of both nodes close.
    pub async fn stop(self) {
        self.near.calls_close().await;
        self.bridge.stop().await;
        self.near.stop().await;
        self.far.stop().await;
    }
}

/// The first text of a tool's result.
pub fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}
