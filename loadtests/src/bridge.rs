//! Bridged servers, over stdio and over HTTP, that are killed again and again under calls of both
//! eras, beside one that is not: nothing of them is left, the other loses no call, every call ends as
//! defined, and none ran more often than its client was told.
//!
//! Kills with SIGKILL what is found by the brand that keepers give: the server, what it started,
//! its keeper; and servers over HTTP; and in the end the bridge.

mod family;
mod lane;
mod remote;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use futures_util::future::join_all;
use ostler_env::Env;
use ostler_testkit::Door;

use self::{
    family::Family,
    lane::{Era, Lane, Tally, Temper},
    remote::Remote,
};
use crate::node::Node;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 200)]
    cycles: u32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients of each era at each server.
    #[arg(long, default_value_t = 4)]
    lanes: usize,
    /// `cargo build -p ostler -p ostler-bridge --examples`, in the same profile as this.
    #[arg(long, default_value = "target/release/ostler")]
    ostler: PathBuf,
    /// Where the examples are.
    #[arg(long, default_value = "target/release/examples")]
    examples: PathBuf,
}

/// The one that is killed, the one that must not notice, and those over HTTP that are killed, too.
const STORM: &str = "storm";
const CALM: &str = "calm";
const REMOTES: [(&str, &str); 2] = [("far-legacy", "legacy"), ("far-modern", "modern")];

/// For whatever must happen after a death.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Node::start(env, &arguments.ostler, folder.path(), "").await?;
    let examples = arguments.examples.canonicalize();
    let examples = examples.with_context(|| format!("{}", arguments.examples.display()))?;
    let runs = folder.path().join("runs");
    let remote = |(name, era)| Remote::start(&examples.join("echo_http"), name, era, &runs);
    let remotes: Vec<_> = REMOTES.into_iter().map(remote).collect::<Result<_, _>>()?;
    let config = config(&examples.join("echo_stdio"), &runs, &remotes, &node.hub());
    let mut bridge = Bridge::start(&arguments.ostler, folder.path(), &config)?;
    let lanes = lanes(env, &arguments, &node).await?;
    let start = env.now();
    let mut deaths = Deaths {
        env,
        random: Env::seeded(arguments.seed),
        node: &node,
        remotes,
        killed: [0; 4],
    };
    for cycle in 1..=arguments.cycles {
        let died = deaths.cycle(bridge.id()).await;
        died.with_context(|| format!("cycle {cycle}"))?;
    }
    let took = env.now().since(start);
    let tallies = deaths.finish(bridge.id(), lanes).await?;
    let [servers, grandchildren, keepers, remotes] = deaths.killed;
    println!(
        "{} cycles in {took:.1?}: {servers} servers, {grandchildren} of their children, {keepers} \
         keepers and {remotes} servers over HTTP killed",
        arguments.cycles
    );
    tallies.iter().for_each(|tally| println!("{tally}"));
    let families: Vec<_> = [STORM, CALM].into_iter().filter_map(Family::find).collect();
    bridge.kill()?;
    let gone = || families.iter().all(Family::is_gone);
    until(env, "the end of all servers of a killed bridge", gone).await?;
    println!("the bridge killed: nothing left");
    let runs = load_runs(&runs)?;
    tallies.iter().try_for_each(|tally| tally.check(&runs))
}

/// How often each call ran, as the servers wrote it down.
fn load_runs(path: &Path) -> anyhow::Result<BTreeMap<String, u32>> {
    let mut runs = BTreeMap::new();
    for text in std::fs::read_to_string(path)?.lines() {
        *runs.entry(text.to_owned()).or_default() += 1;
    }
    Ok(runs)
}

/// The bridge as a process. Ends with SIGKILL when dropped.
struct Bridge(Child);

impl Bridge {
    fn start(ostler: &Path, folder: &Path, config: &str) -> anyhow::Result<Bridge> {
        let file = folder.join("bridge.toml");
        std::fs::write(&file, config)?;
        let log = std::fs::File::create(folder.join("bridge.log"))?;
        let mut command = Command::new(ostler);
        command.args(["bridge", "--config"]).arg(file);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Bridge(command.spawn().context("starting the bridge")?))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.kill());
    }
}

/// Rests are short: here servers die much more often than elsewhere.
fn config(server: &Path, runs: &Path, remotes: &[Remote], hub: &str) -> String {
    let mut config = format!("[worker]\nhubs = [\"{hub}\"]\nrest_max_s = 1\n");
    for name in [STORM, CALM] {
        config += &format!(
            "[[bridge]]\nserver = \"{name}\"\ncommand = [{server:?}, \"both\", \"{name}\", {runs:?}]\n"
        );
    }
    for Remote { name, address, .. } in remotes {
        config += &format!(
            "[[bridge]]\nserver = \"{name}\"\nurl = \"http://{address}/mcp\"\nallow_private = true\n"
        );
    }
    config
}

