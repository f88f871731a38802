//! The pure machine of a session: inputs to writes and acts, nothing else.
//!
//! Invariants, held for every order of inputs:
//! - each act that a client could come back with follows its write in the same turn;
//! - a call has at most one final event, and nothing on its stream follows it;
//! - an answer is fed at most once per question.
//!
//! No async, clock, randomness, channel, log or metric. Start with [`SessionState::apply`].

mod input;
mod effects;
mod question;
mod stream;
mod call;
mod asking;
mod standalone;
mod visits;
mod restore;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use ostler_dispatch::FollowedBy;
use ostler_protocol::{RequestId, Revision, call::LogLevel, facet::ClientFacet};
use ostler_types::{CallId, Instant, Timestamp};

use crate::{
    Config, SessionError,
    lifetime::Lifetime,
    stream::{Place, StreamId},
};

pub(crate) use call::{CallFacts, FollowedTask};
pub(crate) use effects::{Act, Counted, Effects, Write};
pub(crate) use input::{Adopted, Adoption, Input};
pub(crate) use question::{AskId, Asked};
pub(crate) use restore::{Restored, RestoredCall};
pub use standalone::News;
pub(crate) use standalone::{ListKinds, Notice};

use call::Call;
use question::Question;
use standalone::Standalone;
use stream::Streams;

/// What does not change while the session is live.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub revision: Revision,
    pub facet: ClientFacet,
    pub epoch: u64,
    pub lifetime: Lifetime,
    pub config: Arc<Config>,
}

impl Terms {
    /// Streams begin with an event to come back with [SSE-2].
    fn primes_streams(&self) -> bool {
        self.lifetime == Lifetime::Rows && self.revision.primes_streams()
    }
}

/// Everything a live session knows.
pub(crate) struct SessionState {
    terms: Terms,
    phase: Phase,
    log_level: LogLevel,
    subscriptions: BTreeSet<Arc<str>>,
    calls: BTreeMap<CallId, Call>,
    streams: Streams,
    /// Questions the client has not answered yet.
    questions: BTreeMap<AskId, Question>,
    questions_asked: u32,
    /// Questions that wait for `initialized` [LIF-7].
    held_back: Vec<(CallId, ostler_protocol::call::Question)>,
    standalone: Standalone,
    /// Ends with its last call.
    draining: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The client has not said `initialized`; we wait for it until then [LIF-7].
    Opening {
        until: Instant,
    },
    /// It never said so; we waited long enough.
    Presumed,
    Open,
    Ended,
}

impl SessionState {
    /// Decides one input. An error goes to whoever asked; it has no effects.
    pub fn apply(
        &mut self,
        now: Instant,
        input: Input,
        effects: &mut Effects,
    ) -> Result<(), SessionError> {
        // Ended => Ended: what was under way when the session ended has nobody to tell.
        if self.phase == Phase::Ended {
            return Err(SessionError::Unknown);
        }
        self.presume_open(now, effects);
        match input {
            Input::Initialized => self.initialized(now, effects),
            Input::SetLevel(level) => self.set_level(level, effects),
            Input::Adopt(adoption) => self.adopt(now, *adoption, effects),
            Input::Event { call, event } => self.event(now, call, event, effects),
            Input::Moved { call, placement } => self.moved(call, placement, effects),
            Input::Claimed { call } => self.claimed(call, effects),
            Input::Answered { id, result } => self.answered(&id, result, effects),
            Input::Cancelled { id } => self.cancelled(&id, effects),
            Input::Listen { arrival } => self.listen(arrival, effects),
            Input::Read(streams) => self.read(now, &streams),
            Input::ListenerGone { taken } => self.listener_gone(taken, effects),
            Input::Say(message) => self.say(message, effects),
            Input::Resume { arrival, cursor } => self.resume(arrival, cursor, effects),
            Input::Noticed(notices) => self.noticed(notices, effects),
            Input::News(news) => {
                let stream = &mut self.streams.standalone;
                self.standalone
                    .tell(news, self.phase, &self.terms, stream, effects);
            }
            Input::Subscribe { arrival, uri } => self.subscribe(arrival, uri, effects)?,
            Input::Unsubscribe(uri) => self.unsubscribe(&uri, effects),
            Input::Tick => {
                self.expire_questions(now, effects);
                self.end_unread(now, effects);
            }
            Input::Drain => self.drain(effects),
            Input::End => self.end(effects),
        }
        Ok(())
    }

