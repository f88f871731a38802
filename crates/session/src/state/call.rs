//! A call with a stream: adopted, heard, finished.

use std::time::Duration;

use bytes::Bytes;
use ostler_hub::Placement;
use ostler_protocol::{
    RequestId,
    call::{Answer, CallEvent, Log, Outcome, Progress, Question},
    fault::Fault,
    json::Raw,
    relay::Relay,
    reply,
};
use ostler_types::{CallId, CallKind, Instant, Timestamp};

use crate::{
    Config,
    state::{
        Act, Adoption, AskId, Counted, Effects, SessionState, Terms, Write, effects::CallProgress,
        visits::Visits,
    },
    stream::{Chatter, Place, StreamId},
};

/// What does not change about a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallFacts {
    pub call: CallId,
    pub request: RequestId,
    pub kind: CallKind,
    pub target: String,
    pub progress_token: Option<Raw>,
    /// Where it runs; an outcome from elsewhere does not count.
    pub placement: Option<Placement>,
    /// When it ends by itself, unless it waits for a person.
    pub deadline: Timestamp,
}

/// A call with a stream.
pub(super) struct Call {
    pub facts: CallFacts,
    pub relay: Relay,
    pub cancelled: bool,
    /// Asked and not yet forgotten; their rows go with the call.
    pub asked: Vec<AskId>,
    pub ask_rounds: u32,
    /// Questions with their answers: a worker that comes back may ask again.
    pub settled: Vec<(Question, Answer)>,
    pub visits: Visits,
    next: Place,
    gate: Gate,
    allowance: Allowance,
}

/// Whether the client may see anything yet.
enum Gate {
    /// The worker has not promised to run the call on: what the client could come back with
    /// waits for that (design: keeping).
    Closed {
        held: Vec<Act>,
    },
    Open,
}

/// What the worker of a cancelled call is told.
pub(super) const CANCELLED: &str = "cancelled by the client";

/// Chatter that waits for the gate; more is dropped. The gate opens within a round trip.
const HELD_CHATTER_MAX: usize = 64;

impl Call {
    pub fn new(facts: CallFacts, relay: Relay, terms: &Terms, now: Instant) -> Self {
        Call {
            facts,
            relay,
            cancelled: false,
            asked: Vec::new(),
            ask_rounds: 0,
            settled: Vec::new(),
            visits: Visits::default(),
            next: Place {
                epoch: terms.epoch,
                seq: 1,
            },
            gate: Gate::Closed { held: Vec::new() },
            allowance: Allowance::new(now, &terms.config),
        }
    }

    /// A call that was kept in an earlier life of the session.
    pub fn open_gate(&mut self) {
        self.gate = Gate::Open;
    }

    /// Stores an event and shows it, in this order.
    pub fn store(&mut self, stream: StreamId, data: Bytes, last: bool, effects: &mut Effects) {
        let place = self.next;
        self.next.seq += 1;
        let (shown, stored) = (data.clone(), data);
        effects.write(Write::Event {
            stream,
            place,
            data: stored,
            last,
        });
        let data = shown;
        self.show(
            Act::Show {
                stream,
                place,
                data,
            },
            effects,
        );
    }

    fn show(&mut self, act: Act, effects: &mut Effects) {
        match &mut self.gate {
            Gate::Closed { held } => held.push(act),
            Gate::Open => effects.act(act),
        }
    }

    fn chat(&mut self, now: Instant, chat: Act, effects: &mut Effects) {
        let crowded = matches!(&self.gate, Gate::Closed { held } if held.len() >= HELD_CHATTER_MAX);
        match crowded || !self.allowance.take(now) {
            true => effects.act(Act::Count(Counted::ChatterDropped)),
            false => self.show(chat, effects),
        }
    }

    // Closed => Open: the worker runs the call on, or it has ended already.
    fn release(&mut self, effects: &mut Effects) {
        match std::mem::replace(&mut self.gate, Gate::Open) {
            Gate::Closed { held } => effects.acts.extend(held),
            Gate::Open => {}
        }
    }
}

impl SessionState {
    pub(super) fn adopt(&mut self, now: Instant, adoption: Adoption, effects: &mut Effects) {
        let Adoption {
            arrival,
            facts,
            cancelled,
            backlog,
        } = adoption;
        if self.calls.len() >= self.terms.config.streams_per_session_max {
            let request = facts.request.clone();
            let fault = Fault::Quota("streams in this session");
            effects.act(Act::Refuse {
                arrival,
                request: request.clone(),
                fault,
            });
            return effects.act(Act::Release { request });
        }
        let stream = self.open_stream();
        effects.write(Write::Call {
            stream,
            facts: facts.clone(),
            progress: CallProgress::Open,
        });
        effects.act(Act::Keep { stream, arrival });
        let mut call = self.new_call(facts, now);
        if self.terms.revision.primes_streams() {
            call.store(stream, Bytes::new(), false, effects);
        }
        self.calls.insert(stream, call);
        if cancelled {
            self.cancel(stream, effects);
        }
        for event in backlog {
            self.event(now, stream, event, effects);
        }
    }

    pub(super) fn new_call(&self, facts: CallFacts, now: Instant) -> Call {
        let token = facts.progress_token.clone();
        let relay = Relay::new(self.terms.revision, token, Some(self.log_level));
        Call::new(facts, relay, &self.terms, now)
    }