fn door(node: &Node, server: &str) -> Door {
    Door {
        address: node.edge(),
        path: format!("/default/{server}/mcp"),
        key: None,
    }
}

/// All clients, once all servers are served.
async fn lanes(env: &Env, arguments: &Arguments, node: &Node) -> anyhow::Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    let remotes = REMOTES.map(|(name, _)| (name, Temper::Storm));
    let servers = [(STORM, Temper::Storm), (CALM, Temper::Calm)];
    for (server, temper) in servers.into_iter().chain(remotes) {
        let door = door(node, server);
        served(env, server, &door).await?;
        for era in [Era::Legacy, Era::Modern] {
            for _ in 0..arguments.lanes {
                let (door, number) = (door.clone(), lanes.len());
                lanes.push(Lane::start(env, server, door, (era, temper), number));
            }
        }
    }
    Ok(lanes)
}

async fn served(env: &Env, server: &str, door: &Door) -> anyhow::Result<()> {
    let limit = env.now() + PATIENCE;
    while !lane::is_served(door).await {
        ensure!(env.now() < limit, "{server} is not served");
        env.sleep(LOOK).await;
    }
    Ok(())
}

/// What all lanes counted, those of one kind together.
async fn finish(lanes: Vec<Lane>) -> anyhow::Result<Vec<Tally>> {
    let mut tallies: Vec<Tally> = Vec::new();
    for tally in join_all(lanes.into_iter().map(Lane::finish)).await {
        let tally = tally?;
        match tallies.iter_mut().find(|other| other.is_of(&tally)) {
            Some(other) => other.add(tally),
            None => tallies.push(tally),
        }
    }
    Ok(tallies)
}

struct Deaths<'a> {
    env: &'a Env,
    random: Env,
    node: &'a Node,
    remotes: Vec<Remote>,
    /// Servers, their children, keepers, servers over HTTP.
    killed: [u32; 4],
}

impl Deaths<'_> {
    /// One death in the middle of calls; then nothing of that life is left, and the next answers.
    async fn cycle(&mut self, bridge: u32) -> anyhow::Result<()> {
        let family = self.grown().await?;
        let pause = 20 + self.random.random_u64() % 200;
        self.env.sleep(Duration::from_millis(pause)).await;
        let kind = (self.random.random_u64() % 5) as usize;
        if let Some(remote) = kind.checked_sub(3) {
            return self.far(remote).await;
        }
        let victims = [&[family.server][..], &family.children, &[family.keeper]];
        victims[kind]
            .iter()
            .try_for_each(|victim| family::kill(*victim))?;
        self.killed[kind] += 1;
        if kind == 1 {
            family::kill(family.server)?;
            self.killed[0] += 1;
        }
        let gone = || family.is_gone();
        until(self.env, "the end of a killed server's family", gone).await?;
        let reaped = || family::zombies_of(bridge) == 0;
        until(self.env, "the end of all zombies", reaped).await
    }

    async fn far(&mut self, remote: usize) -> anyhow::Result<()> {
        let remote = &mut self.remotes[remote];
        remote.kill_and_restart()?;
        self.killed[3] += 1;
        let door = door(self.node, remote.name);
        served(self.env, remote.name, &door).await
    }

    /// Deaths go on until all lanes are done: some are at calls that only a death ends.
    async fn finish(&mut self, bridge: u32, lanes: Vec<Lane>) -> anyhow::Result<Vec<Tally>> {
        let done = finish(lanes);
        tokio::pin!(done);
        loop {
            tokio::select! {
                biased;
                tallies = &mut done => return tallies,
                died = self.cycle(bridge) => died?,
            }
        }
    }

    /// A server of the storm that lives and has started something.
    async fn grown(&self) -> anyhow::Result<Family> {
        let limit = self.env.now() + PATIENCE;
        while self.env.now() < limit {
            lane::fork(&door(self.node, STORM)).await;
            let family = Family::find(STORM);
            if let Some(family) = family.filter(|family| !family.children.is_empty()) {
                return Ok(family);
            }
            self.env.sleep(LOOK).await;
        }
        bail!("no server that lives")
    }
}

async fn until(env: &Env, what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let limit = env.now() + PATIENCE;
    while !holds() {
        ensure!(env.now() < limit, "waited in vain for {what}");
        env.sleep(LOOK).await;
    }
    Ok(())
}
