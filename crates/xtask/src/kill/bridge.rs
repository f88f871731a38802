//! Servers of a bridge that are killed under calls, and in the end the bridge: `loadtests bridge-kill`
//! starts them, kills them and judges.

use std::{process::Command, time::Duration};

use anyhow::{Context, ensure};

use crate::{child, shell};

/// Enough that all kinds of deaths occur.
const CYCLES: &str = "10";
/// Many times what they take.
const LIMIT: Duration = Duration::from_secs(180);

pub fn run(seed: u64) -> anyhow::Result<()> {
    let examples = [
        "build",
        "--locked",
        "--package",
        "ostler-bridge",
        "--examples",
    ];
    shell::run("cargo", &examples)?;
    let seed = seed.to_string();
    eprintln!("kill: {CYCLES} cycles of a bridge's servers with --seed {seed}");
    let built = shell::root().join("target/debug");
    let mut command = Command::new(built.join("loadtests"));
    command.args(["bridge-kill", "--cycles", CYCLES, "--seed", &seed]);
    command.arg("--ostler").arg(built.join("ostler"));
    command.arg("--examples").arg(built.join("examples"));
    let status = child::run(&mut command, LIMIT, |line| {
        println!("bridge: {line}");
        Ok(())
    });
    let status = status.with_context(|| format!("bridge-kill --seed {seed}"))?;
    ensure!(
        status.success(),
        "bridge-kill --seed {seed} ended with {status}"
    );
    Ok(())
}
