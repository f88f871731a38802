//! Stored forms of what records share: outcomes, questions, answers and small enums.
//!
//! Numbers of enums are never reused, as those of fields.

use bytes::Bytes;
use minicbor::{Decode, Encode, bytes::ByteVec};
use ostler_hub::Placement;
use ostler_protocol::{
    Raw,
    call::{AnswerFailure, Executed, Failure, Outcome, Question, QuestionKind},
    facet::{Capability, ClientFacet},
};
use ostler_types::{CallKind, InstanceEpoch, WorkerId};

use super::{BadRecord, unreadable};
use crate::{
    digest::Digest,
    known::{Known, KnownAnswers},
    state::{Asked, FailedAnswer},
};

/// What was checked when it came in is nested no deeper.
const DEPTH_MAX: usize = 1_024;

pub(crate) fn encode_raw(raw: &Raw) -> ByteVec {
    raw.bytes().to_vec().into()
}

pub(crate) fn decode_raw(bytes: ByteVec) -> Result<Raw, BadRecord> {
    let bytes = Bytes::from(Vec::from(bytes));
    Raw::parse(bytes, DEPTH_MAX).map_err(|_| unreadable("a JSON value"))
}

// ---- answers -----------------------------------------------------------------------

#[derive(Encode, Decode)]
pub(crate) struct StoredKnown {
    #[n(0)]
    key: String,
    #[n(1)]
    question: Option<ByteVec>,
    #[n(2)]
    value: ByteVec,
    #[n(3)]
    spent: bool,
}

pub(crate) fn encode_known(known: &KnownAnswers) -> Vec<StoredKnown> {
    let stored = |known: &Known| StoredKnown {
        key: known.key.clone(),
        question: known.question.map(|digest| digest.to_vec().into()),
        value: encode_raw(&known.value),
        spent: known.spent,
    };
    known.entries.iter().map(stored).collect()
}

pub(crate) fn decode_known(
    stored: Vec<StoredKnown>,
    complete: bool,
) -> Result<KnownAnswers, BadRecord> {
    let known = |stored: StoredKnown| {
        Ok(Known {
            key: stored.key,
            question: stored.question.map(decode_digest).transpose()?,
            value: decode_raw(stored.value)?,
            spent: stored.spent,
        })
    };
    let entries = stored.into_iter().map(known);
    Ok(KnownAnswers {
        entries: entries.collect::<Result<_, BadRecord>>()?,
        complete,
    })
}

#[derive(Encode, Decode)]
pub(crate) struct StoredFailedAnswer {
    #[n(0)]
    key: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    question: Digest,
    #[n(2)]
    failure: u8,
}

pub(crate) fn encode_failed(failed: &FailedAnswer) -> StoredFailedAnswer {
    StoredFailedAnswer {
        key: failed.key.clone(),
        question: failed.question,
        failure: match failed.failure {
            AnswerFailure::Unsupported => 1,
            AnswerFailure::Refused => 2,
            AnswerFailure::TimedOut => 3,
            AnswerFailure::Invalid => 4,
        },
    }
}

pub(crate) fn decode_failed(stored: StoredFailedAnswer) -> Result<FailedAnswer, BadRecord> {
    Ok(FailedAnswer {
        key: stored.key,
        question: stored.question,
        failure: match stored.failure {
            1 => AnswerFailure::Unsupported,
            2 => AnswerFailure::Refused,
            3 => AnswerFailure::TimedOut,
            4 => AnswerFailure::Invalid,
            _ => return Err(unreadable("why an answer failed")),
        },
    })
}

fn decode_digest(bytes: ByteVec) -> Result<Digest, BadRecord> {
    let digest = Digest::try_from(Vec::from(bytes));
    digest.map_err(|_| unreadable("a digest"))
}

// ---- questions ---------------------------------------------------------------------

#[derive(Encode, Decode)]
pub(crate) struct StoredAsked {
    #[n(0)]
    shown: String,
    #[n(1)]
    key: String,
    #[n(2)]
    kind: u8,
    #[n(3)]
    params: ByteVec,
}

pub(crate) fn encode_asked(asked: &Asked) -> StoredAsked {
    StoredAsked {
        shown: asked.shown.clone(),
        key: asked.question.key.clone(),
        kind: match asked.question.kind {
            QuestionKind::ElicitForm => 1,
            QuestionKind::ElicitUrl => 2,
            QuestionKind::Sample => 3,
            QuestionKind::Roots => 4,
        },
        params: encode_raw(&asked.question.params),
    }
}

