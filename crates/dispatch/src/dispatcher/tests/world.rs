//! A dispatcher over a scripted hub and a real catalog.

use std::time::Duration;

use ostler_auth::Permit;
use ostler_catalog::{Declarations, Offer, OfferedEntry};
use ostler_hub::{AttemptEnd, AttemptEvent};
use ostler_protocol::call::{CallEvent, Outcome};
use ostler_types::{Identity, Principal, ServerName, WorkerId};
use serde_json::{Value, json};

use super::script::Script;
use crate::dispatcher::*;

pub(super) struct World {
    pub(super) env: Env,
    pub(super) script: Script,
    pub(super) catalogs: Catalogs,
    pub(super) dispatcher: Dispatcher<Script>,
    pub(super) calc: ServerId,
}

/// The smallest result of a tool.
pub(super) const RESULT: &str = r#"{"content":[]}"#;

pub(super) type Stream = CallStream<Script>;

/// Workers `a` and `b` serve everything of `acme/calc`; only `a` completes.
pub(super) fn world() -> World {
    world_with(&Limits::default())
}

pub(super) fn world_with(limits: &Limits) -> World {
    let env = Env::seeded(1);
    let catalogs = Catalogs::new(&env);
    let script = Script::default();
    let calc = server("acme/calc");
    for name in ["a", "b"] {
        script.add(name, 10);
        let worker = WorkerId::parse(name).unwrap();
        assert_eq!(catalogs.register(&calc, &worker, offer(name == "a")), []);
    }
    let dispatcher = Dispatcher::new(&env, script.clone(), catalogs.clone(), limits);
    World {
        env,
        script,
        catalogs,
        dispatcher,
        calc,
    }
}

pub(super) fn server(name: &str) -> ServerId {
    let (tenant, name) = name.split_once('/').unwrap();
    ServerId {
        tenant: TenantId::parse(tenant).unwrap(),
        name: ServerName::parse(name).unwrap(),
    }
}

