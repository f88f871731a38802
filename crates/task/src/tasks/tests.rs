//! The whole crate behind its face: a store in memory, calls that tests script.

use std::{sync::Arc, time::Duration};

use ostler_env::Env;
use ostler_protocol::{Revision, call::Outcome, task::TaskState as Standing};
use ostler_store::{
    KeyPrefix, Table,
    faults::{self, Fault, Faults},
};
use ostler_types::{CallKind, Identity, Principal, ServerName, TenantId};

use super::*;
use crate::round::{InputRequired, RoundEvent, RoundStream};

mod faulty;
mod followed;
mod gate;
mod parked;
mod requested;
mod restart;
mod scopes;
mod script;

use script::{Said, Script, Scripts};

/// A node's tasks, with what stands around them.
struct Node {
    env: Env,
    store: Store,
    faults: Faults,
    keys: Arc<KeyRing>,
    scripts: Scripts,
    config: Config,
    tasks: Tasks,
}

impl Node {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let env = Env::seeded(7);
        let (store, faults) = faults::memory(&env);
        let keys = Arc::new(KeyRing::ephemeral(&env));
        let scripts = Scripts::default();
        let source = Box::new(scripts.clone());
        let inner = Inner::new(&env, store.clone(), source, keys.clone(), config.clone());
        Self {
            env,
            store,
            faults,
            keys,
            scripts,
            config,
            tasks: Tasks(inner),
        }
    }

    /// The node goes down and comes up; its workers have not come back yet.
    async fn restart(&mut self) {
        self.tasks.stop().await;
        self.scripts.unlink();
        let source = Box::new(self.scripts.clone());
        let (store, keys) = (self.store.clone(), self.keys.clone());
        let inner = Inner::new(&self.env, store, source, keys, self.config.clone());
        self.tasks = Tasks(inner);
    }

    fn caller(&self, tenant: &str, subject: &str) -> Caller {
        let identity = Identity {
            tenant: TenantId::parse(tenant).unwrap(),
            principal: Principal {
                issuer: "key".into(),
                subject: subject.into(),
                client: "".into(),
            },
            scopes: Arc::new([]),
            valid_until: None,
            credential: "key-1".into(),
        };
        Caller {
            identity: Arc::new(identity),
            session: None,
            trace: None,
            deadline: self.env.now() + Duration::from_secs(3600),
        }
    }

    fn ann(&self) -> Caller {
        self.caller("acme", "ann")
    }

    /// A script for call `id`, and the call as it is handed over.
    fn handover(&self, id: u128, facts: CallFacts, birth: Birth) -> (Script, Handover) {
        let call = CallId(id);
        let script = self.scripts.add(call);
        let work = script.work();
        let handover = Handover {
            call,
            keep: Box::new(|| work),
            facts,
            birth,
            backlog: Vec::new(),
        };
        (script, handover)
    }

    /// As ann's, at the bank.
    async fn take_over(&self, handover: Handover) -> Result<End, TaskError> {
        let reserved = self.tasks.reserve(&self.ann(), &bank())?;
        self.tasks.take_over(reserved, handover).await
    }

    async fn park(&self, id: u128, keys: &[&str]) -> (Script, InputRequired) {
        self.park_as(id, facts(), keys).await
    }

    async fn park_as(&self, id: u128, facts: CallFacts, keys: &[&str]) -> (Script, InputRequired) {
        let (script, handover) = self.handover(id, facts, asking(keys));
        script.say(CallEvent::Kept);
        let end = self.take_over(handover).await;
        match end {
            Ok(End::InputRequired(asked)) => (script, asked),
            other => panic!("questions expected: {other:?}"),
        }
    }

    async fn create(&self, id: u128) -> (Script, TaskView) {
        let (script, handover) = self.handover(id, facts(), becoming_task());
        script.say(CallEvent::Kept);
        let end = self.take_over(handover).await;
        match end {
            Ok(End::Task(view)) => (script, view),
            other => panic!("a task expected: {other:?}"),
        }
    }

    async fn resume(&self, state: &str, keys: &[&str]) -> Result<Resumed, TaskError> {
        let params = params(state, keys);
        self.tasks
            .resume(&self.ann(), &bank(), &params, able())
            .await
    }

    async fn follows(&self, state: &str, keys: &[&str]) -> RoundStream {
        match self.resume(state, keys).await {
            Ok(Resumed::Live(stream)) => stream,
            Ok(Resumed::End(end)) => panic!("a live call expected: {end:?}"),
            Err(error) => panic!("a live call expected: {error:?}"),
        }
    }

    async fn ended(&self, state: &str, keys: &[&str]) -> End {
        match self.resume(state, keys).await {
            Ok(Resumed::End(end)) => end,
            Ok(Resumed::Live(_)) => panic!("an end expected, the call lives"),
            Err(error) => panic!("an end expected: {error:?}"),
        }
    }

    async fn get(&self, id: &str) -> Result<TaskView, TaskError> {
        self.tasks.get(&self.ann(), &bank(), id).await
    }

    async fn rows(&self, table: Table) -> usize {
        let prefix = KeyPrefix::table(table);
        self.store.scan(&prefix, None, 100).await.unwrap().len()
    }

    /// Lets everything that can run do so.
    async fn settle(&self) {
        self.env.sleep(Duration::from_millis(1)).await;
    }

    fn metric(&self, name: &str) -> f64 {
        self.env.metrics().value(name, &[]).unwrap_or(0.0)
    }

    /// At the end of a test nothing may be left running.
    async fn down(self) {
        self.tasks.stop().await;
        self.store.clone().close().await;
        self.env.sleep(Duration::from_millis(1)).await;
        assert_eq!(self.env.tasks_alive_by_name(), []);
        let started = self.metric("ostler_task_started_total");
        assert_eq!(started, self.metric("ostler_task_ended_total"));
        let waits = self.metric("ostler_task_waits_started_total");
        assert_eq!(waits, self.metric("ostler_task_waits_ended_total"));
    }
}

