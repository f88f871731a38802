//! The machine by its inputs and effects, and by any order of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    tenant_max: 2,
    bridge_max: 3,
    idle_ttl: Duration::from_secs(100),
    open_max: Duration::from_secs(9),
    close_max: Duration::from_secs(9),
    steady: Duration::from_secs(10),
    rest_min: Duration::from_secs(1),
    rest_max: Duration::from_secs(60),
};

/// A key is a tenant and a number: `a1`.
type Key = &'static str;

/// A machine at a time; what it does is said in short.
struct Bench {
    state: State<Key>,
    now: Instant,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            state: State::new(LIMITS),
            now: Instant::default() + Duration::from_secs(1_000),
        }
    }

    fn give(&mut self, input: Input<Key>) -> Vec<String> {
        let mut effects = Vec::new();
        self.state.apply(self.now, input, &mut effects);
        effects.iter().map(say).collect()
    }

    fn want(&mut self, key: Key, waiter: Waiter) -> Vec<String> {
        let tenant = key[..1].into();
        self.give(Input::Want {
            key,
            tenant,
            waiter,
        })
    }

    fn opened(&mut self, key: Key, run: u64) -> Vec<String> {
        self.give(Input::Opened { key, run: Run(run) })
    }

    fn not_opened(&mut self, key: Key, run: u64) -> Vec<String> {
        let (run, why) = (Run(run), "no".into());
        self.give(Input::NotOpened {
            key,
            run,
            why,
            dice: 0,
        })
    }

    fn released(&mut self, key: Key, run: u64) -> Vec<String> {
        self.give(Input::Released { key, run: Run(run) })
    }

    fn gone(&mut self, key: Key, run: u64) -> Vec<String> {
        self.give(Input::Gone {
            key,
            run: Run(run),
            dice: 0,
        })
    }

    fn closed(&mut self, key: Key, run: u64) -> Vec<String> {
        self.give(Input::Closed { key, run: Run(run) })
    }

    fn pass(&mut self, seconds: u64) -> Vec<String> {
        self.now = self.now + Duration::from_secs(seconds);
        self.give(Input::Tick)
    }

    /// One that is open and used by nobody.
    fn idle(&mut self, key: Key, run: u64) {
        self.want(key, 900 + run);
        self.opened(key, run);
        self.released(key, run);
    }
}

fn say(effect: &Effect<Key>) -> String {
    match effect {
        Effect::Open { key, run, again } => match again {
            Again::No => format!("open {key} {}", run.0),
            Again::Yes => format!("reopen {key} {}", run.0),
        },
        Effect::Close { run, why } => format!("close {} {why:?}", run.0),
        Effect::Grant { waiter, key, run } => format!("{waiter} has {key} {}", run.0),
        Effect::Refuse { waiter, refusal } => match refusal {
            Refusal::Failed { retry_after, .. } => format!("{waiter} failed {retry_after:?}"),
            Refusal::Resting { retry_after, .. } => format!("{waiter} rests {retry_after:?}"),
            other => format!("{waiter} {other:?}"),
        },
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn one_start_serves_all_who_want_it_at_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.want("a1", 1), ["open a1 1"]);
    assert_eq!(bench.want("a1", 2), NOTHING);
    assert_eq!(bench.opened("a1", 1), ["1 has a1 1", "2 has a1 1"]);
    assert_eq!(bench.want("a1", 3), ["3 has a1 1"]);
}

#[test]
fn what_nobody_uses_ends_and_what_somebody_uses_does_not() {
    let mut bench = Bench::new();
    bench.want("a1", 1);
    bench.want("a1", 2);
    bench.opened("a1", 1);
    bench.released("a1", 1);
    assert_eq!(bench.pass(1_000), NOTHING);
    bench.released("a1", 1);
    assert_eq!(bench.pass(99), NOTHING);
    assert_eq!(bench.pass(1), ["close 1 Idle"]);
    assert_eq!(bench.pass(1_000), NOTHING);
    assert_eq!(bench.closed("a1", 1), NOTHING);
    assert_eq!(bench.want("a1", 3), ["open a1 2"]);
}

