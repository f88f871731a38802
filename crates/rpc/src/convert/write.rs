//! Nouns with payloads, on their way out.

use bytes::Bytes;
use ostler_protocol::{
    Raw,
    call::{Answer, AnswerFailure, Failure, Log, Outcome, Progress, Question, QuestionKind},
};
use ostler_types::{CallId, Caller, SessionAlias};

use super::names::{capabilities_to_wire, log_level_to_wire};
use crate::{
    transfer::{Packer, Transfer, TransferNumbers},
    worker_v1 as wire,
};

/// Texts for people, in bytes: longer ones are cut, so that they cannot fill a frame.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The beginning of a text, at most so many bytes, on a character boundary.
pub fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn clipped(text: &str) -> String {
    clip(text, TEXT_BYTES_MAX).to_owned()
}

/// Writes what one frame carries.
pub struct Writer<'a>(Packer<'a>);

impl<'a> Writer<'a> {
    pub fn new(numbers: &'a TransferNumbers) -> Self {
        Self(Packer::new(numbers))
    }

    /// What must be sent ahead of the frame.
    pub fn into_transfers(self) -> Vec<Transfer> {
        self.0.into_transfers()
    }

    pub fn bytes(&mut self, bytes: Bytes) -> Option<wire::Payload> {
        Some(self.0.pack(bytes))
    }

    pub fn json(&mut self, raw: &Raw) -> Option<wire::Payload> {
        self.bytes(raw.bytes().clone())
    }

    pub fn log(&mut self, call: CallId, attempt: u32, log: &Log) -> wire::Log {
        wire::Log {
            call: Some(call.into()),
            attempt,
            level: log_level_to_wire(log.level).into(),
            logger: clipped(log.logger.as_deref().unwrap_or_default()),
            data: self.json(&log.data),
        }
    }

    pub fn ask(&mut self, call: CallId, attempt: u32, questions: &[Question]) -> wire::Ask {
        wire::Ask {
            call: Some(call.into()),
            attempt,
            questions: questions.iter().map(|q| self.question(q)).collect(),
        }
    }

    fn question(&mut self, question: &Question) -> wire::Question {
        let kind = match question.kind {
            QuestionKind::ElicitForm => wire::QuestionKind::ElicitForm,
            QuestionKind::ElicitUrl => wire::QuestionKind::ElicitUrl,
            QuestionKind::Sample => wire::QuestionKind::Sample,
            QuestionKind::Roots => wire::QuestionKind::Roots,
        };
        wire::Question {
            key: question.key.clone(),
            kind: kind.into(),
            params: self.json(&question.params),
        }
    }

    pub fn answers(&mut self, answers: &[Answer]) -> Vec<wire::Answer> {
        answers.iter().map(|answer| self.answer(answer)).collect()
    }

    fn answer(&mut self, answer: &Answer) -> wire::Answer {
        use wire::answer::Answer as Wire;
        let wire = match &answer.value {
            Ok(value) => Wire::Value(self.json(value).unwrap_or_default()),
            Err(failure) => Wire::Failure(answer_failure(*failure).into()),
        };
        wire::Answer {
            key: answer.key.clone(),
            answer: Some(wire),
        }
    }

    pub fn outcome(&mut self, call: CallId, attempt: u32, outcome: &Outcome) -> wire::Outcome {
        use wire::outcome::Outcome as Wire;
        let wire = match outcome {
            Ok(result) => Wire::Result(self.json(result).unwrap_or_default()),
            Err(failure) => Wire::Failure(self.failure(failure)),
        };
        wire::Outcome {
            call: Some(call.into()),
            attempt,
            outcome: Some(wire),
        }
    }

    /// What only a platform says has no kind on the wire: it travels as `Internal`.
    fn failure(&mut self, failure: &Failure) -> wire::Failure {
        use wire::FailureKind as Kind;
        let mut wire = wire::Failure::default();
        let (kind, message) = match failure {
            Failure::Internal(message) => (Kind::Internal, clipped(message)),
            Failure::NotFound { message } => (Kind::NotFound, clipped(message)),
            Failure::InvalidParams(message) => (Kind::InvalidParams, clipped(message)),
            Failure::NeedsCapability(needed) => {
                wire.capabilities = capabilities_to_wire(needed);
                (Kind::NeedsCapability, String::new())
            }
            Failure::NeedsScope(scopes) => {
                wire.scopes.clone_from(scopes);
                (Kind::NeedsScope, String::new())
            }
            Failure::Protocol {
                code,
                message,
                data,
            } => {
                wire.code = *code;
                wire.data = data.as_ref().and_then(|data| self.json(data));
                (Kind::Protocol, clipped(message))
            }
            Failure::Cancelled => (Kind::Cancelled, String::new()),
            Failure::TimedOut => (Kind::TimedOut, String::new()),
            Failure::WorkerLost { .. }
            | Failure::Deadline
            | Failure::Drained
            | Failure::TooLarge
            | Failure::BadResult(_) => (Kind::Internal, clipped(&failure.to_string())),
        };
        wire.kind = kind.into();
        wire.message = message;
        wire
    }
}

fn answer_failure(failure: AnswerFailure) -> wire::AnswerFailure {
    match failure {
        AnswerFailure::Unsupported => wire::AnswerFailure::Unsupported,
        AnswerFailure::Refused => wire::AnswerFailure::Refused,
        AnswerFailure::TimedOut => wire::AnswerFailure::TimedOut,
        AnswerFailure::Invalid => wire::AnswerFailure::Invalid,
    }
}

impl wire::Progress {
    pub fn of(call: CallId, attempt: u32, progress: &Progress) -> Self {
        Self {
            call: Some(call.into()),
            attempt,
            progress: progress.progress,
            total: progress.total,
            message: clipped(progress.message.as_deref().unwrap_or_default()),
        }
    }
}

/// Who calls, as a worker may know it: never the client's own token.
pub fn caller_assertion(caller: &Caller) -> wire::CallerAssertion {
    let principal = caller.principal();
    let scopes = caller.identity.scopes.iter();
    wire::CallerAssertion {
        tenant: caller.tenant().as_str().to_owned(),
        issuer: principal.issuer.to_string(),
        subject: principal.subject.to_string(),
        client: principal.client.to_string(),
        scopes: scopes.map(|scope| scope.to_string()).collect(),
        session: caller.session.map(session_name).unwrap_or_default(),
    }
}

fn session_name(alias: SessionAlias) -> String {
    format!("{:032x}", u128::from_be_bytes(alias.0))
}
