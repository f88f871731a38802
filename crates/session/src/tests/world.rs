//! One node's sessions, and a client that uses them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use ostler_auth::KeyRing;
use ostler_catalog::{Catalogs, Declarations, Offer, OfferedEntry};
use ostler_dispatch::{CallControl, CallStream, Dispatcher, NewCall, Refusal};
use ostler_env::Env;
use ostler_protocol::{
    RequestId, Revision,
    call::{CallEvent, Outcome, Progress, Question, QuestionKind},
    facet::ClientFacet,
    inbound::Initialize,
    json::Raw,
};
use ostler_store::{
    Key, KeyPrefix, Store, Table,
    faults::{self, Faults},
};
use ostler_types::{
    CallKind, Caller, Identity, Instant, Limits, Principal, ServerId, ServerName, TenantId,
    WorkerId,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    script::{Script, ScriptedAttempt},
    tasks::ScriptedTasks,
};
use crate::{
    Config, Frame, HeldSession, NewRequest, Reader, RunningCall, SessionError, Sessions,
    StreamReader, Ticket,
    resources::{Resources, Updates},
    sessions::Outside,
};

pub(super) struct World {
    pub env: Env,
    pub store: Store,
    pub faults: Faults,
    pub script: Script,
    pub catalogs: Catalogs,
    pub resources: Arc<ScriptedResources>,
    pub tasks: Arc<ScriptedTasks>,
    pub sessions: Sessions<Script>,
    keys: Arc<KeyRing>,
    config: Config,
}

/// Tells every watch when a test says so.
#[derive(Default)]
pub(super) struct ScriptedResources {
    watched: Mutex<Vec<String>>,
    refuses: AtomicBool,
    changed: Arc<Notify>,
}

impl ScriptedResources {
    /// All watches are told of a change.
    pub fn change(&self) {
        self.changed.notify_waiters();
    }

    /// From now on nobody may watch anything, or everybody everything.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Release);
    }

    /// Everything that was ever watched.
    pub fn watched(&self) -> Vec<String> {
        self.watched.lock().clone()
    }
}

impl Resources for ScriptedResources {
    fn watch(&self, _caller: &Caller, _server: &ServerId, uri: &str) -> Result<Updates, Refusal> {
        if self.refuses.load(Ordering::Acquire) {
            let scopes = Vec::new();
            return Err(Refusal::Forbidden { scopes });
        }
        self.watched.lock().push(uri.to_owned());
        let updates = stream::unfold(self.changed.clone(), |changed| async move {
            changed.notified().await;
            Some(((), changed))
        });
        let updates: std::pin::Pin<Box<dyn Stream<Item = ()> + Send>> = Box::pin(updates);
        Ok(updates)
    }
}

pub(super) fn server() -> ServerId {
    server_named("tools")
}

pub(super) fn server_named(name: &str) -> ServerId {
    ServerId {
        tenant: TenantId::parse("acme").unwrap(),
        name: ServerName::parse(name).unwrap(),
    }
}

pub(super) fn caller(tenant: &str, subject: &str, client: &str) -> Caller {
    let principal = Principal {
        issuer: "key".into(),
        subject: subject.into(),
        client: client.into(),
    };
    let identity = Identity {
        tenant: TenantId::parse(tenant).unwrap(),
        principal,
        scopes: Arc::default(),
        valid_until: None,
        credential: "c".into(),
    };
    Caller {
        identity: Arc::new(identity),
        session: None,
        trace: None,
        deadline: Instant(u64::MAX),
    }
}

pub(super) fn ann() -> Caller {
    caller("acme", "ann", "c1")
}

