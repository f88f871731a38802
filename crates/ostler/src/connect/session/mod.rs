//! The session that a legacy host believes in. Where the remote has lost it, another one takes its
//! place: the host's own messages are said again, and the host hears nothing of it ([SES-2]).

mod mark;
mod memory;
mod open;
pub mod keeper;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use ostler_client::{Error, EventStream, Http, Reply, Verb, ping};
use ostler_env::Env;
use ostler_protocol::{Raw, Revision};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use self::{keeper::Command, mark::Mark, memory::Memory};
use super::message::Message;

pub use self::open::{nowhere, open};

/// Commands come one for each session.
const COMMANDS_MAX: usize = 4;
/// To a session that the host itself replaced.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// A session at the remote, and where its messages go.
#[derive(Clone)]
pub struct Session {
    pub number: u64,
    http: Http,
    /// Some servers give none.
    id: Option<String>,
    /// As the remote named it; not known before `initialize`.
    revision: Option<String>,
    /// Over HTTP+SSE all answers come on the one stream of the session ([A-1]).
    pub is_pair: bool,
    mark: Mark,
}

#[derive(Clone)]
enum Phase {
    /// No `initialize` was said yet, or none was taken.
    Bare,
    /// The first one has no answer yet.
    Opening,
    Open(Arc<Session>),
    /// The remote has lost it; another one is being opened.
    Anew,
    Lost(Error),
}

pub struct Sessions {
    phase: watch::Sender<Phase>,
    commands: mpsc::Sender<Command>,
    memory: Mutex<Memory>,
    numbers: AtomicU64,
}

impl Session {
    /// What is sent before there is one.
    pub fn bare(http: &Http) -> Session {
        Session {
            number: 0,
            http: http.clone(),
            id: None,
            revision: None,
            is_pair: false,
            mark: Mark::default(),
        }
    }

    /// Sends a message. Anything but success is an error.
    pub async fn post(&self, message: &Raw) -> Result<Reply, Error> {
        let reply = self.send_post(message.bytes().clone()).await?;
        match reply.status() {
            200..=299 => Ok(reply),
            404 if self.id.is_some() || self.is_pair => Err(Error::SessionGone),
            _ => Err(Box::pin(self.refusal(reply)).await),
        }
    }

    async fn send_post(&self, body: Bytes) -> Result<Reply, Error> {
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        self.send(Verb::Post, &headers, body).await
    }

    /// A server that does not know the session may say so in other words than 404.
    async fn refusal(&self, reply: Reply) -> Error {
        match self.id {
            Some(_) => {
                let ping = self.send_post(ping(self.http.env()));
                reply.refusal_or_gone(ping).await
            }
            None => reply.refusal().await,
        }
    }

    /// The stream for what belongs to no request, or what is left of one that broke off.
    pub async fn get(&self, last_event_id: Option<&str>) -> Result<EventStream, Error> {
        let accept = ("accept", "text/event-stream".to_owned());
        let last = last_event_id.map(|id| ("last-event-id", id.to_owned()));
        let headers: Vec<_> = [accept].into_iter().chain(last).collect();
        let reply = self.send(Verb::Get, &headers, Bytes::new()).await?;
        match reply.status() {
            200 if reply.is_stream() => Ok(reply.events()),
            404 if self.id.is_some() => Err(Error::SessionGone),
            405 => Err(Error::NotOffered("a stream of its own (GET)")),
            _ => Err(Box::pin(self.refusal(reply)).await),
        }
    }

    async fn send(
        &self,
        verb: Verb,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<Reply, Error> {
        let session = self.id.iter().map(|id| ("mcp-session-id", id.clone()));
        let has_header = |date: &&String| {
            Revision::parse(date).is_none_or(|revision| revision.has_version_header())
        };
        let revision = self.revision.iter().filter(has_header);
        let revision = revision.map(|date| ("mcp-protocol-version", date.clone()));
        let headers = headers.iter().cloned().chain(session).chain(revision);
        let headers: Vec<_> = headers.collect();
        self.http.send(verb, &headers, body).await
    }

    /// A message of this session as the host gets it.
    pub fn shown(&self, message: Message) -> Message {
        self.mark.shown(message)
    }

    /// An answer of the host as this session gets it; none if it answers another one.
    pub fn restored(&self, answer: &Message) -> Option<Raw> {
        self.mark.restored(answer)
    }

    /// A server that does not hear it forgets the session in time.
    async fn end(&self, env: &Env, span: Duration) {
        if self.id.is_some() {
            let said = self.send(Verb::Delete, &[], Bytes::new());
            // Whether it was heard changes nothing for us.
            let _ = env.until(env.now() + span, said).await;
        }
    }
}

impl Phase {
    fn is_settled(&self) -> bool {
        match self {
            Phase::Bare | Phase::Open(_) | Phase::Lost(_) => true,
            Phase::Opening | Phase::Anew => false,
        }
    }
}

impl Sessions {
    pub fn new() -> (Sessions, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let sessions = Sessions {
            phase: watch::channel(Phase::Bare).0,
            commands,
            memory: Mutex::default(),
            numbers: AtomicU64::new(1),
        };
        (sessions, inbox)
    }

