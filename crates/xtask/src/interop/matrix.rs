//! The matrix: clients of every revision at workers in every language and at bridged servers of
//! both eras. What was seen goes into `docs/matrix.md`, and must be what stands there.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use super::{folder, free_port, node_js, npm, sdks};
use crate::{
    child::{self, Guarded},
    node::{self, Node},
    shell,
};

/// How long all cells may take.
const MATRIX_MAX: Duration = Duration::from_secs(900);
/// Their Servers; the worker in Rust runs beside the clients.
const SERVERS: &[&str] = &[
    "python",
    "typescript",
    "stdio-legacy",
    "stdio-modern",
    "http-legacy",
    "http-modern",
];
const PAGE: &str = "docs/matrix.md";
/// What stands above the table.
const HEAD: &str = "# The matrix\n\nWhat a client of each revision gets, whatever the worker is written in or bridges to. Written by\n`cargo xtask interop matrix`, which fails when a cell is not what the specification of that revision\nhas words for.\n\n";

/// All processes of a run; they end with it.
struct Cast {
    folder: PathBuf,
    node: Node,
    others: Vec<Guarded>,
    logs: Vec<PathBuf>,
}

pub fn run() -> anyhow::Result<()> {
    shell::run("cargo", &["build", "--locked", "--package", "loadtests"])?;
    let mut cast = Cast::new()?;
    let played = cast.play();
    node::explain(played, &cast.logs)
}

impl Cast {
    fn new() -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(folder("matrix")?);
        let folder = folder("matrix")?;
        let node = Node::new(&folder, Vec::new())?;
        Ok(Self {
            logs: vec![node.log()],
            folder,
            node,
            others: Vec::new(),
        })
    }

    fn play(&mut self) -> anyhow::Result<()> {
        self.node.start()?;
        self.start_sdk_workers()?;
        self.start_bridge()?;
        self.node.wait_for_links(3, None)?;
        let table = self.folder.join("table.md");
        let mut command = Command::new(shell::root().join("target/debug/loadtests"));
        command.args(["matrix", "--edge", &format!("http://{}", self.node.edge())]);
        command
            .args(["--hub", &self.node.hub(), "--table"])
            .arg(&table);
        for server in SERVERS {
            command.args(["--server", server]);
        }
        let status = child::run(&mut command, MATRIX_MAX, |_| Ok(()))?;
        let table = std::fs::read_to_string(&table).context("the matrix wrote no table")?;
        println!("{table}");
        ensure!(status.success(), "cells are not as they must be");
        publish(&format!("{HEAD}{table}"))
    }

    fn start_sdk_workers(&mut self) -> anyhow::Result<()> {
        let hub = self.node.hub();
        let python = sdks::python_sdk()?;
        let script = scripts().join("worker.py");
        self.start("python", Command::new(python).arg(script).arg(&hub))?;
        let sdk = sdks::typescript_sdk()?.display().to_string();
        let folder = npm("matrix-typescript", &[&sdk])?;
        let script = copied(&folder, "worker.mjs")?;
        self.start("typescript", Command::new(node_js()?).arg(script).arg(&hub))
    }

    /// The MCP servers, and one bridge in front of all of them.
    fn start_bridge(&mut self) -> anyhow::Result<()> {
        let node = node_js()?;
        let packages = [
            "@modelcontextprotocol/sdk@1.32.2",
            "@modelcontextprotocol/server@2.4.0",
            "@modelcontextprotocol/node@2.1.2",
            "zod@4",
        ];
        let folder = npm("matrix-servers", &packages)?;
        copied(&folder, "parts.mjs")?;
        let mut config = format!("[worker]\nhubs = [\"{}\"]\n", self.node.hub());
        for era in ["legacy", "modern"] {
            let script = copied(&folder, &format!("{era}.mjs"))?;
            let port = free_port()?;
            let name = format!("http-{era}");
            let mut server = Command::new(&node);
            server.arg(&script).args(["http", &port.to_string()]);
            self.start(&name, &mut server)?;
            let server = self.others.last_mut().context("it was started")?;
            node::wait_for_port(port, server)?;
            config += &format!(
                "\n[[bridge]]\nserver = \"{name}\"\nurl = \"http://127.0.0.1:{port}/mcp\"\nallow_private = true\n",
            );
            config += &format!(
                "\n[[bridge]]\nserver = \"stdio-{era}\"\ncommand = [{:?}, {:?}, \"stdio\"]\n",
                node.display().to_string(),
                script.display().to_string(),
            );
        }
        let file = self.folder.join("bridge.toml");
        std::fs::write(&file, config)?;
        let mut bridge = Command::new(shell::root().join("target/debug/ostler"));
        bridge.args(["bridge", "--config"]).arg(file);
        self.start("bridge", &mut bridge)
    }

    fn start(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        let log = self.folder.join(format!("{name}.log"));
        self.others.push(node::spawn(command, &log)?);
        self.logs.push(log);
        Ok(())
    }
}

fn scripts() -> PathBuf {
    shell::root().join("crates/xtask/interop/matrix")
}

/// A script beside the packages that it imports.
fn copied(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let to = folder.join(name);
    std::fs::copy(scripts().join(name), &to).with_context(|| format!("copying {name}"))?;
    Ok(to)
}

/// The page must say what was seen; where it does not, it is written anew, to be looked at.
fn publish(page: &str) -> anyhow::Result<()> {
    let path = shell::root().join(PAGE);
    if std::fs::read_to_string(&path).ok().as_deref() == Some(page) {
        return Ok(());
    }
    std::fs::create_dir_all(path.parent().context("it is in a folder")?)?;
    std::fs::write(&path, page)?;
    bail!("{PAGE} did not say what was seen; it is written anew")
}