    /// When `Tick` is due.
    pub fn alarm(&self) -> Option<Instant> {
        let answers = self.questions.values();
        let answers = answers.filter_map(|question| question.expires);
        let unread = self.calls.values().filter_map(|call| call.unread_until);
        let opening = match self.phase {
            Phase::Opening { until } if self.holds_back() => Some(until),
            Phase::Opening { .. } | Phase::Presumed | Phase::Open | Phase::Ended => None,
        };
        answers.chain(unread).chain(opening).min()
    }

    /// Nothing here needs memory: the rest is in the store.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty() && !self.standalone.is_heard()
    }

    /// On whose behalf this session follows calls of tasks.
    pub fn followed_by(&self, since: Timestamp) -> FollowedBy {
        FollowedBy {
            revision: self.terms.revision,
            facet: self.terms.facet,
            since,
        }
    }

    pub fn log_level(&self) -> LogLevel {
        self.log_level
    }

    pub fn subscriptions(&self) -> &BTreeSet<Arc<str>> {
        &self.subscriptions
    }

    pub fn is_initialized(&self) -> bool {
        self.phase == Phase::Open
    }

    /// List changes that no listener has been shown.
    pub fn unseen_lists(&self) -> ListKinds {
        self.standalone.unseen_lists()
    }

    // Opening | Presumed => Open: the client is ready; what was held back goes out [LIF-7].
    // Open => Open: said twice, which means nothing.
    fn initialized(&mut self, now: Instant, effects: &mut Effects) {
        match self.phase {
            Phase::Opening { .. } | Phase::Presumed => {
                self.phase = Phase::Open;
                effects.write(Write::Session);
                self.release_held_back(now, effects);
            }
            Phase::Open | Phase::Ended => {}
        }
    }

    // Opening => Presumed: not written, a session that wakes waits again.
    fn presume_open(&mut self, now: Instant, effects: &mut Effects) {
        if matches!(self.phase, Phase::Opening { until } if until <= now) {
            self.phase = Phase::Presumed;
            self.release_held_back(now, effects);
        }
    }

    fn release_held_back(&mut self, now: Instant, effects: &mut Effects) {
        for (call, question) in std::mem::take(&mut self.held_back) {
            self.ask_client(now, call, question, effects);
        }
        self.flush(effects);
    }

    fn holds_back(&self) -> bool {
        !self.held_back.is_empty() || self.standalone.has_unseen()
    }

    fn set_level(&mut self, level: LogLevel, effects: &mut Effects) {
        self.log_level = level;
        for call in self.calls.values_mut() {
            call.relay.set_log_level(level);
        }
        effects.write(Write::Session);
    }

    fn subscribe(
        &mut self,
        arrival: usize,
        uri: Arc<str>,
        effects: &mut Effects,
    ) -> Result<(), SessionError> {
        if self.subscriptions.contains(&uri) {
            return Ok(());
        }
        if self.subscriptions.len() >= self.terms.config.subscriptions_max {
            return Err(SessionError::TooManySubscriptions);
        }
        self.subscriptions.insert(uri.clone());
        effects.write(Write::Session);
        effects.act(Act::Watch { uri, arrival });
        Ok(())
    }

    fn unsubscribe(&mut self, uri: &Arc<str>, effects: &mut Effects) {
        if self.subscriptions.remove(uri) {
            self.standalone.forget(uri);
            effects.write(Write::Session);
            effects.act(Act::Unwatch { uri: uri.clone() });
        }
    }

    fn noticed(&mut self, notices: Vec<Notice>, effects: &mut Effects) {
        let wanted = |notice: &Notice| match notice {
            Notice::List(_) => true,
            // A late word on what is no longer subscribed is dropped.
            Notice::Updated(uri) => self.subscriptions.contains(uri),
        };
        for notice in notices.into_iter().filter(wanted) {
            self.standalone.add(notice);
        }
        self.flush(effects);
    }

    fn listen(&mut self, arrival: usize, effects: &mut Effects) {
        effects.act(Act::Listen { arrival });
        let stream = &mut self.streams.standalone;
        self.standalone.open(&self.terms, stream, effects);
        self.flush(effects);
    }

    /// Shows what waits on the standalone stream, if it may be seen.
    fn flush(&mut self, effects: &mut Effects) {
        let stream = &mut self.streams.standalone;
        self.standalone
            .flush(self.phase, &self.terms, stream, effects);
    }

    fn resume(&mut self, arrival: usize, cursor: crate::stream::Cursor, effects: &mut Effects) {
        effects.act(Act::Replay {
            cursor,
            live: self.streams.is_live(cursor.stream),
            arrival,
        });
        if cursor.stream == StreamId::STANDALONE {
            self.standalone.resumed();
            self.flush(effects);
        }
    }

    /// A message of the platform's own, on the stream that carries everything.
    fn say(&mut self, message: Bytes, effects: &mut Effects) {
        self.streams.standalone.store(message, false, effects);
    }

    fn listener_gone(&mut self, taken: Option<Place>, effects: &mut Effects) {
        match self.terms.lifetime {
            Lifetime::Rows => self.standalone.listener_gone(taken),
            Lifetime::Stream => self.end(effects),
        }
    }

    /// Who can come back is told to; who cannot is served to the end of what runs.
    fn drain(&mut self, effects: &mut Effects) {
        match self.terms.lifetime {
            Lifetime::Rows => {
                self.standalone.listener_gone(None);
                for stream in self.streams.with_way_back(&self.terms) {
                    effects.act(Act::ComeBack { stream });
                }
            }
            Lifetime::Stream => {
                self.draining = true;
                self.end_if_drained(effects);
            }
        }
    }

    /// What it only follows runs on without it.
    fn end_if_drained(&mut self, effects: &mut Effects) {
        let runs = |call: &Call| call.facts.task.is_none();
        if self.draining && !self.calls.values().any(runs) {
            self.end(effects);
        }
    }

    // Opening | Open => Ended: its calls are cancelled, its streams end, its rows go [SES-5].
    fn end(&mut self, effects: &mut Effects) {
        self.phase = Phase::Ended;
        for (call, Call { facts, .. }) in std::mem::take(&mut self.calls) {
            effects.act(Act::Cancel {
                call,
                reason: "the session ended",
            });
            let request = facts.request;
            effects.act(Act::Release { request });
        }
        for stream in self.streams.take_posts() {
            effects.act(Act::Complete { stream });
        }
        self.questions.clear();
        effects.end = true;
    }

    /// The calls with a stream.
    pub fn calls(&self) -> impl Iterator<Item = &CallFacts> {
        self.calls.values().map(|call| &call.facts)
    }

    /// How long somebody may wait on this stream for the result of a task.
    pub fn waits_until(&self, stream: StreamId) -> Option<Timestamp> {
        let calls = self.calls.values();
        let mut waiting = calls.filter(|call| call.stream == stream && call.facts.task.is_some());
        waiting.next().map(|call| call.facts.deadline)
    }

    /// Whether anything but the session's own row may be stored.
    pub fn has_stored(&self) -> bool {
        self.streams.has_stored()
    }

    /// The call that answers this request, if it has a stream.
    fn call_of(&self, request: &RequestId) -> Option<CallId> {
        let mut calls = self.calls();
        let found = calls.find(|facts| facts.request == *request);
        found.map(|facts| facts.call)
    }
}

#[cfg(test)]
mod tests;