fn bank() -> ServerId {
    server("acme", "bank")
}

fn server(tenant: &str, name: &str) -> ServerId {
    ServerId {
        tenant: TenantId::parse(tenant).unwrap(),
        name: ServerName::parse(name).unwrap(),
    }
}

fn able() -> ClientFacet {
    ClientFacet {
        elicit_form: true,
        tasks: true,
        ..ClientFacet::default()
    }
}

fn facts() -> CallFacts {
    CallFacts {
        revision: Revision::LATEST_MODERN,
        kind: CallKind::Tool,
        target: "transfer".to_owned(),
        arguments: Raw::from_static(r#"{"to":"bob"}"#),
        facet: able(),
        replay_safe: false,
        task_support: true,
        timeout: None,
        request: None,
    }
}

fn replay_safe() -> CallFacts {
    CallFacts {
        replay_safe: true,
        ..facts()
    }
}

fn params(state: &str, keys: &[&str]) -> CallParams {
    let answers = keys.iter().map(|key| ((*key).to_owned(), answer()));
    CallParams {
        kind: CallKind::Tool,
        target: "transfer".to_owned(),
        arguments: facts().arguments,
        input_responses: Some(answers.collect()),
        request_state: Some(state.to_owned()),
        task: None,
    }
}

fn question(key: &str) -> Question {
    let schema = serde_json::json!({"type": "object", "properties": {}});
    let params = serde_json::json!({"message": key, "requestedSchema": schema});
    Question {
        key: key.to_owned(),
        kind: ostler_protocol::call::QuestionKind::ElicitForm,
        params: Raw::from_value(&params),
    }
}

fn asks(keys: &[&str]) -> CallEvent {
    CallEvent::Ask(keys.iter().map(|key| question(key)).collect())
}

fn asking(keys: &[&str]) -> Birth {
    Birth {
        questions: keys.iter().map(|key| question(key)).collect(),
        ..Birth::default()
    }
}

fn becoming_task() -> Birth {
    Birth {
        wants_task: true,
        ..Birth::default()
    }
}

fn answer() -> Raw {
    Raw::from_static(r#"{"action":"accept","content":{}}"#)
}

fn result() -> Outcome {
    Ok(Raw::from_static(r#"{"content":[]}"#))
}

fn lost() -> Outcome {
    Err(Failure::WorkerLost {
        executed: Executed::Unknown,
    })
}

fn keys(asked: &InputRequired) -> Vec<&str> {
    asked
        .questions
        .iter()
        .map(|question| question.key.as_str())
        .collect()
}

/// The next event of a followed call, which must be its end.
async fn end_of(stream: &mut RoundStream) -> End {
    match stream.next().await {
        Some(Ok(RoundEvent::End(end))) => end,
        other => panic!("an end expected: {other:?}"),
    }
}

fn asked_of(end: End) -> InputRequired {
    match end {
        End::InputRequired(asked) => asked,
        other => panic!("questions expected: {other:?}"),
    }
}
