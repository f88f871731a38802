//! The end of a real node: by signal, by a second one, and from outside.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use ostler_testkit::{Door, Live, Modern, PATIENCE, Script, Session, TestWorker, soon, within};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::world::BINARY;

/// What a node may take beyond `drain_timeout_s` (G5: 25 s with the default of 20 s).
const PARTING_MAX: Duration = Duration::from_secs(5);

const LIMIT: Duration = Duration::from_secs(1);

/// `ostler serve` with data of its own.
struct Node {
    child: Child,
    edge: SocketAddr,
    workers: SocketAddr,
    admin: SocketAddr,
}

impl Node {
    /// On ports of the system's choice ...
    async fn start(data: &Path) -> Self {
        Self::start_at(data, LIMIT, ["127.0.0.1:0"; 3]).await
    }

    /// ... or on these.
    async fn start_at(data: &Path, limit: Duration, [edge, workers, admin]: [&str; 3]) -> Self {
        let config = data.join("ostler.toml");
        let text = format!(
            "drain_timeout_s = {}\ndrain_notice_ms = 100\n[edge]\nstream_after_ms = 20\n\
             [log]\nformat = \"json\"\n",
            limit.as_secs()
        );
        std::fs::write(&config, text).expect("the directory is ours");
        let mut command = Command::new(BINARY);
        command
            .args(["serve", "--anonymous", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(data)
            .args(["--edge", edge, "--workers", workers, "--admin", admin])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the binary runs");
        let said = child.stderr.take().expect("it is piped");
        let line = soon("the addresses of a node", serving(said)).await;
        let address = |name: &str| {
            let text = line[name].as_str().expect("an address");
            text.parse().expect("an address")
        };
        Self {
            child,
            edge: address("edge"),
            workers: address("workers"),
            admin: address("admin"),
        }
    }

    fn door(&self) -> Door {
        Door {
            address: self.edge,
            path: "/mcp".to_owned(),
            key: None,
        }
    }

    async fn worker(&self, script: &Script) -> TestWorker {
        let worker = TestWorker::start(self.workers, "w1", "default", "default", script);
        while Modern::call("echo", json!({"text": "hi"}))
            .send(&self.door())
            .await
            .status
            != 200
        {}
        worker
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(sent.expect("there is a kill").success());
    }

    /// Whether it says so of itself.
    async fn is_draining(&self) -> bool {
        let mut admin = self.door();
        (admin.address, admin.path) = (self.admin, "/readyz".to_owned());
        let ready = admin.send(&admin.request("GET")).await;
        ready.text().contains("draining")
    }

    async fn exits(&mut self, limit: Duration) -> Option<i32> {
        let ended = within(limit, "the end of a node", self.child.wait()).await;
        ended.expect("it ran").code()
    }
}

/// The line that says where it serves; what follows is read, so that the node never waits.
async fn serving(said: tokio::process::ChildStderr) -> Value {
    let mut lines = BufReader::new(said).lines();
    loop {
        let line = lines.next_line().await.expect("it writes UTF-8");
        let line: Value = serde_json::from_str(&line.expect("it serves")).expect("JSON lines");
        if line["message"] == "serving" {
            let rest = async move { while let Ok(Some(_)) = lines.next_line().await {} };
            drop(ostler_env::Env::system().spawn("test.stderr", rest));
            return line;
        }
    }
}

/// One of everything that keeps a connection open, and a call that its worker never ends.
async fn open_all(node: &Node, script: &Script) -> Vec<Live> {
    let door = node.door();
    let session = Session::open(&door, json!({})).await;
    let hold = |gate: &str| session.call(gate, "hold", json!({"gate": gate}));
    let listen = Modern::new("subscriptions/listen", json!({"notifications": {}}));
    let call = Modern::call("hold", json!({"gate": "modern"}));
    let open = vec![
        session.listen().await,
        door.open(&hold("legacy")).await,
        listen.open(&door).await,
        call.open(&door).await,
    ];
    script.seen("started:legacy").await;
    script.seen("started:modern").await;
    open
}

#[tokio::test]
async fn a_terminated_node_ends_in_time_whatever_is_open() {
    let data = TempDir::new().expect("a place for temporary files");
    let mut node = Node::start(data.path()).await;
    let script = Script::new();
    let _worker = node.worker(&script).await;
    let open = open_all(&node, &script).await;
    node.signal("TERM").await;
    assert_eq!(node.exits(LIMIT + PARTING_MAX).await, Some(0));
    drop(open);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_loses_nothing_acknowledged() {
    let data = TempDir::new().expect("a place for temporary files");
    let long = Duration::from_secs(60);
    let mut node = Node::start_at(data.path(), long, ["127.0.0.1:0"; 3]).await;
    let script = Script::new();
    let _worker = node.worker(&script).await;
    let door = node.door();
    let job = Modern::call("job", json!({"gate": "job"})).can_follow(json!({}));
    let task = job.result(&door).await;
    let session = Session::open(&door, json!({})).await;
    let mut live = door
        .open(&session.call(1, "hold", json!({"gate": "g"})))
        .await;
    let priming = live
        .event()
        .await
        .and_then(|event| event.id)
        .expect("it is primed");
    let _open = Modern::call("hold", json!({"gate": "never"}))
        .open(&door)
        .await;
    script.seen("started:never").await;
    node.signal("TERM").await;
    while !node.is_draining().await {}
    node.signal("TERM").await;
    assert_eq!(node.exits(PATIENCE).await, Some(130));

    let ports = [node.edge, node.workers, node.admin].map(|address| address.to_string());
    let ports = [&*ports[0], &*ports[1], &*ports[2]];
    let mut node = Node::start_at(data.path(), LIMIT, ports).await;
    assert_eq!(session.result(2, "ping", json!({})).await, json!({}));
    let mut resumed = session.resume(&priming).await;
    script.open("g");
    assert_eq!(resumed.message().await["id"], 1);
    script.open("job");
    let get = Modern::new("tasks/get", json!({"taskId": task["taskId"]})).can_follow(json!({}));
    while get.result(&door).await["status"] != "completed" {}
    node.signal("INT").await;
    assert_eq!(node.exits(LIMIT + PARTING_MAX).await, Some(0));
}

async fn drain(node: &Node, token: &Path) -> std::process::Output {
    let mut command = Command::new(BINARY);
    command
        .args([
            "drain",
            "--wait",
            "--admin",
            &format!("http://{}", node.admin),
        ])
        .arg("--token-file")
        .arg(token)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ran = within(LIMIT + PARTING_MAX, "the end of a drain", command.output()).await;
    ran.expect("the binary runs")
}

/// What an operator frees without a stop.
#[tokio::test]
async fn the_store_of_a_running_node_is_rewritten_for_who_has_its_token() {
    let data = TempDir::new().expect("a place for temporary files");
    let node = Node::start(data.path()).await;
    let forged = data.path().join("forged");
    std::fs::write(&forged, "oat_AAAA").expect("the directory is ours");
    for (token, code) in [(forged, 1), (data.path().join("admin-token"), 0)] {
        let mut command = Command::new(BINARY);
        let admin = format!("http://{}", node.admin);
        command.args(["store", "compact", "--admin", &admin, "--token-file"]);
        command.arg(token).stdin(Stdio::null()).kill_on_drop(true);
        let ran = soon("the end of a rewrite", command.output()).await;
        let ran = ran.expect("the binary runs");
        assert_eq!(ran.status.code(), Some(code), "{ran:?}");
        let said = String::from_utf8_lossy(&ran.stdout).contains("rows rewritten");
        assert_eq!(said, code == 0, "{ran:?}");
    }
}

#[tokio::test]
async fn a_node_is_drained_from_outside_by_who_has_its_token() {
    let data = TempDir::new().expect("a place for temporary files");
    let mut node = Node::start(data.path()).await;
    let script = Script::new();
    let _worker = node.worker(&script).await;
    let open = open_all(&node, &script).await;
    let forged = data.path().join("forged");
    std::fs::write(&forged, "oat_AAAA").expect("the directory is ours");
    for token in [&*forged, Path::new("/no/such/file")] {
        let ran = drain(&node, token).await;
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        assert!(!node.is_draining().await);
    }
    let ran = drain(&node, &data.path().join("admin-token")).await;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(node.exits(PATIENCE).await, Some(0), "it waited for the end");
    drop(open);
}
