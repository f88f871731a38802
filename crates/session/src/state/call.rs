//! A call with a stream: adopted, heard, finished.

use std::time::Duration;

use bytes::Bytes;
use ostler_hub::Placement;
use ostler_protocol::{
    RequestId,
    call::{Answer, CallEvent, Outcome, Question},
    fault::Fault,
    json::Raw,
    relay::{Allowance, Relay},
    reply,
    task::legacy,
};
use ostler_types::{CallId, CallKind, Instant, Timestamp};

use crate::{
    lifetime::Lifetime,
    state::{
        Act, Adopted, Adoption, AskId, Counted, Effects, SessionState, Terms, Write, visits::Visits,
    },
    stream::{Chatter, StreamId},
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
    /// The task whose call this is: then the session only follows it.
    pub task: Option<FollowedTask>,
}

/// The task whose result a request waits for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FollowedTask {
    /// The handle, as the client has it.
    pub handle: String,
    /// When the request came.
    pub since: Timestamp,
}

/// A call with a stream.
pub(super) struct Call {
    pub facts: CallFacts,
    /// Where its client hears of it.
    pub stream: StreamId,
    pub relay: Relay,
    pub cancelled: bool,
    /// Until when a task is followed though nobody reads the stream.
    pub unread_until: Option<Instant>,
    /// Asked and not yet forgotten; their rows go with the call.
    pub asked: Vec<AskId>,
    pub ask_rounds: u32,
    /// Questions with their answers: a worker that comes back may ask again.
    pub settled: Vec<(Question, Answer)>,
    pub visits: Visits,
    allowance: Allowance,
}

impl CallFacts {
    /// All that is said of a task names it.
    pub fn related(&self, message: Bytes) -> Bytes {
        match &self.task {
            Some(task) => legacy::relate(&message, &task.handle),
            None => message,
        }
    }
}

/// How long a client may be gone before the result of a task is no longer waited for on its stream.
/// It may have asked anew instead of coming back; then its streams would be used up, and its user be
/// asked where nobody looks.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(60);

/// What the worker of a cancelled call is told.
pub(super) const CANCELLED: &str = "cancelled by the client";

impl SessionState {
    /// Calls that answer one POST get a stream together.
    pub(super) fn adopt(&mut self, now: Instant, adoption: Adoption, effects: &mut Effects) {
        let Adoption {
            arrival,
            answered,
            calls,
        } = adoption;
        let Some(stream) = self.stream_for(&calls) else {
            let fault = Fault::Quota("streams in this session");
            effects.act(Act::Refuse { arrival, fault });
            let requests = calls.into_iter().map(|adopted| adopted.facts.request);
            return requests.for_each(|request| effects.act(Act::Release { request }));
        };
        for Adopted { facts, .. } in &calls {
            self.enter(now, stream, facts.clone());
            effects.write(Write::Call {
                stream,
                facts: facts.clone(),
            });
        }
        effects.act(Act::Keep { stream, arrival });
        self.begin_stream(stream, answered, effects);
        for adopted in calls {
            self.take_over(now, adopted, effects);
        }
    }

    /// `None`: there are as many as there may be.
    fn stream_for(&mut self, calls: &[Adopted]) -> Option<StreamId> {
        let max = self.terms.config.streams_per_session_max;
        match self.terms.lifetime {
            Lifetime::Stream => Some(StreamId::STANDALONE),
            Lifetime::Rows if self.streams.posts_len() >= max => None,
            Lifetime::Rows => {
                let calls = calls.iter().map(|adopted| adopted.facts.call);
                Some(self.streams.open(calls).id())
            }
        }
    }

    fn begin_stream(&mut self, stream: StreamId, answered: Vec<Bytes>, effects: &mut Effects) {
        let primes = self.terms.primes_streams();
        let priming = primes.then(Bytes::new);
        if let Some(stream) = self.streams.get_mut(stream) {
            for message in priming.into_iter().chain(answered) {
                stream.store(message, false, effects);
            }
        }
    }

    /// What happened to a call on its way here.
    fn take_over(&mut self, now: Instant, adopted: Adopted, effects: &mut Effects) {
        let call = adopted.facts.call;
        if adopted.cancelled {
            self.cancel(call, effects);
        }
        for event in adopted.backlog {
            self.event(now, call, event, effects);
        }
    }

