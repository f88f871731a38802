//! Kind 13: a question to the client, and its answer once there is one. Which it is stands in
//! its key.

use minicbor::{Decode, Encode};
use ostler_protocol::{
    call::{Answer, AnswerFailure, QuestionKind},
    json::Raw,
};
use ostler_store::Key;
use ostler_types::CallId;

use crate::{
    record::{Kind, Row},
    state::{AskId, Asked},
};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct QuestionRow {
    /// Chosen by the author of the worker.
    #[n(1)]
    key: String,
    #[n(2)]
    kind: u8,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    params: Vec<u8>,
    #[n(4)]
    answer: Option<AnswerRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum AnswerRow {
    #[n(0)]
    Value(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
    #[n(1)]
    Unsupported,
    #[n(2)]
    Refused,
    #[n(3)]
    TimedOut,
    #[n(4)]
    Invalid,
}

impl Row for QuestionRow {
    const KIND: Kind = Kind::Question;
}

impl QuestionRow {
    pub fn new(asked: &Asked) -> Self {
        QuestionRow {
            key: asked.key.clone(),
            kind: kind_number(asked.kind),
            params: asked.params.bytes().to_vec(),
            answer: asked.answer.as_ref().map(AnswerRow::new),
        }
    }

    pub fn into_asked(self) -> Option<Asked> {
        let answer = match self.answer {
            Some(answer) => Some(Answer {
                key: self.key.clone(),
                value: answer.into_value()?,
            }),
            None => None,
        };
        Some(Asked {
            key: self.key,
            kind: kind_of(self.kind)?,
            params: Raw::parse(self.params.into(), usize::MAX).ok()?,
            answer,
        })
    }
}

impl AnswerRow {
    fn new(answer: &Answer) -> Self {
        match &answer.value {
            Ok(value) => AnswerRow::Value(value.bytes().to_vec()),
            Err(AnswerFailure::Unsupported) => AnswerRow::Unsupported,
            Err(AnswerFailure::Refused) => AnswerRow::Refused,
            Err(AnswerFailure::TimedOut) => AnswerRow::TimedOut,
            Err(AnswerFailure::Invalid) => AnswerRow::Invalid,
        }
    }

    /// `None` if the stored value cannot be read.
    fn into_value(self) -> Option<Result<Raw, AnswerFailure>> {
        match self {
            AnswerRow::Value(bytes) => Raw::parse(bytes.into(), usize::MAX).ok().map(Ok),
            AnswerRow::Unsupported => Some(Err(AnswerFailure::Unsupported)),
            AnswerRow::Refused => Some(Err(AnswerFailure::Refused)),
            AnswerRow::TimedOut => Some(Err(AnswerFailure::TimedOut)),
            AnswerRow::Invalid => Some(Err(AnswerFailure::Invalid)),
        }
    }
}

/// The call and the question that a question's key ends with.
pub(crate) fn question_of_key(key: &Key) -> Option<(CallId, AskId)> {
    let bytes: [u8; 28] = key.last_bytes()?;
    let (call, id) = bytes.split_first_chunk::<16>()?;
    let (epoch, number) = id.split_first_chunk::<8>()?;
    let id = AskId {
        epoch: u64::from_be_bytes(*epoch),
        number: u32::from_be_bytes(number.try_into().ok()?),
    };
    Some((CallId(u128::from_be_bytes(*call)), id))
}

fn kind_number(kind: QuestionKind) -> u8 {
    match kind {
        QuestionKind::ElicitForm => 1,
        QuestionKind::ElicitUrl => 2,
        QuestionKind::Sample => 3,
        QuestionKind::Roots => 4,
    }
}

fn kind_of(number: u8) -> Option<QuestionKind> {
    match number {
        1 => Some(QuestionKind::ElicitForm),
        2 => Some(QuestionKind::ElicitUrl),
        3 => Some(QuestionKind::Sample),
        4 => Some(QuestionKind::Roots),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::testing::check;

    fn value() -> impl Strategy<Value = Option<Result<Raw, AnswerFailure>>> {
        prop_oneof![
            Just(None),
            ".*".prop_map(|text| Some(Ok(Raw::from_text(&text)))),
            Just(Some(Err(AnswerFailure::Unsupported))),
            Just(Some(Err(AnswerFailure::Refused))),
            Just(Some(Err(AnswerFailure::TimedOut))),
            Just(Some(Err(AnswerFailure::Invalid))),
        ]
    }

    proptest! {
        #[test]
        fn a_question_comes_back_with_its_answer(
            key: String, kind in 1..=4u8, params: String, value in value(),
        ) {
            let asked = Asked {
                answer: value.map(|value| Answer { key: key.clone(), value }),
                key,
                kind: kind_of(kind).expect("1 to 4 are kinds"),
                params: Raw::from_text(&params),
            };
            let row = QuestionRow::new(&asked);
            prop_assert_eq!(row.clone().into_asked(), Some(asked));
            check(row);
        }
    }
}
