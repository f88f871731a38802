//! Sessions by the hundred thousand: what they cost asleep, whether they survive, how fast they
//! wake, and whether those that nobody comes back to go away.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use futures_util::future::try_join_all;
use ostler_env::Env;

use crate::{http::Connection, node::Node};

#[derive(Args)]
pub struct Arguments {
    /// The binary to run.
    #[arg(long, default_value = "target/release/ostler")]
    ostler: PathBuf,
    /// Connections at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Kills a node with many sleeping sessions, starts it again, wakes some, then all.
    Restart {
        #[arg(long, default_value_t = 100_000)]
        count: usize,
        /// Sessions whose waking is timed.
        #[arg(long, default_value_t = 2_000)]
        wakes: usize,
        /// Connections that wake at once while that is timed.
        #[arg(long, default_value_t = 4)]
        wakers: usize,
    },
    /// What sleeping sessions cost in memory: a slope between two counts. At the first the store's
    /// cache is full already.
    Sleep {
        #[arg(long, default_value_t = 100_000)]
        from: usize,
        #[arg(long, default_value_t = 300_000)]
        to: usize,
    },
    /// Opens sessions that nobody comes back to: memory and disk must level off.
    Abandon {
        #[arg(long, default_value_t = 1_000_000)]
        count: usize,
        #[arg(long, default_value_t = 5)]
        idle_ttl_s: u64,
        /// Stops opening after so long.
        #[arg(long, default_value_t = 3_600)]
        seconds_max: u64,
        /// Sessions between two looks at memory and disk.
        #[arg(long, default_value_t = 100_000)]
        step: usize,
    },
}

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let idle_ttl_s = match arguments.scenario {
        Scenario::Restart { .. } | Scenario::Sleep { .. } => 3_600,
        Scenario::Abandon { idle_ttl_s, .. } => idle_ttl_s,
    };
    let config = config(idle_ttl_s);
    let node = Node::start(env, &arguments.ostler, folder.path(), &config).await?;
    let _worker = node.link_worker().await?;
    let load = Load {
        env: env.clone(),
        connections: arguments.connections,
    };
    match arguments.scenario {
        Scenario::Restart {
            count,
            wakes,
            wakers,
        } => load.restart(node, count, wakes, wakers).await,
        Scenario::Sleep { from, to } => load.sleep(&node, from, to).await,
        Scenario::Abandon {
            count,
            seconds_max,
            step,
            ..
        } => {
            let limit = env.now() + Duration::from_secs(seconds_max);
            let mut left = count;
            load.show("opened 0", &node).await?;
            while left > 0 && env.now() < limit {
                let opening = step.min(left);
                left -= opening;
                load.abandon(&node, opening, count - left).await?;
            }
            load.afterwards(&node, Duration::from_secs(3 * idle_ttl_s + 10))
                .await
        }
    }
}

/// Callers without a credential are one principal, and here are many clients.
fn config(idle_ttl_s: u64) -> String {
    format!(
        "[session]\nlinger_s = 1\nidle_ttl_s = {idle_ttl_s}\n\
         [limits]\nrequests_per_second_max = 10000000\n\
         sessions_per_principal_max = 10000000\nsessions_per_tenant_max = 10000000\n"
    )
}

/// Promised: ready so soon after a kill.
const READY_MAX: Duration = Duration::from_secs(2);
/// Promised: a session that sleeps answers within this, in 99 of 100 cases.
const WAKE_P99_MAX: Duration = Duration::from_millis(50);
/// Promised: what a session that sleeps keeps in memory.
const SLEEPING_BYTES_MAX: f64 = 64.0;

struct Load {
    env: Env,
    connections: usize,
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{},"roots":{"listChanged":true},"sampling":{}},"clientInfo":{"name":"load","title":"A client under load","version":"1.0.0"}}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

impl Load {
    async fn restart(
        &self,
        mut node: Node,
        count: usize,
        wakes: usize,
        wakers: usize,
    ) -> anyhow::Result<()> {
        let ids = self.open(&node, count).await?;
        self.asleep(&node).await?;
        self.show(&format!("{count} asleep"), &node).await?;
        let took = node.kill_and_restart().await?;
        println!("ready after {took:?}");
        ensure!(took <= READY_MAX, "ready only after {took:?}");
        self.show("after the restart", &node).await?;
        node.linked().await?;
        // All there are may have to be counted for it.
        let asked = self.env.now();
        self.open(&node, 1).await?;
        println!("a new one took {:?}", self.env.now().since(asked));
        let mut some = Vec::new();
        for _ in 0..wakes {
            some.push(ids[self.random_below(ids.len())].clone());
        }
        let waking = self.wake(node.edge(), &some, wakers).await?;
        println!("woke {wakes}, {wakers} at once: {waking}");
        let p99 = waking.at(0.99);
        ensure!(p99 <= WAKE_P99_MAX, "to wake takes {p99:?}");
        let waking = self.wake(node.edge(), &ids, self.connections).await?;
        println!("woke all {count}, {} at once: {waking}", self.connections);
        self.show("all awake", &node).await?;
        self.asleep(&node).await?;
        self.show("asleep again", &node).await
    }

