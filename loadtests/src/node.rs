//! One `ostler serve` process, its worker, and what can be seen of both from outside.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use ostler_env::{Env, JoinHandle};
use ostler_worker::{Ctx, Server, Worker};

use crate::http::Connection;

/// A node on a directory of its own. Ends with SIGKILL when dropped.
pub struct Node {
    env: Env,
    binary: PathBuf,
    folder: PathBuf,
    ports: Ports,
    process: Child,
}

#[derive(Clone, Copy)]
struct Ports {
    edge: SocketAddr,
    workers: SocketAddr,
    admin: SocketAddr,
}

/// Between two looks whether a node is ready.
const LOOK: Duration = Duration::from_millis(2);
/// How long a node may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);

impl Node {
    /// Starts a node with this configuration and waits until it is ready.
    pub async fn start(
        env: &Env,
        binary: &Path,
        folder: &Path,
        config: &str,
    ) -> anyhow::Result<Node> {
        std::fs::write(folder.join("ostler.toml"), config)?;
        let ports = free_ports()?;
        let mut node = Node {
            env: env.clone(),
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            ports,
            process: spawn(binary, folder, ports)?,
        };
        node.ready().await?;
        Ok(node)
    }

    /// Kills the node with SIGKILL and starts it again; how long that took until it was ready.
    pub async fn kill_and_restart(&mut self) -> anyhow::Result<Duration> {
        self.process.kill()?;
        self.process.wait()?;
        let started = self.env.now();
        self.process = spawn(&self.binary, &self.folder, self.ports)?;
        self.ready().await?;
        Ok(self.env.now().since(started))
    }

    /// Links a worker that serves the bare `/mcp`.
    pub async fn link_worker(&self) -> anyhow::Result<JoinHandle<()>> {
        let echo = async |_: Ctx| "hi";
        let server = Server::new("load", "1.0.0").tool("echo", "Says hi.", echo);
        let worker = Worker::new(format!("http://{}", self.ports.workers));
        let worker = worker.serve("default", "default", server);
        let worker = self.env.spawn("loadtests.worker", async move {
            if let Err(error) = worker.run().await {
                eprintln!("the worker ended: {error}");
            }
        });
        self.linked().await?;
        Ok(worker)
    }

    /// Waits until the worker is linked, again after a restart.
    pub async fn linked(&self) -> anyhow::Result<()> {
        self.until("a worker to link", async |node| {
            Ok(node.metric("ostler_hub_links_opened_total").await? > 0.0)
        })
        .await
    }

    pub fn edge(&self) -> SocketAddr {
        self.ports.edge
    }

    /// Where workers link.
    pub fn hub(&self) -> String {
        self.ports.workers.to_string()
    }

    /// The value of a metric; the labels, if it has any, are part of its name.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let mut connection = Connection::open(self.ports.admin).await?;
        let text = String::from_utf8(connection.get("/metrics").await?.body)?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }

    /// Memory of the process that is not a file, in bytes.
    pub fn memory_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.context("no RssAnon in the process status")?.parse()?;
        Ok(kib << 10)
    }

    /// Bytes of all files under the data directory.
    pub fn disk_bytes(&self) -> anyhow::Result<u64> {
        size_of_folder(&self.folder.join("data"))
    }

    /// Waits until something holds.
    pub async fn until(
        &self,
        what: &str,
        holds: impl AsyncFn(&Node) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let limit = self.env.now() + PATIENCE;
        while self.env.now() < limit {
            if holds(self).await? {
                return Ok(());
            }
            self.env.sleep(20 * LOOK).await;
        }
        bail!("waited in vain for {what}")
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let limit = self.env.now() + PATIENCE;
        while self.env.now() < limit {
            if let Some(status) = self.process.try_wait()? {
                bail!(
                    "the node ended: {status}; its log is in {}",
                    self.folder.display()
                );
            }
            if is_ready(self.ports.admin).await.unwrap_or(false) {
                return Ok(());
            }
            self.env.sleep(LOOK).await;
        }
        bail!("the node does not get ready")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

async fn is_ready(admin: SocketAddr) -> anyhow::Result<bool> {
    let mut connection = Connection::open(admin).await?;
    let answer = connection.get("/readyz").await?;
    Ok(answer.status == 200)
}

fn spawn(binary: &Path, folder: &Path, ports: Ports) -> anyhow::Result<Child> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("node.log"))?;
    let mut command = Command::new(binary);
    command.args(["serve", "--anonymous", "--config"]);
    command.arg(folder.join("ostler.toml"));
    command.arg("--data").arg(folder.join("data"));
    // As the README tells operators.
    command.env("MALLOC_ARENA_MAX", "2");
    for (name, address) in [
        ("--edge", ports.edge),
        ("--workers", ports.workers),
        ("--admin", ports.admin),
    ] {
        command.arg(name).arg(address.to_string());
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))
}

/// Three free ports below the range from which systems take those of outgoing connections: here
/// are many, and none may take a port of the node while it is down.
fn free_ports() -> anyhow::Result<Ports> {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000)?;
    let mut free = (first..32_000).filter_map(|port| {
        let listener = TcpListener::bind(("127.0.0.1", port)).ok()?;
        listener.local_addr().ok()
    });
    let mut next = || free.next().context("no free port");
    Ok(Ports {
        edge: next()?,
        workers: next()?,
        admin: next()?,
    })
}

fn size_of_folder(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // One that goes while we look has no size.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += match metadata.is_dir() {
            true => size_of_folder(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}
