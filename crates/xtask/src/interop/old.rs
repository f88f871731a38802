//! Old clients that people still run, and shims that carry a client of stdio to a URL.
//!
//! Each speaks the newest revision it knows: 2024-11-05 on `/sse`, where the first SDKs know
//! nothing else, and whatever it asks for on `/mcp`.

use std::path::{Path, PathBuf};

use super::{
    clients::{Client, script, source},
    npm, python,
};

/// What the old Python SDKs were written for; they name no upper bound, and newer ones break them.
const PYDANTIC: &str = "pydantic==2.11.10";

const SSE: &[&str] = &["sse"];
const BOTH: &[&str] = &["sse", "http"];

pub fn clients(node: &Path) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    // The first with `/mcp` is 1.10; before, the browser's EventSource had to be brought along.
    for (version, modes) in [("1.0.4", SSE), ("1.10.2", BOTH)] {
        clients.push(typescript(node, version, modes)?);
    }
    // The first with `/mcp` is 1.8.
    for (version, modes) in [("1.0.0", SSE), ("1.9.4", BOTH)] {
        clients.push(Client {
            name: format!("Python SDK {version}"),
            program: python(
                &format!("python-{version}"),
                &[&format!("mcp=={version}"), PYDANTIC],
                &[],
            )?,
            script: vec![source("old.py").display().to_string()],
            modes,
        });
    }
    let dist = "node_modules/mcp-remote/dist/proxy.js";
    clients.push(shim(node, "mcp-remote", "0.15.1", dist)?);
    let dist = "node_modules/supergateway/dist/index.js";
    clients.push(shim(node, "supergateway", "4.0.0", dist)?);
    Ok(clients)
}

fn typescript(
    node: &Path,
    version: &str,
    modes: &'static [&'static str],
) -> anyhow::Result<Client> {
    let sdk = format!("@modelcontextprotocol/sdk@{version}");
    let folder = npm(
        &format!("typescript-{version}"),
        &[&sdk, "eventsource@4.1.1"],
    )?;
    Ok(Client {
        name: format!("TypeScript SDK {version}"),
        program: node.to_owned(),
        script: vec![script(&folder, "typescript-old.mjs")?],
        modes,
    })
}

/// A program that a client starts, and talks to over its standard streams.
fn shim(node: &Path, name: &str, version: &str, dist: &str) -> anyhow::Result<Client> {
    let package = format!("{name}@{version}");
    let folder: PathBuf = npm(name, &[&package, "@modelcontextprotocol/sdk@1.32.2"])?;
    let program = folder.join(dist).display().to_string();
    Ok(Client {
        name: package,
        program: node.to_owned(),
        script: vec![script(&folder, "shim.mjs")?, name.to_owned(), program],
        modes: BOTH,
    })
}
