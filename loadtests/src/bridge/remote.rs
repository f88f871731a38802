//! A server over HTTP that the bridge did not start, and that is killed and started again.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context;

/// Ends with SIGKILL when dropped.
pub struct Remote {
    program: PathBuf,
    /// Its name, and the era it speaks.
    pub name: &'static str,
    era: &'static str,
    pub address: SocketAddr,
    runs: PathBuf,
    process: Child,
}

impl Remote {
    pub fn start(
        program: &Path,
        name: &'static str,
        era: &'static str,
        runs: &Path,
    ) -> anyhow::Result<Remote> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Remote {
            program: program.to_owned(),
            name,
            era,
            address,
            runs: runs.to_owned(),
            process: spawn(program, address, era, name, runs)?,
        })
    }

    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = spawn(&self.program, self.address, self.era, self.name, &self.runs)?;
        Ok(())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(
    program: &Path,
    address: SocketAddr,
    era: &str,
    name: &str,
    runs: &Path,
) -> anyhow::Result<Child> {
    let mut command = Command::new(program);
    command.args([&address.to_string(), era, name]).arg(runs);
    command.stdin(Stdio::null());
    let started = command.spawn();
    started.with_context(|| format!("starting {}", program.display()))
}
