//! `oracle verdict`: what clients and workers wrote down, held against what was promised.
//!
//! Pure: entries in, faults out. What must hold is in `sessions`, `streams` and `calls`.

mod calls;
mod sessions;
mod streams;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, path::PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use super::{
    fact::{Entry, Fact},
    ledger,
};

#[derive(Args)]
pub struct Arguments {
    /// The file of the clients.
    #[arg(long)]
    clients: PathBuf,
    /// Those of the workers, one each.
    #[arg(long, required = true)]
    worker: Vec<PathBuf>,
    /// Clients and workers go on: what has not ended yet is no fault.
    #[arg(long)]
    running: bool,
}

/// What was written down by everybody.
pub struct History {
    pub clients: Vec<Entry>,
    /// One list for each worker.
    pub workers: Vec<Vec<Entry>>,
    pub is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something acknowledged is not there any more.
    Lost,
    /// An event was told twice to a client that had it.
    Duplicate,
    /// An event was left out.
    Gap,
    /// Something was told in two ways.
    Changed,
    /// A session that must be known is not, or the other way round.
    Session,
    /// What was told did not happen.
    Untrue,
    /// A tool ran more often than it may.
    RanTooOften,
    /// Nobody said how it ended.
    Open,
    /// A worker still works for nobody.
    Leaked,
    /// A promise was not put to the test.
    Unseen,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub what: String,
}

/// The faults, and how much was looked at.
#[derive(Debug, Default)]
pub struct Verdict {
    pub faults: Vec<Fault>,
    pub checked: BTreeMap<&'static str, u64>,
}

impl Verdict {
    fn fault(&mut self, kind: Kind, what: impl fmt::Display) {
        let what = what.to_string();
        self.faults.push(Fault { kind, what });
    }

    fn count(&mut self, what: &'static str) {
        *self.checked.entry(what).or_default() += 1;
    }

    fn faults_of(&self, kind: Kind) -> usize {
        self.faults
            .iter()
            .filter(|fault| fault.kind == kind)
            .count()
    }
}

/// What a run must have seen, or its verdict says nothing.
const MUST_BE_SEEN: [&str; 7] = [
    "calls held by an event",
    "calls held by a task",
    "rounds held by a requestState",
    "streams resumed",
    "events seen again",
    "sessions found again",
    "outcomes told again",
];

/// Judges a history, which must be of everything.
pub fn judge(history: &History) -> Verdict {
    let mut verdict = faults(history);
    if history.is_over {
        for what in MUST_BE_SEEN {
            if !verdict.checked.contains_key(what) {
                verdict.fault(Kind::Unseen, format!("there were no {what}"));
            }
        }
    }
    verdict
}

/// What is wrong in a history, however little there is of it.
fn faults(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    for entry in &history.clients {
        if let Fact::Missing { what } = &entry.fact {
            verdict.fault(Kind::Lost, what);
        }
    }
    sessions::judge(history, &mut verdict);
    streams::judge(history, &mut verdict);
    calls::judge(history, &mut verdict);
    verdict
}

/// Of each run, how many faults are shown.
const FAULTS_SHOWN: usize = 20;

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let workers = arguments.worker.iter().map(|path| ledger::read(path));
    let history = History {
        clients: ledger::read(&arguments.clients)?,
        workers: workers.collect::<anyhow::Result<_>>().context("a worker")?,
        is_over: !arguments.running,
    };
    let verdict = judge(&history);
    println!("{verdict}");
    let count = verdict.faults.len();
    ensure!(count == 0, "{count} promises were broken");
    Ok(())
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.checked {
            writeln!(f, "{count:>9} {what}")?;
        }
        let count = |kind| self.faults_of(kind);
        let (lost, duplicates, gaps) =
            (count(Kind::Lost), count(Kind::Duplicate), count(Kind::Gap));
        let others = self.faults.len() - lost - duplicates - gaps;
        write!(
            f,
            "lost {lost}, duplicates {duplicates}, gaps {gaps}, other faults {others}"
        )?;
        for Fault { kind, what } in self.faults.iter().take(FAULTS_SHOWN) {
            write!(f, "\n{kind:?}: {what}")?;
        }
        Ok(())
    }
}
