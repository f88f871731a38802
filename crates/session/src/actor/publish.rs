//! The last beat: what was decided happens, now that it is stored.

use std::time::Duration;

use bytes::Bytes;
use ostler_dispatch::workers::Workers;
use ostler_protocol::{call::Answer, fault::Fault, reply};
use ostler_types::CallId;

use crate::{
    SessionError,
    actor::{
        Actor, Facts,
        persist::Stored,
        rows,
        turn::{Arrival, Turn, Waiting},
    },
    event_id,
    lifetime::Lifetime,
    state::Act,
    stream::{Chatter, Cursor, Frame, Place, Pushed, Replay, StreamId, Writer, replay},
};

impl<W: Workers> Actor<W> {
    pub(super) async fn publish(&mut self, turn: Turn<W>, _stored: Stored) {
        let Turn {
            effects,
            mut arrivals,
            ..
        } = turn;
        for act in effects.acts {
            self.perform(act, &mut arrivals).await;
        }
        for arrival in arrivals {
            if let Some(port) = arrival.port {
                port.send(arrival.verdict);
            }
        }
        if effects.end {
            self.forget_calls();
            self.facts.book.end();
            self.shared
                .give_back(&self.facts.owner, self.facts.lifetime);
            self.shared.metrics.ended.increment(1);
        }
    }

    /// Nobody is to be woken for the calls of a session that has ended.
    fn forget_calls(&self) {
        for call in self.sources.calls.values() {
            self.shared.open_calls.remove(call.id());
        }
        // What no worker has named yet, or could not be read: only a session that woke has any.
        if self.row.epoch > 1 {
            self.shared.open_calls.remove_all(&self.facts.key);
        }
    }

    async fn perform(&mut self, act: Act, arrivals: &mut [Arrival<W>]) {
        match act {
            Act::Keep { stream, arrival } => self.keep(stream, &mut arrivals[arrival]),
            Act::Refuse { arrival, fault } => self.refuse_calls(&mut arrivals[arrival], &fault),
            Act::Show {
                stream,
                place,
                data,
            } => self.show(stream, place, data),
            Act::Chat {
                stream,
                chatter,
                data,
            } => self.chat(stream, chatter, data),
            Act::Complete { stream } => drop(self.readers.remove(&stream)),
            Act::Release { request } => self.facts.book.remove(&request),
            Act::Answer { call, answer } => self.feed(call, answer),
            Act::Cancel { call, reason } => {
                if let Some(call) = self.sources.calls.get(&call) {
                    call.cancel(reason);
                }
            }
            Act::Extend { call } => self.extend(call),
            Act::Recorded { call } => self.recorded(call),
            Act::Listen { arrival } => self.listen(&mut arrivals[arrival]),
            Act::Replay {
                cursor,
                live,
                arrival,
            } => self.replay(cursor, live, &mut arrivals[arrival]).await,
            Act::Watch { uri, arrival } => {
                let updates = arrivals[arrival].updates.take();
                self.sources
                    .watches
                    .extend(updates.map(|updates| (uri, updates)));
            }
            Act::Unwatch { uri } => self.sources.watches.remove(&uri),
            Act::ComeBack { stream } => self.send_away(stream),
            Act::Count(counted) => self.shared.metrics.count(counted),
        }
    }

    /// Their rows are stored: from here on the calls are the session's, whatever happens to readers.
    fn keep(&mut self, stream: StreamId, arrival: &mut Arrival<W>) {
        for call in arrival.calls.drain(..) {
            let key = self.facts.key.clone();
            self.shared.open_calls.insert(call.id(), key);
            let call = call.keep();
            // What is only followed counts where it is run.
            let own = u64::from(!call.is_followed());
            self.shared.metrics.calls_adopted.increment(own);
            self.sources.calls.insert(call.id(), call);
        }
        if let Some(writer) = arrival.writer.take() {
            self.readers.insert(stream, writer);
        }
    }

    fn refuse_calls(&mut self, arrival: &mut Arrival<W>, fault: &Fault) {
        let refused = arrival.calls.len() as u64;
        self.shared.metrics.calls_refused.increment(refused);
        // Dropped unkept, which cancels them.
        arrival.calls.clear();
        if let Some(writer) = arrival.writer.take() {
            let answered = std::mem::take(&mut arrival.answered);
            self.refuse(&writer, answered, &arrival.requests, fault);
        }
    }

    /// Errors that no stream stores, behind the answers that there are: all that this reader gets.
    pub(super) fn refuse(
        &self,
        writer: &Writer,
        answered: Vec<Bytes>,
        requests: &[Waiting],
        fault: &Fault,
    ) {
        let revision = self.facts.revision;
        let error =
            |waiting: &Waiting| reply::error(revision, Some(&waiting.id), &waiting.refused(fault));
        for data in answered.into_iter().chain(requests.iter().map(error)) {
            writer.plain(Frame {
                id: None,
                data,
                retry: None,
            });
        }
        writer.end();
    }

    fn show(&mut self, stream: StreamId, place: Place, data: Bytes) {
        if let Some(writer) = self.readers.get(&stream) {
            self.push(writer, stream, place, data);
        }
    }

