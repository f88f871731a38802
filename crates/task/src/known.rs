//! Answers of one call: those that were given, and those that are known before their questions
//! are asked. And the split of a batch of questions by what is to be done with each.

use std::collections::BTreeMap;

use ostler_protocol::{
    Raw, Revision, ask,
    call::{Answer, AnswerFailure, Question, QuestionKind},
    facet::ClientFacet,
};

use crate::digest::{self, Digest};

/// Answers in the order in which they came. Each serves one question: a worker that asks the
/// same thing twice gets the first answer, then the second [TR-2].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAnswers {
    pub(crate) entries: Vec<Known>,
    /// Nothing was left out, so a call can run again from its start.
    pub(crate) complete: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// As the worker knows it.
    pub key: String,
    /// Which question it answers; `None` when the client sent it before it was asked.
    pub question: Option<Digest>,
    pub value: Raw,
    /// It was fed to the call.
    pub spent: bool,
}

impl Default for KnownAnswers {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            complete: true,
        }
    }
}

impl KnownAnswers {
    /// What the first request of a call already carried as `inputResponses` [MR-8].
    pub fn from_first_request(answers: BTreeMap<String, Raw>) -> Self {
        let mut known = Self::default();
        for (key, value) in answers {
            known.push(key, None, value, false);
        }
        known
    }

    pub(crate) fn push(&mut self, key: String, question: Option<Digest>, value: Raw, spent: bool) {
        self.entries.push(Known {
            key,
            question,
            // It outlives the request body it came in.
            value: value.detached(),
            spent,
        });
    }

    /// All of them, to be given again to a call that runs from its start.
    pub(crate) fn rewound(&self) -> Self {
        let mut again = self.clone();
        again
            .entries
            .iter_mut()
            .for_each(|known| known.spent = false);
        again
    }

    /// What was fed as the answer to exactly this question.
    pub(crate) fn spent_on(&self, question: &Question) -> Option<Raw> {
        let digest = question_digest(question);
        let same = |known: &&Known| {
            known.spent
                && known.key == question.key
                && known.question.is_none_or(|asked| asked == digest)
        };
        let known = self.entries.iter().rfind(same)?;
        Some(known.value.clone())
    }

    /// Forgets the oldest of what was fed, until the rest fits into `bytes_max`.
    pub(crate) fn trim(&mut self, bytes_max: usize) {
        while self.bytes() > bytes_max {
            let Some(oldest) = self.entries.iter().position(|known| known.spent) else {
                return;
            };
            self.entries.remove(oldest);
            self.complete = false;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        const ENTRY_BYTES: usize = 48;
        let bytes = |known: &Known| known.key.len() + known.value.bytes().len() + ENTRY_BYTES;
        self.entries.iter().map(bytes).sum()
    }

    /// Spends the answer to `question`, if one is known and fits.
    fn spend(&mut self, question: &Question) -> Option<Raw> {
        let digest = question_digest(question);
        let fits = |known: &&mut Known| {
            !known.spent
                && known.key == question.key
                && known.question.is_none_or(|asked| asked == digest)
                && ask::check_answer(question, &known.value).is_ok()
        };
        let known = self.entries.iter_mut().find(fits)?;
        known.spent = true;
        Some(known.value.clone())
    }
}

/// What a question asks, whatever its key [TR-3].
pub(crate) fn question_digest(question: &Question) -> Digest {
    let kind = match question.kind {
        QuestionKind::ElicitForm => "elicit form",
        QuestionKind::ElicitUrl => "elicit url",
        QuestionKind::Sample => "sample",
        QuestionKind::Roots => "roots",
    };
    digest::all(&[&digest::text(kind), &digest::arguments(&question.params)])
}

/// A batch of questions, split by what is to be done with each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// To be fed at once: what this client cannot be asked, and what is known already.
    pub answers: Vec<Answer>,
    /// To be asked.
    pub ask: Vec<Question>,
}

