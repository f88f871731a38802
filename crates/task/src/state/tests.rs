//! The machine, by inputs to effects.

use std::time::Duration;

use ostler_protocol::{
    Revision,
    call::{
        Answer, AnswerFailure, Executed, Failure, Log, LogLevel, Progress, Question, QuestionKind,
    },
    task::{TaskState as Standing, TaskStatus},
};
use ostler_types::{CallId, CallKind, InstanceEpoch, ServerName, TaskId, TenantId, WorkerId};

use super::*;
use crate::{
    error::TaskError,
    facts::{Binding, Owner},
};

mod lifetime;
mod requested;
mod rounds;
mod tasks;
mod whole;

const START: Timestamp = Timestamp(1_000_000);

/// A machine with a clock; each step gives back what it wants done.
struct Driven {
    state: TaskState,
    config: Config,
    now: Timestamp,
}

fn question(key: &str) -> Question {
    let schema = serde_json::json!({
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
    });
    let params = serde_json::json!({"message": key, "requestedSchema": schema});
    Question {
        key: key.to_owned(),
        kind: QuestionKind::ElicitForm,
        params: Raw::from_value(&params),
    }
}

fn answer() -> Raw {
    Raw::from_static(r#"{"action":"accept","content":{"name":"Ann"}}"#)
}

fn answers<const N: usize>(keys: [&str; N]) -> BTreeMap<String, Raw> {
    keys.map(|key| (key.to_owned(), answer())).into()
}

fn result() -> Raw {
    Raw::from_static(r#"{"content":[]}"#)
}

fn able() -> ClientFacet {
    ClientFacet {
        elicit_form: true,
        tasks: true,
        ..ClientFacet::default()
    }
}

/// Somebody who waits since this time, with a client that can be asked.
fn followed_by(since: u64) -> FollowedBy {
    FollowedBy {
        revision: Revision::LATEST_LEGACY,
        facet: able(),
        since: Timestamp(since),
    }
}

fn facts(replay_safe: bool) -> Facts {
    Facts {
        id: TaskId([7; 24]),
        call: CallId(9),
        owner: Owner {
            tenant: TenantId::parse("acme").unwrap(),
            principal: [1; 32],
            server: ServerName::parse("calc").unwrap(),
        },
        target: "add".to_owned(),
        binding: Binding::new(CallKind::Tool, "add", &Raw::empty_object()),
        revision: Revision::LATEST_MODERN,
        replay_safe,
        task_support: true,
        timeout: None,
        request: None,
        created_at: START,
    }
}

impl Driven {
    fn new(replay_safe: bool, birth: Birth) -> Self {
        let config = Config::default();
        let state = TaskState::begin(&config, facts(replay_safe), able(), Ticket(1), birth);
        Self {
            state,
            config,
            now: START,
        }
    }

    /// Handed over with these questions; the worker has not said yet that it keeps the call.
    fn asked<const N: usize>(keys: [&str; N]) -> Self {
        Self::new(false, asking(keys))
    }

    /// Parked, with its first round shown.
    fn parked<const N: usize>(keys: [&str; N]) -> Self {
        let mut driven = Self::asked(keys);
        driven.call(CallEvent::Kept);
        driven
    }

    /// A parked call that may run again.
    fn replay_safe<const N: usize>(keys: [&str; N]) -> Self {
        let mut driven = Self::new(true, asking(keys));
        driven.call(CallEvent::Kept);
        driven
    }

    fn task() -> Self {
        let birth = Birth {
            wants_task: true,
            ..Birth::default()
        };
        let mut driven = Self::new(false, birth);
        driven.call(CallEvent::Kept);
        driven
    }

    fn step(&mut self, input: Input) -> Effects {
        let mut fx = Effects::default();
        self.state.apply(&self.config, self.now, input, &mut fx);
        fx
    }

    fn call(&mut self, event: CallEvent) -> Effects {
        self.step(Input::Call(event))
    }

    fn ask<const N: usize>(&mut self, keys: [&str; N]) -> Effects {
        self.call(CallEvent::Ask(keys.map(question).into()))
    }

    fn ends(&mut self, outcome: Outcome) -> Effects {
        self.call(CallEvent::Outcome(outcome))
    }

    fn resume<const N: usize>(&mut self, ticket: u64, round: u32, keys: [&str; N]) -> Effects {
        self.resume_with(ticket, round, answers(keys), able())
    }

    fn resume_with(
        &mut self,
        ticket: u64,
        round: u32,
        answers: BTreeMap<String, Raw>,
        facet: ClientFacet,
    ) -> Effects {
        self.step(Input::Resume(Resume {
            ticket: Ticket(ticket),
            round,
            answers,
            facet,
        }))
    }

    fn tick_after(&mut self, span: Duration) -> Effects {
        self.now = self.now + span;
        self.step(Input::Tick)
    }

    /// Stored, and read again after a restart.
    fn restarted(mut self) -> Self {
        let record = crate::record::task::encode(&self.state);
        self.state = crate::record::task::decode(self.state.facts.id, &record).unwrap();
        self.state.wake(&self.config, self.now);
        self
    }

    fn standing(&self) -> Standing {
        self.state.view().expect("it is a task").standing
    }

    fn open_keys(&self) -> Vec<&str> {
        self.state
            .questions
            .iter()
            .map(|asked| asked.shown.as_str())
            .collect()
    }
}

fn asking<const N: usize>(keys: [&str; N]) -> Birth {
    Birth {
        questions: keys.map(question).into(),
        ..Birth::default()
    }
}

fn lost() -> Failure {
    Failure::WorkerLost {
        executed: Executed::Unknown,
    }
}

/// The replies of a step, by ticket.
fn replies(fx: &Effects) -> Vec<(u64, &Reply)> {
    let reply = |effect| match effect {
        &Effect::Reply(ticket, ref reply) => Some((ticket.0, reply)),
        _ => None,
    };
    fx.effects.iter().filter_map(reply).collect()
}

/// The one reply of a step.
fn reply(fx: &Effects) -> &Reply {
    match replies(fx)[..] {
        [(_, reply)] => reply,
        ref other => panic!("one reply expected: {other:?}"),
    }
}

/// The keys fed to the call, with what was fed.
fn fed(fx: &Effects) -> Vec<(&str, &Result<Raw, AnswerFailure>)> {
    let mut all = Vec::new();
    for effect in &fx.effects {
        if let Effect::Feed(answers) = effect {
            all.extend(
                answers
                    .iter()
                    .map(|Answer { key, value }| (key.as_str(), value)),
            );
        }
    }
    all
}

/// Round and keys of the questions that a step shows.
fn shown(fx: &Effects) -> (u32, Vec<&str>) {
    match reply(fx) {
        Reply::Asking(asking) => {
            let keys = asking.questions.iter().map(|asked| asked.shown.as_str());
            (asking.round, keys.collect())
        }
        other => panic!("questions expected: {other:?}"),
    }
}

fn published(fx: &Effects) -> Vec<&Standing> {
    let mut all = Vec::new();
    for effect in &fx.effects {
        if let Effect::Publish(view) = effect {
            all.push(&view.standing);
        }
    }
    all
}

/// Nothing happens at all.
fn check_silent(fx: &Effects) {
    assert_eq!(*fx, Effects::default());
}
