//! The SDKs' own tests, and the example workers at work, against the real binary.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::ensure;

use super::{node_js, path_with_node, python};
use crate::{child, shell};

/// How long one set of tests may take; each takes well under a minute on two idle cores.
const TESTS_MAX: Duration = Duration::from_secs(600);

pub fn run() -> anyhow::Result<()> {
    let python = python_sdk()?;
    let sdk = shell::root().join("sdks/python");
    tested(
        Command::new(&python)
            .args(["-m", "pytest", "-q"])
            .current_dir(&sdk),
    )?;
    for check in [
        &["mypy"][..],
        &["ruff", "check", "."],
        &["ruff", "format", "--check", "."],
    ] {
        tested(
            Command::new(&python)
                .arg("-m")
                .args(check)
                .current_dir(&sdk),
        )?;
    }
    let examples = sdk.join("examples");
    tested(
        Command::new(&python)
            .args(["-m", "pytest", "-q"])
            .current_dir(examples),
    )?;
    let sdk = typescript_sdk()?;
    tested(npm_in(&sdk)?.args(["test", "--silent"]))
}

/// A Python that has the SDK, as it stands, with what its tests and the examples need.
pub fn python_sdk() -> anyhow::Result<PathBuf> {
    let sdk = shell::root().join("sdks/python");
    let editable = format!("{}[test]", sdk.display());
    let files = [
        "pyproject.toml",
        "constraints.txt",
        "examples/requirements.txt",
        "examples/tests/requirements.txt",
    ];
    let files = files.map(|file| sdk.join(file).display().to_string());
    let files = files.each_ref().map(String::as_str);
    let [_, constraints, examples, tests] = files;
    let needed = ["-e", &editable, "-r", examples, "-r", tests];
    let packages = [&needed[..], &["-c", constraints]].concat();
    python("sdk-python", &packages, &files)
}

/// The folder of the SDK for TypeScript, built.
pub fn typescript_sdk() -> anyhow::Result<PathBuf> {
    let sdk = shell::root().join("sdks/typescript");
    let install = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    tested(npm_in(&sdk)?.args(install))?;
    Ok(sdk)
}

/// npm by a Node.js that the SDK and its linters know.
fn npm_in(folder: &Path) -> anyhow::Result<Command> {
    let mut npm = Command::new(node_js()?.with_file_name("npm"));
    npm.env("PATH", path_with_node()?).current_dir(folder);
    Ok(npm)
}

/// Runs what must succeed, with the program of a node at hand.
fn tested(command: &mut Command) -> anyhow::Result<()> {
    let node = shell::root().join("target/debug/ostler");
    let status = child::run(command.env("OSTLER_BIN", node), TESTS_MAX, |line| {
        println!("{line}");
        Ok(())
    })?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
