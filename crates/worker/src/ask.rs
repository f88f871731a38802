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

use crate::{content::Content, error::AskError, schema};

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
        Self::new(
            key,
            QuestionKind::ElicitForm,
            Capability::ElicitForm,
            &params,
        )
    }

    /// A form whose fields are those of the struct `T`.
    pub fn form_of<T: JsonSchema>(key: &str, message: &str) -> Result<Self, AskError> {
        let schema = schema::form::<T>().map_err(AskError::BadQuestion)?;
        Ok(Self::form(key, message, schema))
    }

    /// A page to visit, for what must not pass through the client.
    pub fn url(key: &str, message: &str, url: &str) -> Self {
        let params = json!({"mode": "url", "message": message, "url": url});
        Self::new(key, QuestionKind::ElicitUrl, Capability::ElicitUrl, &params)
    }

    /// A message of the client's model.
    pub fn sample(key: &str, sample: &Sample) -> Self {
        Self::new(key, QuestionKind::Sample, sample.needs(), &sample.0)
    }

    /// The client's roots.
    pub fn roots(key: &str) -> Self {
        Self::new(key, QuestionKind::Roots, Capability::Roots, &json!({}))
    }

    fn new(key: &str, kind: QuestionKind, needs: Capability, params: &Value) -> Self {
        let question = Question {
            key: key.to_owned(),
            kind,
            params: Raw::from_value(params),
        };
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

/// A request to the client's model: the params of `sampling/createMessage`.
#[derive(Debug, Clone)]
pub struct Sample(Value);

impl Sample {
    /// One user message with this text.
    pub fn new(text: &str, tokens_max: u32) -> Self {
        let params = json!({"messages": [], "maxTokens": tokens_max});
        Self(params).message("user", Content::text(text))
    }

    /// Adds a message of `user` or `assistant`.
    pub fn message(mut self, role: &str, content: impl Into<Content>) -> Self {
        let content = content.into();
        if let Some(messages) = self.0["messages"].as_array_mut() {
            messages.push(json!({"role": role, "content": content}));
        }
        self
    }

    pub fn system(self, prompt: &str) -> Self {
        self.set("systemPrompt", prompt)
    }

    /// Sets any other parameter: `temperature`, `modelPreferences`, `tools`, ...
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0[name] = value.into();
        self
    }

    /// Tools need a capability of their own [SP-1].
    fn needs(&self) -> Capability {
        let tools = ["tools", "toolChoice"].iter();
        match tools.into_iter().any(|name| self.0.get(name).is_some()) {
            true => Capability::SampleTools,
            false => Capability::Sample,
        }
    }
}

/// What the client's model said.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampled {
    pub role: String,
    pub model: String,
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// One content block, or a list of them.
    pub content: Value,
}

impl Sampled {
    /// All text of the answer.
    pub fn text(&self) -> String {
        let blocks = match &self.content {
            Value::Array(blocks) => blocks.as_slice(),
            block => std::slice::from_ref(block),
        };
        blocks.iter().filter_map(|b| b["text"].as_str()).collect()
    }
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
    fn tools_in_a_sample_need_more_of_the_client() {
        let plain = Sample::new("hi", 10);
        assert_eq!(Ask::sample("k", &plain).needs, Capability::Sample);
        let with_tools = plain.set("tools", json!([]));
        assert_eq!(Ask::sample("k", &with_tools).needs, Capability::SampleTools);
    }

    #[test]
    fn a_form_can_be_accepted_declined_and_dismissed() {
        let read = |text| read_form::<Value>(&Raw::from_static(text));
        let accepted = read(r#"{"action":"accept","content":{"a":1}}"#);
        assert_eq!(accepted, Ok(Elicited::Accepted(json!({"a": 1}))));
        assert_eq!(read(r#"{"action":"decline"}"#), Ok(Elicited::Declined));
        assert_eq!(read(r#"{"action":"cancel"}"#), Ok(Elicited::Dismissed));
        assert!(matches!(read("{}"), Err(AskError::Invalid(_))));
    }

    #[test]
    fn the_text_of_a_sample_is_gathered_from_its_blocks() {
        let text = r#"{"role":"assistant","model":"m",
            "content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]}"#;
        let sampled: Sampled = serde_json::from_str(text).unwrap();
        assert_eq!(sampled.text(), "ab");
    }
}
