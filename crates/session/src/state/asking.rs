//! Questions of workers to the client: shown, answered, withdrawn, given up.

use std::time::Duration;

use ostler_protocol::{
    RequestId, ask,
    call::{Answer, AnswerFailure, Question as Asking, QuestionKind},
    inbound::ClientError,
    json::Raw,
    notify,
};
use ostler_types::Instant;

use crate::{
    Config,
    state::{
        Act, AskId, CallProgress, Counted, Effects, Phase, SessionState, Write, call::Call,
        question::Question, visits::elicitation_id,
    },
    stream::StreamId,
};

/// Questions of one batch; the rest is refused.
const BATCH_LEN_MAX: usize = 64;

impl SessionState {
    /// A batch of questions, to be shown together [TR-6].
    pub(super) fn asked(
        &mut self,
        now: Instant,
        stream: StreamId,
        questions: Vec<Asking>,
        effects: &mut Effects,
    ) {
        let mut new = questions;
        new.retain(|question| !self.is_known(stream, question, effects));
        let Some(call) = self.calls.get_mut(&stream).filter(|_| !new.is_empty()) else {
            return;
        };
        call.ask_rounds += 1;
        // Nobody is asked on behalf of a request that is cancelled [S2C-7].
        let refused = call.cancelled || call.ask_rounds > self.terms.config.ask_rounds_max;
        for (index, question) in new.into_iter().enumerate() {
            match (refused || index >= BATCH_LEN_MAX, self.phase) {
                (true, _) => fail(stream, question.key, AnswerFailure::Refused, effects),
                (false, Phase::Opening { .. }) => self.held_back.push((stream, question)),
                (false, Phase::Presumed | Phase::Open | Phase::Ended) => {
                    self.ask_client(now, stream, question, effects);
                }
            }
        }
    }

    /// A worker that lost its link, or found a new owner, asks again what it asked: the client
    /// is asked once. What is answered already is answered again.
    fn is_known(&self, stream: StreamId, question: &Asking, effects: &mut Effects) -> bool {
        let settled = self.calls.get(&stream).map(|call| &call.settled);
        let mut settled = settled.into_iter().flatten();
        if let Some((_, answer)) = settled.find(|(known, _)| known == question) {
            let answer = answer.clone();
            effects.act(Act::Answer { stream, answer });
            return true;
        }
        let mut open = self.questions.values();
        let mut held_back = self.held_back.iter();
        open.any(|open| open.stream == stream && open.question == *question)
            || held_back.any(|(of, held)| *of == stream && held == question)
    }

    /// Shows one question as a request of ours, if this client may be asked it at all [LIF-9].
    pub(super) fn ask_client(
        &mut self,
        now: Instant,
        stream: StreamId,
        question: Asking,
        effects: &mut Effects,
    ) {
        let Some(call) = self.calls.get_mut(&stream) else {
            return;
        };
        if ask::check_question(&question).is_err() {
            return fail(stream, question.key, AnswerFailure::Invalid, effects);
        }
        if ask::gate(self.terms.revision, &self.terms.facet, &question).is_err() {
            effects.act(Act::Count(Counted::QuestionUnsupported));
            return fail(stream, question.key, AnswerFailure::Unsupported, effects);
        }
        self.questions_asked += 1;
        let id = AskId {
            epoch: self.terms.epoch,
            number: self.questions_asked,
        };
        let elicitation_id = elicitation_id(call.facts.call, id);
        let request = ask::to_request(
            self.terms.revision,
            &id.to_text(),
            &elicitation_id,
            &question,
        );
        let question = Question {
            stream,
            expires: now + patience(&self.terms.config, question.kind),
            question,
        };
        call.asked.push(id);
        // Again, because its deadline in the store must outlive a call that waits for a person.
        effects.write(Write::Call {
            stream,
            facts: call.facts.clone(),
            progress: CallProgress::Open,
        });
        effects.write(Write::Question {
            call: call.facts.call,
            id,
            asked: question.asked(None),
        });
        call.store(stream, request, false, effects);
        effects.act(Act::Extend { stream });
        effects.act(Act::Count(Counted::QuestionAsked));
        self.questions.insert(id, question);
    }