    /// A call is on its stream from here on.
    pub(super) fn enter(&mut self, now: Instant, stream: StreamId, facts: CallFacts) -> &mut Call {
        let id = facts.call;
        let token = facts.progress_token.clone();
        let call = Call {
            stream,
            relay: Relay::new(self.terms.revision, token, Some(self.log_level)),
            facts,
            cancelled: false,
            unread_until: None,
            asked: Vec::new(),
            ask_rounds: 0,
            settled: Vec::new(),
            visits: Visits::default(),
            allowance: Allowance::new(self.terms.config.chatter_per_second_max, now),
        };
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.enter();
        }
        self.calls.entry(id).insert_entry(call).into_mut()
    }

    /// The row must name where the call runs: an outcome from elsewhere does not count.
    pub(super) fn moved(&mut self, call: CallId, placement: Placement, effects: &mut Effects) {
        let Some(call) = self.calls.get_mut(&call) else {
            return;
        };
        if call.facts.placement.as_ref() != Some(&placement) {
            call.facts.placement = Some(placement);
            effects.write(Write::Call {
                stream: call.stream,
                facts: call.facts.clone(),
            });
        }
    }

    /// What a call says. After its end it says nothing; if it does, nobody hears it.
    pub(super) fn event(
        &mut self,
        now: Instant,
        id: CallId,
        event: CallEvent,
        effects: &mut Effects,
    ) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let chat = match event {
            CallEvent::Started => None,
            CallEvent::Kept => {
                let stream = call.stream;
                self.promised(now, id, stream, effects);
                None
            }
            CallEvent::Progress(progress) => {
                let message = call.relay.progress(&progress);
                message.map(|message| (Chatter::Progress, message))
            }
            CallEvent::Log(log) => call.relay.log(&log).map(|message| (Chatter::Log, message)),
            CallEvent::Ask(questions) => return self.asked(now, id, questions, effects),
            CallEvent::Withdrawn(keys) => return self.withdrawn(id, &keys, effects),
            CallEvent::Visited { key } => return self.visited(id, &key, effects),
            // A client of this revision has no handle to follow: the call stays open.
            CallEvent::BecomeTask => None,
            CallEvent::Outcome(outcome) => return self.finish(now, id, outcome, effects),
        };
        if let Some((chatter, message)) = chat {
            self.chat(now, id, chatter, message, effects);
        }
    }

    fn chat(
        &mut self,
        now: Instant,
        id: CallId,
        chatter: Chatter,
        message: Bytes,
        effects: &mut Effects,
    ) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let message = call.facts.related(message);
        let shown = call.allowance.take(now)
            && (self.streams.get_mut(call.stream))
                .is_some_and(|stream| stream.chat(chatter, message, effects));
        if !shown {
            effects.act(Act::Count(Counted::ChatterDropped));
        }
    }

    // Running => finished: the final event is stored once, then shown, then the worker may
    // forget the outcome. A cancelled call gets no answer [CAN-1]. A stream ends with its last call.
    fn finish(&mut self, now: Instant, id: CallId, outcome: Outcome, effects: &mut Effects) {
        self.withdraw_questions(id, effects);
        let Some(call) = self.calls.remove(&id) else {
            return;
        };
        let message = (!call.cancelled).then(|| final_message(&self.terms, &call.facts, &outcome));
        let is_last = self.leave(call.stream, message, effects);
        self.promised(now, id, call.stream, effects);
        let Call {
            facts,
            asked,
            stream,
            ..
        } = call;
        let call = facts.call;
        for id in asked {
            effects.write(Write::DropQuestion { call, id });
        }
        effects.write(Write::DropCall { call });
        if is_last {
            self.streams.remove(stream);
            effects.act(Act::Complete { stream });
        }
        let request = facts.request;
        effects.act(Act::Release { request });
        effects.act(Act::Recorded { call });
        self.end_if_drained(effects);
    }

    pub(super) fn read(&mut self, now: Instant, streams: &[StreamId]) {
        let followed = |call: &&mut Call| call.facts.task.is_some();
        for call in self.calls.values_mut().filter(followed) {
            match streams.contains(&call.stream) {
                true => call.unread_until = None,
                false => drop(call.unread_until.get_or_insert(now + UNREAD_MAX)),
            }
        }
    }

    // Followed => finished: the task goes on, and its client may ask for the result again.
    pub(super) fn end_unread(&mut self, now: Instant, effects: &mut Effects) {
        let is_unread = |call: &&Call| call.unread_until.is_some_and(|until| until <= now);
        let unread = self.calls.values().filter(is_unread);
        for id in unread.map(|call| call.facts.call).collect::<Vec<_>>() {
            self.finish(now, id, Err(Fault::Deadline.to_failure()), effects);
        }
    }

    /// The last word on a call, if there is one to say; whether the stream ends with it.
    fn leave(&mut self, stream: StreamId, message: Option<Bytes>, effects: &mut Effects) -> bool {
        let Some(stream) = self.streams.get_mut(stream) else {
            return false;
        };
        let is_last = stream.leave();
        match message {
            Some(message) => drop(stream.store(message, is_last, effects)),
            None if is_last => stream.store_end(effects),
            None => {}
        }
        is_last
    }

    /// This call is safe; if it was the last, its stream is shown from now on.
    fn promised(&mut self, now: Instant, call: CallId, stream: StreamId, effects: &mut Effects) {
        let found = self.streams.get_mut(stream);
        if found.is_some_and(|stream| stream.promised(call, effects)) {
            self.questions_shown(now, stream);
        }
    }

    /// `notifications/cancelled` of a request whose call is here. A late one is ignored [CAN-5].
    pub(super) fn cancelled(&mut self, id: &RequestId, effects: &mut Effects) {
        if let Some(call) = self.call_of(id) {
            self.cancel(call, effects);
        }
    }

    /// The worker is told to stop and the questions are withdrawn; the call is on its stream until
    /// it has ended [CAN-1], [S2C-7].
    fn cancel(&mut self, id: CallId, effects: &mut Effects) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.cancelled) else {
            return;
        };
        call.cancelled = true;
        effects.act(Act::Cancel {
            call: id,
            reason: CANCELLED,
        });
        self.withdraw_questions(id, effects);
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
    facts.related(reply::outcome(&shape, request, *kind, target, outcome))
}