pub(super) fn initialize() -> Initialize {
    let capabilities = Raw::from_static(r#"{"elicitation":{}}"#);
    let negotiated = Revision::V2025_11_25;
    Initialize {
        id: RequestId::number(0),
        requested: negotiated.as_str().into(),
        negotiated,
        facet: ClientFacet::from_capabilities(&capabilities, negotiated).unwrap(),
        capabilities,
        client_info: Raw::from_static(r#"{"name":"t","version":"1"}"#),
        session: None,
    }
}

pub(super) fn offer(tools: &[&str]) -> Offer {
    let tool = |name: &&str| OfferedEntry {
        definition: Raw::from_value(&serde_json::json!({
            "name": name, "inputSchema": { "type": "object" },
        })),
        declarations: Declarations::default(),
    };
    Offer {
        server_info: Raw::from_static(r#"{"name":"calc","version":"1"}"#),
        instructions: None,
        tools: tools.iter().map(tool).collect(),
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        skills: Vec::new(),
        completions: false,
        logging: true,
        resource_watch: true,
    }
}

impl World {
    pub fn new() -> World {
        World::with(Config::default())
    }

    pub fn with(config: Config) -> World {
        let env = Env::seeded(7);
        let (store, faults) = faults::memory(&env);
        let catalogs = Catalogs::new(&env);
        catalogs.register(&server(), &worker(), offer(&["echo"]));
        let (script, keys) = (Script::default(), Arc::new(KeyRing::ephemeral(&env)));
        let resources = Arc::new(ScriptedResources::default());
        let tasks = Arc::new(ScriptedTasks::default());
        let outside = Outside {
            resources: resources.clone(),
            tasks: tasks.clone(),
        };
        let dispatcher = dispatcher(&env, &script, &catalogs);
        let sessions = Sessions::over(
            &env,
            store.clone(),
            dispatcher,
            outside,
            keys.clone(),
            config.clone(),
        );
        World {
            env,
            store,
            faults,
            script,
            catalogs,
            resources,
            tasks,
            sessions,
            keys,
            config,
        }
    }

    /// The node goes down, all of it but its store and its workers, and comes up again.
    pub async fn restart(&mut self) {
        self.sessions.close().await;
        let outside = Outside {
            resources: self.resources.clone(),
            tasks: self.tasks.clone(),
        };
        self.sessions = Sessions::over(
            &self.env,
            self.store.clone(),
            dispatcher(&self.env, &self.script, &self.catalogs),
            outside,
            self.keys.clone(),
            self.config.clone(),
        );
    }

    pub async fn try_open(&self) -> Result<String, SessionError> {
        self.sessions.create(&ann(), &server(), &initialize()).await
    }

    /// A session whose client said `initialized`.
    pub async fn open(&self) -> String {
        let id = self.try_open().await.expect("opened");
        let held = self.hold(&id).await;
        held.initialized().await.expect("initialized");
        id
    }

    pub async fn hold(&self, id: &str) -> HeldSession<Script> {
        self.sessions
            .hold(&ann(), &server(), id)
            .await
            .expect("held")
    }

    pub async fn hold_error(&self, caller: &Caller, server: &ServerId, id: &str) -> SessionError {
        let held = self.sessions.hold(caller, server, id).await;
        held.map(|_| ()).expect_err("refused")
    }

    /// Books a request and starts its call.
    pub fn start(&self, held: &HeldSession<Script>, request: u64) -> (Ticket, CallStream<Script>) {
        let control = CallControl::new();
        let ticket = held.begin(NewRequest {
            id: RequestId::number(request),
            kind: CallKind::Tool,
            target: "echo".into(),
            progress_token: Some(Raw::from_static("1")),
            control: control.clone(),
            task: None,
        });
        (ticket.expect("booked"), self.call(held, control))
    }

    fn call(&self, held: &HeldSession<Script>, control: CallControl) -> CallStream<Script> {
        let dispatcher = dispatcher(&self.env, &self.script, &self.catalogs);
        let admitted = dispatcher.admit(&ann(), &server(), CallKind::Tool, "echo");
        let call = NewCall {
            id: dispatcher.mint_call_id(held.shard()),
            arguments: Raw::empty_object(),
            facet: held.facts().facet,
            wants_progress: true,
            answers: Vec::new(),
        };
        dispatcher.start(&ann(), admitted.expect("admitted"), call, control)
    }

    /// A call that has a stream, with its worker's end; its worker has not said `Kept` yet.
    pub fn adopt(
        &self,
        held: &HeldSession<Script>,
        request: u64,
    ) -> (StreamReader, ScriptedAttempt) {
        let (ticket, call) = self.start(held, request);
        let attempt = self.find_attempt(&call);
        let reader = adopt(held, ticket, call, Vec::new(), Reader::Attached);
        (reader.expect("adopted"), attempt)
    }

    /// The same, kept and with its priming event read; its id comes along.
    pub async fn adopt_kept(
        &self,
        held: &HeldSession<Script>,
        request: u64,
    ) -> (StreamReader, ScriptedAttempt, String) {
        let (mut reader, attempt) = self.adopt(held, request);
        attempt.say(CallEvent::Kept);
        let frame = next(&mut reader).await;
        assert_eq!(shown(&frame), "priming");
        (
            reader,
            attempt,
            frame.id.expect("a priming event has an id"),
        )
    }

    fn find_attempt(&self, call: &CallStream<Script>) -> ScriptedAttempt {
        let attempts = (1..).map(|number| self.script.attempt(number));
        let mut found = attempts.filter(|attempt| attempt.call() == call.id());
        found.next().expect("the call has an attempt")
    }

    /// Rows in a table.
    pub async fn rows(&self, table: Table) -> Vec<Key> {
        let rows = self.store.scan(&KeyPrefix::table(table), None, 4_096).await;
        rows.expect("scanned")
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    }

    pub async fn pass(&self, span: Duration) {
        self.env.sleep(span).await;
    }

    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.env.metrics().value(name, labels).unwrap_or(0.0)
    }
}

/// One call on a stream of its own.
pub(super) fn adopt(
    held: &HeldSession<Script>,
    ticket: Ticket,
    call: CallStream<Script>,
    backlog: Vec<CallEvent>,
    reader: Reader,
) -> Option<StreamReader> {
    let running = RunningCall {
        ticket,
        call,
        backlog,
    };
    let adopted = held.adopt(vec![running], Vec::new(), reader);
    adopted.expect("there is room")
}

fn dispatcher(env: &Env, script: &Script, catalogs: &Catalogs) -> Dispatcher<Script> {
    Dispatcher::new(env, script.clone(), catalogs.clone(), &Limits::default())
}

pub(super) fn worker() -> WorkerId {
    WorkerId::parse("w-1").unwrap()
}

/// The next frame; a test that waits for one in vain fails in driven time.
pub(super) async fn next(reader: &mut StreamReader) -> Frame {
    let frame = tokio::time::timeout(Duration::from_secs(3_600), reader.next()).await;
    frame.expect("a frame in time").expect("the stream goes on")
}

/// All frames to the end of the stream.
pub(super) async fn rest(reader: StreamReader) -> Vec<Frame> {
    let frames = tokio::time::timeout(Duration::from_secs(3_600), reader.collect::<Vec<_>>());
    frames.await.expect("the stream ends in time")
}

/// Nothing comes for a while, but the stream stays open.
pub(super) async fn silent(reader: &mut StreamReader) {
    let frame = tokio::time::timeout(Duration::from_millis(50), reader.next()).await;
    assert!(frame.is_err(), "{frame:?}");
}

/// What a frame is: `priming`, `retry`, a method, or the text of a result or error code.
pub(super) fn shown(frame: &Frame) -> String {
    if frame.data.is_empty() {
        let kind = if frame.id.is_some() {
            "priming"
        } else {
            "retry"
        };
        return kind.into();
    }
    let message = Raw::parse(frame.data.clone(), 64).expect("a message is good JSON");
    let text = |raw: Raw| raw.text().map(|text| text.into_owned());
    let method = message.get("method").and_then(text);
    let error = message.get("error").and_then(|error| error.get("code"));
    let content = message
        .get("result")
        .and_then(|result| result.get("content"));
    let content = content.and_then(|content| content.elements().next()?.get("text"));
    method
        .or_else(|| error.map(|code| format!("error {code}")))
        .or_else(|| content.and_then(text))
        .expect("a request, a notification, an error or a text result")
}

pub(super) fn all_shown(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(shown).collect()
}

/// Whether an error says so of its call.
pub(super) fn may_have_run(frame: &Frame) -> bool {
    let message = String::from_utf8_lossy(&frame.data);
    message.contains(r#""executed":"unknown""#)
}

pub(super) fn text(text: &str) -> Outcome {
    let content = serde_json::json!({ "content": [{ "type": "text", "text": text }] });
    Ok(Raw::from_value(&content))
}

pub(super) fn progress(progress: f64) -> CallEvent {
    CallEvent::Progress(Progress {
        progress,
        total: None,
        message: None,
    })
}

pub(super) fn ask(key: &str) -> CallEvent {
    CallEvent::Ask(vec![Question {
        key: key.into(),
        kind: QuestionKind::ElicitForm,
        params: Raw::from_static(
            r#"{"message":"?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}}}"#,
        ),
    }])
}

/// The id of a request of ours.
pub(super) fn request_id(frame: &Frame) -> RequestId {
    let message = Raw::parse(frame.data.clone(), 64).expect("a message is good JSON");
    let id = message.get("id").expect("a request has an id");
    RequestId::from_raw(&id, 1_024).expect("an id")
}

pub(super) const ACCEPT: &str = r#"{"action":"accept","content":{"name":"Ann"}}"#;

pub(super) fn accept() -> Result<Raw, ostler_protocol::inbound::ClientError> {
    Ok(Raw::from_static(ACCEPT))
}