#[test]
fn who_comes_while_it_closes_gets_the_next() {
    let mut bench = Bench::new();
    bench.idle("a1", 1);
    bench.pass(100);
    assert_eq!(bench.want("a1", 2), NOTHING);
    assert_eq!(bench.closed("a1", 1), ["open a1 2"]);
    assert_eq!(bench.opened("a1", 2), ["2 has a1 2"]);
}

#[test]
fn at_the_bound_the_longest_idle_one_makes_room_once_it_is_closed() {
    let mut bench = Bench::new();
    bench.idle("a1", 1);
    bench.pass(1);
    bench.idle("b1", 2);
    bench.idle("c1", 3);
    assert_eq!(bench.want("b2", 4), ["close 1 Evicted"]);
    assert_eq!(bench.state.places(), 3);
    assert_eq!(bench.closed("a1", 1), ["open b2 4"]);
    // The tenant is full, so only one of its own can go.
    assert_eq!(bench.want("b3", 5), ["close 2 Evicted"]);
    assert_eq!(bench.closed("b1", 2), ["open b3 5"]);
}

#[test]
fn with_nothing_idle_the_bound_refuses() {
    let mut bench = Bench::new();
    for (key, run) in [("a1", 1), ("a2", 2), ("b1", 3)] {
        bench.want(key, run);
        bench.opened(key, run);
    }
    assert_eq!(bench.want("a3", 4), ["4 TenantFull"]);
    assert_eq!(bench.want("b2", 5), ["5 BridgeFull"]);
    bench.released("b1", 3);
    assert_eq!(bench.want("a3", 6), ["6 TenantFull"]);
    assert_eq!(bench.want("b2", 7), ["close 3 Evicted"]);
    // The place is promised.
    assert_eq!(bench.want("c1", 8), ["8 BridgeFull"]);
    assert_eq!(bench.want("b1", 9), NOTHING);
    assert_eq!(bench.closed("b1", 3), ["open b2 4", "9 BridgeFull"]);
}

#[test]
fn failures_rest_longer_and_longer_and_are_forgotten() {
    let mut bench = Bench::new();
    let mut rests = Vec::new();
    for run in 1..9 {
        bench.want("a1", run);
        rests.extend(bench.not_opened("a1", run));
        assert_eq!(bench.want("a1", 99).len(), 1, "it rests");
        bench.pass(60);
    }
    // Half of the span, for these dice.
    let spans = ["500ms", "1s", "2s", "4s", "8s", "16s", "30s", "30s"];
    let spans = (1..)
        .zip(spans)
        .map(|(run, span)| format!("{run} failed {span}"));
    assert_eq!(rests, spans.collect::<Vec<_>>());
    bench.pass(61);
    assert_eq!(bench.want("a1", 9), ["open a1 9"]);
    assert_eq!(bench.not_opened("a1", 9), ["9 failed 500ms"]);
}

#[test]
fn while_it_rests_calls_fail_at_once_and_say_when() {
    let mut bench = Bench::new();
    bench.want("a1", 1);
    bench.want("a1", 2);
    assert_eq!(
        bench.not_opened("a1", 1),
        ["1 failed 500ms", "2 failed 500ms"]
    );
    assert_eq!(bench.want("a1", 3), ["3 rests 500ms"]);
    assert_eq!(bench.want("a2", 4), ["open a2 2"]);
    bench.pass(1);
    assert_eq!(bench.want("a1", 5), ["reopen a1 3"]);
}

#[test]
fn what_died_is_replaced_and_what_keeps_dying_rests() {
    let mut bench = Bench::new();
    bench.want("a1", 1);
    bench.opened("a1", 1);
    bench.pass(10);
    assert_eq!(bench.gone("a1", 1), NOTHING);
    assert_eq!(bench.want("a1", 2), NOTHING);
    assert_eq!(bench.closed("a1", 1), ["reopen a1 2"]);
    bench.opened("a1", 2);
    bench.gone("a1", 2);
    assert_eq!(bench.want("a1", 3), NOTHING);
    assert_eq!(bench.closed("a1", 2), ["3 rests 500ms"]);
    bench.pass(1);
    assert_eq!(bench.want("a1", 4), ["reopen a1 3"]);
    bench.opened("a1", 3);
    bench.pass(10);
    bench.gone("a1", 3);
    bench.closed("a1", 3);
    assert_eq!(bench.want("a1", 5), ["reopen a1 4"]);
}

