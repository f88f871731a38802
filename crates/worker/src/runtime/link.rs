//! The link to one node: dial, greet, read frames, and begin again when it breaks.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::poll;
use ostler_protocol::call::Failure;
use ostler_rpc::{
    FRAME_BYTES_MAX, PROTOCOL_MAX, PROTOCOL_MIN,
    convert::{self, BadFrame, Reader},
    frame::Frame as _,
    transfer::{Assembler, AssemblerLimits, BadPart},
    worker_v1::{
        self as wire, RefusedReason, ToWorker, from_worker::Frame, to_worker::Frame as Inbound,
        workers_client::WorkersClient,
    },
};
use ostler_types::{CallId, Instant, TraceContext};
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::{Code, Status, Streaming, transport::Channel};

use super::{
    call::{Call, Facts},
    calls::{Known, send_outcome},
    outbox::{Outbox, Outgoing},
    run::Run,
    watched::Watched,
    worker::{Phase, Shared, WorkerError},
};
use crate::ctx::{CallerAssertion, Ctx};

/// A node answers the `Hello` within this time.
const WELCOME_MAX: Duration = Duration::from_secs(10);
/// A node that says nothing for this many heartbeats is gone (two may be missed).
const HEARTBEATS_MAX: u32 = 3;
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Taken-in bytes are acknowledged in portions of this size.
const CONSUMED_BYTES: u64 = 64 << 10;
/// Nesting of JSON in answers; nodes check it before.
const JSON_DEPTH_MAX: usize = 128;

