//! Nouns with payloads, on their way in.

use bytes::Bytes;
use ostler_protocol::{
    Raw,
    call::{Answer, AnswerFailure, Failure, Log, Outcome, Progress, Question, QuestionKind},
};

use super::{
    BadFrame,
    names::{capabilities, log_level, unknown},
};
use crate::{transfer::Assembler, worker_v1 as wire};

/// Reads what frames of one link carry.
pub struct Reader<'a> {
    assembler: &'a mut Assembler,
    /// Nesting of JSON that is let in.
    depth_max: usize,
}

impl<'a> Reader<'a> {
    pub fn new(assembler: &'a mut Assembler, depth_max: usize) -> Self {
        Self {
            assembler,
            depth_max,
        }
    }

    /// The bytes of a payload; none when it is absent.
    pub fn bytes(
        &mut self,
        field: &'static str,
        payload: Option<wire::Payload>,
    ) -> Result<Bytes, BadFrame> {
        let whole = self.assembler.finish(payload.unwrap_or_default());
        whole.map_err(|source| BadFrame::Payload { field, source })
    }

    /// Any JSON value.
    pub fn json(
        &mut self,
        field: &'static str,
        payload: Option<wire::Payload>,
    ) -> Result<Raw, BadFrame> {
        let bytes = self.bytes(field, payload)?;
        let parsed = Raw::parse(bytes, self.depth_max);
        parsed.map_err(|source| BadFrame::Json { field, source })
    }

    /// A JSON object.
    pub fn object(
        &mut self,
        field: &'static str,
        payload: Option<wire::Payload>,
    ) -> Result<Raw, BadFrame> {
        let raw = self.json(field, payload)?;
        let object = raw.is_object().then_some(raw);
        object.ok_or(BadFrame::NotAnObject(field))
    }

    pub fn log(&mut self, log: wire::Log) -> Result<Log, BadFrame> {
        let data = self.json("log data", log.data)?;
        let level = log_level(log.level)?;
        let logger = some_text(log.logger);
        Ok(Log {
            level,
            logger,
            data,
        })
    }

    pub fn questions(&mut self, ask: wire::Ask) -> Result<Vec<Question>, BadFrame> {
        // Every payload is taken out, also after a bad one: its transfer must end.
        let read = ask.questions.into_iter().map(|q| self.question(q));
        let read: Vec<_> = read.collect();
        read.into_iter().collect()
    }

    fn question(&mut self, question: wire::Question) -> Result<Question, BadFrame> {
        let params = self.object("question params", question.params)?;
        let kind = question_kind(question.kind)?;
        let key = question.key;
        Ok(Question { key, kind, params })
    }

    pub fn answers(&mut self, answers: Vec<wire::Answer>) -> Result<Vec<Answer>, BadFrame> {
        let read: Vec<_> = answers.into_iter().map(|a| self.answer(a)).collect();
        read.into_iter().collect()
    }

    fn answer(&mut self, answer: wire::Answer) -> Result<Answer, BadFrame> {
        use wire::answer::Answer as Wire;
        let value = match answer.answer {
            Some(Wire::Value(payload)) => Ok(self.object("answer", Some(payload))?),
            Some(Wire::Failure(failure)) => Err(answer_failure(failure)?),
            None => return Err(BadFrame::Missing("answer")),
        };
        let key = answer.key;
        Ok(Answer { key, value })
    }

    /// The error concerns the outcome as a frame; what the worker said is in the `Ok`.
    pub fn outcome(
        &mut self,
        outcome: Option<wire::outcome::Outcome>,
    ) -> Result<Outcome, BadFrame> {
        use wire::outcome::Outcome as Wire;
        match outcome {
            Some(Wire::Result(payload)) => self.object("result", Some(payload)).map(Ok),
            Some(Wire::Failure(failure)) => self.failure(failure).map(Err),
            None => Err(BadFrame::Missing("outcome")),
        }
    }

    fn failure(&mut self, failure: wire::Failure) -> Result<Failure, BadFrame> {
        use wire::FailureKind as Kind;
        let data = self.bytes("failure data", failure.data)?;
        let message = failure.message;
        Ok(match Kind::try_from(failure.kind) {
            Ok(Kind::Internal) => Failure::Internal(message),
            Ok(Kind::NotFound) => Failure::NotFound { message },
            Ok(Kind::InvalidParams) => Failure::InvalidParams(message),
            Ok(Kind::NeedsCapability) => {
                Failure::NeedsCapability(capabilities(&failure.capabilities)?)
            }
            Ok(Kind::NeedsScope) => Failure::NeedsScope(failure.scopes),
            Ok(Kind::Protocol) => Failure::Protocol {
                code: failure.code,
                message,
                data: self.optional_json("failure data", data)?,
            },
            Ok(Kind::Cancelled) => Failure::Cancelled,
            Ok(Kind::TimedOut) => Failure::TimedOut,
            Ok(Kind::Unspecified) | Err(_) => return Err(unknown("failure kind", failure.kind)),
        })
    }

    fn optional_json(&self, field: &'static str, bytes: Bytes) -> Result<Option<Raw>, BadFrame> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let parsed = Raw::parse(bytes, self.depth_max);
        parsed
            .map(Some)
            .map_err(|source| BadFrame::Json { field, source })
    }
}

impl TryFrom<wire::Progress> for Progress {
    type Error = BadFrame;

    /// JSON has no infinity and no NaN, so they end here (GRPC-033).
    fn try_from(wire: wire::Progress) -> Result<Self, BadFrame> {
        let numbers = [Some(wire.progress), wire.total];
        if !numbers.into_iter().flatten().all(f64::is_finite) {
            return Err(BadFrame::NotFinite("progress"));
        }
        Ok(Self {
            progress: wire.progress,
            total: wire.total,
            message: some_text(wire.message),
        })
    }
}

fn some_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn question_kind(kind: i32) -> Result<QuestionKind, BadFrame> {
    match wire::QuestionKind::try_from(kind) {
        Ok(wire::QuestionKind::ElicitForm) => Ok(QuestionKind::ElicitForm),
        Ok(wire::QuestionKind::ElicitUrl) => Ok(QuestionKind::ElicitUrl),
        Ok(wire::QuestionKind::Sample) => Ok(QuestionKind::Sample),
        Ok(wire::QuestionKind::Roots) => Ok(QuestionKind::Roots),
        Ok(wire::QuestionKind::Unspecified) | Err(_) => Err(unknown("question kind", kind)),
    }
}

fn answer_failure(failure: i32) -> Result<AnswerFailure, BadFrame> {
    match wire::AnswerFailure::try_from(failure) {
        Ok(wire::AnswerFailure::Unsupported) => Ok(AnswerFailure::Unsupported),
        Ok(wire::AnswerFailure::Refused) => Ok(AnswerFailure::Refused),
        Ok(wire::AnswerFailure::TimedOut) => Ok(AnswerFailure::TimedOut),
        Ok(wire::AnswerFailure::Invalid) => Ok(AnswerFailure::Invalid),
        Ok(wire::AnswerFailure::Unspecified) | Err(_) => Err(unknown("answer failure", failure)),
    }
}
