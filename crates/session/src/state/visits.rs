//! Pages that the client agreed to visit: it is told when they have done their part [SP-5].

use ostler_protocol::{
    call::{Answer, Question, QuestionKind},
    notify,
};
use ostler_types::CallId;

use crate::state::{AskId, Effects, SessionState};

/// The visits of one call that are not over, by the key of their question.
#[derive(Debug, Default)]
pub(super) struct Visits(Vec<(String, AskId)>);

impl Visits {
    /// Remembers the visit, if the answer agrees to one.
    pub fn answered(&mut self, id: AskId, question: &Question, answer: &Answer) {
        let action = answer
            .value
            .as_ref()
            .ok()
            .and_then(|value| value.get("action"));
        let agreed = action.is_some_and(|action| action.text().as_deref() == Some("accept"));
        if agreed && question.kind == QuestionKind::ElicitUrl {
            self.0.push((question.key.clone(), id));
        }
    }

    /// All of them: of two questions with one key, in two attempts, say, one page comes.
    fn end(&mut self, key: &str) -> Vec<AskId> {
        let ended = self.0.extract_if(.., |(visit, _)| visit == key);
        ended.map(|(_, id)| id).collect()
    }
}

/// What the client knows a visit by: unlike ids of requests, unique beyond the session.
pub(super) fn elicitation_id(call: CallId, id: AskId) -> String {
    format!("{:032x}-{}-{}", call.0, id.epoch, id.number)
}

impl SessionState {
    /// A page has done its part: the client that agreed to visit it is told, once, on the stream
    /// of the call it was asked on, and nobody else.
    pub(super) fn visited(&mut self, call: CallId, key: &str, effects: &mut Effects) {
        let Some(call) = self.calls.get_mut(&call).filter(|call| !call.cancelled) else {
            return;
        };
        for id in call.visits.end(key) {
            let id = elicitation_id(call.facts.call, id);
            let told = notify::elicitation_complete(self.terms.revision, &id);
            let told = told.map(|told| call.facts.related(told));
            if let (Some(told), Some(stream)) = (told, self.streams.get_mut(call.stream)) {
                stream.store(told, false, effects);
            }
        }
    }
}
