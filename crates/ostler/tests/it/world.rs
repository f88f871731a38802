//! A node with the fixture, and the binary run against it.

use std::process::Stdio;

use ostler_testkit::{TestNode, soon};
use serde_json::Value;
use tokio::process::{Child, Command};

pub const BINARY: &str = env!("CARGO_BIN_EXE_ostler");

/// A node in this process with the fixture worker as a process of its own.
pub struct World {
    pub node: TestNode,
    _fixture: Child,
}

impl World {
    pub async fn open() -> Self {
        let node = TestNode::anonymous().await;
        let hub = node.workers.to_string();
        let mut command = Command::new(BINARY);
        let fixture = command
            .args(["fixture", "--hub", &hub])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let fixture = fixture.expect("the binary runs");
        node.reaches("ostler_hub_links_opened_total", &[], 1.0)
            .await;
        Self {
            node,
            _fixture: fixture,
        }
    }

    pub fn url(&self) -> String {
        url(&self.node)
    }

    /// Ends the node: every call has ended, nothing is left.
    pub async fn stop(self) {
        self.node.stop().await;
    }

    /// Runs a command against this node.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        run(&self.url(), arguments).await
    }
}

pub fn url(node: &TestNode) -> String {
    format!("http://{}/mcp", node.edge)
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The lines of `--json`.
    pub fn lines(&self) -> Vec<Value> {
        let line = |line| serde_json::from_str(line).expect("each line is JSON");
        self.out.lines().map(line).collect()
    }

    /// The only line of this type.
    pub fn line(&self, kind: &str) -> Value {
        let mut found = self.lines();
        found.retain(|line| line["type"] == kind);
        assert_eq!(found.len(), 1, "{kind}: {self:?}");
        found.remove(0)
    }

    /// The first text of the result.
    pub fn text(&self) -> String {
        let result = self.line("result");
        let text = result["result"]["content"][0]["text"].as_str();
        text.expect("a text").to_owned()
    }

    pub fn exits(self, exit: i32) -> Self {
        assert_eq!(self.exit, exit, "{self:?}");
        self
    }
}

/// A command against that server.
pub fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments).args(["--url", url]);
    command
}

/// Nobody is at the other end of any of its streams, and it has no token.
pub fn program() -> Command {
    let mut command = Command::new(BINARY);
    command
        .env_remove("OSTLER_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub async fn run(url: &str, arguments: &[&str]) -> Ran {
    finish(command(url, arguments)).await
}

pub async fn finish(mut command: Command) -> Ran {
    let ended = soon("the end of a command", command.output()).await;
    let ended = ended.expect("the binary runs");
    Ran {
        exit: ended.status.code().expect("it exits by itself"),
        out: String::from_utf8(ended.stdout).expect("it writes UTF-8"),
        err: String::from_utf8(ended.stderr).expect("it writes UTF-8"),
    }
}