    fn push(&self, writer: &Writer, stream: StreamId, place: Place, data: Bytes) -> Pushed {
        let cursor = Cursor { stream, place };
        let frame = Frame {
            id: self.event_id(cursor),
            // A priming event is the place to say when to come back [SSE-2].
            retry: data.is_empty().then_some(self.shared.config.retry),
            data,
        };
        let pushed = writer.event(place, frame);
        if pushed == Pushed::Cut {
            self.shared.metrics.streams_cut.increment(1);
            self.sources.nudge.give();
        }
        pushed
    }

    /// What is not stored has nothing to come back with.
    fn event_id(&self, cursor: Cursor) -> Option<String> {
        let is_stored = self.facts.lifetime == Lifetime::Rows;
        let Facts { binding, .. } = &self.facts;
        is_stored.then(|| event_id::encode(&self.shared.keys, binding, cursor))
    }

    fn chat(&mut self, stream: StreamId, chatter: Chatter, data: Bytes) {
        let Some(writer) = self.readers.get(&stream) else {
            return;
        };
        let frame = Frame {
            id: None,
            data,
            retry: None,
        };
        if writer.chatter(chatter, frame) == Pushed::Dropped {
            self.shared.metrics.chatter_dropped.increment(1);
        }
    }

    fn feed(&mut self, call: CallId, answer: Answer) {
        if let Some(call) = self.sources.calls.get(&call) {
            call.answer(vec![answer]);
        }
    }

    fn recorded(&mut self, call: CallId) {
        if let Some(call) = self.sources.calls.remove(&call) {
            call.recorded();
            self.shared.open_calls.remove(call.id());
            let own = u64::from(!call.is_followed());
            self.shared.metrics.calls_recorded.increment(own);
        }
    }

    /// As long as a person may take, once more: the row's deadline allows for it.
    fn extend(&mut self, call: CallId) {
        let config = &self.shared.config;
        let until = self.now() + config.call_timeout.max(config.elicitation_timeout);
        if let Some(call) = self.sources.calls.get_mut(&call) {
            call.set_deadline(until);
        }
    }

    /// The newest listener wins; the older one is told to come back, should it still be there.
    fn listen(&mut self, arrival: &mut Arrival<W>) {
        let writer = arrival.writer.take();
        let older = writer.and_then(|writer| self.readers.insert(StreamId::STANDALONE, writer));
        if let Some(older) = older {
            close(&older, self.shared.config.retry);
        }
    }

    /// Everything up to this turn is stored, and nothing is shown while this runs: what is read
    /// here and what comes after meet without a gap.
    async fn replay(&mut self, cursor: Cursor, live: bool, arrival: &mut Arrival<W>) {
        let found = self.read_after(cursor, live).await;
        let metrics = &self.shared.metrics;
        match found {
            Ok(replay) => {
                metrics.resumed.increment(1);
                if let Some(writer) = arrival.writer.take() {
                    self.attach(cursor.stream, replay, writer);
                }
            }
            Err(error) => {
                metrics.resume_gaps.increment(1);
                arrival.verdict = Err(error);
            }
        }
        // The machine believes that somebody reads now; if not, it is told in the next turn.
        self.sources.nudge.give();
    }

    async fn read_after(&mut self, cursor: Cursor, live: bool) -> Result<Replay, SessionError> {
        let Cursor { stream, place } = cursor;
        let (store, key) = (&self.shared.store, &self.facts.key);
        let stored = rows::events_from(store, key, &self.facts.owner, cursor).await;
        let stored = stored.map_err(|_| SessionError::Storage)?;
        if let Ok(replay) = replay(stored, place, live) {
            return Ok(replay);
        }
        let oldest = rows::oldest_event(store, key, stream).await;
        let id = |place| self.event_id(Cursor { stream, place });
        Err(SessionError::ResumeGap {
            oldest: oldest.map_err(|_| SessionError::Storage)?.and_then(id),
        })
    }

    fn attach(&mut self, stream: StreamId, replay: Replay, writer: Writer) {
        for event in replay.events {
            if self.push(&writer, stream, event.place, event.data) != Pushed::Queued {
                // Cut off or gone: it comes back with a later cursor.
                return;
            }
        }
        if replay.complete {
            return writer.end();
        }
        if let Some(older) = self.readers.insert(stream, writer) {
            close(&older, self.shared.config.retry);
        }
    }

    /// Each reader comes back at a time of its own, so that a restart is no stampede [SSE-4].
    fn send_away(&mut self, stream: StreamId) {
        let max = self.shared.config.drain_retry_max.as_millis().max(1_001);
        let spread = u64::try_from(max - 1_000).unwrap_or(u64::MAX);
        if let Some(writer) = self.readers.remove(&stream) {
            let jitter = self.shared.env.random_u64() % spread;
            close(&writer, Duration::from_millis(1_000 + jitter));
        }
    }
}

fn close(writer: &Writer, retry: Duration) {
    writer.plain(Frame {
        id: None,
        data: Bytes::new(),
        retry: Some(retry),
    });
    writer.end();
}
