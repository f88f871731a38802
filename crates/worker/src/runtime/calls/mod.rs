//! Every call of this worker, whichever link carries it.
//!
//! A call is running, held (its outcome waits to be recorded) or ended. What ended is
//! remembered for a while, so that a node does not run it a second time (design: calls
//! survive). A call whose link is lost is adrift until a new link names it.

mod state;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use ostler_env::Env;
use ostler_protocol::call::{Answer, Failure};
use ostler_rpc::{
    convert::Writer,
    worker_v1::{self as wire, KnownCallState, RefusedReason, from_worker::Frame},
};
use ostler_types::{CallId, Instant};
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::state::{EndedCall, Held, Live, State};
use super::{
    call::{Call, Stop},
    outbox::Outbox,
};

/// How a handler ended: a result object as JSON text, or why there is none.
pub(crate) type Ended = Result<Bytes, Failure>;

/// Calls that are not kept go on for this long without a link.
const PLAIN_GRACE: Duration = Duration::from_secs(1);
/// An outcome that nobody records is held this long.
const HOLD_MAX: Duration = Duration::from_secs(600);
/// Ended calls are named this long after their end; no node asks later.
const ENDED_MAX: Duration = Duration::from_secs(60);

/// How much this worker takes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub capacity: usize,
    /// Bytes of outcomes held, or waiting on one link; while there are more no call is taken.
    pub held_bytes_max: usize,
}

pub(crate) struct Calls {
    env: Env,
    bounds: Bounds,
    state: Mutex<State>,
    /// Told when a link is lost.
    lost: Notify,
    /// Told when a call or an outcome goes away while draining.
    fewer: Notify,
}

/// What a `Hello` says about the calls of earlier links.
pub(crate) struct Known {
    pub calls: wire::KnownCalls,
    pub truncated: bool,
    /// Those among them that the new link will carry, with their attempts.
    pub adrift: Vec<(CallId, u32)>,
}

