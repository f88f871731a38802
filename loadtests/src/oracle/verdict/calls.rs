//! Every call has one end, and what is told of it is what happened at the worker.

use std::collections::{BTreeMap, HashMap};

use super::{Fact, History, Kind, Verdict};
use crate::oracle::fact::{Entry, Handle, Outcome, Tool};

/// How long a worker may work for a client that holds nothing and is gone: the grace of a plain
/// call, and what a busy machine adds.
const PLAIN_MAX_MS: u64 = 6_000;
/// The same for one that was kept before anybody had a handle, parked or as a task: it goes on until
/// the session ends or the time is over that `cargo xtask kill` gives to parked calls and tasks.
const KEPT_MAX_MS: u64 = 45_000;
/// How long the outcome of a run may be on its way to where it is stored, a node that dies in
/// between included: a worker that dies later takes nothing with it.
const DELIVERY_MAX_MS: u64 = 15_000;
/// A process that died is known by the next one of its worker, which takes a moment to start.
const DEATH_MARGIN_MS: u64 = 5_000;

/// A call as its client saw it.
#[derive(Default)]
struct Call<'a> {
    tool: Option<Tool>,
    sent_at: u64,
    /// When its outcome was told for the first time.
    told_at: u64,
    held: Vec<Handle>,
    told: Vec<&'a Outcome>,
    refused: bool,
    /// When its client lost it or left it, and held nothing; or was told that it is stopped.
    gone_at: Option<u64>,
    /// Its client wanted it stopped.
    is_unwanted: bool,
}

/// What workers did.
#[derive(Default)]
struct Work<'a> {
    runs: HashMap<&'a str, Run<'a>>,
    by_call: HashMap<&'a str, Vec<&'a str>>,
    /// When the next process of a worker began whose process had died.
    deaths: Vec<u64>,
}

/// One execution.
struct Run<'a> {
    call: &'a str,
    end: Option<End<'a>>,
    /// When the next process of its worker began, if its own died.
    died_at: Option<u64>,
}

#[derive(Clone, Copy)]
struct End<'a> {
    at: u64,
    /// What it was going to say, unless it was stopped.
    text: Option<&'a str>,
}

pub fn judge(history: &History, verdict: &mut Verdict) {
    let mut work = Work::default();
    for worker in &history.workers {
        work.read(worker);
    }
    let now = history.clients.last().map_or(0, |last| last.at_ms);
    for (name, call) in read(&history.clients) {
        let runs = work.runs_of(name);
        ends(name, &call, history.is_over, verdict);
        tells_the_truth(name, &call, &runs, work.died_during(&call), verdict);
        ran(name, &call, &runs, verdict);
        stopped(
            name,
            &call,
            &runs,
            (!history.is_over).then_some(now),
            verdict,
        );
    }
    for run in work.runs.values() {
        verdict.count("executions");
        if history.is_over && run.end.is_none() && run.died_at.is_none() {
            verdict.fault(Kind::Leaked, format!("a run of {} has no end", run.call));
        }
    }
}

fn read(clients: &[Entry]) -> BTreeMap<&str, Call<'_>> {
    let mut calls: BTreeMap<&str, Call> = BTreeMap::new();
    for Entry { at_ms, fact } in clients {
        match fact {
            Fact::Sent { call, tool } => {
                let call = calls.entry(call).or_default();
                (call.tool, call.sent_at) = (Some(*tool), *at_ms);
            }
            Fact::Held { call, handle } => calls.entry(call).or_default().held.push(*handle),
            Fact::Told { call, outcome } => {
                let call = calls.entry(call).or_default();
                if call.told.is_empty() {
                    call.told_at = *at_ms;
                }
                call.told.push(outcome);
                if *outcome == Outcome::Cancelled {
                    call.gone_at.get_or_insert(*at_ms);
                }
            }
            Fact::Cancelling { call } => calls.entry(call).or_default().is_unwanted = true,
            Fact::Refused { call, .. } => calls.entry(call).or_default().refused = true,
            Fact::Broken { call } | Fact::Left { call } => {
                calls.entry(call).or_default().gone_at = Some(*at_ms);
            }
            _ => {}
        }
    }
    calls
}

impl Run<'_> {
    /// Its process died before the outcome can have been stored for sure.
    fn may_be_lost(&self) -> bool {
        let Some(died_at) = self.died_at else {
            return false;
        };
        self.end
            .is_none_or(|end| died_at <= end.at + DELIVERY_MAX_MS)
    }
}

impl<'a> Work<'a> {
    /// One worker, through all its lives.
    fn read(&mut self, entries: &'a [Entry]) {
        let mut life: Vec<&str> = Vec::new();
        let mut is_up = false;
        for Entry { at_ms, fact } in entries {
            match fact {
                Fact::Up { .. } => {
                    let ran = std::mem::take(&mut life);
                    if is_up {
                        self.bury(&ran, *at_ms);
                    }
                    is_up = true;
                }
                Fact::Down { .. } => is_up = false,
                Fact::Began { call, run, .. } => {
                    life.push(run);
                    self.begin(call, run);
                }
                Fact::Ended { run, text } => self.end(run, *at_ms, Some(text)),
                Fact::Cancelled { run } | Fact::Dropped { run } => self.end(run, *at_ms, None),
                _ => {}
            }
        }
    }

