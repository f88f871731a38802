//! A question to the client, and the id it goes under.

use ostler_protocol::{
    RequestId,
    call::{Answer, Question as Asking, QuestionKind},
    json::Raw,
};
use ostler_types::{CallId, Instant};

/// Our own request id towards the client: unique in the session for ever, because a new epoch
/// starts a new count [S2C-2].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AskId {
    pub epoch: u64,
    pub number: u32,
}

impl AskId {
    /// What goes on the wire, as the content of a JSON string.
    pub fn to_text(self) -> String {
        format!("srv-{}-{}", self.epoch, self.number)
    }

    /// The id behind the token a client answered under; nothing that is spelled differently.
    pub fn from_request_id(id: &RequestId) -> Option<AskId> {
        let raw = id.to_raw();
        let text = raw.text()?;
        let (epoch, number) = text.strip_prefix("srv-")?.split_once('-')?;
        let id = AskId {
            epoch: epoch.parse().ok()?,
            number: number.parse().ok()?,
        };
        (id.to_text() == text).then_some(id)
    }
}

/// A question that waits for the client.
#[derive(Debug)]
pub(super) struct Question {
    pub call: CallId,
    pub question: Asking,
    /// Set once the client can see it.
    pub expires: Option<Instant>,
}

/// What is stored of a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub key: String,
    pub kind: QuestionKind,
    pub params: Raw,
    /// Set once the client answered, or we gave up: fed to the worker again after a restart,
    /// because nobody knows whether it got it.
    pub answer: Option<Answer>,
}

impl Question {
    /// The row, with or without its answer.
    pub fn asked(&self, answer: Option<Answer>) -> Asked {
        Asked {
            key: self.question.key.clone(),
            kind: self.question.kind,
            params: self.question.params.clone(),
            answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ask_id_has_one_spelling() {
        let id = AskId {
            epoch: 3,
            number: 17,
        };
        let parse = |token: &str| {
            let id = RequestId::from_token(token).expect("a token");
            AskId::from_request_id(&id)
        };
        assert_eq!(parse("\"srv-3-17\""), Some(id));
        for other in [
            "17",
            "\"srv-3-017\"",
            "\"srv-3\"",
            "\"srv--3-1\"",
            "\"3-17\"",
            "\"\"",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
