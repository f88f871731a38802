//! One run: a node, two workers, many clients, and the deaths of the former.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{clients::Clients, dice::Dice};
use crate::{
    child::{Guarded, now, pause},
    node::{self, Node},
    shell,
};

/// Soon enough that all that sleeps, waits and ends does so between two deaths, too.
const SETTINGS: &str = "\
drain_timeout_s = 20
[edge]
stream_after_ms = 40
task_after_ms = 60
[session]
linger_s = 1
[task]
park_timeout_s = 30
ttl_s = 35
";

const WORKERS: [&str; 2] = ["w1", "w2"];
/// Clients look at everything again; a node that died meanwhile is waited for.
const AUDIT_MAX: Duration = Duration::from_secs(90);
/// Every story is told to its end.
const FINISH_MAX: Duration = Duration::from_secs(180);
/// What nobody could come back for ends in this time: `ttl_s`, and some.
const CLOSE_MAX: Duration = Duration::from_secs(60);
/// promises.md 4.4, G5: a node drains with open streams.
const DRAIN_MAX: Duration = Duration::from_secs(25);
const GOODBYE_MAX: Duration = Duration::from_secs(20);
/// Between two verdicts on what is known so far.
const JUDGED_EVERY: u32 = 25;

pub struct Run {
    folder: PathBuf,
    node: Node,
    workers: Vec<Guarded>,
    clients: Option<Clients>,
    dice: Dice,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    nodes_killed: u32,
    workers_killed: u32,
    recoveries: Vec<Duration>,
}