    async fn sleep(&self, node: &Node, from: usize, to: usize) -> anyhow::Result<()> {
        let steps = 4;
        self.open(node, from).await?;
        let first = self.rested(node, from).await?;
        let mut last = first;
        for step in 1..=steps {
            let (before, now) = (
                from + (to - from) * (step - 1) / steps,
                from + (to - from) * step / steps,
            );
            self.open(node, now - before).await?;
            last = self.rested(node, now).await?;
        }
        let slope = (last as f64 - first as f64) / (to - from) as f64;
        println!("{slope:.1} bytes of memory per sleeping session between {from} and {to}");
        ensure!(slope <= SLEEPING_BYTES_MAX, "a sleeping session is large");
        Ok(())
    }

    async fn rested(&self, node: &Node, count: usize) -> anyhow::Result<u64> {
        self.asleep(node).await?;
        self.show(&format!("{count} asleep"), node).await?;
        node.memory_bytes()
    }

    async fn abandon(&self, node: &Node, count: usize, total: usize) -> anyhow::Result<()> {
        let started = self.env.now();
        self.open(node, count).await?;
        let took = self.env.now().since(started).as_secs_f64();
        let rate = count as f64 / took;
        self.show(&format!("opened {total} ({rate:.0}/s)"), node)
            .await
    }

    /// All of them have expired by then.
    async fn afterwards(&self, node: &Node, pause: Duration) -> anyhow::Result<()> {
        self.env.sleep(pause).await;
        self.show(&format!("{pause:?} later"), node).await
    }

    async fn show(&self, when: &str, node: &Node) -> anyhow::Result<()> {
        let live = node.metric(r#"ostler_actor_live{kind="session"}"#).await?;
        let expired = node.metric("ostler_store_expired_records_total").await?;
        println!(
            "{when}: memory {:.1} MiB, disk {:.1} MiB, live {live}, records expired {expired}",
            mib(node.memory_bytes()?),
            mib(node.disk_bytes()?),
        );
        Ok(())
    }

    /// Waits until no session is live, and the allocator has given back what it gives back.
    async fn asleep(&self, node: &Node) -> anyhow::Result<()> {
        node.until("all sessions to sleep", async |node| {
            let live = node.metric(r#"ostler_actor_live{kind="session"}"#).await?;
            Ok(live == 0.0)
        })
        .await?;
        self.env.sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    async fn open(&self, node: &Node, count: usize) -> anyhow::Result<Vec<String>> {
        let (edge, left) = (node.edge(), AtomicUsize::new(count));
        let ids = (0..self.connections).map(|_| open_some(edge, &left));
        let ids = try_join_all(ids).await?.concat();
        let different: HashSet<&String> = ids.iter().collect();
        ensure!(
            different.len() == count,
            "{} of {count} ids",
            different.len()
        );
        Ok(ids)
    }

    async fn wake(
        &self,
        edge: SocketAddr,
        ids: &[String],
        wakers: usize,
    ) -> anyhow::Result<Latencies> {
        let next = AtomicUsize::new(0);
        let took = (0..wakers).map(|_| wake_some(&self.env, edge, ids, &next));
        Ok(Latencies::new(try_join_all(took).await?.concat()))
    }

    fn random_below(&self, len: usize) -> usize {
        (self.env.random_u64() % len as u64) as usize
    }
}

/// Opens sessions until none is left to open.
async fn open_some(edge: SocketAddr, left: &AtomicUsize) -> anyhow::Result<Vec<String>> {
    let (mut connection, mut ids) = (Connection::open(edge).await?, Vec::new());
    let one_less = |left: usize| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
        .is_ok()
    {
        let answer = connection.post(None, INITIALIZE).await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "{} {text}", answer.status);
        let id = answer.session.context("initialize gives a session id")?;
        let is_valid = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(is_valid, "no id of a session: {id:?}");
        ids.push(id);
    }
    Ok(ids)
}

/// Asks something of one session after the other, until all were asked; how long each took.
async fn wake_some(
    env: &Env,
    edge: SocketAddr,
    ids: &[String],
    next: &AtomicUsize,
) -> anyhow::Result<Vec<Duration>> {
    let (mut connection, mut took) = (Connection::open(edge).await?, Vec::new());
    while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
        let asked = env.now();
        let answer = connection.post(Some(id), PING).await?;
        took.push(env.now().since(asked));
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "{id}: {} {text}", answer.status);
    }
    Ok(took)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

struct Latencies(Vec<Duration>);

impl Latencies {
    fn new(mut took: Vec<Duration>) -> Self {
        took.sort();
        Self(took)
    }

    fn at(&self, share: f64) -> Duration {
        let index = (self.0.len() as f64 * share) as usize;
        self.0
            .get(index)
            .or(self.0.last())
            .copied()
            .unwrap_or_default()
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99, max) = (self.at(0.5), self.at(0.99), self.at(1.0));
        write!(f, "p50 {p50:?}, p99 {p99:?}, longest {max:?}")
    }
}
