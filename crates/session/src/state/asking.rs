//! Questions of workers to the client: shown, answered, withdrawn, given up.

use std::time::Duration;

use ostler_protocol::{
    RequestId, ask,
    call::{Answer, AnswerFailure, Question as Asking, QuestionKind},
    inbound::ClientError,
    json::Raw,
    notify,
};
use ostler_types::{CallId, Instant};

use crate::{
    Config,
    state::{
        Act, AskId, Counted, Effects, Phase, SessionState, Write, question::Question,
        visits::elicitation_id,
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
        id: CallId,
        questions: Vec<Asking>,
        effects: &mut Effects,
    ) {
        let mut new = questions;
        new.retain(|question| !self.is_known(id, question, effects));
        let Some(call) = self.calls.get_mut(&id).filter(|_| !new.is_empty()) else {
            return;
        };
        // How much a task may ask is its own affair, however often its result is waited for.
        call.ask_rounds += u32::from(call.facts.task.is_none());
        // Nobody is asked on behalf of a request that is cancelled [S2C-7].
        let refused = call.cancelled || call.ask_rounds > self.terms.config.ask_rounds_max;
        for (index, question) in new.into_iter().enumerate() {
            match (refused || index >= BATCH_LEN_MAX, self.phase) {
                (true, _) => self.fail(id, question.key, AnswerFailure::Refused, effects),
                (false, Phase::Opening { .. }) => self.held_back.push((id, question)),
                (false, Phase::Presumed | Phase::Open | Phase::Ended) => {
                    self.ask_client(now, id, question, effects);
                }
            }
        }
    }

    /// A worker that lost its link, or found a new owner, asks again what it asked: the client
    /// is asked once. What is answered already is answered again.
    fn is_known(&self, call: CallId, question: &Asking, effects: &mut Effects) -> bool {
        let settled = self.calls.get(&call).map(|call| &call.settled);
        let mut settled = settled.into_iter().flatten();
        if let Some((_, answer)) = settled.find(|(known, _)| known == question) {
            let answer = answer.clone();
            effects.act(Act::Answer { call, answer });
            return true;
        }
        let mut open = self.questions.values();
        let mut held_back = self.held_back.iter();
        open.any(|open| open.call == call && open.question == *question)
            || held_back.any(|(of, held)| *of == call && held == question)
    }

    /// Shows one question as a request of ours, if this client may be asked it at all [LIF-9].
    pub(super) fn ask_client(
        &mut self,
        now: Instant,
        call_id: CallId,
        question: Asking,
        effects: &mut Effects,
    ) {
        if ask::check_question(&question).is_err() {
            return self.fail(call_id, question.key, AnswerFailure::Invalid, effects);
        }
        if ask::gate(self.terms.revision, &self.terms.facet, &question).is_err() {
            effects.act(Act::Count(Counted::QuestionUnsupported));
            return self.fail(call_id, question.key, AnswerFailure::Unsupported, effects);
        }
        let Some(call) = self.calls.get_mut(&call_id) else {
            return;
        };
        self.questions_asked += 1;
        let id = AskId {
            epoch: self.terms.epoch,
            number: self.questions_asked,
        };
        let request = ask::to_request(
            self.terms.revision,
            &id.to_text(),
            || elicitation_id(call.facts.call, id),
            &question,
        );
        let request = call.facts.related(request);
        let question = Question {
            call: call_id,
            expires: None,
            question,
        };
        call.asked.push(id);
        // Again, because its deadline in the store must outlive a call that waits for a person.
        effects.write(Write::Call {
            stream: call.stream,
            facts: call.facts.clone(),
        });
        effects.write(Write::Question {
            call: call_id,
            id,
            asked: question.asked(None),
        });
        let mut question = question;
        if let Some(stream) = self.streams.get_mut(call.stream) {
            stream.store(request, false, effects);
            let patience = patience(&self.terms.config, question.question.kind);
            question.expires = stream.is_open().then_some(now + patience);
        }
        effects.act(Act::Extend { call: call_id });
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

    /// The questions on this stream reach the client only now, and it has its time from now on.
    pub(super) fn questions_shown(&mut self, now: Instant, stream: StreamId) {
        for question in self.questions.values_mut() {
            let of = self.calls.get(&question.call);
            if of.is_some_and(|call| call.stream == stream) {
                let patience = patience(&self.terms.config, question.question.kind);
                question.expires = Some(now + patience);
            }
        }
    }

    /// Gives up on what the client did not answer in time [S2C-5].
    pub(super) fn expire_questions(&mut self, now: Instant, effects: &mut Effects) {
        let expired = self.questions.extract_if(.., |_, question| {
            question.expires.is_some_and(|at| at <= now)
        });
        for (id, question) in expired.collect::<Vec<_>>() {
            effects.act(Act::Count(Counted::QuestionTimedOut));
            self.withdraw(question.call, id, "timed out", effects);
            self.settle(id, question, Err(AnswerFailure::TimedOut), effects);
        }
    }

    /// The call ended or is no longer wanted: the client need not answer [S2C-7].
    pub(super) fn withdraw_questions(&mut self, call: CallId, effects: &mut Effects) {
        self.held_back.retain(|(of, _)| *of != call);
        let open = self
            .questions
            .extract_if(.., |_, question| question.call == call);
        for (id, _) in open.collect::<Vec<_>>() {
            self.withdraw(call, id, "the request ended", effects);
        }
    }

    fn withdraw(&mut self, call: CallId, id: AskId, reason: &str, effects: &mut Effects) {
        let Some(call) = self.calls.get(&call) else {
            return;
        };
        let message = notify::cancelled(&id.to_text(), Some(reason));
        let message = call.facts.related(message);
        if let Some(stream) = self.streams.get_mut(call.stream) {
            stream.store(message, false, effects);
        }
    }

    /// Somebody else is asked, or has answered.
    pub(super) fn withdrawn(&mut self, id: CallId, keys: &[String], effects: &mut Effects) {
        let taken_back = |of: CallId, key: &String| of == id && keys.contains(key);
        self.held_back
            .retain(|(of, held)| !taken_back(*of, &held.key));
        let open = self
            .questions
            .extract_if(.., |_, open| taken_back(open.call, &open.question.key));
        for (ask, _) in open.collect::<Vec<_>>() {
            self.withdraw(id, ask, "no longer asked here", effects);
            if let Some(call) = self.calls.get_mut(&id) {
                call.asked.retain(|asked| *asked != ask);
            }
            effects.write(Write::DropQuestion { call: id, id: ask });
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
        let call_id = question.call;
        let Some(call) = self.calls.get_mut(&call_id) else {
            return;
        };
        let answer = Answer {
            key: question.question.key.clone(),
            value,
        };
        effects.write(Write::Question {
            call: call_id,
            id,
            asked: question.asked(Some(answer.clone())),
        });
        call.visits.answered(id, &question.question, &answer);
        call.settled.push((question.question, answer.clone()));
        effects.act(Act::Answer {
            call: call_id,
            answer,
        });
    }

    /// Answered at once, without the client. The questions of a task are everybody's who waits for
    /// it: whom it asks in the place of this client, it knows itself.
    fn fail(&self, call: CallId, key: String, failure: AnswerFailure, effects: &mut Effects) {
        let of = self.calls.get(&call);
        if of.is_some_and(|of| of.facts.task.is_none()) {
            let value = Err(failure);
            let answer = Answer { key, value };
            effects.act(Act::Answer { call, answer });
        }
    }
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
