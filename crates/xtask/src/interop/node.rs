//! A real node and the fixture worker, as processes.

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::folder;
use crate::shell;

/// How long a process may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node with the fixture worker linked; both end with it.
pub struct Fixture {
    name: &'static str,
    data: PathBuf,
    ports: Ports,
    node: Option<Process>,
    _worker: Process,
}

#[derive(Clone, Copy)]
struct Ports {
    edge: SocketAddr,
    workers: SocketAddr,
    admin: SocketAddr,
}

impl Fixture {
    /// Starts both with an empty store; logs go to `target/interop/NAME`.
    pub fn start(name: &'static str) -> anyhow::Result<Self> {
        let data = folder(name)?.join("data");
        let _ = std::fs::remove_dir_all(&data);
        let ports = Ports {
            edge: free_port()?,
            workers: free_port()?,
            admin: free_port()?,
        };
        let node = start_node(name, &data, ports)?;
        let hub = format!("http://{}", ports.workers);
        let worker = Process::start(name, "worker", &["fixture", "--hub", &hub])?;
        let fixture = Self {
            name,
            data,
            ports,
            node: Some(node),
            _worker: worker,
        };
        fixture.wait_for_worker()?;
        Ok(fixture)
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.ports.edge)
    }

    /// Ends the node with SIGKILL and starts it again on the same ports and data.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        drop(self.node.take());
        self.node = Some(start_node(self.name, &self.data, self.ports)?);
        Ok(())
    }

    fn wait_for_worker(&self) -> anyhow::Result<()> {
        wait_until("the fixture worker to link", || {
            let text = get(self.ports.admin, "/metrics").unwrap_or_default();
            text.lines().any(|line| {
                line.starts_with("ostler_hub_links_opened_total") && !line.ends_with(" 0")
            })
        })
    }
}

fn start_node(name: &str, data: &Path, ports: Ports) -> anyhow::Result<Process> {
    let (edge, workers, admin) = (
        ports.edge.to_string(),
        ports.workers.to_string(),
        ports.admin.to_string(),
    );
    let data = data.display().to_string();
    let arguments = [
        "serve",
        "--anonymous",
        "--edge",
        &edge,
        "--workers",
        &workers,
        "--admin",
        &admin,
        "--data",
        &data,
    ];
    let node = Process::start(name, "node", &arguments)?;
    wait_until("the node to be ready", || {
        get(ports.admin, "/readyz").is_ok_and(|text| text.contains("ready"))
    })?;
    Ok(node)
}

/// A child of ours; dropping it kills it.
struct Process(Child);

impl Process {
    fn start(name: &str, part: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder(name)?.join(format!("{part}.log")))?;
        let child = Command::new(shell::root().join("target/debug/ostler"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting the {part}"))?;
        Ok(Self(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// The body (and head) of a GET; enough HTTP for our own admin port.
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

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let start = now();
    while now().duration_since(start) < PATIENCE {
        if is_so() {
            return Ok(());
        }
        pause();
    }
    bail!("waited {} s for {what}", PATIENCE.as_secs())
}

#[allow(
    clippy::disallowed_methods,
    reason = "this watches real processes in real time"
)]
fn now() -> Instant {
    Instant::now()
}

#[allow(
    clippy::disallowed_methods,
    reason = "this watches real processes in real time"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
