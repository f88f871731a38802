//! `cargo xtask power`: what a power cut and a full disk do, on a disk that the kernel believes in.
//!
//! Where it cannot run it fails and says why. It runs in a mount namespace of its own, so nothing
//! stays mounted whatever becomes of it.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::shell;

/// Cuts with syncs that do nothing: they must lose something.
const PROOF_CYCLES: &str = "6";

pub fn run(arguments: &[&str]) -> anyhow::Result<()> {
    check_means()?;
    shell::run("cargo", &["build", "--locked", "--package", "loadtests"])?;
    loadtest(&["power", "--lying-disk", "--cycles", PROOF_CYCLES])
        .context("the harness could not be shown to see a loss")?;
    loadtest(&[&["power"], arguments].concat())?;
    loadtest(&["full-disk"])
}

fn check_means() -> anyhow::Result<()> {
    let id = Command::new("id").arg("-u").output()?;
    let is_root = id.stdout.trim_ascii() == b"0";
    ensure!(
        is_root,
        "cutting a disk's power needs root: it mounts a disk of its own"
    );
    for program in [
        "mkfs.ext4",
        "mount",
        "umount",
        "losetup",
        "unshare",
        "strace",
    ] {
        let found = Command::new(program).arg("--version").output();
        // mkfs.ext4 knows no such option, but it is there.
        ensure!(found.is_ok(), "{program} is needed and was not found");
    }
    Ok(())
}

fn loadtest(arguments: &[&str]) -> anyhow::Result<()> {
    let binary = shell::root().join("target/debug/loadtests");
    let binary = binary
        .to_str()
        .context("the path of the workspace is UTF-8")?;
    let apart = ["--mount", "--propagation", "private", binary];
    shell::run("unshare", &[&apart, arguments].concat())
}