const ASSEMBLER: AssemblerLimits = AssemblerLimits {
    payload_bytes_max: 16 << 20,
    open_bytes_max: 64 << 20,
    open_len_max: 100_000,
};

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkEnd {
    #[error("cannot reach the node: {0}")]
    Dial(String),
    #[error("the node refused the link: {0}")]
    Refused(Status),
    #[error("the link broke: {0}")]
    Broken(Status),
    #[error("the node ended the link")]
    Closed,
    #[error("the node fell silent")]
    Silent,
    #[error("the node breaks the protocol: {0}")]
    Part(#[from] BadPart),
    #[error("the node breaks the protocol: {0}")]
    Frame(#[from] BadFrame),
    #[error("the node breaks the protocol: {0}")]
    Protocol(&'static str),
}

/// Keeps one node linked until the worker ends. An error only for a node that refuses this
/// worker's credential from the start: nothing but a person can help then.
pub(crate) async fn run(shared: Arc<Shared>, hub: String) -> Result<(), WorkerError> {
    let mut welcomed = false;
    let mut retries = 0;
    while shared.phase() != Phase::Closing {
        let end = match greet(&shared, &hub).await {
            Ok((link, frames)) => {
                (welcomed, retries) = (true, 0);
                link.serve(frames).await
            }
            Err(end) => end,
        };
        match end {
            _ if shared.phase() == Phase::Closing => break,
            LinkEnd::Refused(status) if !welcomed && is_final(&status) => {
                let why = status.message().to_owned();
                return Err(WorkerError::Refused { hub, why });
            }
            end => tracing::warn!(%hub, why = %end, "link lost"),
        }
        shared.pause(retry_delay(&shared, retries)).await;
        retries += 1;
    }
    Ok(())
}

fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument
    )
}

/// Exponential, with jitter, so that the workers of a lost node do not all come at once.
fn retry_delay(shared: &Shared, retries: u32) -> Duration {
    let full = RETRY_MAX.min(RETRY_MIN * 2_u32.saturating_pow(retries.min(16)));
    let share = (shared.env.random_u64() % 1000) as u32;
    full / 2 + full / 2 * share / 1000
}

async fn greet(shared: &Arc<Shared>, hub: &str) -> Result<(Link, Streaming<ToWorker>), LinkEnd> {
    let channel = shared.dial(hub).await.map_err(LinkEnd::Dial)?;
    let Known {
        calls,
        truncated,
        adrift,
    } = shared.calls.known();
    // Looked at before the catalogs are, so that no change falls in between.
    let changes: Vec<_> = shared.offers.iter().map(|o| o.server.changes()).collect();
    let outbox = Outbox::new();
    outbox.hello(|writer| Frame::Hello(shared.hello(writer, calls, truncated)));
    let attached = attach(shared, channel, outbox.clone());
    let welcome = shared.env.now() + WELCOME_MAX;
    let attached = shared.env.until(welcome, attached).await;
    let (welcome, frames) = attached.ok_or(LinkEnd::Silent)??;
    if !(PROTOCOL_MIN..=PROTOCOL_MAX).contains(&welcome.protocol) {
        return Err(LinkEnd::Protocol("no common version"));
    }
    for refusal in &welcome.refusals {
        warn_refusal(hub, refusal);
    }
    outbox.welcomed(welcome.byte_credit);
    shared.calls.attach(&outbox, &adrift);
    shared.linked(&outbox);
    tracing::info!(%hub, worker = %shared.id, "linked");
    let link = Link::new(shared.clone(), outbox, &welcome, changes);
    Ok((link, frames))
}

async fn attach(
    shared: &Shared,
    channel: Channel,
    outbox: Arc<Outbox>,
) -> Result<(wire::Welcome, Streaming<ToWorker>), LinkEnd> {
    let mut client = WorkersClient::new(channel)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let mut request = tonic::Request::new(Outgoing(outbox));
    if let Some(token) = &shared.bearer {
        request
            .metadata_mut()
            .insert("authorization", token.clone());
    }
    let response = client.attach(request).await.map_err(LinkEnd::Refused)?;
    let mut frames = response.into_inner();
    let first = frames.message().await.map_err(LinkEnd::Refused)?;
    match first.ok_or(LinkEnd::Closed)?.frame {
        Some(Inbound::Welcome(welcome)) => Ok((welcome, frames)),
        _ => Err(LinkEnd::Protocol("the first frame is no welcome")),
    }
}

fn warn_refusal(hub: &str, refusal: &wire::EntryRefusal) {
    let wire::EntryRefusal {
        kind, name, reason, ..
    } = refusal;
    tracing::warn!(%hub, kind, name, reason, "the node did not take an entry");
}

/// One link, from its `Welcome` on.
struct Link {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    silence_max: Duration,
    /// When the node was last heard: nanoseconds of an `Instant`.
    heard: AtomicU64,
    assembler: Mutex<Assembler>,
    /// Bytes taken in and not acknowledged yet.
    consumed: AtomicU64,
    /// One per Server, in the order of the `Hello`.
    watched: Vec<Arc<Watched>>,
    changes: Vec<watch::Receiver<u64>>,
}

impl Link {
    fn new(
        shared: Arc<Shared>,
        outbox: Arc<Outbox>,
        welcome: &wire::Welcome,
        changes: Vec<watch::Receiver<u64>>,
    ) -> Self {
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.into()).max(HEARTBEAT_MIN);
        let watched = shared.offers.iter().zip(0..).map(|(offer, index)| {
            let watched = Arc::new(Watched::new(outbox.clone(), index));
            offer.server.attach(&watched);
            watched
        });
        let watched = watched.collect();
        Self {
            heard: AtomicU64::new(shared.env.now().0),
            shared,
            outbox,
            silence_max: heartbeat * HEARTBEATS_MAX,
            assembler: Mutex::new(Assembler::new(ASSEMBLER)),
            consumed: AtomicU64::new(0),
            watched,
            changes,
        }
    }

    async fn serve(self, frames: Streaming<ToWorker>) -> LinkEnd {
        // Dropping this link, however it happens, leaves its calls adrift.
        let _lost = Lost(&self);
        // Each in a loop of its own: a frame does not pay for the timers of the others.
        tokio::select! {
            end = self.read(frames) => end,
            () = self.watch_silence() => LinkEnd::Silent,
            never = self.tell_changes() => never,
        }
    }

    async fn read(&self, mut frames: Streaming<ToWorker>) -> LinkEnd {
        loop {
            let frame = match frames.message().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return LinkEnd::Closed,
                Err(status) => return LinkEnd::Broken(status),
            };
            self.heard.store(self.shared.env.now().0, Relaxed);
            let cost = frame.cost() as u64;
            if let Err(end) = self.handle(frame).await {
                return end;
            }
            self.acknowledge(cost);
        }
    }

    /// Heartbeats go both ways: the node pings, so its silence means that it is gone.
    async fn watch_silence(&self) {
        loop {
            let at = Instant(self.heard.load(Relaxed)) + self.silence_max;
            if at <= self.shared.env.now() {
                return;
            }
            self.shared.env.sleep_until(at).await;
            self.shared.calls.sweep();
        }
    }

    async fn tell_changes(&self) -> LinkEnd {
        let offers = self.shared.offers.iter().zip(0..).zip(&self.changes);
        let tellers = offers.map(|((offer, index), changes)| async move {
            let mut changes = changes.clone();
            while changes.changed().await.is_ok() {
                let catalog = offer.server.catalog();
                self.outbox.send(|writer| {
                    Frame::CatalogChanged(wire::CatalogChanged {
                        server: index,
                        catalog: writer.bytes(catalog),
                    })
                });
            }
        });
        futures_util::future::join_all(tellers).await;
        // All Servers are gone, but they live as long as `shared`.
        std::future::pending().await
    }

    fn acknowledge(&self, cost: u64) {
        let bytes = self.consumed.load(Relaxed) + cost;
        let due = bytes >= CONSUMED_BYTES;
        self.consumed.store(if due { 0 } else { bytes }, Relaxed);
        if !due {
            return;
        }
        let consumed = wire::Consumed { bytes };
        self.outbox.control(Frame::Consumed(consumed));
    }

    async fn handle(&self, frame: ToWorker) -> Result<(), LinkEnd> {
        let calls = &self.shared.calls;
        let outbox = &self.outbox;
        match frame.frame {
            Some(Inbound::Call(call)) => self.call(call).await?,
            Some(Inbound::Part(part)) => self.assembler.lock().add(&part)?,
            Some(Inbound::Grant(grant)) => outbox.grant(grant.bytes),
            Some(Inbound::Ping(ping)) => {
                let nonce = ping.nonce;
                outbox.control(Frame::Pong(wire::Pong { nonce }));
            }
            Some(Inbound::Keep(keep)) => calls.keep(outbox, convert::call_id(keep.call)?),
            Some(Inbound::Answers(answers)) => self.answers(answers)?,
            Some(Inbound::Cancel(cancel)) => calls.cancel(outbox, convert::call_id(cancel.call)?),
            Some(Inbound::Recorded(recorded)) => {
                calls.recorded(recorded.calls.into_iter().map(CallId::from));
            }
            Some(Inbound::Forget(forget)) => {
                calls.forget(convert::call_id(forget.call)?, forget.attempt);
            }
            Some(Inbound::Watch(watch)) => {
                if let Some(watched) = self.watched.get(watch.server as usize) {
                    watched.watch(watch.uri);
                }
            }
            Some(Inbound::Unwatch(watch)) => {
                if let Some(watched) = self.watched.get(watch.server as usize) {
                    watched.unwatch(&watch.uri);
                }
            }
            Some(Inbound::Drain(wire::Drain {})) => tracing::info!("the node drains"),
            Some(Inbound::CatalogTaken(taken)) => {
                for refusal in &taken.refusals {
                    warn_refusal("", refusal);
                }
            }
            Some(Inbound::Welcome(_)) => return Err(LinkEnd::Protocol("a second welcome")),
            // A frame of a newer version: nothing this worker knows depends on it.
            None => {}
        }
        Ok(())
    }

    fn answers(&self, answers: wire::Answers) -> Result<(), LinkEnd> {
        let id = convert::call_id(answers.call)?;
        let mut assembler = self.assembler.lock();
        let read = Reader::new(&mut assembler, JSON_DEPTH_MAX).answers(answers.answers);
        match read {
            Ok(answers) => self.shared.calls.answers(&self.outbox, id, answers),
            Err(bad) if bad.ends_link() => return Err(bad.into()),
            // The platform's time limit ends the question.
            Err(bad) => tracing::warn!(call = %id, why = %bad, "answers not understood"),
        }
        Ok(())
    }

    /// Begins a call: polls its handler once, and makes a task of what is left.
    async fn call(&self, call: wire::Call) -> Result<(), LinkEnd> {
        let id = convert::call_id(call.call)?;
        let attempt = call.attempt;
        let begun = match self.begin(id, call) {
            Ok(begun) => begun,
            Err(NotBegun::Refused(reason)) => {
                self.refuse(id, attempt, reason);
                return Ok(());
            }
            Err(NotBegun::Bad(bad)) if bad.ends_link() => return Err(bad.into()),
            Err(NotBegun::Bad(bad)) => {
                let failure = Failure::InvalidParams(bad.to_string());
                send_outcome(&self.outbox, id, attempt, &Err(failure));
                return Ok(());
            }
        };
        let mut run = begun;
        if poll!(pin!(&mut run)).is_pending() {
            // It ends when its handler does, or when it is stopped; `Calls` owns it.
            drop(self.shared.env.spawn("worker call", run));
        }
        Ok(())
    }

    fn begin(&self, id: CallId, call: wire::Call) -> Result<Run, NotBegun> {
        let mut assembler = self.assembler.lock();
        let mut reader = Reader::new(&mut assembler, JSON_DEPTH_MAX);
        // Every payload is taken out first: its transfer must end, whatever comes next.
        let arguments = reader.bytes("arguments", call.arguments);
        let answers = reader.answers(call.answers);
        let (arguments, answers) = (arguments?, answers?);
        let kind = convert::call_kind(call.kind)?;
        let offer = self.shared.offers.get(call.server as usize);
        let server = &offer.ok_or(RefusedReason::UnknownTarget)?.server;
        let found = server.find(kind, &call.target);
        let found = found.ok_or(RefusedReason::UnknownTarget)?;
        let deadline = (call.time_left_ms > 0)
            .then(|| self.shared.env.now() + Duration::from_millis(call.time_left_ms));
        let facts = Facts {
            target: call.target,
            client: convert::facet(&call.client.unwrap_or_default()),
            caller: caller(call.caller.unwrap_or_default()),
            trace: trace(call.traceparent, call.tracestate),
            deadline,
            wants_progress: call.wants_progress,
        };
        let (env, outbox) = (self.shared.env.clone(), self.outbox.clone());
        let call = Arc::new(Call::new(id, call.attempt, facts, env, outbox, answers));
        self.shared.calls.begin(&call)?;
        let ctx = Ctx {
            call: call.clone(),
            server: server.clone(),
        };
        let handler = (found.run)(ctx, found.arguments.unwrap_or(arguments));
        Ok(Run::new(call, self.shared.calls.clone(), handler))
    }

    fn refuse(&self, id: CallId, attempt: u32, reason: RefusedReason) {
        self.outbox.send(|_| {
            Frame::Refused(wire::Refused {
                call: Some(id.into()),
                attempt,
                reason: reason.into(),
            })
        });
    }
}

struct Lost<'a>(&'a Link);

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        self.0.shared.calls.lost(&self.0.outbox);
        self.0.outbox.abandon();
    }
}

/// Why a call does not run here.
enum NotBegun {
    Refused(RefusedReason),
    Bad(BadFrame),
}

impl From<RefusedReason> for NotBegun {
    fn from(reason: RefusedReason) -> Self {
        NotBegun::Refused(reason)
    }
}

impl From<BadFrame> for NotBegun {
    fn from(bad: BadFrame) -> Self {
        NotBegun::Bad(bad)
    }
}

fn caller(caller: wire::CallerAssertion) -> CallerAssertion {
    CallerAssertion {
        tenant: caller.tenant,
        issuer: caller.issuer,
        subject: caller.subject,
        client: caller.client,
        scopes: caller.scopes,
    }
}

fn trace(traceparent: String, tracestate: String) -> Option<TraceContext> {
    (!traceparent.is_empty()).then(|| TraceContext {
        traceparent: traceparent.into(),
        tracestate: tracestate.into(),
    })
}
