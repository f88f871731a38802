//! A real node with the fixture worker.

use std::{path::PathBuf, process::Command};

use super::folder;
use crate::{
    child::Guarded,
    node::{self, Node},
    shell,
};

/// A node with the fixture worker linked; both end with it.
pub struct Fixture {
    /// Data and logs.
    folder: PathBuf,
    node: Node,
    worker: Option<Guarded>,
}

impl Fixture {
    /// Starts both with an empty store; data and logs go to `target/interop/NAME`.
    pub fn start(name: &str) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(folder(name)?);
        let folder = folder(name)?;
        let mut fixture = Self {
            node: Node::new(&folder, Vec::new())?,
            folder,
            worker: None,
        };
        let started = fixture.start_both();
        fixture.explain(started)?;
        Ok(fixture)
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.node.edge())
    }

    /// Ends the node with SIGKILL and starts it again on the same ports and data.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.node.kill();
        self.node.start()
    }

    /// What a counter of the running node shows.
    pub fn metric(&self, name: &str) -> anyhow::Result<u64> {
        self.node.metric(name)
    }

    /// Shows what node and worker said last, if something failed.
    pub fn explain<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        node::explain(result, &[self.node.log(), self.worker_log()])
    }

    fn worker_log(&self) -> PathBuf {
        self.folder.join("worker.log")
    }

    fn start_both(&mut self) -> anyhow::Result<()> {
        self.node.start()?;
        let mut command = Command::new(shell::root().join("target/debug/ostler"));
        command.args(["fixture", "--hub", &self.node.hub()]);
        self.worker = Some(node::spawn(&mut command, &self.worker_log())?);
        self.node.wait_for_links(1, self.worker.as_mut())
    }
}
