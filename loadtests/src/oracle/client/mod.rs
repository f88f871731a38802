//! `oracle client`: many clients of both eras in one process, through any number of deaths of the
//! node.
//!
//! Says on a line of its own what it has done, and is told what to do in the same way: `audit` is
//! answered with `audited` when what was acknowledged before has been looked at again, `finish`
//! with `finished` when every story is over but two streams are open, and `parted` comes when the
//! node has ended those.

mod audit;
mod lane;
mod legacy;
mod listen;
mod modern;
mod tasks;
mod world;

use std::{io::Write, net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use ostler_env::{Env, JoinHandle};
use ostler_testkit::{Door, Live};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use self::{lane::Lane, legacy::Line, world::World};
use super::ledger::Ledger;

#[derive(Args)]
pub struct Arguments {
    /// Address of the node's door.
    #[arg(long)]
    edge: SocketAddr,
    /// Where they write what was acknowledged.
    #[arg(long)]
    facts: PathBuf,
    /// Clients at once.
    #[arg(long, default_value_t = 16)]
    clients: u64,
    /// Decides what each client does.
    #[arg(long)]
    seed: u64,
}

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let door = Door {
        address: arguments.edge,
        path: "/mcp".to_owned(),
        key: None,
    };
    let world = World::new(env, door, Ledger::open(env, &arguments.facts)?);
    let lanes = (0..arguments.clients).map(|number| {
        let lane = Lane {
            world: world.clone(),
            number,
            dice: Env::seeded(arguments.seed.wrapping_mul(1 << 20).wrapping_add(number)),
            line: None,
        };
        env.spawn("oracle.lane", lane.run())
    });
    let lanes: Vec<JoinHandle<()>> = lanes.collect();
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        match order.as_str() {
            "audit" => {
                audit::run(&world).await;
                say("audited");
            }
            "finish" => return finish(&world, lanes).await,
            other => bail!("no such order: {other:?}"),
        }
    }
    bail!("whoever gave orders is gone")
}

async fn finish(world: &World, lanes: Vec<JoinHandle<()>>) -> anyhow::Result<()> {
    world.finish();
    for lane in lanes {
        lane.await.context("a client broke down")?;
    }
    audit::run(world).await;
    let line = Line::open(world, "2025-11-25").await;
    let standalone = world.open_patiently(&line.session.get()).await;
    let listen = loop {
        match listen::open(world, json!({"toolsListChanged": true})).await {
            Some(listen) => break listen,
            None => world.pause().await,
        }
    };
    say("finished");
    part(world, standalone, listen).await;
    say("parted");
    Ok(())
}

/// A node that drains ends its streams in order ([SSE-4], [L-6]).
async fn part(world: &World, mut standalone: Live, listen: Live) {
    let (last, listened) = tokio::join!(
        async {
            let mut last = None;
            while let Some(event) = standalone.next_event().await {
                last = Some(event);
            }
            last
        },
        listen.finish_whole()
    );
    if last.is_none_or(|event| event.retry_ms.is_none()) || !standalone.is_whole() {
        world.missing("the ordered end of a session's stream").await;
    }
    if listened.is_none_or(|listened| listened.json()["result"]["resultType"] != "complete") {
        world.missing("the result of a listen").await;
    }
}

fn say(what: &str) {
    // Whoever reads it may be gone: then the orders end too.
    let _ = writeln!(std::io::stdout(), "{what}");
}
