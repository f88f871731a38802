//! Questions to the client behind a call, and their answers.

use std::collections::BTreeMap;

use ostler_protocol::{
    call::{Question, QuestionKind},
    facet::Capability,
    json::Raw,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    error::AskError,
    sample::{self, Sample, Sampled},
    schema,
};

/// One question, for [`Ctx::ask_all`](crate::Ctx::ask_all). Its key names it to the client and
/// must be the same in every run of the handler.
#[derive(Debug, Clone)]
pub struct Ask {
    pub(crate) question: Question,
    /// What the client must be able to do.
    pub(crate) needs: Capability,
}

impl Ask {
    /// A form. `schema` is a flat object of primitives.
    pub fn form(key: &str, message: &str, schema: Value) -> Self {
        let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
        Self::raw(key, QuestionKind::ElicitForm, Raw::from_value(&params))
    }

    /// A form whose fields are those of the struct `T`.
    pub fn form_of<T: JsonSchema>(key: &str, message: &str) -> Result<Self, AskError> {
        let schema = schema::form::<T>().map_err(AskError::BadQuestion)?;
        Ok(Self::form(key, message, schema))
    }

    /// A page to visit, for what must not pass through the client.
    pub fn url(key: &str, message: &str, url: &str) -> Self {
        let params = json!({"mode": "url", "message": message, "url": url});
        Self::raw(key, QuestionKind::ElicitUrl, Raw::from_value(&params))
    }

    /// A message of the client's model.
    pub fn sample(key: &str, sample: &Sample) -> Self {
        Self::raw(key, QuestionKind::Sample, Raw::from_value(&sample.params))
    }

    /// The client's roots.
    pub fn roots(key: &str) -> Self {
        Self::raw(key, QuestionKind::Roots, Raw::empty_object())
    }

    /// Whatever was asked elsewhere: `params` are those of the MCP request, in the form of
    /// 2026-07-28.
    pub fn raw(key: &str, kind: QuestionKind, params: Raw) -> Self {
        let needs = match kind {
            QuestionKind::ElicitForm => Capability::ElicitForm,
            QuestionKind::ElicitUrl => Capability::ElicitUrl,
            QuestionKind::Sample => sample::needs(&params),
            QuestionKind::Roots => Capability::Roots,
        };
        let key = key.to_owned();
        let question = Question { key, kind, params };
        Self { question, needs }
    }
}

/// What a person did with an elicitation. All three are normal [SP-6].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elicited<T> {
    Accepted(T),
    Declined,
    /// Dismissed without a choice.
    Dismissed,
}

impl<T> Elicited<T> {
    pub fn accepted(self) -> Option<T> {
        match self {
            Elicited::Accepted(content) => Some(content),
            Elicited::Declined | Elicited::Dismissed => None,
        }
    }

    /// The word of the protocol.
    pub fn action(&self) -> &'static str {
        match self {
            Elicited::Accepted(_) => "accept",
            Elicited::Declined => "decline",
            Elicited::Dismissed => "cancel",
        }
    }
}

#[derive(Deserialize)]
struct ElicitResult {
    action: Action,
    #[serde(default)]
    content: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Decline,
    Cancel,
}

pub(crate) fn read_form<T: DeserializeOwned>(answer: &Raw) -> Result<Elicited<T>, AskError> {
    let result: ElicitResult = read(answer)?;
    Ok(match result.action {
        Action::Accept => {
            let content = result.content.unwrap_or_else(|| json!({}));
            let content = serde_json::from_value(content);
            Elicited::Accepted(content.map_err(|why| AskError::Invalid(why.to_string()))?)
        }
        Action::Decline => Elicited::Declined,
        Action::Cancel => Elicited::Dismissed,
    })
}

pub(crate) fn read_url(answer: &Raw) -> Result<Elicited<()>, AskError> {
    let result: ElicitResult = read(answer)?;
    Ok(match result.action {
        Action::Accept => Elicited::Accepted(()),
        Action::Decline => Elicited::Declined,
        Action::Cancel => Elicited::Dismissed,
    })
}

/// A place the client lets servers work in. Information, not a permission [SP-8].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    pub uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Deserialize)]
struct Roots {
    roots: Vec<Root>,
}

pub(crate) fn read_roots(answer: &Raw) -> Result<Vec<Root>, AskError> {
    read::<Roots>(answer).map(|result| result.roots)
}

pub(crate) fn read<T: DeserializeOwned>(answer: &Raw) -> Result<T, AskError> {
    answer
        .to()
        .map_err(|why| AskError::Invalid(why.to_string()))
}

/// The answers to several questions, by key.
#[derive(Debug)]
pub struct Answers(pub(crate) BTreeMap<String, Result<Raw, AskError>>);

impl Answers {
    pub fn form<T: DeserializeOwned>(&self, key: &str) -> Result<Elicited<T>, AskError> {
        read_form(self.get(key)?)
    }

    pub fn url(&self, key: &str) -> Result<Elicited<()>, AskError> {
        read_url(self.get(key)?)
    }

    pub fn sampled(&self, key: &str) -> Result<Sampled, AskError> {
        read(self.get(key)?)
    }

    pub fn roots(&self, key: &str) -> Result<Vec<Root>, AskError> {
        read_roots(self.get(key)?)
    }

    fn get(&self, key: &str) -> Result<&Raw, AskError> {
        match self.0.get(key) {
            Some(answer) => answer.as_ref().map_err(Clone::clone),
            None => Err(AskError::BadQuestion(format!("{key} was not asked"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_can_be_accepted_declined_and_dismissed() {
        let read = |text| read_form::<Value>(&Raw::from_static(text));
        let accepted = read(r#"{"action":"accept","content":{"a":1}}"#);
        assert_eq!(accepted, Ok(Elicited::Accepted(json!({"a": 1}))));
        assert_eq!(read(r#"{"action":"decline"}"#), Ok(Elicited::Declined));
        assert_eq!(read(r#"{"action":"cancel"}"#), Ok(Elicited::Dismissed));
        assert!(matches!(read("{}"), Err(AskError::Invalid(_))));
    }
}