    fn begin(&mut self, call: &'a str, run: &'a str) {
        self.by_call.entry(call).or_default().push(run);
        let new = Run {
            call,
            end: None,
            died_at: None,
        };
        self.runs.insert(run, new);
    }

    fn end(&mut self, run: &str, at: u64, text: Option<&'a str>) {
        if let Some(run) = self.runs.get_mut(run) {
            run.end = Some(End { at, text });
        }
    }

    fn bury(&mut self, runs: &[&str], at: u64) {
        self.deaths.push(at);
        for run in runs {
            if let Some(run) = self.runs.get_mut(*run) {
                run.died_at = Some(at);
            }
        }
    }

    /// Whether a process died while somebody waited for this call.
    fn died_during(&self, call: &Call<'_>) -> bool {
        let from = call.sent_at.saturating_sub(DEATH_MARGIN_MS);
        let span = from..=call.told_at + DEATH_MARGIN_MS;
        self.deaths.iter().any(|at| span.contains(at))
    }

    fn runs_of(&self, call: &str) -> Vec<&Run<'a>> {
        let runs = self.by_call.get(call).into_iter().flatten();
        runs.filter_map(|run| self.runs.get(run)).collect()
    }
}

/// It ended, and whoever held something has its outcome.
fn ends(name: &str, call: &Call<'_>, is_over: bool, verdict: &mut Verdict) {
    verdict.count("calls");
    for handle in &call.held {
        verdict.count(match handle {
            Handle::Event => "calls held by an event",
            Handle::Task => "calls held by a task",
            Handle::RequestState => "rounds held by a requestState",
        });
    }
    if !call.told.is_empty() {
        return verdict.count("calls with an outcome");
    }
    let is_gone = call.gone_at.is_some();
    match (call.refused, is_gone) {
        (true, _) => verdict.count("calls refused"),
        (false, true) => verdict.count("calls that ended with their connection"),
        (false, false) if is_over => verdict.fault(Kind::Open, format!("{name} has no end")),
        (false, false) => {}
    }
    if !call.held.is_empty() && (is_over || is_gone || call.refused) {
        let held = &call.held;
        verdict.fault(
            Kind::Lost,
            format!("the outcome of {name}, held by {held:?}"),
        );
    }
}

/// One outcome, and it is what a worker did.
fn tells_the_truth(
    name: &str,
    call: &Call<'_>,
    runs: &[&Run<'_>],
    has_died: bool,
    verdict: &mut Verdict,
) {
    let Some((first, again)) = call.told.split_first() else {
        return;
    };
    for other in again {
        verdict.count("outcomes told again");
        if other != first {
            let what = format!("{name} ended as {first:?}, then as {other:?}");
            verdict.fault(Kind::Changed, what);
        }
    }
    let is_true = match first {
        Outcome::Text(text) => {
            let said = |run: &&Run| run.end.and_then(|end| end.text) == Some(text.as_str());
            runs.iter().any(said)
        }
        Outcome::WorkerLost { executed } => match executed.as_str() {
            "no" => has_died && runs.is_empty(),
            _ => has_died && (runs.is_empty() || runs.iter().any(|run| run.may_be_lost())),
        },
        Outcome::Cancelled => call.is_unwanted,
        Outcome::Other(_) => false,
    };
    if let Outcome::WorkerLost { .. } = first {
        verdict.count("calls that lost their worker");
    }
    if !is_true {
        verdict.fault(Kind::Untrue, format!("{name} ended as {first:?}"));
    }
}

/// No more often than its tool allows, and not at all when it was refused.
fn ran(name: &str, call: &Call<'_>, runs: &[&Run<'_>], verdict: &mut Verdict) {
    // A call that may have run is tried again only if that is harmless, and once.
    let runs_max = match call.tool.is_some_and(Tool::is_idempotent) {
        true => 2,
        false => 1,
    };
    if runs.len() > runs_max {
        verdict.fault(Kind::RanTooOften, format!("{name}: {} runs", runs.len()));
    }
    if call.refused && !runs.is_empty() {
        verdict.fault(Kind::Untrue, format!("{name} was refused, and ran"));
    }
}

/// Nobody works on for a client that is gone and cannot come back. `now` where it goes on.
fn stopped(
    name: &str,
    call: &Call<'_>,
    runs: &[&Run<'_>],
    now: Option<u64>,
    verdict: &mut Verdict,
) {
    let Some(gone_at) = call.gone_at else {
        return;
    };
    let span = match call.tool.is_some_and(Tool::may_be_kept) {
        true => KEPT_MAX_MS,
        false => PLAIN_MAX_MS,
    };
    let limit = gone_at + span;
    // What died in the middle has stopped.
    let stops = |run: &&&Run| run.end.is_some() || run.died_at.is_none();
    for run in runs.iter().filter(stops) {
        verdict.count("executions that nobody waited for");
        let ended_at = run.end.map(|end| end.at).or(now);
        if ended_at.is_none_or(|at| at > limit) {
            let what = format!("{name} ran on for more than {span} ms");
            verdict.fault(Kind::Leaked, what);
        }
    }
}