impl Run {
    /// Everybody is there and the load runs.
    pub fn start(seed: u64) -> anyhow::Result<Self> {
        let folder = shell::root().join("target/kill");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).context("making a folder")?;
        let settings = folder.join("ostler.toml");
        std::fs::write(&settings, SETTINGS)?;
        let settings = ["--config".to_owned(), settings.display().to_string()];
        let mut run = Self {
            node: Node::new(&folder, settings.into())?,
            folder,
            workers: Vec::new(),
            clients: None,
            dice: Dice(seed),
            figures: Figures::default(),
        };
        let started = run.start_all(seed);
        run.explain(started)?;
        Ok(run)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Shows what everybody said last, if something failed.
    pub fn explain<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let mut logs = vec![self.node.log(), self.file("clients.log")];
        logs.extend(WORKERS.map(|worker| self.file(&format!("{worker}.log"))));
        node::explain(result, &logs)
    }

    /// So many deaths, then an end in order and the last verdict.
    pub fn all(&mut self, cycles: u32) -> anyhow::Result<()> {
        for cycle in 1..=cycles {
            self.cycle().with_context(|| format!("cycle {cycle}"))?;
            if cycle % JUDGED_EVERY == 0 && cycle < cycles {
                eprintln!("kill: cycle {cycle}");
                self.judge(&["--running"])?;
            }
        }
        let drained = self.end()?;
        println!("{}", self.figures.report(cycles, drained));
        self.judge(&[])
    }

    fn start_all(&mut self, seed: u64) -> anyhow::Result<()> {
        self.node.start()?;
        for number in 0..WORKERS.len() {
            let mut worker = self.start_worker(number)?;
            self.node
                .wait_for_links(number as u64 + 1, Some(&mut worker))?;
            self.workers.push(worker);
        }
        let edge = self.node.edge().to_string();
        let mut command = self.oracle("client", &["--edge", &edge]);
        command.args(["--seed", &seed.to_string()]);
        command.arg("--facts").arg(self.file("clients.facts"));
        let log = File::create(self.file("clients.log"))?;
        self.clients = Some(Clients::start(&mut command, log)?);
        Ok(())
    }

    fn start_worker(&self, number: usize) -> anyhow::Result<Guarded> {
        let (id, hub) = (WORKERS[number], self.node.hub());
        let mut command = self.oracle("worker", &["--hub", &hub, "--id", id]);
        command.arg("--facts").arg(self.facts_of(id));
        // The other end is ours: a worker that hears its end is alone, and ends too.
        node::spawn_with(
            &mut command,
            Stdio::piped(),
            &self.file(&format!("{id}.log")),
        )
    }

    fn oracle(&self, part: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(shell::root().join("target/debug/loadtests"));
        command.args(["oracle", part]).args(arguments);
        command
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn facts_of(&self, worker: &str) -> PathBuf {
        self.file(&format!("{worker}.facts"))
    }

    /// One death, now and then with that of a worker, or of the node that comes after it.
    fn cycle(&mut self) -> anyhow::Result<()> {
        self.pause(20, 900);
        let kind = self.dice.between(0, 12);
        if kind == 0 {
            self.kill_worker()?;
            self.pause(0, 100);
        }
        let mut started = self.kill_node()?;
        if kind == 1 {
            self.pause(0, 100);
            self.kill_worker()?;
        }
        if matches!(kind, 2..=4) {
            self.pause(0, 300);
            started = self.kill_node()?;
        }
        self.node.wait_until_ready()?;
        let recovery = now().duration_since(started);
        self.figures.recoveries.push(recovery);
        self.clients()?.order("audit", "audited", AUDIT_MAX)
    }

    fn clients(&mut self) -> anyhow::Result<&mut Clients> {
        self.clients.as_mut().context("there are clients")
    }

    /// The node dies and is started again; gives when.
    fn kill_node(&mut self) -> anyhow::Result<Instant> {
        self.node.kill();
        self.figures.nodes_killed += 1;
        let started = now();
        self.node.spawn()?;
        Ok(started)
    }

    fn kill_worker(&mut self) -> anyhow::Result<()> {
        let number = self.dice.between(0, WORKERS.len() as u64) as usize;
        drop(self.workers.remove(number));
        self.figures.workers_killed += 1;
        let worker = self.start_worker(number)?;
        self.workers.insert(number, worker);
        Ok(())
    }

    fn pause(&mut self, from_ms: u64, to_ms: u64) {
        pause(Duration::from_millis(self.dice.between(from_ms, to_ms)));
    }

    /// Everything ends in order; how long the node took.
    fn end(&mut self) -> anyhow::Result<Duration> {
        self.clients()?.order("finish", "finished", FINISH_MAX)?;
        self.wait_until_closed()?;
        let start = now();
        self.node.terminate(DRAIN_MAX)?;
        let drained = now().duration_since(start);
        let clients = self.clients.take().context("there are clients")?;
        clients.end("parted", GOODBYE_MAX)?;
        for worker in self.workers.drain(..) {
            worker.terminate(GOODBYE_MAX).context("a worker")?;
        }
        Ok(drained)
    }

    /// Every call that was begun has ended.
    fn wait_until_closed(&self) -> anyhow::Result<()> {
        let start = now();
        loop {
            let started = self.node.metric("ostler_dispatch_calls_started_total")?;
            let ended = self.node.metric("ostler_dispatch_calls_ended_total")?;
            if started == ended {
                return Ok(());
            }
            let waited = now().duration_since(start);
            ensure!(waited < CLOSE_MAX, "{started} calls started, {ended} ended");
            pause(Duration::from_millis(200));
        }
    }

    fn judge(&self, how: &[&str]) -> anyhow::Result<()> {
        let mut command = self.oracle("verdict", how);
        command.arg("--clients").arg(self.file("clients.facts"));
        for worker in WORKERS {
            command.arg("--worker").arg(self.facts_of(worker));
        }
        let status = command.status().context("starting the verdict")?;
        ensure!(status.success(), "the verdict is bad");
        Ok(())
    }
}

impl Figures {
    fn report(&self, cycles: u32, drained: Duration) -> String {
        let mut recoveries = self.recoveries.clone();
        recoveries.sort_unstable();
        let seconds = |at: usize| recoveries.get(at).map_or(0.0, Duration::as_secs_f64);
        let (median, max) = (recoveries.len() / 2, recoveries.len().saturating_sub(1));
        format!(
            "cycles {cycles}, nodes killed {}, workers killed {}\n\
             recovery p50 {:.3} s, max {:.3} s; drained in {:.1} s",
            self.nodes_killed,
            self.workers_killed,
            seconds(median),
            seconds(max),
            drained.as_secs_f64(),
        )
    }
}
