//! `completion/complete`: proposals for an argument that is being typed.

use std::{collections::BTreeMap, fmt::Display};

use serde::{Deserialize, Serialize};

use crate::{error::ToolError, reply::Reply};

/// What is being completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    pub reference: Reference,
    /// The argument's name and what was typed so far.
    pub argument: String,
    pub value: String,
    /// Arguments settled before.
    pub context: BTreeMap<String, String>,
}

/// Whose argument it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type")]
pub enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

impl Completion {
    /// `target` is the raw `ref`, `arguments` is `{argument, context?}`.
    pub(crate) fn parse(target: &str, arguments: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Sent {
            argument: Argument,
            #[serde(default)]
            context: Context,
        }
        #[derive(Deserialize)]
        struct Argument {
            name: String,
            value: String,
        }
        #[derive(Default, Deserialize)]
        struct Context {
            #[serde(default)]
            arguments: BTreeMap<String, String>,
        }
        let reference = serde_json::from_str(target).map_err(|why| format!("ref: {why}"))?;
        let sent: Sent = serde_json::from_slice(arguments).map_err(|why| why.to_string())?;
        Ok(Self {
            reference,
            argument: sent.argument.name,
            value: sent.argument.value,
            context: sent.context.arguments,
        })
    }
}

/// What a completion's function may return.
pub trait IntoCompletion {
    fn into_completion(self) -> Result<Reply, ToolError>;
}

/// A result holds at most this many values [P-2].
const VALUES_MAX: usize = 100;

impl IntoCompletion for Vec<String> {
    fn into_completion(mut self) -> Result<Reply, ToolError> {
        #[derive(Serialize)]
        struct Result {
            completion: Values,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Values {
            total: usize,
            has_more: bool,
            values: Vec<String>,
        }
        let total = self.len();
        self.truncate(VALUES_MAX);
        let completion = Values {
            total,
            has_more: total > VALUES_MAX,
            values: self,
        };
        Reply::of(&Result { completion })
    }
}

impl<T: IntoCompletion, E: Display + 'static> IntoCompletion for Result<T, E> {
    fn into_completion(self) -> Result<Reply, ToolError> {
        match self {
            Ok(value) => value.into_completion(),
            Err(error) => Err(ToolError::of(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_reference_argument_and_context() {
        let target = r#"{"type":"ref/prompt","name":"greet"}"#;
        let arguments = br#"{"argument":{"name":"who","value":"A"},
                             "context":{"arguments":{"mood":"good"}}}"#;
        let wanted = Completion {
            reference: Reference::Prompt {
                name: "greet".to_owned(),
            },
            argument: "who".to_owned(),
            value: "A".to_owned(),
            context: [("mood".to_owned(), "good".to_owned())].into(),
        };
        assert_eq!(Completion::parse(target, arguments), Ok(wanted));
        assert!(Completion::parse("{}", arguments).is_err());
    }

    #[test]
    fn more_than_a_hundred_values_are_cut_and_said_so() {
        let values: Vec<_> = (0..101).map(|n| n.to_string()).collect();
        let reply = values.into_completion().unwrap();
        let reply: serde_json::Value = serde_json::from_slice(&reply.0).unwrap();
        assert_eq!(reply["completion"]["values"].as_array().unwrap().len(), 100);
        assert_eq!(reply["completion"]["total"], 101);
        assert_eq!(reply["completion"]["hasMore"], true);
    }
}