#[test]
fn a_hold_of_an_earlier_life_changes_nothing() {
    let mut bench = Bench::new();
    bench.want("a1", 1);
    bench.opened("a1", 1);
    bench.gone("a1", 1);
    bench.closed("a1", 1);
    bench.want("a1", 2);
    bench.opened("a1", 2);
    bench.released("a1", 1);
    assert_eq!(bench.pass(1_000), NOTHING);
    for late in [
        bench.gone("a1", 1),
        bench.closed("a1", 1),
        bench.opened("a1", 1),
    ] {
        assert_eq!(late, NOTHING);
    }
    assert_eq!(bench.not_opened("a1", 1), NOTHING);
    assert_eq!(bench.want("a1", 3), ["3 has a1 2"]);
}

#[test]
fn a_drain_refuses_those_who_wait_and_closes_the_rest() {
    let mut bench = Bench::new();
    bench.want("a1", 1);
    bench.opened("a1", 1);
    bench.want("b1", 2);
    bench.idle("c1", 3);
    bench.want("b2", 4);
    let mut drained = bench.give(Input::Drain);
    drained.sort();
    let all = [
        "2 Closing",
        "4 Closing",
        "close 1 Drained",
        "close 2 Drained",
    ];
    assert_eq!(drained, all);
    assert_eq!(bench.want("a1", 5), ["5 Closing"]);
    // What opened meanwhile is closed by whoever opened it.
    assert_eq!(bench.opened("b1", 2), NOTHING);
    for (key, run) in [("a1", 1), ("b1", 2), ("c1", 3)] {
        assert_eq!(bench.closed(key, run), NOTHING);
    }
    assert_eq!(bench.state.places(), 0);
}

#[test]
fn the_memory_of_failures_is_bounded() {
    let mut state = State::new(Limits {
        tenant_max: 1,
        ..LIMITS
    });
    let mut effects = Vec::new();
    for key in 0..3 * RESTING_MAX as u64 {
        let now = Instant(key);
        let (tenant, waiter) = ("a".into(), key);
        state.apply(
            now,
            Input::Want {
                key,
                tenant,
                waiter,
            },
            &mut effects,
        );
        let (run, why) = (Run(key + 1), "no".into());
        state.apply(
            now,
            Input::NotOpened {
                key,
                run,
                why,
                dice: 0,
            },
            &mut effects,
        );
        effects.clear();
        assert!(state.slots.len() <= RESTING_MAX);
    }
}

/// What may happen next, by numbers that choose among what is possible.
#[derive(Debug, Clone)]
enum Step {
    Want(usize),
    Release(usize),
    Open(usize),
    Fail(usize),
    Die(usize),
    Close(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..7_usize).prop_map(Step::Want),
        3 => any::<usize>().prop_map(Step::Release),
        3 => any::<usize>().prop_map(Step::Open),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::Die),
        3 => any::<usize>().prop_map(Step::Close),
        1 => (0..120_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..200)
}

const KEYS: [Key; 7] = ["a1", "a2", "a3", "b1", "b2", "c1", "d1"];

/// The shell around a machine, as simple as can be.
struct World {
    bench: Bench,
    waiters: Waiter,
    waiting: BTreeSet<Waiter>,
    /// From the order to open until the end of the close.
    opening: BTreeMap<Run, Key>,
    held: BTreeMap<Run, Key>,
    closing: BTreeMap<Run, Key>,
    holds: Vec<(Key, Run)>,
}

impl World {
    fn new() -> World {
        World {
            bench: Bench::new(),
            waiters: 0,
            waiting: BTreeSet::new(),
            opening: BTreeMap::new(),
            held: BTreeMap::new(),
            closing: BTreeMap::new(),
            holds: Vec::new(),
        }
    }

    fn apply(&mut self, input: Input<Key>) {
        let mut effects = Vec::new();
        self.bench.state.apply(self.bench.now, input, &mut effects);
        effects.into_iter().for_each(|effect| self.perform(effect));
        self.check();
    }

