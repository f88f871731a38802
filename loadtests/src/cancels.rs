//! Random cancels and disconnects (promises.md G15): what a node has open afterwards is what it had
//! before, and the worker heard of each cancel in time.
//!
//! The worker is in this process, so that one clock sees both ends.

use std::{net::SocketAddr, time::Duration};

use anyhow::{bail, ensure};
use clap::ValueEnum;
use futures_util::{StreamExt, stream};
use ostler_env::Env;
use ostler_testkit::{Door, Leaver, Levels, Script, TestWorker, back_to};

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long)]
    era: Era,
    /// Clients in all.
    #[arg(long, default_value_t = 10_000)]
    count: u32,
    /// Clients at once.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the node serves clients: `ostler serve --anonymous`, without a worker.
    #[arg(long, default_value = "127.0.0.1:8080")]
    edge: SocketAddr,
    #[arg(long, default_value = "127.0.0.1:7070")]
    workers: SocketAddr,
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Era {
    Legacy,
    Modern,
}

/// A cancel reaches the worker within this, in 99 of 100 cases.
const P99_MAX: Duration = Duration::from_secs(1);
/// Sessions and connections take their time to go; longer than this is a leak.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let script = Script::new();
    let _worker = TestWorker::start(arguments.workers, "cancels", "default", "default", &script);
    let leaver = Leaver {
        env: env.clone(),
        door: door(arguments.edge, "/mcp"),
        script,
    };
    linked(env, &leaver).await?;
    let admin = door(arguments.admin, "/metrics");
    let levels = async || Levels::of(admin.send(&admin.request("GET")).await.text());
    let before = levels().await;
    let start = env.now();
    let mut took = storm(&arguments, &leaver).await;
    let all = env.now().since(start);
    back_to(&before, PATIENCE, levels).await;
    let settled = env.now().since(start) - all;
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    let (era, count, cancelled) = (arguments.era, arguments.count, took.len());
    println!(
        "{era:?}: {count} clients in {all:.1?}, {cancelled} cancels seen by the worker: \
         p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}; nothing left after {settled:.1?}"
    );
    ensure!(p99 <= P99_MAX, "p99 {p99:?} is over {P99_MAX:?}");
    Ok(())
}

async fn storm(arguments: &Arguments, leaver: &Leaver) -> Vec<Duration> {
    let random = Env::seeded(arguments.seed);
    let clients = (0..arguments.count).map(|number| {
        let (gate, draw) = (format!("c{number}"), random.random_u64());
        async move {
            match arguments.era {
                Era::Legacy => leaver.legacy(&gate, draw).await,
                Era::Modern => leaver.modern(&gate, draw).await,
            }
        }
    });
    let took = stream::iter(clients).buffer_unordered(arguments.at_once);
    took.filter_map(std::future::ready).collect().await
}

fn door(address: SocketAddr, path: &str) -> Door {
    Door {
        address,
        path: path.to_owned(),
        key: None,
    }
}

/// Until the node serves what our worker offers.
async fn linked(env: &Env, leaver: &Leaver) -> anyhow::Result<()> {
    for _ in 0..100 {
        if leaver.is_served().await {
            return Ok(());
        }
        env.sleep(Duration::from_millis(100)).await;
    }
    bail!(
        "the node does not serve our worker at {}",
        leaver.door.address
    )
}