    /// The session to send to, once there is one again; none before the first `initialize`.
    pub async fn current(&self) -> Result<Option<Arc<Session>>, Error> {
        // Lost => Anew: somebody needs it, so it is worth another attempt.
        self.open_anew(|phase| matches!(phase, Phase::Lost(_)))
            .await;
        let mut phases = self.phase.subscribe();
        let settled = phases.wait_for(Phase::is_settled).await;
        match settled.map(|phase| phase.clone()) {
            Ok(Phase::Open(session)) => Ok(Some(session)),
            Ok(Phase::Lost(error)) => Err(error),
            Ok(Phase::Bare | Phase::Opening | Phase::Anew) | Err(_) => Ok(None),
        }
    }

    /// The host said `initialize`: what it says before it has the answer waits.
    pub fn opening(&self) {
        // Bare => Opening
        self.turn(|phase| matches!(phase, Phase::Bare), Phase::Opening);
    }

    /// It was refused.
    pub fn unopened(&self) {
        // Opening => Bare
        self.turn(|phase| matches!(phase, Phase::Opening), Phase::Bare);
    }

    /// The remote does not know this session any more.
    // Cancel safe: see `open_anew`.
    pub async fn gone(&self, number: u64) {
        // Open => Anew, if nobody said so before.
        let is_it = |phase: &Phase| matches!(phase, Phase::Open(open) if open.number == number);
        self.open_anew(is_it).await;
    }

    // Cancel safe: there is room for the command before the phase turns, or nothing is done.
    async fn open_anew(&self, applies: impl Fn(&Phase) -> bool) {
        if !applies(&self.phase.borrow()) {
            return;
        }
        // The keeper works as long as we do.
        let Ok(place) = self.commands.reserve().await else {
            return;
        };
        if self.turn(applies, Phase::Anew) {
            place.send(Command::Anew);
        }
    }

    fn turn(&self, applies: impl FnOnce(&Phase) -> bool, next: Phase) -> bool {
        self.phase.send_if_modified(|phase| {
            let applies = applies(phase);
            if applies {
                *phase = next;
            }
            applies
        })
    }

    /// Waits until this session is not the one in use any more.
    pub async fn over(&self, number: u64) {
        let mut phases = self.phase.subscribe();
        let is_other = |phase: &Phase| !matches!(phase, Phase::Open(open) if open.number == number);
        // We hold the other end.
        let _ = phases.wait_for(is_other).await;
    }

    /// The host's `initialize` was answered.
    pub async fn opened(&self, env: &Env, initialize: &Raw, opened: open::Opened) {
        let session = Arc::new(opened.session);
        *self.memory.lock() = Memory::new(initialize.clone(), &opened.result, &session);
        let before = self.phase.send_replace(Phase::Open(session.clone()));
        if let Phase::Open(before) = before {
            before.end(env, GOODBYE_MAX).await;
        }
        let events = opened.events.map(Box::new);
        self.command(Command::Opened(session, events)).await;
    }

    /// The host said that it is ready: now the stream for what belongs to no request makes sense.
    pub async fn initialized(&self, message: &Raw) {
        self.memory.lock().initialized = Some(message.clone());
        self.command(Command::Initialized).await;
    }

    /// Keeps what a new session must be told too.
    pub fn note(&self, method: &str, message: &Message) {
        self.memory.lock().note(method, message);
    }

    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub async fn close(&self, env: &Env, span: Duration) {
        let phase = self.phase.borrow().clone();
        if let Phase::Open(session) = phase {
            session.end(env, span).await;
        }
    }

    async fn command(&self, command: Command) {
        // The keeper works as long as we do.
        let _ = self.commands.send(command).await;
    }

    fn open_now(&self) -> Option<Arc<Session>> {
        match &*self.phase.borrow() {
            Phase::Open(session) => Some(session.clone()),
            Phase::Bare | Phase::Opening | Phase::Anew | Phase::Lost(_) => None,
        }
    }
}