    fn perform(&mut self, effect: Effect<Key>) {
        match effect {
            Effect::Open { key, run, .. } => assert_eq!(self.opening.insert(run, key), None),
            Effect::Close { run, .. } => {
                let key = self.held.remove(&run).or_else(|| self.opening.remove(&run));
                self.closing
                    .insert(run, key.expect("closed once, and only what is there"));
            }
            Effect::Grant { waiter, key, run } => {
                assert!(self.waiting.remove(&waiter), "told once");
                assert_eq!(self.held.get(&run), Some(&key));
                self.holds.push((key, run));
            }
            Effect::Refuse { waiter, .. } => assert!(self.waiting.remove(&waiter), "told once"),
        }
    }

    fn check(&self) {
        let places = [&self.opening, &self.held, &self.closing];
        let keys: Vec<Key> = places
            .iter()
            .flat_map(|runs| runs.values().copied())
            .collect();
        assert_eq!(keys.len(), self.bench.state.places());
        assert!(keys.len() <= LIMITS.bridge_max);
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        for tenant in ["a", "b", "c", "d"] {
            let of_tenant = keys.iter().filter(|key| key.starts_with(tenant));
            assert!(of_tenant.count() <= LIMITS.tenant_max);
        }
        if keys.is_empty() {
            assert!(self.waiting.is_empty(), "nobody waits for nothing");
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Want(key) => self.want(KEYS[key]),
            Step::Release(pick) => self.release(pick),
            Step::Open(pick) => {
                let Some((run, key)) = picked(&self.opening, pick) else {
                    return;
                };
                self.opening.remove(&run);
                self.held.insert(run, key);
                self.apply(Input::Opened { key, run });
            }
            Step::Fail(pick) => {
                let Some((run, key)) = picked(&self.opening, pick) else {
                    return;
                };
                self.opening.remove(&run);
                let (why, dice) = ("no".into(), pick as u64);
                self.apply(Input::NotOpened {
                    key,
                    run,
                    why,
                    dice,
                });
            }
            Step::Die(pick) => {
                let Some((run, key)) = picked(&self.held, pick) else {
                    return;
                };
                self.held.remove(&run);
                self.closing.insert(run, key);
                self.apply(Input::Gone {
                    key,
                    run,
                    dice: pick as u64,
                });
            }
            Step::Close(pick) => {
                let Some((run, key)) = picked(&self.closing, pick) else {
                    return;
                };
                self.closing.remove(&run);
                self.apply(Input::Closed { key, run });
            }
            Step::Pass(seconds) => {
                self.bench.now = self.bench.now + Duration::from_secs(seconds);
                self.apply(Input::Tick);
            }
        }
    }

    fn want(&mut self, key: Key) {
        self.waiters += 1;
        let (tenant, waiter) = (key[..1].into(), self.waiters);
        self.waiting.insert(waiter);
        self.apply(Input::Want {
            key,
            tenant,
            waiter,
        });
    }

    fn release(&mut self, pick: usize) {
        if self.holds.is_empty() {
            return;
        }
        let (key, run) = self.holds.swap_remove(pick % self.holds.len());
        self.apply(Input::Released { key, run });
    }

    /// Everything that can end ends, then everybody must have been told.
    fn settle(&mut self) {
        while !self.opening.is_empty() || !self.closing.is_empty() {
            self.step(&Step::Open(0));
            self.step(&Step::Close(0));
        }
        assert!(self.waiting.is_empty(), "somebody was forgotten");
        while !self.holds.is_empty() {
            self.release(0);
        }
        self.step(&Step::Pass(100));
        while !self.closing.is_empty() {
            self.step(&Step::Close(0));
        }
        self.step(&Step::Pass(2 * 60));
        assert!(self.bench.state.slots.is_empty(), "something is left");
    }
}

fn picked(runs: &BTreeMap<Run, Key>, pick: usize) -> Option<(Run, Key)> {
    let index = pick.checked_rem(runs.len())?;
    runs.iter().nth(index).map(|(run, key)| (*run, *key))
}

proptest! {
    #[test]
    fn in_any_order_the_bounds_hold_and_everybody_is_told_once(steps in steps()) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        world.settle();
    }
}
