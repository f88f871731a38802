//! Well-known servers from npm and PyPI, hosted unchanged: one `mcpServers` file as desktop hosts
//! read it, one bridge, and the official client in both eras.

use std::{
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
        let command = json!({"command": server.command, "args": server.arguments});
        (server.name.to_owned(), command)
    };
    json!({"mcpServers": hosted.iter().map(entry).collect::<serde_json::Map<_, _>>()})
}

/// All servers, with what they work on in `folder`.
fn hosted(folder: &Path, node: &Node) -> anyhow::Result<Vec<Hosted>> {
    let text = |path: &Path| path.display().to_string();
    let files = folder.join("files");
    std::fs::create_dir_all(&files)?;
    std::fs::write(files.join("a.txt"), "a file of ours")?;
    let repository = folder.join("repository");
    std::fs::create_dir_all(&repository)?;
    let git = |arguments: &[&str]| shell::run_in(&repository, "git", arguments);
    git(&["init", "--quiet"])?;
    let author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    git(&[
        &author[..],
        &["commit", "--quiet", "--allow-empty", "-m", "the first"],
    ]
    .concat())?;

    let npm = npm("hosted-npm", NPM)?.join("node_modules/.bin");
    let npm = |name: &str| npm.join(format!("mcp-server-{name}"));
    let new = bin(python("hosted-python", PYPI)?)?;
    let new = |name: &str| new.join(format!("mcp-server-{name}"));
    let old = bin(python("hosted-python-1", PYPI_OLD)?)?;
    let old = |name: &str| old.join(format!("mcp-server-{name}"));
    let here = |name: &str| text(&folder.join(name));
    let host = |name, command, arguments: &[String], tool, given, expect| Hosted {
        name,
        command,
        arguments: arguments.to_vec(),
        tool,
        given,
        expect,
    };
    let thought = json!({
        "thought": "so it is", "nextThoughtNeeded": false, "thoughtNumber": 1, "totalThoughts": 1,
    });
    let entity = json!({"name": "ada", "entityType": "person", "observations": ["counts"]});
    let file = json!({"path": text(&files.join("a.txt"))});
    let livez = json!({"url": format!("http://{}/livez", node.admin())});
    let ours = ["--ignore-robots-txt", "--allow-private-ips"].map(str::to_owned);
    let database = |name| ["--db-path".to_owned(), here(name)];
    Ok(vec![
        host(
            "everything",
            npm("everything"),
            &[],
            "echo",
            json!({"message": "hi"}),
            "Echo: hi",
        ),
        host(
            "filesystem",
            npm("filesystem"),
            &[text(&files)],
            "read_text_file",
            file,
            "of ours",
        ),
        host(
            "memory",
            npm("memory"),
            &[],
            "create_entities",
            json!({"entities": [entity]}),
            "ada",
        ),
        host(
            "thinking",
            npm("sequential-thinking"),
            &[],
            "sequentialthinking",
            thought,
            "thought",
        ),
        host(
            "commands",
            npm("commands"),
            &[],
            "run_command",
            json!({"command": "echo hi"}),
            "hi",
        ),
        host(
            "git",
            new("git"),
            &["--repository".to_owned(), text(&repository)],
            "git_log",
            json!({"repo_path": text(&repository)}),
            "the first",
        ),
        host(
            "fetch",
            new("fetch"),
            &ignore,
            "fetch",
            livez,
            "Contents of http",
        ),
        host(
            "time",
            new("time"),
            &[],
            "get_current_time",
            json!({"timezone": "UTC"}),
            "UTC",
        ),
        host(
            "sqlite",
            old("sqlite"),
            &database("sqlite.db"),
            "read_query",
            json!({"query": "SELECT 6 * 7 AS answer"}),
            "42",
        ),
        host(
            "calculator",
            old("calculator"),
            &[],
            "calculate",
            json!({"expression": "6*7"}),
            "42",
        ),
        host(
            "duckdb",
            old("duckdb"),
            &database("duck.db"),
            "query",
            json!({"query": "SELECT 6 * 7 AS answer"}),
            "42",
        ),
    ])
}

/// The folder of an environment's programs.
fn bin(python: PathBuf) -> anyhow::Result<PathBuf> {
    let bin = python.parent().context("a program is in a folder")?;
    Ok(bin.to_owned())
}