pub(crate) fn decode_asked(stored: StoredAsked) -> Result<Asked, BadRecord> {
    let kind = match stored.kind {
        1 => QuestionKind::ElicitForm,
        2 => QuestionKind::ElicitUrl,
        3 => QuestionKind::Sample,
        4 => QuestionKind::Roots,
        _ => return Err(unreadable("a kind of question")),
    };
    Ok(Asked {
        shown: stored.shown,
        question: Question {
            key: stored.key,
            kind,
            params: decode_raw(stored.params)?,
        },
    })
}

// ---- outcomes ----------------------------------------------------------------------

/// Exactly one of the two is set.
#[derive(Encode, Decode)]
pub(crate) struct StoredOutcome {
    #[n(0)]
    result: Option<ByteVec>,
    #[n(1)]
    failure: Option<StoredFailure>,
}

#[derive(Encode, Decode, Default)]
struct StoredFailure {
    #[n(0)]
    kind: u8,
    #[n(1)]
    message: String,
    #[n(2)]
    code: i32,
    #[n(3)]
    data: Option<ByteVec>,
    #[n(4)]
    capabilities: Vec<u8>,
    #[n(5)]
    scopes: Vec<String>,
}

pub(crate) fn encode_outcome(outcome: &Outcome) -> StoredOutcome {
    match outcome {
        Ok(result) => StoredOutcome {
            result: Some(encode_raw(result)),
            failure: None,
        },
        Err(failure) => StoredOutcome {
            result: None,
            failure: Some(encode_failure(failure)),
        },
    }
}

pub(crate) fn decode_outcome(stored: StoredOutcome) -> Result<Outcome, BadRecord> {
    match (stored.result, stored.failure) {
        (Some(result), None) => Ok(Ok(decode_raw(result)?)),
        (None, Some(failure)) => Ok(Err(decode_failure(failure)?)),
        _ => Err(unreadable("an outcome")),
    }
}

fn encode_failure(failure: &Failure) -> StoredFailure {
    let plain = |kind| StoredFailure {
        kind,
        ..StoredFailure::default()
    };
    let said = |kind, message: &String| StoredFailure {
        message: message.clone(),
        ..plain(kind)
    };
    match failure {
        Failure::Internal(message) => said(1, message),
        Failure::NotFound { message } => said(2, message),
        Failure::InvalidParams(message) => said(3, message),
        Failure::NeedsCapability(capabilities) => StoredFailure {
            capabilities: capabilities
                .iter()
                .copied()
                .map(capability_number)
                .collect(),
            ..plain(4)
        },
        Failure::NeedsScope(scopes) => StoredFailure {
            scopes: scopes.clone(),
            ..plain(5)
        },
        Failure::Protocol {
            code,
            message,
            data,
        } => StoredFailure {
            code: *code,
            data: data.as_ref().map(encode_raw),
            ..said(6, message)
        },
        Failure::Cancelled => plain(7),
        Failure::TimedOut => plain(8),
        Failure::WorkerLost {
            executed: Executed::No,
        } => plain(9),
        Failure::WorkerLost {
            executed: Executed::Unknown,
        } => plain(10),
        Failure::Deadline => plain(11),
        Failure::TooLarge => plain(12),
        Failure::BadResult(message) => said(13, message),
        Failure::Drained => plain(14),
    }
}

fn decode_failure(stored: StoredFailure) -> Result<Failure, BadRecord> {
    let message = stored.message;
    Ok(match stored.kind {
        1 => Failure::Internal(message),
        2 => Failure::NotFound { message },
        3 => Failure::InvalidParams(message),
        4 => Failure::NeedsCapability(decode_capabilities(&stored.capabilities)?),
        5 => Failure::NeedsScope(stored.scopes),
        6 => Failure::Protocol {
            code: stored.code,
            message,
            data: stored.data.map(decode_raw).transpose()?,
        },
        7 => Failure::Cancelled,
        8 => Failure::TimedOut,
        9 => Failure::WorkerLost {
            executed: Executed::No,
        },
        10 => Failure::WorkerLost {
            executed: Executed::Unknown,
        },
        11 => Failure::Deadline,
        12 => Failure::TooLarge,
        13 => Failure::BadResult(message),
        14 => Failure::Drained,
        _ => return Err(unreadable("a kind of failure")),
    })
}

// ---- places ------------------------------------------------------------------------

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredPlace {
    #[n(0)]
    worker: String,
    #[n(1)]
    instance: u64,
    #[n(2)]
    attempt: u32,
}

