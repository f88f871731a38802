//! Real clients: the official SDKs and the Inspector, as people run them.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail, ensure};

use super::{folder, node::Fixture, node_js, npm, python};
use crate::shell;

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Connect, list, call, read, get, answer.
    Plain,
    /// Outlive a node that is killed during a call.
    Restart,
}

/// One client program, ready to be started with a URL.
struct Client {
    name: &'static str,
    program: PathBuf,
    script: Vec<String>,
    modes: &'static [&'static str],
}

pub fn run(round: Round) -> anyhow::Result<()> {
    let clients = clients()?;
    let mut fixture = Fixture::start("clients-node")?;
    for client in &clients {
        for mode in client
            .modes
            .iter()
            .filter(|mode| (**mode == "restart") == (round == Round::Restart))
        {
            client
                .check(&mut fixture, mode)
                .with_context(|| format!("{} ({mode})", client.name))?;
            println!("client {} ({mode}): passed", client.name);
        }
    }
    if round == Round::Plain {
        inspector(&fixture.url()).context("MCP Inspector")?;
        println!("client inspector --cli: passed");
    }
    Ok(())
}

fn clients() -> anyhow::Result<Vec<Client>> {
    let node = node_js()?;
    let typescript_1 = npm("typescript-1", &["@modelcontextprotocol/sdk@1.32.2"])?;
    let typescript_2 = npm("typescript-2", &["@modelcontextprotocol/client@2.4.0"])?;
    let python = python("python", &["mcp==2.3.0"])?;
    Ok(vec![
        Client {
            name: "TypeScript SDK 1.x",
            program: node.clone(),
            script: vec![script(&typescript_1, "typescript-1.mjs")?],
            modes: &["legacy", "restart"],
        },
        Client {
            name: "TypeScript SDK 2.x",
            program: node,
            script: vec![script(&typescript_2, "typescript-2.mjs")?],
            modes: &["legacy", "modern", "restart"],
        },
        Client {
            name: "Python SDK",
            program: python,
            script: vec![source("client.py").display().to_string()],
            modes: &["legacy", "modern", "restart"],
        },
        Client {
            name: "rmcp",
            program: rmcp()?,
            script: Vec::new(),
            modes: &["legacy", "modern", "restart"],
        },
    ])
}

fn source(name: &str) -> PathBuf {
    shell::root().join("crates/xtask/interop").join(name)
}

/// Copies a script beside the packages it imports.
fn script(folder: &Path, name: &str) -> anyhow::Result<String> {
    let copy = folder.join(name);
    std::fs::copy(source(name), &copy).with_context(|| format!("copying {name}"))?;
    Ok(copy.display().to_string())
}

/// Builds the client of rmcp, which is a package of its own: its dependencies are not ours.
fn rmcp() -> anyhow::Result<PathBuf> {
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
    Ok(target.join("debug/rmcp-interop"))
}

impl Client {
    fn check(&self, fixture: &mut Fixture, mode: &str) -> anyhow::Result<()> {
        let mut child = Command::new(&self.program)
            .args(&self.script)
            .args([&fixture.url(), mode])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = follow(&mut child, |line| match line {
            "READY" => fixture.kill_and_restart(),
            _ => Ok(()),
        });
        let status = child.wait()?;
        ensure!(status.success() && said? == "OK", "it ended with {status}");
        Ok(())
    }
}

/// Hears each line of a child; gives the last.
fn follow(
    child: &mut Child,
    mut hear: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let output = child.stdout.take().context("stdout is a pipe")?;
    let mut last = String::new();
    for line in BufReader::new(output).lines() {
        last = line?;
        hear(&last)?;
    }
    Ok(last)
}

/// `mcp-inspector --cli`: each command is one session.
fn inspector(url: &str) -> anyhow::Result<()> {
    let folder = npm("inspector", &["@modelcontextprotocol/inspector@2.12.0"])?;
    let rows: &[(&[&str], &str)] = &[
        (&["--method", "tools/list"], "test_simple_text"),
        (
            &["--method", "tools/call", "--tool-name", "test_simple_text"],
            "This is a simple text response",
        ),
        (
            &["--method", "resources/read", "--uri", "test://static-text"],
            "static text resource",
        ),
        (
            &[
                "--method",
                "prompts/get",
                "--prompt-name",
                "test_simple_prompt",
            ],
            "simple prompt",
        ),
    ];
    for (arguments, expected) in rows {
        let output = Command::new(folder.join("node_modules/.bin/mcp-inspector"))
            .env("PATH", path_with_node()?)
            .args(["--cli", url, "--transport", "http"])
            .args(*arguments)
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || !text.contains(expected) {
            bail!(
                "{arguments:?}: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    Ok(())
}

/// The Inspector starts `node` by name.
fn path_with_node() -> anyhow::Result<String> {
    let node = node_js()?;
    let folder = node
        .parent()
        .context("a program lies in a folder")?
        .display()
        .to_string();
    Ok(format!(
        "{folder}:{}",
        std::env::var("PATH").unwrap_or_default()
    ))
}
