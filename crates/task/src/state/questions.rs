//! Questions that wait for a client.

use ostler_protocol::{
    Raw,
    call::{Answer, AnswerFailure, Question},
};

use super::{Phase, TaskState};
use crate::{
    config::Config,
    digest::Digest,
    known::{question_digest, refusal},
};

/// A question that is open.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// The key the client sees; differs from the worker's when that was used before.
    pub shown: String,
    pub question: Question,
}

/// A question that failed, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FailedAnswer {
    /// As the worker knows it.
    pub key: String,
    pub question: Digest,
    pub failure: AnswerFailure,
}

impl Asked {
    /// As the client sees it.
    pub fn to_show(&self) -> Question {
        Question {
            key: self.shown.clone(),
            ..self.question.clone()
        }
    }

    pub fn digest(&self) -> Digest {
        question_digest(&self.question)
    }
}

impl TaskState {
    /// Opens a question under a key that means nothing else [MR-2] [TK-6].
    pub(super) fn open(&mut self, question: Question) {
        let shown = self.fresh_key(&question.key);
        if let Phase::Task(part) = &mut self.phase {
            part.used.insert(shown.clone());
        }
        if shown != question.key {
            self.renamed.insert(question.key.clone(), shown.clone());
        }
        let params = question.params.detached();
        self.questions.push(Asked {
            shown,
            question: Question { params, ..question },
        });
    }

    /// How the client knows the latest question of the worker under this key.
    pub(super) fn shown_as<'a>(&'a self, key: &'a str) -> &'a str {
        let open = self
            .questions
            .iter()
            .find(|asked| asked.question.key == key);
        match open {
            Some(asked) => &asked.shown,
            None => self.renamed.get(key).map_or(key, String::as_str),
        }
    }

    /// Whether the same is asked already: a call that was sent to another worker asks again.
    pub(super) fn is_open(&self, question: &Question) -> bool {
        let same = |asked: &Asked| {
            asked.question.key == question.key && asked.digest() == question_digest(question)
        };
        self.questions.iter().any(same)
    }

    /// The worker's key, with a suffix if it was shown before [TR-3].
    fn fresh_key(&self, key: &str) -> String {
        let taken = |key: &str| match &self.phase {
            Phase::Task(part) => part.used.contains(key),
            Phase::Parked | Phase::Followed(_) | Phase::Ended(_) | Phase::Gone => {
                self.questions.iter().any(|asked| asked.shown == key)
            }
        };
        if !taken(key) {
            return key.to_owned();
        }
        let mut suffixed = (2..).map(|n: u32| format!("{key}-{n}"));
        let free = suffixed.find(|key| !taken(key));
        free.expect("finitely many keys are taken")
    }

    /// How the latest question like this one was settled, if one was.
    pub(super) fn settled(&self, question: &Question) -> Option<Result<Raw, AnswerFailure>> {
        let digest = question_digest(question);
        let same = |failed: &&FailedAnswer| failed.key == question.key && failed.question == digest;
        match self.failed.iter().find(same) {
            Some(failed) => Some(Err(failed.failure)),
            None => self.known.spent_on(question).map(Ok),
        }
    }

    /// Why a question cannot be opened now, if so.
    pub(super) fn no_room(&self, config: &Config) -> Option<AnswerFailure> {
        let used = match &self.phase {
            Phase::Task(part) => part.used.len(),
            Phase::Parked | Phase::Followed(_) | Phase::Ended(_) | Phase::Gone => 0,
        };
        let full = self.questions.len() >= config.questions_open_max
            || used >= config.questions_per_task_max;
        full.then_some(AnswerFailure::Refused)
    }

    /// Takes back what the client of the present request cannot be asked [MR-3]: each request
    /// declares anew what it can do.
    pub(super) fn withdraw_unsupported(&mut self) -> Vec<Answer> {
        let (revision, facet) = (self.facts.revision, self.facet);
        let mut answers = Vec::new();
        self.questions.retain(|asked| {
            let failure = refusal(revision, &facet, &asked.question);
            let key = asked.question.key.clone();
            answers.extend(failure.map(|failure| Answer {
                key,
                value: Err(failure),
            }));
            failure.is_none()
        });
        answers
    }
}
