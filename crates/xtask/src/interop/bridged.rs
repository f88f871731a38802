//! The official suite in front of bridges: whatever an upstream passes by itself must still pass
//! behind one, and what passes only there is what the bridge adds.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use anyhow::ensure;

use super::{fixture::Fixture, folder, free_port, node_js, npm, suite};
use crate::{
    child::Guarded,
    node::{self, Node},
    shell,
};

const EVERYTHING: &str = "@modelcontextprotocol/server-everything@2026.8.31";

/// An upstream: where the suite finds it, and how a bridge does.
struct Upstream {
    name: &'static str,
    url: String,
    bridge: String,
    /// Ends with it.
    _process: Option<Guarded>,
}

pub fn run() -> anyhow::Result<()> {
    let fixture = Fixture::start("bridged-fixture")?;
    let url = fixture.url();
    let by_url = |name, more: &str| Upstream {
        name,
        url: url.clone(),
        bridge: format!("url = \"{url}\"\nallow_private = true\n{more}"),
        _process: None,
    };
    let upstreams = [
        everything()?,
        by_url("fixture-modern", ""),
        // The same server, asked in the revision before: all that is modern is then the bridge's.
        by_url("fixture-legacy", "speaks = \"legacy\"\n"),
    ];
    let mut lost = 0;
    for upstream in &upstreams {
        lost += compare(upstream)?;
    }
    ensure!(lost == 0, "{lost} scenarios are lost behind a bridge");
    Ok(())
}

/// How many scenarios the upstream passes and the bridge in front of it does not.
fn compare(upstream: &Upstream) -> anyhow::Result<usize> {
    let name = upstream.name;
    let direct = suite::passed(&upstream.url, &format!("{name}-direct"))?;
    ensure!(!direct.is_empty(), "{name} passes nothing by itself");
    let folder = folder(&format!("bridged-{name}"))?;
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let mut node = Node::new(&folder, Vec::new())?;
    node.start()?;
    let config = folder.join("bridge.toml");
    let text = format!(
        "[worker]\nhubs = [\"{}\"]\n\n[[bridge]]\nserver = \"default\"\n{}",
        node.hub(),
        upstream.bridge,
    );
    std::fs::write(&config, text)?;
    let log = folder.join("bridge.log");
    let mut bridge = Command::new(shell::root().join("target/debug/ostler"));
    let _bridge = node::spawn(bridge.args(["bridge", "--config"]).arg(&config), &log)?;
    let url = format!("http://{}/mcp", node.edge());
    let bridged = node
        .wait_for_links(1, None)
        .and_then(|()| suite::passed(&url, &format!("{name}-bridged")));
    let bridged = node::explain(bridged, &[node.log(), log])?;
    let list = |set: BTreeSet<&String>| set.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let lost: BTreeSet<_> = direct.difference(&bridged).collect();
    println!(
        "bridged {name}: {} pass directly, {} behind the bridge",
        direct.len(),
        bridged.len(),
    );
    println!("  gained: {}", list(bridged.difference(&direct).collect()));
    println!("  lost: {}", list(lost.clone()));
    Ok(lost.len())
}

/// The everything server of npm: the suite meets it over HTTP, the bridge over stdio.
fn everything() -> anyhow::Result<Upstream> {
    let script = npm("bridged-everything", &[EVERYTHING])?
        .join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let (node_js, port) = (node_js()?, free_port()?);
    let log = folder("bridged-everything")?.join("server.log");
    let mut command = Command::new(&node_js);
    command.arg(&script).arg("streamableHttp");
    let mut process = node::spawn(command.env("PORT", port.to_string()), &log)?;
    node::wait_for_port(port, &mut process)?;
    let text = |path: &PathBuf| path.display().to_string();
    Ok(Upstream {
        name: "everything",
        url: format!("http://127.0.0.1:{port}/mcp"),
        bridge: format!("command = [{:?}, {:?}]\n", text(&node_js), text(&script)),
        _process: Some(process),
    })
}
