//! Real clients: the official SDKs and the Inspector, as people run them. Older ones are in `old`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};

use super::{fixture::Fixture, folder, node_js, npm, old, path_with_node, python};
use crate::{child, shell};

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Connect, list, call, read, get, answer.
    Plain,
    /// Outlive a node that is killed during a call.
    Restart,
}

impl Round {
    fn has(self, mode: &str) -> bool {
        (mode == "restart") == (self == Round::Restart)
    }
}

/// How long a client may take, with its node killed and started on a busy machine.
const CLIENT_MAX: Duration = Duration::from_secs(120);

/// One client program, ready to be started with a URL.
pub struct Client {
    pub name: String,
    pub program: PathBuf,
    pub script: Vec<String>,
    pub modes: &'static [&'static str],
}

pub fn run(round: Round) -> anyhow::Result<()> {
    let clients = clients()?;
    let mut fixture = Fixture::start("clients-node")?;
    for client in &clients {
        for mode in client.modes.iter().filter(|mode| round.has(mode)) {
            let checked = client.check(&mut fixture, mode);
            fixture
                .explain(checked)
                .with_context(|| format!("{} ({mode})", client.name))?;
            println!("client {} ({mode}): passed", client.name);
        }
    }
    if round == Round::Plain {
        for era in ["legacy", "modern"] {
            let checked = inspector(&fixture.url(), era);
            fixture
                .explain(checked)
                .with_context(|| format!("Inspector ({era})"))?;
            println!("client Inspector ({era}): passed");
        }
    }
    Ok(())
}

fn clients() -> anyhow::Result<Vec<Client>> {
    let node = node_js()?;
    let typescript_1 = npm("typescript-1", &["@modelcontextprotocol/sdk@1.32.2"])?;
    let typescript_2 = npm("typescript-2", &["@modelcontextprotocol/client@2.4.0"])?;
    let python = python("python", &["mcp==2.3.0"], &[])?;
    let ostler = shell::root().join("target/debug/ostler");
    let ostler = ostler.display().to_string();
    let connect = |name: &str, program: &PathBuf, script: &str| Client {
        name: format!("{name} through ostler connect"),
        program: program.clone(),
        script: vec![script.to_owned(), ostler.clone()],
        modes: &["legacy", "modern"],
    };
    let client_py = source("client.py").display().to_string();
    let client_mjs = script(&typescript_2, "typescript-2.mjs")?;
    let newest = [
        connect("TypeScript SDK 2.x", &node, &client_mjs),
        connect("Python SDK", &python, &client_py),
        Client {
            name: "TypeScript SDK 1.x".to_owned(),
            program: node.clone(),
            script: vec![script(&typescript_1, "typescript-1.mjs")?],
            modes: &["legacy", "restart"],
        },
        Client {
            name: "TypeScript SDK 2.x".to_owned(),
            program: node.clone(),
            script: vec![client_mjs],
            modes: &["legacy", "modern", "restart"],
        },
        Client {
            name: "TypeScript SDK 2.x, asked".to_owned(),
            program: node.clone(),
            script: vec![script(&typescript_2, "asked.mjs")?],
            modes: &["legacy", "modern"],
        },
        Client {
            name: "Python SDK".to_owned(),
            program: python,
            script: vec![client_py],
            modes: &["legacy", "modern", "restart"],
        },
        Client {
            name: "rmcp".to_owned(),
            program: rmcp("rmcp-interop")?,
            script: Vec::new(),
            modes: &["legacy", "modern", "restart"],
        },
    ];
    Ok(newest.into_iter().chain(old::clients(&node)?).collect())
}

pub fn source(name: &str) -> PathBuf {
    shell::root().join("crates/xtask/interop").join(name)
}

/// Copies a script, and what it shares with others, beside the packages it imports.
pub fn script(folder: &Path, name: &str) -> anyhow::Result<String> {
    for file in [name, "observed.mjs"] {
        std::fs::copy(source(file), folder.join(file))
            .with_context(|| format!("copying {file}"))?;
    }
    Ok(folder.join(name).display().to_string())
}

/// Builds what is written with rmcp, in a package of its own: its dependencies are not ours.
pub fn rmcp(program: &str) -> anyhow::Result<PathBuf> {
    let target = folder("rmcp-target")?;
    let (manifest, target_text) = (
        source("rmcp/Cargo.toml").display().to_string(),
        target.display().to_string(),
    );
    shell::run(
        "cargo",
        &[
            "build",
            "--locked",
            "--quiet",
            "--manifest-path",
            &manifest,
            "--target-dir",
            &target_text,
        ],
    )?;
    Ok(target.join("debug").join(program))
}

impl Client {
    fn check(&self, fixture: &mut Fixture, mode: &str) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        // Some leave files in the home folder, which may hold a person's own.
        command.env("HOME", folder("home")?);
        command.args(&self.script).args([&fixture.url(), mode]);
        let mut last = String::new();
        let status = child::run(&mut command, CLIENT_MAX, |line| {
            last = line.to_owned();
            match line {
                "READY" => fixture.kill_and_restart(),
                _ => Ok(()),
            }
        })?;
        ensure!(status.success() && last == "OK", "it ended with {status}");
        match mode {
            "restart" => check_survival(fixture),
            _ => Ok(()),
        }
    }
}

/// The node that was started last found the session and the call, and made neither anew.
fn check_survival(fixture: &Fixture) -> anyhow::Result<()> {
    for (metric, wanted) in [
        ("ostler_hub_calls_adopted_total", 1),
        ("ostler_session_created_total", 0),
    ] {
        let found = fixture.metric(metric)?;
        ensure!(found == wanted, "{metric} is {found}, not {wanted}");
    }
    Ok(())
}

/// `mcp-inspector --cli`: each command is a connection of its own.
fn inspector(url: &str, era: &str) -> anyhow::Result<()> {
    let folder = npm("inspector", &["@modelcontextprotocol/inspector@2.12.0"])?;
    let rows: &[(&[&str], &str)] = &[
        (&["tools/list", "--strict"], "test_simple_text"),
        (
            &[
                "tools/call",
                "--tool-name",
                "greet",
                "--tool-arg",
                "name=Ada",
            ],
            "Hello, Ada!",
        ),
        (
            &["resources/read", "--uri", "test://static-text"],
            "static text resource",
        ),
        (
            &["prompts/get", "--prompt-name", "test_simple_prompt"],
            "simple prompt",
        ),
    ];
    for (arguments, expected) in rows {
        let mut command = Command::new(folder.join("node_modules/.bin/mcp-inspector"));
        command
            // It starts `node` by name.
            .env("PATH", path_with_node()?)
            // It leaves files in the home folder, which may hold a person's own.
            .env("HOME", &folder)
            .args(["--cli", url, "--transport", "http", "--protocol-era", era])
            .arg("--method")
            .args(*arguments);
        let mut text = String::new();
        let status = child::run(&mut command, CLIENT_MAX, |line| {
            text.extend([line, "\n"]);
            Ok(())
        })?;
        ensure!(
            status.success() && text.contains(expected),
            "{arguments:?} ended with {status}: {text}"
        );
    }
    Ok(())
}
