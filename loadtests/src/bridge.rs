//! Bridged servers that are killed again and again under calls of both eras, beside one that is not:
//! nothing of them is left, the other loses no call, and every call ends as defined.
//!
//! Kills with SIGKILL what is found by the brand that keepers give: the server, what it started,
//! its keeper; and in the end the bridge.

mod family;
mod lane;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use ostler_env::Env;
use ostler_testkit::Door;

use self::{
    family::Family,
    lane::{Era, Lane, Tally, Temper},
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
    lanes: u32,
    /// `cargo build -p ostler -p ostler-bridge --examples`, in the same profile as this.
    #[arg(long, default_value = "target/release/ostler")]
    ostler: PathBuf,
    #[arg(long, default_value = "target/release/examples/echo_stdio")]
    server: PathBuf,
}

/// The one that is killed, and the one that must not notice.
const STORM: &str = "storm";
const CALM: &str = "calm";

/// For whatever must happen after a death.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Node::start(env, &arguments.ostler, folder.path(), "").await?;
    let mut bridge = Bridge::start(&arguments, folder.path(), &node.hub())?;
    let lanes = lanes(env, &arguments, &node).await?;
    let start = env.now();
    let mut deaths = Deaths {
        env,
        random: Env::seeded(arguments.seed),
        door: door(&node, STORM),
        killed: [0; 3],
    };
    for cycle in 1..=arguments.cycles {
        let died = deaths.cycle(bridge.id()).await;
        died.with_context(|| format!("cycle {cycle}"))?;
    }
    let took = env.now().since(start);
    let tallies = finish(lanes).await?;
    let [servers, grandchildren, keepers] = deaths.killed;
    println!(
        "{} cycles in {took:.1?}: {servers} servers, {grandchildren} of their children and \
         {keepers} keepers killed",
        arguments.cycles
    );
    tallies.iter().for_each(|tally| println!("{tally}"));
    let families: Vec<_> = [STORM, CALM].into_iter().filter_map(Family::find).collect();
    bridge.kill()?;
    let gone = || families.iter().all(Family::is_gone);
    until(env, "the end of all servers of a killed bridge", gone).await?;
    println!("the bridge killed: nothing left");
    tallies.iter().try_for_each(Tally::check)
}

/// The bridge as a process. Ends with SIGKILL when dropped.
struct Bridge(Child);

impl Bridge {
    fn start(arguments: &Arguments, folder: &Path, hub: &str) -> anyhow::Result<Bridge> {
        let server = arguments.server.canonicalize();
        let server = server.with_context(|| format!("{}", arguments.server.display()))?;
        let file = folder.join("bridge.toml");
        std::fs::write(&file, config(&server, hub))?;
        let log = std::fs::File::create(folder.join("bridge.log"))?;
        let mut command = Command::new(&arguments.ostler);
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
fn config(server: &Path, hub: &str) -> String {
    let member = |name: &str| {
        let server = server.display();
        format!("[[bridge]]\nserver = \"{name}\"\ncommand = [\"{server}\", \"both\", \"{name}\"]\n")
    };
    format!(
        "[worker]\nhubs = [\"{hub}\"]\nrest_max_s = 1\n{}{}",
        member(STORM),
        member(CALM)
    )
}

fn door(node: &Node, server: &str) -> Door {
    Door {
        address: node.edge(),
        path: format!("/default/{server}/mcp"),
        key: None,
    }
}

/// All clients, once both servers are served.
async fn lanes(env: &Env, arguments: &Arguments, node: &Node) -> anyhow::Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    for (server, temper) in [(STORM, Temper::Storm), (CALM, Temper::Calm)] {
        let door = door(node, server);
        let limit = env.now() + PATIENCE;
        while !lane::is_served(&door).await {
            ensure!(env.now() < limit, "{server} is not served");
            env.sleep(LOOK).await;
        }
        for era in [Era::Legacy, Era::Modern] {
            let lane = |_| Lane::start(env, door.clone(), era, temper);
            lanes.extend((0..arguments.lanes).map(lane));
        }
    }
    Ok(lanes)
}

/// What all lanes counted, those of one kind together.
async fn finish(lanes: Vec<Lane>) -> anyhow::Result<Vec<Tally>> {
    let mut tallies: Vec<Tally> = Vec::new();
    for lane in lanes {
        let tally = lane.finish().await?;
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
    door: Door,
    /// Servers, their children, keepers.
    killed: [u32; 3],
}

impl Deaths<'_> {
    /// One death in the middle of calls; then nothing of that life is left, and the next answers.
    async fn cycle(&mut self, bridge: u32) -> anyhow::Result<()> {
        let family = self.grown().await?;
        let pause = 20 + self.random.random_u64() % 200;
        self.env.sleep(Duration::from_millis(pause)).await;
        let kind = (self.random.random_u64() % 3) as usize;
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

    /// A server of the storm that lives and has started something.
    async fn grown(&self) -> anyhow::Result<Family> {
        let limit = self.env.now() + PATIENCE;
        while self.env.now() < limit {
            lane::fork(&self.door).await;
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
