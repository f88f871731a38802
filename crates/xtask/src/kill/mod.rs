//! `cargo xtask kill`: a node under load is killed again and again; clients and workers write down
//! every acknowledged fact, and in the end every fact is checked. Then the servers of a bridge are.
//!
//! All MCP is spoken by the package `loadtests`, which also judges. Here are the processes: when
//! they start, and when they die. A seed decides the moments; what a moment hits is up to the
//! machine, so that a seed repeats a run closely, but not exactly.

mod bridge;
mod clients;
mod dice;
mod run;

use anyhow::{Context, bail, ensure};

use self::{dice::Dice, run::Run};
use crate::shell;

/// What a developer has time for; CI says its own.
const CYCLES: u32 = 25;

#[derive(Debug, PartialEq, Eq)]
struct Options {
    cycles: u32,
    seed: u64,
}

pub fn run(options: &[&str]) -> anyhow::Result<()> {
    let Options { cycles, seed } = Options::parse(options)?;
    for package in ["ostler", "loadtests"] {
        shell::run("cargo", &["build", "--locked", "--package", package])?;
    }
    node(cycles, seed)?;
    bridge::run(seed)
}

fn node(cycles: u32, seed: u64) -> anyhow::Result<()> {
    eprintln!("kill: {cycles} cycles with --seed {seed}");
    let mut run = Run::start(seed)?;
    let done = run.all(cycles);
    run.explain(done).with_context(|| {
        format!(
            "seed {seed}; facts and logs are in {}",
            run.folder().display()
        )
    })
}

impl Options {
    fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self {
            cycles: CYCLES,
            seed: Dice::any_seed(),
        };
        for pair in arguments.chunks(2) {
            match pair {
                ["--cycles", cycles] => options.cycles = cycles.parse().context("--cycles")?,
                ["--seed", seed] => options.seed = seed.parse().context("--seed")?,
                other => bail!("not an option: {other:?}"),
            }
        }
        ensure!(options.cycles > 0, "at least one cycle");
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        let options = Options::parse(&["--seed", "7", "--cycles", "3"]).unwrap();
        let expected = Options { cycles: 3, seed: 7 };
        assert_eq!(options, expected);
        for wrong in [&["--cycles"][..], &["--cycles", "0"], &["--sead", "1"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
