//! The official conformance suite, with nothing allowed to fail or to warn.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{fixture::Fixture, folder, node_js, npm};
use crate::child;

const SUITE: &str = "@modelcontextprotocol/conformance@0.2.0-alpha.12";

/// How long one run may take; on two idle cores each takes some seconds.
const RUN_MAX: Duration = Duration::from_secs(600);

/// What is run: a name for the report and the suite's arguments.
const RUNS: &[(&str, &[&str])] = &[
    ("requirements-2025-11-25", &["--requirements", "2025-11-25"]),
    ("requirements-2026-07-28", &["--requirements", "2026-07-28"]),
    ("all", &["--suite", "all"]),
    ("draft", &["--suite", "draft"]),
    ("pending", &["--suite", "pending"]),
    (
        "wire-2025-03-26",
        &["--suite", "all", "--spec-version", "2025-03-26"],
    ),
    (
        "wire-2025-06-18",
        &["--suite", "all", "--spec-version", "2025-06-18"],
    ),
    (
        "wire-2025-11-25",
        &["--suite", "all", "--spec-version", "2025-11-25"],
    ),
    (
        "wire-2026-07-28",
        &["--suite", "all", "--spec-version", "2026-07-28"],
    ),
];

/// A scenario whose harness is being rewritten upstream.
const MAY_SKIP: &[&str] = &["tasks-status-notifications"];

pub fn run() -> anyhow::Result<()> {
    let (node_js, suite) = (node_js()?, program()?);
    let fixture = Fixture::start("suite-node")?;
    let verdict = run_all(&node_js, &suite, &fixture.url());
    fixture.explain(verdict)
}

fn run_all(node_js: &Path, suite: &Path, url: &str) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for (name, arguments) in RUNS {
        faults.extend(run_one(node_js, suite, url, name, arguments)?);
    }
    for fault in &faults {
        eprintln!("suite: {fault}");
    }
    let count = faults.len();
    ensure!(count == 0, "the conformance suite found {count} faults");
    Ok(())
}

fn run_one(
    node_js: &Path,
    suite: &Path,
    url: &str,
    name: &str,
    arguments: &[&str],
) -> anyhow::Result<Vec<String>> {
    let (report, status, log) = ask(node_js, suite, url, name, arguments)?;
    let mut faults: Vec<String> = report
        .faults
        .iter()
        .map(|fault| format!("{name}: {fault}"))
        .collect();
    if report.passed == 0 {
        faults.push(format!("{name}: no check ran, see {}", log.display()));
    }
    if !status.success() && faults.is_empty() {
        faults.push(format!(
            "{name}: it ended with {status}, see {}",
            log.display()
        ));
    }
    Ok(faults)
}

/// Runs the suite once, and reads what it wrote down.
fn ask(
    node_js: &Path,
    suite: &Path,
    url: &str,
    name: &str,
    arguments: &[&str],
) -> anyhow::Result<(Report, ExitStatus, PathBuf)> {
    let results = folder("suite-results")?;
    let (out, log) = (results.join(name), results.join(format!("{name}.log")));
    let _ = std::fs::remove_dir_all(&out);
    let mut said = File::create(&log)?;
    let mut command = Command::new(node_js);
    command.arg(suite).args(["server", "--url", url, "-o"]);
    command.arg(&out).args(arguments).stderr(said.try_clone()?);
    let status = child::run(&mut command, RUN_MAX, |line| Ok(writeln!(said, "{line}")?))
        .with_context(|| format!("the suite's run {name}"))?;
    let report = Report::read(&out).with_context(|| format!("see {}", log.display()))?;
    println!("suite {name}: {report}");
    Ok((report, status, log))
}

/// The scenarios of the whole suite that a server passes.
pub fn passed(url: &str, name: &str) -> anyhow::Result<BTreeSet<String>> {
    let (report, _, _) = ask(&node_js()?, &program()?, url, name, &["--suite", "all"])?;
    Ok(report.clean)
}

fn program() -> anyhow::Result<PathBuf> {
    let program = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
    Ok(npm("suite", &[SUITE])?.join(program))
}

/// What the suite wrote down about one run.
#[derive(Default)]
struct Report {
    scenarios: usize,
    passed: usize,
    other: BTreeMap<String, usize>,
    faults: Vec<String>,
    /// Scenarios with something passed and nothing else but notes.
    clean: BTreeSet<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} scenarios, {} checks passed, {} faults, {:?}",
            self.scenarios,
            self.passed,
            self.faults.len(),
            self.other
        )
    }
}

impl Report {
    fn read(out: &Path) -> anyhow::Result<Self> {
        let mut report = Self::default();
        for scenario in folders(out)? {
            let name = scenario
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .to_string();
            report.scenarios += 1;
            let Ok(text) = std::fs::read_to_string(scenario.join("checks.json")) else {
                // The suite itself failed in the middle of it.
                report.faults.push(format!("{name}: no results"));
                continue;
            };
            let checks: Vec<Value> = serde_json::from_str(&text)?;
            let before = (report.passed, report.faults.len());
            checks.iter().for_each(|check| report.count(&name, check));
            if report.passed > before.0 && report.faults.len() == before.1 {
                report.clean.insert(title(&name));
            }
        }
        Ok(report)
    }

    fn count(&mut self, scenario: &str, check: &Value) {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_string();
        let status = text("status");
        match status.as_str() {
            "SUCCESS" => self.passed += 1,
            "INFO" => *self.other.entry(status).or_default() += 1,
            "SKIPPED" if MAY_SKIP.iter().any(|name| scenario.contains(name)) => {
                *self.other.entry(status).or_default() += 1;
            }
            _ => self.faults.push(format!(
                "{scenario}: {status} {}: {}",
                text("id"),
                text("errorMessage")
            )),
        }
    }
}

/// The scenario's name, without the time that the suite adds.
fn title(folder: &str) -> String {
    const TIME: usize = "-2026-07-28T01-02-03-456Z".len();
    let end = folder.len().saturating_sub(TIME);
    folder.get(..end).unwrap_or(folder).to_owned()
}

fn folders(out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(out)
        .with_context(|| format!("the suite left nothing in {}", out.display()))?;
    let paths: Result<Vec<PathBuf>, _> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    Ok(paths?.into_iter().filter(|path| path.is_dir()).collect())
}
