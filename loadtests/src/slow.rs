//! A running node whose disk takes its time to sync: nothing is acknowledged earlier, and a call
//! that needs no disk does not wait for it. `cargo xtask power` runs it with syncs of 300 ms.

use std::time::Duration;

use anyhow::ensure;
use ostler_env::Env;
use ostler_testkit::{Door, Script, Session, TestNode, m_ok};
use serde_json::json;

#[derive(clap::Args)]
pub struct Arguments {
    /// How long a sync takes at least.
    #[arg(long, default_value_t = 300)]
    sync_ms: u64,
}

const SESSIONS: usize = 10;
const CALLS_BEFORE: usize = 200;

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let sync = Duration::from_millis(arguments.sync_ms);
    let node = TestNode::stored().await;
    let _worker = node.worker(&Script::new()).await;
    let checked = check(env, &node.door(), sync).await;
    // A node that is dropped as it runs panics, and hides why.
    node.kill().await;
    checked
}

async fn check(env: &Env, door: &Door, sync: Duration) -> anyhow::Result<()> {
    let mut before = Vec::new();
    for _ in 0..CALLS_BEFORE {
        before.push(call(env, door).await);
    }
    let opening = env.spawn("loadtests.sessions", open(env.clone(), door.clone()));
    let mut during = Vec::new();
    while !opening.is_finished() {
        during.push(call(env, door).await);
    }
    let mut opened = opening.await?;
    println!(
        "sessions opened, fastest and slowest: {:?}",
        ends(&mut opened)
    );
    println!(
        "modern calls before, p50 and p99:     {:?}",
        middle(&mut before)
    );
    let (p50, p99) = middle(&mut during);
    println!("modern calls meanwhile, p50 and p99:  {:?}", (p50, p99));
    ensure!(opened[0] >= sync, "acknowledged before it was stored");
    ensure!(p99 < sync / 3, "a modern call waited for the disk");
    Ok(())
}

/// One session after the other; how long each took.
async fn open(env: Env, door: Door) -> Vec<Duration> {
    let mut opened = Vec::new();
    for _ in 0..SESSIONS {
        let started = env.now();
        Session::start(&door, json!({})).await;
        opened.push(env.now().since(started));
    }
    opened
}

async fn call(env: &Env, door: &Door) -> Duration {
    let started = env.now();
    m_ok().result(door).await;
    env.now().since(started)
}

fn ends(spans: &mut [Duration]) -> (Duration, Duration) {
    spans.sort_unstable();
    (spans[0], spans[spans.len() - 1])
}

fn middle(spans: &mut [Duration]) -> (Duration, Duration) {
    spans.sort_unstable();
    (spans[spans.len() / 2], spans[spans.len() * 99 / 100])
}
