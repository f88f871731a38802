//! A session as it comes out of the store.

use std::sync::Arc;

use ostler_protocol::call::{LogLevel, Question as Asking};
use ostler_types::{CallId, Instant};

use crate::{
    state::{
        Act, AskId, Asked, CallFacts, Effects, ListKinds, Phase, SessionState, Terms,
        call::{CANCELLED, UNREAD_MAX},
        question::Question,
        standalone::Standalone,
        stream::Streams,
    },
    stream::StreamId,
};

/// What the session's own row says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Restored {
    pub initialized: bool,
    pub log_level: Option<LogLevel>,
    pub subscriptions: Vec<Arc<str>>,
    pub unseen: ListKinds,
}

/// A call that was open when the session was last heard of.
#[derive(Debug)]
pub(crate) struct RestoredCall {
    pub stream: StreamId,
    pub facts: CallFacts,
    pub questions: Vec<(AskId, Asked)>,
}

impl SessionState {
    /// A session that starts, or wakes.
    pub fn new(now: Instant, terms: Terms, restored: Restored) -> Self {
        let until = now + terms.config.initialized_wait;
        let phase = match restored.initialized {
            true => Phase::Open,
            false => Phase::Opening { until },
        };
        SessionState {
            phase,
            log_level: restored.log_level.unwrap_or(LogLevel::Info),
            subscriptions: restored.subscriptions.into_iter().collect(),
            calls: Default::default(),
            streams: Streams::new(terms.epoch),
            questions: Default::default(),
            questions_asked: 0,
            held_back: Vec::new(),
            standalone: Standalone::new(restored.unseen),
            draining: false,
            terms,
        }
    }

    /// Takes up an open call again; its open questions wait anew.
    pub fn restore_call(&mut self, now: Instant, restored: RestoredCall) {
        let RestoredCall {
            stream,
            facts,
            questions,
        } = restored;
        let id = facts.call;
        self.streams.reopen(stream);
        let followed = facts.task.is_some();
        let call = self.enter(now, stream, facts);
        // Nobody reads in a session that has just woken.
        call.unread_until = followed.then(|| now + UNREAD_MAX);
        let mut open = Vec::new();
        for (ask, asked) in questions {
            call.asked.push(ask);
            let Asked {
                key,
                kind,
                params,
                answer,
            } = asked;
            let question = Asking { key, kind, params };
            match answer {
                Some(answer) => {
                    call.visits.answered(ask, &question, &answer);
                    call.settled.push((question, answer));
                }
                None => open.push((ask, question)),
            }
        }
        for (ask, question) in open {
            self.wait_again(now, id, ask, question);
        }
    }

    /// Its worker is found: answers that were stored are fed once more, because nobody knows
    /// which of them it got. It takes the first answer to a key and ignores others. What the
    /// client cancelled meanwhile is cancelled now that somebody hears it [CAN-1].
    pub(super) fn claimed(&mut self, id: CallId, effects: &mut Effects) {
        let call = self.calls.get(&id);
        if call.is_some_and(|call| call.cancelled) {
            effects.act(Act::Cancel {
                call: id,
                reason: CANCELLED,
            });
        }
        for (_, answer) in call.iter().flat_map(|call| &call.settled) {
            let answer = answer.clone();
            effects.act(Act::Answer { call: id, answer });
        }
    }

    fn wait_again(&mut self, now: Instant, call: CallId, id: AskId, question: Asking) {
        let expires = now + super::asking::patience(&self.terms.config, question.kind);
        let question = Question {
            call,
            question,
            expires: Some(expires),
        };
        self.questions.insert(id, question);
    }
}