    fn open_stream(&mut self) -> StreamId {
        self.streams_opened += 1;
        StreamId::of_call(self.terms.epoch, self.streams_opened)
    }

    /// The row must name where the call runs: an outcome from elsewhere does not count.
    pub(super) fn moved(&mut self, stream: StreamId, placement: Placement, effects: &mut Effects) {
        let Some(call) = self.calls.get_mut(&stream) else {
            return;
        };
        if call.facts.placement.as_ref() != Some(&placement) {
            call.facts.placement = Some(placement);
            effects.write(Write::Call {
                stream,
                facts: call.facts.clone(),
                progress: CallProgress::Open,
            });
        }
    }

    /// What a call says. After its end it says nothing; if it does, nobody hears it.
    pub(super) fn event(
        &mut self,
        now: Instant,
        stream: StreamId,
        event: CallEvent,
        effects: &mut Effects,
    ) {
        let Some(call) = self.calls.get_mut(&stream) else {
            return;
        };
        match event {
            CallEvent::Started => {}
            CallEvent::Kept => call.release(effects),
            CallEvent::Progress(progress) => progressed(call, now, stream, &progress, effects),
            CallEvent::Log(log) => logged(call, now, stream, &log, effects),
            CallEvent::Ask(questions) => self.asked(now, stream, questions, effects),
            CallEvent::Visited { key } => self.visited(stream, &key, effects),
            // A client of this revision has no handle to follow: the call stays open.
            CallEvent::BecomeTask => {}
            CallEvent::Outcome(outcome) => self.finish(stream, outcome, effects),
        }
    }

    // Running => finished: the final event is stored once, then shown, then the worker may
    // forget the outcome. A cancelled call gets no answer [CAN-1].
    fn finish(&mut self, stream: StreamId, outcome: Outcome, effects: &mut Effects) {
        let Some(mut call) = self.calls.remove(&stream) else {
            return;
        };
        self.withdraw_questions(stream, &mut call, effects);
        if !call.cancelled {
            let message = final_message(&self.terms, &call.facts, &outcome);
            call.store(stream, message, true, effects);
        }
        call.release(effects);
        let Call { facts, asked, .. } = call;
        for id in asked {
            let call = facts.call;
            effects.write(Write::DropQuestion { call, id });
        }
        let request = facts.request.clone();
        effects.write(Write::Call {
            stream,
            facts,
            progress: CallProgress::Finished,
        });
        effects.act(Act::Complete { stream });
        effects.act(Act::Release { request });
        effects.act(Act::Recorded { stream });
    }

    /// `notifications/cancelled` of a request whose call is here. A late one is ignored [CAN-5].
    pub(super) fn cancelled(&mut self, id: &RequestId, effects: &mut Effects) {
        if let Some(stream) = self.stream_of(id) {
            self.cancel(stream, effects);
        }
    }

    /// The worker is told to stop and the questions are withdrawn; the stream ends when the
    /// call does [CAN-1], [S2C-7].
    fn cancel(&mut self, stream: StreamId, effects: &mut Effects) {
        let Some(mut call) = self.calls.remove(&stream) else {
            return;
        };
        if !call.cancelled {
            call.cancelled = true;
            effects.act(Act::Cancel {
                stream,
                reason: CANCELLED,
            });
            self.withdraw_questions(stream, &mut call, effects);
        }
        self.calls.insert(stream, call);
    }
}

fn final_message(terms: &Terms, facts: &CallFacts, outcome: &Outcome) -> Bytes {
    // A legacy result does not name the server.
    let server_info = Raw::empty_object();
    let shape = reply::Shape {
        revision: terms.revision,
        server_info: &server_info,
    };
    let CallFacts {
        request,
        kind,
        target,
        ..
    } = facts;
    reply::outcome(&shape, request, *kind, target, outcome)
}

fn progressed(
    call: &mut Call,
    now: Instant,
    stream: StreamId,
    progress: &Progress,
    effects: &mut Effects,
) {
    if let Some(data) = call.relay.progress(progress) {
        let chatter = Chatter::Progress;
        call.chat(
            now,
            Act::Chat {
                stream,
                chatter,
                data,
            },
            effects,
        );
    }
}

fn logged(call: &mut Call, now: Instant, stream: StreamId, log: &Log, effects: &mut Effects) {
    if let Some(data) = call.relay.log(log) {
        let chatter = Chatter::Log;
        call.chat(
            now,
            Act::Chat {
                stream,
                chatter,
                data,
            },
            effects,
        );
    }
}

/// How much chatter may still be relayed: a bucket that holds one second's worth [P-7].
struct Allowance {
    left: u32,
    per_second: u32,
    filled: Instant,
}

impl Allowance {
    fn new(now: Instant, config: &Config) -> Self {
        Allowance {
            left: config.chatter_per_second_max,
            per_second: config.chatter_per_second_max,
            filled: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.since(self.filled);
        let gained = passed.as_millis() * u128::from(self.per_second) / 1_000;
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(gained).min(self.per_second);
            // Only what was turned into whole messages is spent.
            let spent = Duration::from_secs(1) * gained.min(self.per_second) / self.per_second;
            self.filled = match gained > self.per_second {
                true => now,
                false => self.filled + spent,
            };
        }
    }
}