pub(super) fn offer(completions: bool) -> Offer {
    let typed =
        json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let many = json!({"type": "array", "items": {"type": "integer"}});
    let plain = json!({"type": "object"});
    let tool = |name: &str| json!({"name": name, "inputSchema": plain});
    let idempotent = |declarations: &mut Declarations| declarations.idempotent = true;
    let scoped = |declarations: &mut Declarations| declarations.scopes = vec!["admin".to_owned()];
    let short =
        |declarations: &mut Declarations| declarations.timeout = Some(Duration::from_secs(5));
    Offer {
        server_info: Raw::from_static(r#"{"name":"calc","version":"1"}"#),
        instructions: None,
        tools: vec![
            entry(tool("plain"), |_| {}),
            entry(tool("idempotent"), idempotent),
            entry(tool("scoped"), scoped),
            entry(tool("short"), short),
            entry(
                json!({"name": "typed", "inputSchema": typed, "outputSchema": typed}),
                |_| {},
            ),
            entry(
                json!({"name": "many", "inputSchema": plain, "outputSchema": many}),
                |_| {},
            ),
        ],
        prompts: vec![
            entry(json!({"name": "greet"}), |_| {}),
            entry(json!({"name": "secret"}), scoped),
        ],
        resources: vec![entry(json!({"uri": "mem://r", "name": "r"}), |_| {})],
        templates: vec![
            entry(json!({"uriTemplate": "mem://t/{x}", "name": "t"}), |_| {}),
            entry(
                json!({"uriTemplate": "mem://secret/{x}", "name": "s"}),
                scoped,
            ),
        ],
        skills: Vec::new(),
        completions,
        logging: false,
        resource_watch: false,
    }
}

fn entry(definition: Value, declare: impl Fn(&mut Declarations)) -> OfferedEntry {
    let mut declarations = Declarations::default();
    declare(&mut declarations);
    OfferedEntry {
        definition: Raw::from_value(&definition),
        declarations,
    }
}

impl World {
    pub(super) fn caller(&self, tenant: &str, scopes: &[&str]) -> Caller {
        let identity = Identity {
            tenant: TenantId::parse(tenant).unwrap(),
            principal: Principal {
                issuer: "key".into(),
                subject: "s".into(),
                client: "c".into(),
            },
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
            valid_until: None,
            credential: "c".into(),
        };
        Caller {
            identity: Arc::new(identity),
            session: None,
            trace: None,
            deadline: self.env.now() + Duration::from_secs(60),
        }
    }

    pub(super) fn admit(&self, kind: CallKind, target: &str) -> Result<Admitted<Script>, Refusal> {
        let caller = self.caller("acme", &[]);
        self.dispatcher.admit(&caller, &self.calc, kind, target)
    }

    pub(super) fn start_with(&self, tool: &str, control: CallControl) -> Stream {
        let admitted = self.admit(CallKind::Tool, tool).unwrap();
        self.start_admitted(admitted, control)
    }

    pub(super) fn start_admitted(
        &self,
        admitted: Admitted<Script>,
        control: CallControl,
    ) -> Stream {
        let call = NewCall {
            id: self.dispatcher.mint_call_id(Shard(7)),
            arguments: Raw::from_static(r#"{"n":1}"#),
            facet: ClientFacet::default(),
            wants_progress: false,
            answers: Vec::new(),
        };
        let caller = self.caller("acme", &[]);
        self.dispatcher.start(&caller, admitted, call, control)
    }

    pub(super) fn start(&self, tool: &str) -> Stream {
        self.start_with(tool, CallControl::new())
    }

    /// Lets the attempt of this number end so.
    pub(super) fn end(&self, attempt: usize, end: AttemptEnd) {
        self.script.attempt(attempt).say(AttemptEvent::Ended(end));
    }

    pub(super) fn end_with(&self, attempt: usize, result: &'static str) {
        self.end(attempt, AttemptEnd::Outcome(Ok(Raw::from_static(result))));
    }

    pub(super) fn event(&self, attempt: usize, event: CallEvent) {
        self.script.attempt(attempt).say(AttemptEvent::Event(event));
    }

    pub(super) fn ended(&self, outcome: &str) -> f64 {
        let name = "ostler_dispatch_calls_ended_total";
        let value = self.env.metrics().value(name, &[("outcome", outcome)]);
        value.unwrap_or_default()
    }

    pub(super) fn started(&self) -> f64 {
        let name = "ostler_dispatch_calls_started_total";
        self.env.metrics().value(name, &[]).unwrap_or_default()
    }

    pub(super) fn refused(&self, reason: &str) -> f64 {
        let name = "ostler_dispatch_refused_total";
        let value = self.env.metrics().value(name, &[("reason", reason)]);
        value.unwrap_or_default()
    }

    /// started = ended + running, and room is taken by what runs only.
    pub(super) fn check_books(&self, running: usize) {
        let outcomes = ["ok", "tool_error", "failed", "cancelled", "detached"];
        let ended: f64 = outcomes.iter().map(|outcome| self.ended(outcome)).sum();
        assert_eq!(self.started(), ended + running as f64);
        assert_eq!(self.dispatcher.in_flight(), running);
        for gauge in ["ostler_dispatch_calls_running", "ostler_dispatch_admitted"] {
            let value = self.env.metrics().value(gauge, &[]);
            assert_eq!(value, Some(running as f64), "{gauge}");
        }
        let timed = "ostler_dispatch_call_seconds_count";
        let timed = self.env.metrics().value(timed, &[]).unwrap_or_default();
        assert_eq!(timed, ended);
    }
}

/// Whatever a test did: in the end everything is accounted for and nothing is left running.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_books(0);
            assert_eq!(self.env.tasks_alive(), 0);
        }
    }
}

/// The outcome, which must be next.
pub(super) async fn outcome(stream: &mut Stream) -> Outcome {
    match stream.next().await {
        CallEvent::Outcome(outcome) => outcome,
        other => panic!("{other:?} instead of an outcome"),
    }
}

/// A permit cannot be made up: this is all that `decide` gives.
#[allow(dead_code, reason = "it only has to compile")]
fn a_permit_comes_from_decide(caller: &Caller, server: &ServerId) -> Option<Permit> {
    decide(caller, server, Operation::Look, NO_SCOPES).ok()
}
