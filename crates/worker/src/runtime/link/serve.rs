//! A link that stands: frames in, calls begun, changes told.

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
    convert::{self, BadFrame, Reader},
    frame::Frame as _,
    transfer::{Assembler, AssemblerLimits},
    worker_v1::{
        self as wire, RefusedReason, ToWorker, from_worker::Frame, to_worker::Frame as Inbound,
    },
};
use ostler_types::{CallId, Instant, TraceContext};
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::Streaming;

use super::{LinkEnd, warn_refusal};
use crate::{
    ctx::{CallerAssertion, Ctx},
    runtime::{
        call::{Call, Facts},
        calls::send_outcome,
        outbox::{Lifeline, Outbox},
        run::Run,
        shared::Shared,
        watched::Watched,
    },
};

/// A node that says nothing for this many heartbeats is gone (two may be missed).
const HEARTBEATS_MAX: u32 = 3;
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
/// Taken-in bytes are acknowledged in portions of this size.
const CONSUMED_BYTES: u64 = 64 << 10;
/// Nesting of JSON in answers; nodes check it before.
const JSON_DEPTH_MAX: usize = 128;
/// Between two catalogs of a Server that keeps changing while the link is busy.
const CHANGE_PAUSE: Duration = Duration::from_millis(100);

const ASSEMBLER: AssemblerLimits = AssemblerLimits {
    payload_bytes_max: 16 << 20,
    open_bytes_max: 64 << 20,
    open_len_max: 100_000,
};

/// One link, from its `Welcome` on.
pub(super) struct Link {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    /// Dropped after `Drop` has set the calls adrift.
    _lifeline: Lifeline,
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
    pub fn new(
        shared: Arc<Shared>,
        lifeline: Lifeline,
        welcome: &wire::Welcome,
        changes: Vec<watch::Receiver<u64>>,
    ) -> Self {
        let outbox = lifeline.0.clone();
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.into()).max(HEARTBEAT_MIN);
        let watched = shared.offers.iter().zip(0..).map(|(offer, index)| {
            let watched = Arc::new(Watched::new(outbox.clone(), index, offer.server.watches()));
            offer.server.attach(&watched);
            watched
        });
        let watched = watched.collect();
        Self {
            heard: AtomicU64::new(shared.env.now().0),
            shared,
            outbox,
            _lifeline: lifeline,
            silence_max: heartbeat * HEARTBEATS_MAX,
            assembler: Mutex::new(Assembler::new(ASSEMBLER)),
            consumed: AtomicU64::new(0),
            watched,
            changes,
        }
    }

    pub async fn serve(self, frames: Streaming<ToWorker>) -> LinkEnd {
        // Each in a loop of its own: a frame does not pay for the timers of the others.
        tokio::select! {
            // None of them is ever ready for long, and a seeded run is the same each time.
            biased;
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
                while self.outbox.is_busy() {
                    self.shared.env.sleep(CHANGE_PAUSE).await;
                }
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
        if outbox.is_stuck(self.shared.capacity) {
            return Err(LinkEnd::Protocol("it takes no answers"));
        }
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
            kind,
            target: call.target,
            client: convert::facet(&call.client.unwrap_or_default()),
            caller: caller(call.caller.unwrap_or_default()),
            trace: trace(call.traceparent, call.tracestate),
            deadline,
            wants_progress: call.wants_progress,
        };
        let (env, outbox) = (self.shared.env.clone(), self.outbox.clone());
        let call = Arc::new(Call::new(id, call.attempt, facts, env, outbox, answers));
        self.shared.calls.begin(&call, &self.outbox)?;
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

/// However a link ends, it leaves its calls adrift.
impl Drop for Link {
    fn drop(&mut self) {
        self.shared.calls.lost(&self.outbox);
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
        session: caller.session,
    }
}

fn trace(traceparent: String, tracestate: String) -> Option<TraceContext> {
    (!traceparent.is_empty()).then(|| TraceContext {
        traceparent: traceparent.into(),
        tracestate: tracestate.into(),
    })
}