pub(crate) fn encode_place(place: &Placement) -> StoredPlace {
    StoredPlace {
        worker: place.worker.as_str().to_owned(),
        instance: place.instance.0,
        attempt: place.attempt,
    }
}

pub(crate) fn decode_place(stored: StoredPlace) -> Result<Placement, BadRecord> {
    Ok(Placement {
        worker: WorkerId::parse(&stored.worker).map_err(|_| unreadable("a worker"))?,
        instance: InstanceEpoch(stored.instance),
        attempt: stored.attempt,
    })
}

// ---- small enums -------------------------------------------------------------------

pub(crate) fn kind_number(kind: CallKind) -> u8 {
    match kind {
        CallKind::Tool => 1,
        CallKind::Prompt => 2,
        CallKind::Resource => 3,
        CallKind::Completion => 4,
    }
}

pub(crate) fn decode_kind(number: u8) -> Result<CallKind, BadRecord> {
    match number {
        1 => Ok(CallKind::Tool),
        2 => Ok(CallKind::Prompt),
        3 => Ok(CallKind::Resource),
        4 => Ok(CallKind::Completion),
        _ => Err(unreadable("a kind of call")),
    }
}

fn capability_number(capability: Capability) -> u8 {
    match capability {
        Capability::ElicitForm => 1,
        Capability::ElicitUrl => 2,
        Capability::Sample => 3,
        Capability::SampleTools => 4,
        Capability::SampleContext => 5,
        Capability::Roots => 6,
        Capability::Tasks => 7,
        Capability::Ui => 8,
    }
}

fn decode_capabilities(numbers: &[u8]) -> Result<Vec<Capability>, BadRecord> {
    let decode = |number: &u8| {
        let mut all = Capability::ALL.into_iter();
        let found = all.find(|capability| capability_number(*capability) == *number);
        found.ok_or_else(|| unreadable("a capability"))
    };
    numbers.iter().map(decode).collect()
}

pub(crate) fn encode_facet(facet: &ClientFacet) -> Vec<u8> {
    let all = Capability::ALL.into_iter();
    let has = all.filter(|capability| facet.has(*capability));
    has.map(capability_number).collect()
}

/// What concerns sessions only (`roots_list_changed`) is not kept.
pub(crate) fn decode_facet(numbers: &[u8]) -> Result<ClientFacet, BadRecord> {
    Ok(ClientFacet::with(&decode_capabilities(numbers)?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One of each kind.
    pub(crate) fn outcomes() -> Vec<Outcome> {
        let text = || "why".to_owned();
        let data = Some(Raw::from_static(r#"{"a":[1,2.50]}"#));
        vec![
            Ok(Raw::from_static(r#"{"content":[],"n":1.0}"#)),
            Err(Failure::Internal(text())),
            Err(Failure::NotFound { message: text() }),
            Err(Failure::InvalidParams(text())),
            Err(Failure::NeedsCapability(Capability::ALL.to_vec())),
            Err(Failure::NeedsScope(vec![text(), text()])),
            Err(Failure::Protocol {
                code: -32000,
                message: text(),
                data,
            }),
            Err(Failure::Cancelled),
            Err(Failure::TimedOut),
            Err(Failure::WorkerLost {
                executed: Executed::No,
            }),
            Err(Failure::WorkerLost {
                executed: Executed::Unknown,
            }),
            Err(Failure::Deadline),
            Err(Failure::TooLarge),
            Err(Failure::BadResult(text())),
            Err(Failure::Drained),
        ]
    }

    #[test]
    fn every_outcome_comes_back_from_its_stored_form() {
        for outcome in outcomes() {
            let bytes = minicbor::to_vec(encode_outcome(&outcome)).unwrap();
            let back = decode_outcome(minicbor::decode(&bytes).unwrap());
            assert_eq!(back, Ok(outcome));
        }
    }

    #[test]
    fn a_facet_comes_back_from_its_stored_form() {
        for at in 0..=Capability::ALL.len() {
            let facet = ClientFacet::with(&Capability::ALL[..at]);
            assert_eq!(decode_facet(&encode_facet(&facet)), Ok(facet));
        }
        assert!(decode_facet(&[99]).is_err());
    }

    #[test]
    fn a_call_kind_comes_back_from_its_number() {
        for kind in [
            CallKind::Tool,
            CallKind::Prompt,
            CallKind::Resource,
            CallKind::Completion,
        ] {
            assert_eq!(decode_kind(kind_number(kind)), Ok(kind));
        }
        assert!(decode_kind(0).is_err());
    }
}
