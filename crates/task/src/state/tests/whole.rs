//! A task that was asked for and those who wait for it, over inputs in any order.

use std::collections::BTreeSet;

use ostler_types::SessionId;
use proptest::prelude::*;

use super::*;
use crate::facts::TaskRequest;

/// What happens, with small numbers that mean whoever or whatever is there.
#[derive(Debug, Clone)]
enum Step {
    /// Of a client that can be asked or not, since then.
    Wait(bool, u64),
    Left(usize),
    Ask(Vec<&'static str>),
    Answer(usize, usize),
    Update(usize),
    Cancel,
    CancelNow,
    End(bool),
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = proptest::sample::subsequence(vec!["a", "b", "c"], 1..=3);
    prop_oneof![
        4 => (any::<bool>(), 0..4u64).prop_map(|(able, since)| Step::Wait(able, since)),
        3 => (0..4usize).prop_map(Step::Left),
        4 => keys.prop_map(Step::Ask),
        4 => (0..4usize, 0..6usize).prop_map(|(who, what)| Step::Answer(who, what)),
        2 => (0..6usize).prop_map(Step::Update),
        1 => Just(Step::Cancel),
        1 => Just(Step::CancelNow),
        1 => any::<bool>().prop_map(Step::End),
        2 => (0..1_000u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// The machine, and what each waiter believes.
struct Model {
    driven: Driven,
    tickets: u64,
    /// Those who wait, with the questions they were shown.
    waiters: Vec<(Ticket, BTreeSet<String>)>,
    /// Of those: who can be asked, and since when it waits.
    able: BTreeMap<Ticket, u64>,
    cancelled: bool,
}

impl Model {
    fn new() -> Self {
        let mut driven = Driven::new(false, Birth::default());
        driven.state.facts.request = Some(TaskRequest {
            ttl: None,
            progress_token: None,
            session: SessionId([3; 24]),
        });
        driven.call(CallEvent::Kept);
        Self {
            driven,
            tickets: 1,
            waiters: Vec::new(),
            able: BTreeMap::new(),
            cancelled: false,
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Wait(able, since) => self.wait(able, since),
            Step::Left(who) => {
                if let Some(ticket) = self.waiter(who) {
                    self.waiters.retain(|(waiter, _)| *waiter != ticket);
                    self.apply(Input::Left(ticket));
                }
            }
            Step::Ask(keys) => {
                let questions = keys.into_iter().map(question).collect();
                self.apply(Input::Call(CallEvent::Ask(questions)));
            }
            Step::Answer(who, what) => self.answer(who, what),
            Step::Update(what) => {
                let ticket = self.ticket();
                let answers = self.open(what).into_iter().map(|key| (key, answer()));
                self.apply(Input::Update(ticket, answers.collect()));
            }
            Step::Cancel => {
                let ticket = self.ticket();
                self.apply(Input::Cancel(ticket));
            }
            Step::CancelNow => {
                let ticket = self.ticket();
                self.apply(Input::CancelNow(ticket));
            }
            Step::End(well) => {
                let outcome = if well { Ok(result()) } else { Err(lost()) };
                self.apply(Input::Call(CallEvent::Outcome(outcome)));
            }
            Step::Pass(seconds) => {
                self.driven.now = self.driven.now + Duration::from_secs(seconds);
                self.apply(Input::Tick);
            }
            Step::Restart => self.restart(),
        }
    }

    fn wait(&mut self, able: bool, since: u64) {
        let ticket = self.ticket();
        self.waiters.push((ticket, BTreeSet::new()));
        let mut by = followed_by(since);
        match able {
            true => drop(self.able.insert(ticket, since)),
            false => by.facet = ClientFacet::default(),
        }
        self.apply(Input::Wait(ticket, by));
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn waiter(&self, who: usize) -> Option<Ticket> {
        self.waiters.get(who).map(|(ticket, _)| *ticket)
    }

    fn open(&self, what: usize) -> Option<String> {
        let keys = self.driven.open_keys();
        keys.get(what).map(|key| (*key).to_owned())
    }

    /// Of a waiter that may have been shown the question, or may have lost it since.
    fn answer(&mut self, who: usize, what: usize) {
        let (Some(ticket), Some(key)) = (self.waiter(who), self.open(what)) else {
            return;
        };
        for (_, shown) in self.waiters.iter_mut().filter(|(t, _)| *t == ticket) {
            shown.remove(&key);
        }
        let value = Ok(answer());
        self.apply(Input::Answers(ticket, vec![Answer { key, value }]));
    }

    fn apply(&mut self, input: Input) {
        let fx = self.driven.step(input);
        for effect in fx.effects {
            match effect {
                Effect::Tell(ticket, event) => self.told(ticket, event),
                Effect::Reply(ticket, Reply::Refused(_)) => {
                    self.waiters.retain(|(waiter, _)| *waiter != ticket);
                }
                Effect::Feed(_)
                | Effect::Recorded
                | Effect::Reply(..)
                | Effect::Chatter(_)
                | Effect::Publish(_) => {}
            }
        }
        self.check();
    }

    fn told(&mut self, ticket: Ticket, event: CallEvent) {
        let at = self
            .waiters
            .iter()
            .position(|(waiter, _)| *waiter == ticket);
        let at = at.expect("nothing is said to who has gone or heard the end");
        let shown = &mut self.waiters[at].1;
        match event {
            CallEvent::Ask(questions) => {
                for question in questions {
                    assert!(shown.insert(question.key), "shown twice");
                }
            }
            CallEvent::Withdrawn(keys) => {
                for key in keys {
                    assert!(shown.remove(&key), "taken back without being shown");
                }
            }
            CallEvent::Outcome(_) => drop(self.waiters.remove(at)),
            other => panic!("{other:?} is not for a waiter"),
        }
    }

    /// Each open question is shown once, on the newest that can be asked; an end reaches all who
    /// wait.
    fn check(&mut self) {
        let open: BTreeSet<String> = self
            .driven
            .open_keys()
            .into_iter()
            .map(String::from)
            .collect();
        let can = |ticket: &Ticket| self.able.get(ticket).map(|since| (*since, *ticket));
        let newest = self.waiters.iter().filter_map(|(t, _)| can(t)).max();
        for (ticket, shown) in &self.waiters {
            let is_asked = newest.is_some_and(|(_, newest)| newest == *ticket);
            let expected = if is_asked { &open } else { &BTreeSet::new() };
            assert_eq!(shown, expected);
        }
        let standing = self.driven.state.view().map(|view| view.standing.status());
        let ended = standing.is_none_or(|status| status.is_terminal());
        assert!(!ended || self.waiters.is_empty(), "someone waits for ever");
        self.cancelled |= standing == Some(TaskStatus::Cancelled);
        let stays = standing.is_none() || standing == Some(TaskStatus::Cancelled);
        assert!(!self.cancelled || stays, "cancelled, then {standing:?}");
    }

    /// Whoever waited comes back, if it wants to, as somebody new.
    fn restart(&mut self) {
        if self.driven.state.phase == Phase::Gone {
            return;
        }
        let record = crate::record::task::encode(&self.driven.state);
        let read = crate::record::task::decode(self.driven.state.facts.id, &record);
        self.driven.state = read.expect("what was written can be read");
        self.driven.state.wake(&self.driven.config, self.driven.now);
        self.waiters.clear();
    }
}

proptest! {
    #[test]
    fn questions_are_shown_once_and_ends_are_told(steps in prop::collection::vec(step(), 0..60)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step);
        }
    }
}
