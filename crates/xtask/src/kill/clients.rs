//! The process of the oracle's clients, which takes orders.

use std::{
    io::Write,
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::Receiver,
    time::Duration,
};

use anyhow::{Context, ensure};

use crate::child::{self, Guarded};

pub struct Clients {
    process: Guarded,
    orders: ChildStdin,
    said: Receiver<std::io::Result<String>>,
}

impl Clients {
    pub fn start(command: &mut Command, log: std::fs::File) -> anyhow::Result<Self> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.stderr(log).spawn().context("starting clients")?;
        let mut process = Guarded(child);
        let orders = process.0.stdin.take().context("stdin is a pipe")?;
        let said = process.0.stdout.take().context("stdout is a pipe")?;
        Ok(Self {
            process,
            orders,
            said: child::lines(said),
        })
    }

    /// Gives an order and waits for its answer.
    pub fn order(&mut self, order: &str, answer: &str, limit: Duration) -> anyhow::Result<()> {
        writeln!(self.orders, "{order}").context("the clients are gone")?;
        self.hear(answer, limit)
    }

    /// They end by themselves, after they said this.
    pub fn end(mut self, answer: &str, limit: Duration) -> anyhow::Result<()> {
        self.hear(answer, limit)?;
        self.process.succeed(limit).context("the clients")
    }

    fn hear(&mut self, answer: &str, limit: Duration) -> anyhow::Result<()> {
        let line = self.said.recv_timeout(limit);
        let line = line.with_context(|| format!("the clients never said {answer}"))??;
        ensure!(line == answer, "the clients said {line}, not {answer}");
        Ok(())
    }
}
