//! `cargo xtask test`: everything that needs no network, cheap checks first.

use crate::{shell, tidy};

pub fn run() -> anyhow::Result<()> {
    shell::run("cargo", &["fmt", "--all", "--check"])?;
    tidy::run()?;
    shell::run(
        "cargo",
        &[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    shell::run("cargo", &["test", "--locked", "--workspace", "--quiet"])
}