    /// The client's answer. One to nothing, or a second one, is dropped and counted [CAN-5].
    pub(super) fn answered(
        &mut self,
        id: &RequestId,
        result: Result<Raw, ClientError>,
        effects: &mut Effects,
    ) {
        let id = AskId::from_request_id(id);
        let Some((id, question)) = id.and_then(|id| self.questions.remove_entry(&id)) else {
            return effects.act(Act::Count(Counted::AnswerUnmatched));
        };
        // A client's error is a typed failure; its code stays here [S2C-6].
        let value = result.map_err(|_| AnswerFailure::Refused);
        let value = value.and_then(|value| check(&question.question, value));
        if value == Err(AnswerFailure::Invalid) {
            effects.act(Act::Count(Counted::AnswerInvalid));
        }
        self.settle(id, question, value, effects);
    }

    /// Gives up on what the client did not answer in time [S2C-5].
    pub(super) fn expire_questions(&mut self, now: Instant, effects: &mut Effects) {
        let expired = self
            .questions
            .extract_if(.., |_, question| question.expires <= now);
        for (id, question) in expired.collect::<Vec<_>>() {
            effects.act(Act::Count(Counted::QuestionTimedOut));
            if let Some(call) = self.calls.get_mut(&question.stream) {
                withdraw(call, question.stream, id, "timed out", effects);
            }
            self.settle(id, question, Err(AnswerFailure::TimedOut), effects);
        }
    }

    /// The call ended or is no longer wanted: the client need not answer [S2C-7].
    pub(super) fn withdraw_questions(
        &mut self,
        stream: StreamId,
        call: &mut Call,
        effects: &mut Effects,
    ) {
        self.held_back.retain(|(of, _)| *of != stream);
        let open = self
            .questions
            .extract_if(.., |_, question| question.stream == stream);
        for (id, _) in open.collect::<Vec<_>>() {
            withdraw(call, stream, id, "the request ended", effects);
        }
    }

    /// The fact is stored, then fed to the worker.
    fn settle(
        &mut self,
        id: AskId,
        question: Question,
        value: Result<Raw, AnswerFailure>,
        effects: &mut Effects,
    ) {
        let stream = question.stream;
        let Some(call) = self.calls.get_mut(&stream) else {
            return;
        };
        let answer = Answer {
            key: question.question.key.clone(),
            value,
        };
        effects.write(Write::Question {
            call: call.facts.call,
            id,
            asked: question.asked(Some(answer.clone())),
        });
        call.visits.answered(id, &question.question, &answer);
        call.settled.push((question.question, answer.clone()));
        effects.act(Act::Answer { stream, answer });
    }
}

fn withdraw(call: &mut Call, stream: StreamId, id: AskId, reason: &str, effects: &mut Effects) {
    let message = notify::cancelled(&id.to_text(), Some(reason));
    call.store(stream, message, false, effects);
}

/// Answered at once, without the client.
fn fail(stream: StreamId, key: String, failure: AnswerFailure, effects: &mut Effects) {
    let value = Err(failure);
    let answer = Answer { key, value };
    effects.act(Act::Answer { stream, answer });
}

/// The same check as for answers of the modern era [TR-7].
fn check(question: &Asking, value: Raw) -> Result<Raw, AnswerFailure> {
    let good = ask::check_answer(question, &value);
    good.map(|()| value).map_err(|_| AnswerFailure::Invalid)
}

pub(super) fn patience(config: &Config, kind: QuestionKind) -> Duration {
    match kind {
        QuestionKind::ElicitForm | QuestionKind::ElicitUrl => config.elicitation_timeout,
        QuestionKind::Sample => config.sampling_timeout,
        QuestionKind::Roots => config.roots_timeout,
    }
}
