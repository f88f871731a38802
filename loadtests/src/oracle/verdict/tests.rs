//! Forged histories: each breaks one promise, and the verdict must find it.

use super::*;
use crate::oracle::fact::{Handle, Outcome, ReadEnd, Tool};

fn entries(facts: impl IntoIterator<Item = Fact>) -> Vec<Entry> {
    let numbered = (1_u64..).zip(facts);
    let entry = |(number, fact)| Entry {
        at_ms: number * 1_000,
        fact,
    };
    numbered.map(entry).collect()
}

/// The kinds of all faults in what clients and one worker wrote.
fn check(clients: Vec<Fact>, worker: Vec<Fact>, expected: &[Kind]) {
    let history = History {
        clients: entries(clients),
        workers: vec![entries(worker)],
        is_over: true,
    };
    let verdict = faults(&history);
    let found: Vec<Kind> = verdict.faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(found, expected, "{verdict}");
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn reading(read: u64, after: Option<&str>) -> Fact {
    Fact::Reading {
        read,
        stream: text("s"),
        after: after.map(text),
    }
}

fn event(read: u64, id: &str) -> Fact {
    Fact::Event {
        read,
        id: text(id),
        text: format!("text of {id}"),
    }
}

fn over(read: u64, end: ReadEnd) -> Fact {
    Fact::ReadOver { read, end }
}

/// A stream of three events that broke after the second, and what a later reader saw.
fn resumed(after: &str, seen: &[&str]) -> Vec<Fact> {
    let mut facts = vec![
        reading(1, None),
        event(1, "a"),
        event(1, "b"),
        over(1, ReadEnd::Cut),
        reading(2, Some("b")),
        event(2, "c"),
        over(2, ReadEnd::Whole),
        reading(3, Some(after)),
    ];
    facts.extend(seen.iter().map(|id| event(3, id)));
    facts.push(over(3, ReadEnd::Whole));
    facts
}

#[test]
fn a_stream_that_is_told_again_as_it_was_is_right() {
    check(resumed("a", &["b", "c"]), vec![], &[]);
    check(resumed("c", &[]), vec![], &[]);
}

#[test]
fn a_lost_event_is_found() {
    check(resumed("a", &["b"]), vec![], &[Kind::Lost]);
    check(resumed("a", &[]), vec![], &[Kind::Lost]);
}

#[test]
fn a_gap_is_found() {
    check(resumed("a", &["c"]), vec![], &[Kind::Gap]);
    check(resumed("a", &["b", "d"]), vec![], &[Kind::Gap]);
}

#[test]
fn a_duplicate_is_found() {
    check(resumed("a", &["a", "b", "c"]), vec![], &[Kind::Duplicate]);
    check(resumed("a", &["b", "b", "c"]), vec![], &[Kind::Duplicate]);
}

#[test]
fn an_event_whose_text_has_changed_is_found() {
    let mut facts = resumed("a", &["b", "c"]);
    let at = facts.len() - 2;
    facts[at] = Fact::Event {
        read: 3,
        id: text("c"),
        text: text("another"),
    };
    check(facts, vec![], &[Kind::Changed]);
}

#[test]
fn an_event_that_the_node_forgot_is_lost() {
    let trimmed = Fact::Trimmed {
        stream: text("s"),
        after: text("a"),
    };
    check(vec![trimmed], vec![], &[Kind::Lost]);
}

#[test]
fn a_session_is_known_until_its_client_ends_it() {
    let session = || text("s");
    let opened = || Fact::Opened { session: session() };
    let gone = || Fact::Gone { session: session() };
    let deleting = || Fact::Deleting { session: session() };
    let undead = || Fact::Undead { session: session() };
    check(vec![opened(), gone()], vec![], &[Kind::Session]);
    check(vec![opened(), deleting(), gone()], vec![], &[]);
    check(
        vec![opened(), deleting(), undead()],
        vec![],
        &[Kind::Session],
    );
}

fn sent(tool: Tool) -> Fact {
    let call = text("c");
    Fact::Sent { call, tool }
}

fn held(handle: Handle) -> Fact {
    let call = text("c");
    Fact::Held { call, handle }
}

fn told(outcome: Outcome) -> Fact {
    let call = text("c");
    Fact::Told { call, outcome }
}

fn said(word: &str) -> Fact {
    told(Outcome::Text(text(word)))
}

fn lost(executed: &str) -> Fact {
    told(Outcome::WorkerLost {
        executed: text(executed),
    })
}

fn up() -> Fact {
    Fact::Up { worker: text("w") }
}

fn began(run: &str) -> Fact {
    Fact::Began {
        call: text("c"),
        tool: Tool::Work,
        run: text(run),
    }
}

fn ended(run: &str, word: &str) -> Fact {
    Fact::Ended {
        run: text(run),
        text: text(word),
    }
}

fn broken() -> Fact {
    Fact::Broken { call: text("c") }
}

#[test]
fn a_call_that_ended_as_its_worker_said_is_right() {
    let worker = || vec![up(), began("r"), ended("r", "x")];
    check(vec![sent(Tool::Work), said("x")], worker(), &[]);
    check(vec![sent(Tool::Work), said("x"), said("x")], worker(), &[]);
}

#[test]
fn an_outcome_that_is_not_of_its_run_is_found() {
    let worker = || vec![up(), began("r"), ended("r", "x")];
    check(vec![sent(Tool::Work), said("y")], worker(), &[Kind::Untrue]);
    let two = vec![sent(Tool::Work), said("x"), said("y")];
    check(two, worker(), &[Kind::Changed]);
}

#[test]
fn a_call_whose_client_held_something_is_lost_without_an_outcome() {
    let worker = || vec![up(), began("r"), ended("r", "x")];
    for handle in [Handle::Event, Handle::Task, Handle::RequestState] {
        let clients = vec![sent(Tool::Work), held(handle), broken()];
        check(clients, worker(), &[Kind::Lost]);
    }
    check(vec![sent(Tool::Work), broken()], worker(), &[]);
    check(vec![sent(Tool::Work)], worker(), &[Kind::Open]);
}

#[test]
fn a_lost_worker_must_be_one_that_died() {
    let alive = || vec![up(), began("r"), ended("r", "x")];
    let dead = || vec![up(), began("r"), up()];
    let clients = |executed| vec![sent(Tool::Work), lost(executed)];
    check(clients("unknown"), alive(), &[Kind::Untrue]);
    check(clients("unknown"), dead(), &[]);
    check(clients("no"), dead(), &[Kind::Untrue]);
    check(clients("no"), vec![up(), up()], &[]);
    let idle = (0..20).map(|_| Fact::Answers { session: text("v") });
    let long_ended = [up(), began("r"), ended("r", "x")].into_iter();
    let long_ended = long_ended.chain(idle).chain([up()]).collect();
    check(clients("unknown"), long_ended, &[Kind::Untrue]);
    // A death long after the call was told explains nothing.
    let later = (0..20).map(|_| Fact::Answers { session: text("v") });
    let later = || [up()].into_iter().chain(later.clone()).chain([up()]);
    for executed in ["no", "unknown"] {
        check(clients(executed), later().collect(), &[Kind::Untrue]);
    }
}

#[test]
fn a_second_run_is_found_unless_the_tool_allows_it() {
    let worker = || vec![up(), began("r"), up(), began("q"), ended("q", "x")];
    let once = vec![sent(Tool::Work), said("x")];
    check(once, worker(), &[Kind::RanTooOften]);
    let again = || vec![sent(Tool::WorkAgain), said("x")];
    check(again(), worker(), &[]);
    let third = worker().into_iter().chain([up(), began("p")]);
    let third = third.chain([ended("p", "x")]).collect();
    check(again(), third, &[Kind::RanTooOften]);
}

#[test]
fn a_tool_that_failed_and_a_refusal_for_good_are_found() {
    let worker = vec![up(), began("r"), ended("r", "x")];
    let other = told(Outcome::Other(text("x")));
    check(vec![sent(Tool::Work), other], worker, &[Kind::Untrue]);
}

#[test]
fn a_refused_call_that_ran_is_found() {
    let refused = Fact::Refused {
        call: text("c"),
        why: text("503"),
    };
    let worker = vec![up(), began("r"), ended("r", "x")];
    check(vec![sent(Tool::Echo), refused], worker, &[Kind::Untrue]);
}

#[test]
fn work_for_nobody_is_found() {
    let worker = |end: u64| {
        let idle = (0..end).map(|_| Fact::Answers { session: text("v") });
        let facts = [up(), began("r")].into_iter().chain(idle);
        let stopped = Fact::Cancelled { run: text("r") };
        facts.chain([stopped]).collect::<Vec<_>>()
    };
    check(vec![sent(Tool::Wait), broken()], worker(0), &[]);
    check(
        vec![sent(Tool::Wait), broken()],
        worker(20),
        &[Kind::Leaked],
    );
    let late = worker(20).into_iter().chain([up()]).collect();
    let clients = vec![sent(Tool::Wait), broken()];
    check(clients, late, &[Kind::Leaked]);
    // The node may have kept it before the client had its handle.
    for tool in [Tool::Ask, Tool::Job, Tool::JobAsks] {
        check(vec![sent(tool), broken()], worker(20), &[]);
        check(vec![sent(tool), broken()], worker(50), &[Kind::Leaked]);
    }
    let endless = vec![up(), began("r")];
    let clients = vec![sent(Tool::Wait), said("x")];
    check(clients, endless, &[Kind::Untrue, Kind::Leaked]);
}

#[test]
fn a_call_is_stopped_only_if_its_client_wished_so_and_then_for_good() {
    let wish = || Fact::Cancelling { call: text("c") };
    let stopped = || told(Outcome::Cancelled);
    let ends = || {
        let cancelled = Fact::Cancelled { run: text("r") };
        vec![up(), began("r"), cancelled]
    };
    let wished = || vec![sent(Tool::Job), wish(), stopped()];
    check(wished(), ends(), &[]);
    check(vec![sent(Tool::Job), stopped()], ends(), &[Kind::Untrue]);
    let mut then = wished();
    then.push(said("x"));
    check(then, ends(), &[Kind::Changed]);
    let runs_on = vec![up(), began("r")];
    check(wished(), runs_on, &[Kind::Leaked, Kind::Leaked]);
}

#[test]
fn what_a_client_missed_is_lost() {
    let missing = Fact::Missing { what: text("news") };
    check(vec![missing], vec![], &[Kind::Lost]);
}

#[test]
fn a_history_of_nothing_is_no_proof() {
    let of = |is_over| History {
        clients: Vec::new(),
        workers: Vec::new(),
        is_over,
    };
    let verdict = judge(&of(true));
    assert_eq!(verdict.faults_of(Kind::Unseen), MUST_BE_SEEN.len());
    assert!(judge(&of(false)).faults.is_empty());
}
