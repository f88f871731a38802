//! `cargo xtask power`: what a power cut, a full disk and a slow one do, on a disk that the kernel
//! believes in.
//!
//! Where it cannot run it fails and says why. It runs in a mount namespace of its own, so nothing
//! stays mounted whatever becomes of it.

use std::process::Command;

use anyhow::{Context, anyhow, ensure};

use crate::shell;

/// Cuts with syncs that do nothing: they must lose something.
const PROOF_CYCLES: &str = "6";
/// 300 ms, in microseconds.
const SLOW_SYNC: &str = "inject=fdatasync:delay_enter=300000";

pub fn run(arguments: &[&str]) -> anyhow::Result<()> {
    check_means()?;
    shell::run("cargo", &["build", "--locked", "--package", "loadtests"])?;
    // What comes last counts, of the options that are given twice.
    let proof = ["--lying-disk", "--cycles", PROOF_CYCLES];
    loadtest(&[&["power"], arguments, &proof].concat())
        .context("the harness could not be shown to see a loss")?;
    loadtest(&[&["power"], arguments].concat())?;
    loadtest(&["full-disk"])?;
    let binary = binary()?;
    let traced = ["-f", "--seccomp-bpf", "-o", "/dev/null"];
    let slow = ["-e", "trace=fdatasync", "-e", SLOW_SYNC];
    let program = [binary.as_str(), "slow-disk"];
    shell::run("strace", &[&traced[..], &slow, &program].concat())
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
    let binary = binary()?;
    let apart = ["--mount", "--propagation", "private", binary.as_str()];
    shell::run("unshare", &[&apart, arguments].concat())
}

fn binary() -> anyhow::Result<String> {
    let binary = shell::root().join("target/debug/loadtests");
    let binary = binary.into_os_string().into_string();
    binary.map_err(|_| anyhow!("the path of the workspace is not UTF-8"))
}
