//! `cargo xtask sim`: the deterministic simulation of `crates/testkit/src/sim`, fast enough for
//! many seeds. A few of them run in `cargo xtask test`.

use crate::shell;

pub fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let run = "run --locked --quiet --release --package ostler-testkit --bin sim --";
    let all: Vec<_> = run.split(' ').chain(arguments.iter().copied()).collect();
    shell::run("cargo", &all)
}