impl Calls {
    pub fn new(env: Env, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            env,
            bounds,
            state: Mutex::default(),
            lost: Notify::new(),
            fewer: Notify::new(),
        })
    }

    // ---- the life of a call ------------------------------------------------------------

    /// Makes room for a call, or says why there is none.
    pub fn begin(&self, call: &Arc<Call>, outbox: &Outbox) -> Result<(), RefusedReason> {
        let waiting_bytes = outbox.waiting_bytes();
        let mut state = self.state.lock();
        if state.draining {
            return Err(RefusedReason::Draining);
        }
        let held_bytes = state.held_bytes.max(waiting_bytes);
        if state.running >= self.bounds.capacity || held_bytes >= self.bounds.held_bytes_max {
            return Err(RefusedReason::Busy);
        }
        state.running += 1;
        if let Some(before) = state.calls.insert(call.id, Live::Running(call.clone())) {
            state.replaced(before);
        }
        Ok(())
    }

    /// The handler is done: the outcome goes out, and stays if it must survive this link.
    pub fn end(&self, call: &Arc<Call>, outcome: Ended) {
        // Held to the end, so that a link that comes or goes sees it before or after.
        let mut state = self.state.lock();
        let over = call.over();
        if !state.is_running(call) {
            // Replaced by a newer attempt, which took its place.
            return;
        }
        state.calls.remove(&call.id);
        state.running -= 1;
        let told = over.stop != Some(Stop::Drop);
        if let (Some(outbox), true) = (&over.outbox, told) {
            send_outcome(outbox, call.id, call.attempt, &outcome);
        }
        // A plain call that ended while adrift may still be asked for within its grace.
        let waits = over.outbox.is_none() && over.stop.is_none();
        let now = self.env.now();
        if told && (over.kept || waits) {
            let held = Held {
                attempt: call.attempt,
                outcome,
                outbox: over.outbox,
                kept: over.kept,
                // The grace of a plain call began when its link was lost, not when it ended.
                since: if over.kept { now } else { over.lost },
            };
            state.hold(call.id, held);
        } else {
            state.remember(call.id, call.attempt, now);
        }
        drop(state);
        self.fewer.notify_waiters();
    }

    pub fn answers(&self, outbox: &Arc<Outbox>, id: CallId, answers: Vec<Answer>) {
        if let Some(call) = self.running_on(outbox, id) {
            call.answers(answers);
        }
    }

    /// A call whose outcome has left already needs no keeping.
    pub fn keep(&self, outbox: &Arc<Outbox>, id: CallId) {
        if let Some(call) = self.running_on(outbox, id) {
            call.keep();
        }
    }

    pub fn cancel(&self, outbox: &Arc<Outbox>, id: CallId) {
        if let Some(call) = self.running_on(outbox, id) {
            call.stop(Stop::Cancel);
        }
    }

    /// The node has stored these outcomes.
    pub fn recorded(&self, ids: impl IntoIterator<Item = CallId>) {
        let now = self.env.now();
        let mut state = self.state.lock();
        for id in ids {
            state.release(id, now);
        }
        drop(state);
        self.fewer.notify_waiters();
    }

    /// Nobody owns this attempt.
    pub fn forget(&self, id: CallId, attempt: u32) {
        let now = self.env.now();
        let mut state = self.state.lock();
        let running = match state.calls.get(&id) {
            Some(Live::Running(call)) if call.attempt == attempt => Some(call.clone()),
            Some(Live::Held(held)) if held.attempt == attempt => {
                state.release(id, now);
                None
            }
            Some(Live::Running(_) | Live::Held(_)) | None => None,
        };
        drop(state);
        if let Some(call) = running {
            call.stop(Stop::Drop);
        }
        self.fewer.notify_waiters();
    }

    // ---- links come and go -------------------------------------------------------------

    pub fn known(&self) -> Known {
        let now = self.env.now();
        let mut state = self.state.lock();
        state.forget_old(now);
        let mut adrift = Vec::new();
        let mut calls = Vec::new();
        for (id, live) in &state.calls {
            if let Some((attempt, known)) = live.adrift() {
                adrift.push((*id, attempt));
                calls.push(known_call(*id, attempt, known));
            }
        }
        let ended = state.ended.iter();
        let of_ended = |e: &EndedCall| known_call(e.id, e.attempt, KnownCallState::Ended);
        calls.extend(ended.map(of_ended));
        let recently = |at: Instant| now.since(at) < ENDED_MAX;
        Known {
            calls: wire::KnownCalls { calls },
            truncated: state.overflowed.is_some_and(recently),
            adrift,
        }
    }

    /// A new link carries the calls that its `Hello` named as adrift.
    pub fn attach(&self, outbox: &Arc<Outbox>, adrift: &[(CallId, u32)]) {
        let mut running = Vec::new();
        let mut state = self.state.lock();
        for (id, attempt) in adrift {
            match state.calls.get_mut(id) {
                Some(Live::Running(call)) if call.adrift_since().is_some() => {
                    running.push(call.clone());
                }
                Some(Live::Held(held)) if held.outbox.is_none() => {
                    held.outbox = Some(outbox.clone());
                    send_outcome(outbox, *id, held.attempt, &held.outcome);
                    if !held.kept {
                        // It has no `Recorded`: this was its one chance.
                        let now = self.env.now();
                        state.release(*id, now);
                    }
                }
                // Another link carries it by now.
                Some(Live::Running(_) | Live::Held(_)) => {}
                // Its grace ended after it was named.
                None => send_outcome(outbox, *id, *attempt, &Err(Failure::Cancelled)),
            }
        }
        // Under the lock, so that an end in between finds the link.
        for call in running {
            call.attach(outbox.clone());
        }
        drop(state);
        self.fewer.notify_waiters();
    }

    /// The link is gone; what it carried is adrift.
    pub fn lost(&self, outbox: &Arc<Outbox>) {
        let now = self.env.now();
        let mut state = self.state.lock();
        for live in state.calls.values_mut() {
            match live {
                Live::Running(call) if call.is_on(outbox) => call.detach(now),
                Live::Held(held) if held.is_on(outbox) => {
                    held.outbox = None;
                    held.since = now;
                }
                Live::Running(_) | Live::Held(_) => {}
            }
        }
        drop(state);
        self.lost.notify_one();
    }

    /// Cancels the plain calls of lost links once their grace is over, for ever.
    pub async fn watch_lost(&self) -> Infallible {
        loop {
            self.lost.notified().await;
            self.env.sleep(PLAIN_GRACE).await;
            self.cancel_adrift();
        }
    }

    /// The grace of calls that are not kept is over: their client is told of a lost worker.
    fn cancel_adrift(&self) {
        let now = self.env.now();
        let mut state = self.state.lock();
        let mut plain = Vec::new();
        let mut held = Vec::new();
        let over = |since: Instant| now.since(since) >= PLAIN_GRACE;
        for (id, live) in &state.calls {
            match live {
                Live::Running(call) if call.adrift_since().is_some_and(over) => {
                    plain.push(call.clone());
                }
                Live::Held(h) if h.outbox.is_none() && !h.kept && over(h.since) => held.push(*id),
                Live::Running(_) | Live::Held(_) => {}
            }
        }
        for id in held {
            state.release(id, now);
        }
        drop(state);
        self.fewer.notify_waiters();
        for call in plain.iter().filter(|call| !call.is_kept()) {
            call.stop(Stop::Cancel);
        }
    }

    // ---- housekeeping ------------------------------------------------------------------

    /// Lets go of what was held or remembered too long. The links call it now and then.
    pub fn sweep(&self) {
        let now = self.env.now();
        let mut state = self.state.lock();
        state.forget_old(now);
        let old = |held: &Held| now.since(held.since) >= HOLD_MAX;
        let old = state.calls.iter().filter_map(|(id, live)| match live {
            Live::Held(held) if old(held) => Some(*id),
            Live::Held(_) | Live::Running(_) => None,
        });
        for id in old.collect::<Vec<_>>() {
            tracing::warn!(call = %id, "an outcome was never recorded");
            state.release(id, now);
        }
        drop(state);
        self.fewer.notify_waiters();
    }

    /// No new calls from here on.
    pub fn drain(&self) {
        self.state.lock().draining = true;
    }

    /// Ends when nothing runs and nothing is held.
    pub async fn idle(&self) {
        loop {
            let fewer = self.fewer.notified();
            tokio::pin!(fewer);
            fewer.as_mut().enable();
            if self.state.lock().calls.is_empty() {
                return;
            }
            fewer.await;
        }
    }

    /// Ends every call at once.
    pub fn drop_all(&self) {
        let mut state = self.state.lock();
        state.draining = true;
        let running = state.calls.values().filter_map(|live| match live {
            Live::Running(call) => Some(call.clone()),
            Live::Held(_) => None,
        });
        let running: Vec<_> = running.collect();
        drop(state);
        for call in running {
            call.stop(Stop::Drop);
        }
    }

    fn running_on(&self, outbox: &Arc<Outbox>, id: CallId) -> Option<Arc<Call>> {
        match self.state.lock().calls.get(&id) {
            Some(Live::Running(call)) if call.is_on(outbox) => Some(call.clone()),
            Some(Live::Running(_) | Live::Held(_)) | None => None,
        }
    }
}

fn known_call(id: CallId, attempt: u32, state: KnownCallState) -> wire::KnownCall {
    wire::KnownCall {
        call: Some(id.into()),
        attempt,
        state: state.into(),
    }
}

pub(crate) fn send_outcome(outbox: &Outbox, id: CallId, attempt: u32, outcome: &Ended) {
    outbox.send(|writer| Frame::Outcome(outcome_frame(writer, id, attempt, outcome)));
}

fn outcome_frame(
    writer: &mut Writer<'_>,
    id: CallId,
    attempt: u32,
    outcome: &Ended,
) -> wire::Outcome {
    match outcome {
        Ok(result) => {
            let payload = writer.bytes(result.clone()).unwrap_or_default();
            wire::Outcome {
                call: Some(id.into()),
                attempt,
                outcome: Some(wire::outcome::Outcome::Result(payload)),
            }
        }
        Err(failure) => writer.outcome(id, attempt, &Err(failure.clone())),
    }
}
