//! The official suite in front of bridges: whatever an upstream passes by itself must still pass
//! behind one, and what passes only there is what the bridge adds.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::ensure;

use super::{clients, fixture::Fixture, folder, free_port, node_js, npm, suite};
use crate::{
    child::Guarded,
    node::{self, Node},
    shell,
};

const EVERYTHING: &str = "@modelcontextprotocol/server-everything@2026.8.31";

/// Passed by a server that takes what it does not have for a result; a node says that it is an error.
const NOT_THERE: &[&str] = &["server-tools-call-error", "server-tools-call-simple-text"];

/// The bridge follows tasks itself, so a tool that has to be one serves clients without tasks too.
const NOT_PASSED: &[&str] = &["server-tasks-required-task-error"];

/// What a legacy upstream cannot say: its skills, the keys of its questions, what a tool needs of its
/// client; and whether a call becomes a task is settled before it asks or fails.
const NOT_SAID: &[&str] = &[
    "server-input-required-result-basic-elicitation",
    "server-input-required-result-ignore-extra-params",
    "server-sep-2640-skills-directory",
    "server-sep-2640-skills-enumeration",
    "server-sep-2640-skills-manifest",
    "server-server-stateless",
    "server-tasks-lifecycle",
    "server-tasks-mrtr-composition",
];

/// Groups of scenarios.
type Losses = &'static [&'static [&'static str]];

/// An upstream: where the suite finds it, and how a bridge does.
struct Upstream {
    name: &'static str,
    url: String,
    bridge: String,
    /// What may be lost, each for its reason.
    may_lose: Losses,
    /// Ends with it.
    _process: Option<Guarded>,
}

pub fn run() -> anyhow::Result<()> {
    let fixture = Fixture::start("bridged-fixture")?;
    let url = fixture.url();
    let rmcp = rmcp()?;
    let upstreams = [
        everything()?,
        Upstream::by_url("fixture-modern", &url, "", &[NOT_PASSED]),
        // The same server, asked in the revision before: all that is modern is then the bridge's.
        Upstream::by_url(
            "fixture-legacy",
            &url,
            "speaks = \"legacy\"\n",
            &[NOT_PASSED, NOT_SAID],
        ),
        Upstream::by_url("rmcp-url", &rmcp.url, "", &[]),
        rmcp,
    ];
    let mut lost = 0;
    for upstream in &upstreams {
        lost += compare(upstream)?;
    }
    ensure!(lost == 0, "{lost} scenarios are lost behind a bridge");
    Ok(())
}

/// How many scenarios the upstream passes and the bridge in front of it does not, though it should.
fn compare(upstream: &Upstream) -> anyhow::Result<usize> {
    let name = upstream.name;
    let direct = suite::passed(&upstream.url, &format!("{name}-direct"))?;
    ensure!(!direct.is_empty(), "{name} passes nothing by itself");
    let bridged = behind_a_bridge(upstream)?;
    let list = |set: BTreeSet<&String>| set.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let may_lose: BTreeSet<_> = upstream.may_lose.concat().into_iter().collect();
    let (on_purpose, lost): (BTreeSet<_>, BTreeSet<_>) = direct
        .difference(&bridged)
        .partition(|scenario| may_lose.contains(scenario.as_str()));
    println!(
        "bridged {name}: {} pass directly, {} behind the bridge",
        direct.len(),
        bridged.len(),
    );
    let lost_count = lost.len();
    println!("  gained: {}", list(bridged.difference(&direct).collect()));
    println!("  lost on purpose: {}", list(on_purpose));
    println!("  lost: {}", list(lost));
    Ok(lost_count)
}

/// What of the suite is passed by a bridge in front of the upstream, and a node in front of that.
fn behind_a_bridge(upstream: &Upstream) -> anyhow::Result<BTreeSet<String>> {
    let folder = folder(&format!("bridged-{}-node", upstream.name))?;
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
    let passed = node
        .wait_for_links(1, None)
        .and_then(|()| suite::passed(&url, &format!("{}-bridged", upstream.name)));
    node::explain(passed, &[node.log(), log])
}

impl Upstream {
    fn by_url(name: &'static str, url: &str, more: &str, may_lose: Losses) -> Self {
        Self {
            name,
            url: url.to_owned(),
            bridge: format!("url = \"{url}\"\nallow_private = true\n{more}"),
            may_lose,
            _process: None,
        }
    }

    /// The suite meets it over HTTP, the bridge over stdio, in a process of its own.
    fn by_command(
        name: &'static str,
        program: &[&Path],
        may_lose: Losses,
        mut over_http: Command,
        port: u16,
    ) -> anyhow::Result<Self> {
        let log = folder(&format!("bridged-{name}-direct"))?.join("server.log");
        let mut process = node::spawn(&mut over_http, &log)?;
        node::wait_for_port(port, &mut process)?;
        let program: Vec<_> = program
            .iter()
            .map(|part| part.display().to_string())
            .collect();
        Ok(Self {
            name,
            url: format!("http://127.0.0.1:{port}/mcp"),
            bridge: format!("command = {program:?}\n"),
            may_lose,
            _process: Some(process),
        })
    }
}

/// The everything server of npm.
fn everything() -> anyhow::Result<Upstream> {
    let script = npm("bridged-everything", &[EVERYTHING])?
        .join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let (node_js, port) = (node_js()?, free_port()?);
    let mut over_http = Command::new(&node_js);
    over_http.arg(&script).arg("streamableHttp");
    over_http.env("PORT", port.to_string());
    Upstream::by_command(
        "everything",
        &[&node_js, &script],
        &[NOT_THERE],
        over_http,
        port,
    )
}

/// A server of ours, written with the official Rust SDK.
fn rmcp() -> anyhow::Result<Upstream> {
    let (program, port) = (clients::rmcp("rmcp-server")?, free_port()?);
    let mut over_http = Command::new(&program);
    over_http.arg(port.to_string());
    Upstream::by_command(
        "rmcp-stdio",
        &[&program, Path::new("stdio")],
        &[],
        over_http,
        port,
    )
}
