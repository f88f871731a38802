//! `cargo xtask interop`: the official conformance suite and real clients against the real binary.
//!
//! What is needed is fetched by package name into `target/interop`. Every check starts its own node
//! and fixture worker on free ports, and ends them.

mod fixture;
mod suite;
mod clients;
mod old;
mod sdks;
mod bridged;
mod matrix;
mod hosted;

use std::{net::TcpListener, path::PathBuf, process::Command};

use anyhow::{Context, ensure};

use crate::shell;

const PARTS: &[&str] = &[
    "suite", "clients", "restart", "matrix", "hosted", "bridged", "sdks",
];

pub fn run(only: &[&str]) -> anyhow::Result<()> {
    for name in only {
        ensure!(PARTS.contains(name), "no part {name}; there are {PARTS:?}");
    }
    let wants = |name| only.is_empty() || only.contains(&name);
    shell::run("cargo", &["build", "--locked", "--package", "ostler"])?;
    if wants("suite") {
        suite::run()?;
    }
    if wants("clients") {
        clients::run(clients::Round::Plain)?;
    }
    if wants("restart") {
        clients::run(clients::Round::Restart)?;
    }
    if wants("sdks") {
        sdks::run()?;
    }
    if wants("matrix") {
        matrix::run()?;
    }
    if wants("hosted") {
        hosted::run()?;
    }
    if wants("bridged") {
        bridged::run()?;
    }
    Ok(())
}

/// A folder of our own below `target`.
fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = shell::root().join("target/interop").join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// A port of ours, until somebody else takes it.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Installs npm packages into a folder, once.
fn npm(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = folder(name)?;
    let wanted = packages.join("\n");
    let stamp = folder.join("installed");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(wanted.as_str()) {
        std::fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
        let mut arguments = vec!["install", "--no-audit", "--no-fund", "--loglevel=error"];
        arguments.extend(packages);
        shell::run_in(&folder, "npm", &arguments)?;
        std::fs::write(&stamp, wanted)?;
    }
    Ok(folder)
}

/// The Node.js that the suite needs (22 or newer); the machine's own may be older. It brings its
/// npm along: that of a distribution may run with the distribution's Node.js alone.
fn node_js() -> anyhow::Result<PathBuf> {
    let folder = npm("node", &["node@22.23.3", "npm@10.9.9"])?;
    let node = folder.join("node_modules/.bin/node");
    let version = Command::new(&node)
        .arg("--version")
        .output()
        .context("starting Node.js 22")?;
    ensure!(
        version.stdout.starts_with(b"v22."),
        "npm's node@22 does not run here"
    );
    Ok(node)
}

/// A search path for those that start `node` or `npm` by name.
fn path_with_node() -> anyhow::Result<String> {
    let node = node_js()?;
    let folder = node.parent().context("a program lies in a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(format!("{}:{path}", folder.display()))
}

/// A Python environment with packages, once. `files` are what the packages' names do not say of
/// what is installed, such as lists of requirements: it is installed anew when one has changed.
fn python(name: &str, packages: &[&str], files: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = folder(name)?;
    let python = folder.join("venv/bin/python");
    let mut wanted = packages.join("\n");
    for file in files {
        wanted += &std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    }
    let stamp = folder.join("installed");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(wanted.as_str()) {
        shell::run_in(&folder, "python3", &["-m", "venv", "venv"])?;
        let pip = python.display().to_string();
        let mut arguments = vec![
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        arguments.extend(packages);
        shell::run_in(&folder, &pip, &arguments)?;
        std::fs::write(&stamp, wanted)?;
    }
    Ok(python)
}
