//! Well-known servers from npm and PyPI, hosted unchanged: one `mcpServers` file as desktop hosts
//! read it, one bridge, and the official client in both eras.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{clients, folder, node_js, npm, python};
use crate::{
    child,
    node::{self, Node},
    shell,
};

/// How long the client may take over all servers; each starts a process.
const CLIENT_MAX: Duration = Duration::from_secs(180);
const NPM: &[&str] = &[
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
    "@modelcontextprotocol/server-memory@2026.8.31",
    "@modelcontextprotocol/server-sequential-thinking@2026.8.31",
    "mcp-server-commands@0.5.0",
];
/// By the Python SDK 2.x, which speaks both eras over stdio.
const PYPI: &[&str] = &[
    "mcp-server-git==2026.10.19",
    "mcp-server-fetch==2026.10.24",
    "mcp-server-time==2026.10.19",
];
/// By the Python SDK 1.x.
const PYPI_OLD: &[&str] = &[
    "mcp<2",
    "mcp-server-sqlite==2025.4.25",
    "mcp-server-calculator==0.2.1",
    "mcp-server-duckdb==1.1.0",
];

/// A hosted server, and one call that shows that it works.
struct Hosted {
    name: &'static str,
    command: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<&'static str, String>,
    tool: &'static str,
    given: Value,
    expect: &'static str,
}

pub fn run() -> anyhow::Result<()> {
    let _ = std::fs::remove_dir_all(folder("hosted")?);
    let folder = folder("hosted")?;
    let mut node = Node::new(&folder, Vec::new())?;
    node.start()?;
    let hosted = hosted(&folder, &node)?;
    let file = folder.join("servers.json");
    std::fs::write(&file, mcp_servers(&hosted).to_string())?;
    let mut bridge = Command::new(shell::root().join("target/debug/ostler"));
    bridge.args(["bridge", "--hub", &node.hub(), "--config"]);
    let log = folder.join("bridge.log");
    let _bridge = node::spawn(bridge.arg(file), &log)?;
    let checked = node.wait_for_links(1, None).and_then(|()| {
        ["legacy", "modern"]
            .iter()
            .try_for_each(|era| call_all(era, &hosted, &node))
    });
    node::explain(checked, &[node.log(), log])
}

fn call_all(era: &str, hosted: &[Hosted], node: &Node) -> anyhow::Result<()> {
    let call = |server: &Hosted| {
        json!({
            "url": format!("http://{}/default/{}/mcp", node.edge(), server.name),
            "tool": server.tool,
            "arguments": server.given,
            "expect": server.expect,
        })
    };
    let calls: Vec<_> = hosted.iter().map(call).collect();
    let packages = npm("typescript-2", &["@modelcontextprotocol/client@2.4.0"])?;
    let script = clients::script(&packages, "hosted.mjs")?;
    let mut command = Command::new(node_js()?);
    command.args([&script, era, &Value::from(calls).to_string()]);
    let mut is_done = false;
    let status = child::run(&mut command, CLIENT_MAX, |line| {
        println!("hosted ({era}): {line}");
        is_done |= line == "OK";
        Ok(())
    })?;
    ensure!(
        status.success() && is_done,
        "the client ended with {status}"
    );
    Ok(())
}

/// The file of a desktop host.
fn mcp_servers(hosted: &[Hosted]) -> Value {
    let entry = |server: &Hosted| {
        let command = json!({
            "command": server.command,
            "args": server.arguments,
            "env": server.environment,
        });
        (server.name.to_owned(), command)
    };
    json!({"mcpServers": hosted.iter().map(entry).collect::<serde_json::Map<_, _>>()})
}

/// All servers, with what they work on in `folder`.
fn hosted(folder: &Path, node: &Node) -> anyhow::Result<Vec<Hosted>> {
    let mut all = by_typescript(folder)?;
    all.extend(by_python(folder, node)?);
    all.extend(by_old_python(folder)?);
    Ok(all)
}

