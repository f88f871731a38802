//! A real node and the fixture worker, as processes.

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use super::{
    child::{Guarded, now},
    folder,
};
use crate::shell;

/// How long a process may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of each log, when something failed.
const LINES_SHOWN: usize = 25;

/// A node with the fixture worker linked; both end with it.
pub struct Fixture {
    /// Data and logs.
    folder: PathBuf,
    ports: Ports,
    node: Option<Guarded>,
    worker: Option<Guarded>,
}

#[derive(Clone, Copy)]
struct Ports {
    edge: SocketAddr,
    workers: SocketAddr,
    admin: SocketAddr,
}

impl Fixture {
    /// Starts both with an empty store; data and logs go to `target/interop/NAME`.
    pub fn start(name: &str) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(folder(name)?);
        let mut fixture = Self {
            folder: folder(name)?,
            ports: free_ports()?,
            node: None,
            worker: None,
        };
        let started = fixture.start_both();
        fixture.explain(started)?;
        Ok(fixture)
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.ports.edge)
    }

    /// Ends the node with SIGKILL and starts it again on the same ports and data.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        drop(self.node.take());
        self.start_node()
    }

    /// What a counter of the running node shows.
    pub fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = get(self.ports.admin, "/metrics")?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("the node has no metric {name}"))?;
        value.parse().with_context(|| format!("{name} {value}"))
    }

    /// Shows what node and worker said last, if something failed.
    pub fn explain<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        if result.is_err() {
            for part in ["node", "worker"] {
                let text = std::fs::read_to_string(self.log(part)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
                eprintln!("--- the {part} said last:\n{}", last.join("\n"));
            }
            eprintln!("---");
        }
        result
    }

    fn log(&self, part: &str) -> PathBuf {
        self.folder.join(format!("{part}.log"))
    }

    fn start_both(&mut self) -> anyhow::Result<()> {
        self.start_node()?;
        let hub = format!("http://{}", self.ports.workers);
        self.worker = Some(self.spawn("worker", &["fixture", "--hub", &hub])?);
        wait_until("the worker to link", &mut self.worker, || {
            let text = get(self.ports.admin, "/metrics").unwrap_or_default();
            text.lines().any(|line| {
                line.starts_with("ostler_hub_links_opened_total") && !line.ends_with(" 0")
            })
        })
    }

    fn start_node(&mut self) -> anyhow::Result<()> {
        let text = |address: SocketAddr| address.to_string();
        let (edge, workers, admin) = (
            text(self.ports.edge),
            text(self.ports.workers),
            text(self.ports.admin),
        );
        let data = self.folder.join("data").display().to_string();
        let mut arguments = vec!["serve", "--anonymous", "--data", &data];
        arguments.extend(["--edge", &edge, "--workers", &workers, "--admin", &admin]);
        self.node = Some(self.spawn("node", &arguments)?);
        wait_until("the node to be ready", &mut self.node, || {
            get(self.ports.admin, "/readyz").is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
        })
    }

    fn spawn(&self, part: &str, arguments: &[&str]) -> anyhow::Result<Guarded> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log(part))?;
        let child = Command::new(shell::root().join("target/debug/ostler"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting the {part}"))?;
        Ok(Guarded(child))
    }
}

/// Three free ports below the range from which systems take those of outgoing connections, so
/// that nobody takes one while the node is down.
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

/// The head and body of a GET; enough HTTP for our own admin port.
fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    Ok(text)
}

/// Asks again and again; a process that ends in the meantime will never be ready.
fn wait_until(
    what: &str,
    process: &mut Option<Guarded>,
    is_so: impl Fn() -> bool,
) -> anyhow::Result<()> {
    let start = now();
    while now().duration_since(start) < PATIENCE {
        if is_so() {
            return Ok(());
        }
        if let Some(process) = process {
            let ended = process.0.try_wait()?;
            ensure!(
                ended.is_none(),
                "waited for {what}, but it ended: {ended:?}"
            );
        }
        pause();
    }
    bail!("waited {} s for {what}", PATIENCE.as_secs())
}

#[allow(
    clippy::disallowed_methods,
    reason = "real processes tell nobody that they are ready: they must be asked"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
