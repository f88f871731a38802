//! A real node as a process, on ports and data of its own.

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use crate::{
    child::{Guarded, now, pause},
    shell,
};

/// How long a process may take to be ready; a bridge waits half a minute for its members.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions whether it is.
const LOOK: Duration = Duration::from_millis(20);
/// Of each log, when something failed.
const LINES_SHOWN: usize = 25;

/// A node that is started and killed as often as wanted; it ends with this.
pub struct Node {
    folder: PathBuf,
    ports: Ports,
    arguments: Vec<String>,
    process: Option<Guarded>,
}

#[derive(Clone, Copy)]
struct Ports {
    edge: SocketAddr,
    workers: SocketAddr,
    admin: SocketAddr,
}

impl Node {
    /// One that does not run yet; data and log go to `folder`. `arguments` are added to its own.
    pub fn new(folder: &Path, arguments: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            ports: free_ports()?,
            arguments,
            process: None,
        })
    }

    pub fn edge(&self) -> SocketAddr {
        self.ports.edge
    }

    pub fn admin(&self) -> SocketAddr {
        self.ports.admin
    }

    /// Where workers link.
    pub fn hub(&self) -> String {
        format!("http://{}", self.ports.workers)
    }

    /// Starts it on the same ports and data as before, and waits until it is ready.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.wait_until_ready()
    }

    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let data = self.folder.join("data").display().to_string();
        let Ports {
            edge,
            workers,
            admin,
        } = self.ports;
        let [edge, workers, admin] = [edge, workers, admin].map(|address| address.to_string());
        let mut command = Command::new(shell::root().join("target/debug/ostler"));
        command.args(["serve", "--anonymous", "--data", &data]);
        command.args(["--edge", &edge, "--workers", &workers, "--admin", &admin]);
        command.args(&self.arguments);
        self.process = Some(spawn(&mut command, &self.log())?);
        Ok(())
    }

    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let admin = self.ports.admin;
        wait_until("the node to be ready", self.process.as_mut(), || {
            get(admin, "/readyz").is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
        })
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Ends it with SIGTERM; it must end well in time.
    pub fn terminate(&mut self, limit: Duration) -> anyhow::Result<()> {
        let process = self.process.take().context("the node runs")?;
        process.terminate(limit).context("the node")
    }

    /// What a counter shows, all of its labels together.
    pub fn metric(&self, name: &str) -> anyhow::Result<u64> {
        counted(&get(self.ports.admin, "/metrics")?, name)
    }

    /// Waits until that many workers have linked since the start, of which this is the last.
    pub fn wait_for_links(&self, count: u64, worker: Option<&mut Guarded>) -> anyhow::Result<()> {
        wait_until("a worker to link", worker, || {
            let links = self.metric("ostler_hub_links_opened_total");
            links.is_ok_and(|links| links >= count)
        })
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }
}

/// Waits until a program listens on a port of this machine.
pub fn wait_for_port(port: u16, process: &mut Guarded) -> anyhow::Result<()> {
    let what = format!("port {port} to be served");
    wait_until(&what, Some(process), || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
}

/// Starts a program whose output is added to a log.
pub fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Guarded> {
    spawn_with(command, Stdio::null(), log)
}

/// The same, with this as its input.
pub fn spawn_with(command: &mut Command, input: Stdio, log: &Path) -> anyhow::Result<Guarded> {
    let log = File::options().create(true).append(true).open(log)?;
    let child = command
        .stdin(input)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    Ok(Guarded(child))
}

/// Shows what these logs said last, if something failed.
pub fn explain<T>(result: anyhow::Result<T>, logs: &[PathBuf]) -> anyhow::Result<T> {
    if result.is_err() {
        for log in logs {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
            eprintln!("--- {} ends with:\n{}", log.display(), last.join("\n"));
        }
        eprintln!("---");
    }
    result
}

/// What a counter shows in the text of a metrics port, all of its labels together.
fn counted(text: &str, name: &str) -> anyhow::Result<u64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_it = rest.starts_with([' ', '{']);
        rest.rsplit(' ').next().filter(|_| is_it)
    });
    let values: Vec<u64> = values
        .map(|value| value.parse().with_context(|| format!("{name} {value}")))
        .collect::<anyhow::Result<_>>()?;
    ensure!(!values.is_empty(), "the node has no metric {name}");
    Ok(values.iter().sum())
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
    mut process: Option<&mut Guarded>,
    is_so: impl Fn() -> bool,
) -> anyhow::Result<()> {
    let start = now();
    while now().duration_since(start) < PATIENCE {
        if is_so() {
            return Ok(());
        }
        if let Some(process) = &mut process {
            let ended = process.0.try_wait()?;
            ensure!(
                ended.is_none(),
                "waited for {what}, but it ended: {ended:?}"
            );
        }
        pause(LOOK);
    }
    bail!("waited {} s for {what}", PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_with_all_of_its_labels_and_nothing_else() {
        let text = "# TYPE calls counter\ncalls{how=\"a b\"} 3\ncalls{how=\"c\"} 4\ncalls_open 9\nsent 5\n";
        assert_eq!(counted(text, "calls").unwrap(), 7);
        assert_eq!(counted(text, "sent").unwrap(), 5);
        assert!(counted(text, "call").is_err());
    }
}