fn by_typescript(folder: &Path) -> anyhow::Result<Vec<Hosted>> {
    let files = folder.join("files");
    std::fs::create_dir_all(&files)?;
    std::fs::write(files.join("a.txt"), "a file of ours")?;
    let bin = npm("hosted-npm", NPM)?.join("node_modules/.bin");
    let host = |name, program: &str| Hosted::new(name, bin.join(format!("mcp-server-{program}")));
    let thought = json!({
        "thought": "so it is", "nextThoughtNeeded": false, "thoughtNumber": 1, "totalThoughts": 1,
    });
    let file = json!({"path": text(&files.join("a.txt"))});
    Ok(vec![
        host("everything", "everything").call("echo", json!({"message": "hi"}), "Echo: hi"),
        host("filesystem", "filesystem").with([text(&files)]).call(
            "read_text_file",
            file,
            "of ours",
        ),
        host("memory", "memory")
            .env("MEMORY_FILE_PATH", text(&folder.join("memory.jsonl")))
            .call("read_graph", json!({}), "entities"),
        host("thinking", "sequential-thinking").call("sequentialthinking", thought, "thought"),
        host("commands", "commands").call("run_command", json!({"command": "echo hi"}), "hi"),
    ])
}

fn by_python(folder: &Path, node: &Node) -> anyhow::Result<Vec<Hosted>> {
    let repository = folder.join("repository");
    std::fs::create_dir_all(&repository)?;
    let git = |arguments: &[&str]| shell::run_in(&repository, "git", arguments);
    git(&["init", "--quiet"])?;
    let author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    let commit = ["commit", "--quiet", "--allow-empty", "-m", "the first"];
    git(&[&author[..], &commit].concat())?;
    let bin = bin(python("hosted-python", PYPI, &[])?)?;
    let host = |name| Hosted::new(name, bin.join(format!("mcp-server-{name}")));
    let repository = text(&repository);
    // The only pages at hand are our own.
    let ours = ["--ignore-robots-txt", "--allow-private-ips"].map(str::to_owned);
    let page = json!({"url": format!("http://{}/livez", node.admin())});
    Ok(vec![
        host("git")
            .with(["--repository".to_owned(), repository.clone()])
            .call("git_log", json!({"repo_path": repository}), "the first"),
        host("fetch")
            .with(ours)
            .call("fetch", page, "Contents of http"),
        host("time").call("get_current_time", json!({"timezone": "UTC"}), "UTC"),
    ])
}

fn by_old_python(folder: &Path) -> anyhow::Result<Vec<Hosted>> {
    let bin = bin(python("hosted-python-1", PYPI_OLD, &[])?)?;
    let host = |name| Hosted::new(name, bin.join(format!("mcp-server-{name}")));
    let database = |name| ["--db-path".to_owned(), text(&folder.join(name))];
    let query = json!({"query": "SELECT 6 * 7 AS answer"});
    Ok(vec![
        host("sqlite")
            .with(database("sqlite.db"))
            .call("read_query", query.clone(), "42"),
        host("calculator").call("calculate", json!({"expression": "6*7"}), "42"),
        host("duckdb")
            .with(database("duck.db"))
            .call("query", query, "42"),
    ])
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

impl Hosted {
    fn new(name: &'static str, command: PathBuf) -> Self {
        Self {
            name,
            command,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            tool: "",
            given: Value::Null,
            expect: "",
        }
    }

    fn with(mut self, arguments: impl IntoIterator<Item = String>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    fn env(mut self, name: &'static str, value: String) -> Self {
        self.environment.insert(name, value);
        self
    }

    fn call(mut self, tool: &'static str, given: Value, expect: &'static str) -> Self {
        (self.tool, self.given, self.expect) = (tool, given, expect);
        self
    }
}

/// The folder of an environment's programs.
fn bin(python: PathBuf) -> anyhow::Result<PathBuf> {
    let bin = python.parent().context("a program is in a folder")?;
    Ok(bin.to_owned())
}