/// Splits `questions` for a client with `facet` [MR-3] [MR-8]. A known answer that does not fit
/// its question counts as unknown: the client is asked [MR-7].
pub fn split(
    revision: Revision,
    facet: &ClientFacet,
    questions: Vec<Question>,
    known: &mut KnownAnswers,
) -> Split {
    let mut split = Split::default();
    for question in questions {
        let key = question.key.clone();
        let value = match refusal(revision, facet, &question) {
            Some(failure) => Some(Err(failure)),
            None => known.spend(&question).map(Ok),
        };
        match value {
            Some(value) => split.answers.push(Answer { key, value }),
            None => split.ask.push(question),
        }
    }
    split
}

/// Why a question may not be shown to a client with `facet`, if so.
pub(crate) fn refusal(
    revision: Revision,
    facet: &ClientFacet,
    question: &Question,
) -> Option<AnswerFailure> {
    if ask::check_question(question).is_err() {
        return Some(AnswerFailure::Invalid);
    }
    let gate = ask::gate(revision, facet, question);
    gate.is_err().then_some(AnswerFailure::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODERN: Revision = Revision::V2026_07_28;

    fn question(key: &str, message: &str) -> Question {
        let schema = serde_json::json!({"type": "object", "properties": {}});
        let params =
            serde_json::json!({"mode": "form", "message": message, "requestedSchema": schema});
        Question {
            key: key.to_owned(),
            kind: QuestionKind::ElicitForm,
            params: Raw::from_value(&params),
        }
    }

    fn accepts() -> Raw {
        Raw::from_static(r#"{"action":"accept","content":{}}"#)
    }

    fn first(key: &str, value: Raw) -> KnownAnswers {
        KnownAnswers::from_first_request(BTreeMap::from([(key.to_owned(), value)]))
    }

    /// How many of `keys` are answered and how many are asked.
    fn check(facet: ClientFacet, known: &mut KnownAnswers, keys: &[&str]) -> (usize, usize) {
        let questions = keys.iter().map(|key| question(key, "?")).collect();
        let split = split(MODERN, &facet, questions, known);
        (split.answers.len(), split.ask.len())
    }

    fn able() -> ClientFacet {
        ClientFacet {
            elicit_form: true,
            ..ClientFacet::default()
        }
    }

    #[test]
    fn what_the_client_cannot_be_asked_is_answered_at_once() {
        let split = split(
            MODERN,
            &ClientFacet::default(),
            vec![question("a", "?")],
            &mut first("a", accepts()),
        );
        assert_eq!(split.answers[0].value, Err(AnswerFailure::Unsupported));
        assert!(split.ask.is_empty());
    }

    #[test]
    fn a_known_answer_serves_one_question() {
        let mut known = first("a", accepts());
        assert_eq!(check(able(), &mut known, &["a", "b"]), (1, 1));
        assert_eq!(check(able(), &mut known, &["a"]), (0, 1));
        assert_eq!(check(able(), &mut known.rewound(), &["a"]), (1, 0));
    }

    #[test]
    fn a_known_answer_that_does_not_fit_is_asked_for() {
        let mut known = first("a", Raw::from_static("12345"));
        assert_eq!(check(able(), &mut known, &["a"]), (0, 1));
    }

    #[test]
    fn an_answer_to_another_question_under_the_same_key_is_not_used() {
        let mut known = KnownAnswers::default();
        let asked = question_digest(&question("a", "another"));
        known.push("a".to_owned(), Some(asked), accepts(), false);
        assert_eq!(check(able(), &mut known, &["a"]), (0, 1));
    }

    #[test]
    fn trimming_forgets_the_oldest_first_and_says_so() {
        let mut known = KnownAnswers::default();
        for key in ["a", "b", "c"] {
            known.push(key.to_owned(), None, accepts(), true);
        }
        known.trim(usize::MAX);
        assert!(known.complete);
        known.trim(known.bytes() - 1);
        let keys: Vec<_> = known.entries.iter().map(|known| &known.key[..]).collect();
        assert_eq!(keys, ["b", "c"]);
        assert!(!known.complete);
    }
}
