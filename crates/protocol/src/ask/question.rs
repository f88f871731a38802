//! Whether a question can be put to a client at all. A worker's author gets the reason.

use serde_json::{Map, Value};

use super::{form::Form, sampling};
use crate::call::{Question, QuestionKind};

/// Longest key of a question, in bytes.
const KEY_BYTES_MAX: usize = 256;

/// Checks a question, whoever it may be shown to [SP-1] to [SP-4].
pub fn check_question(question: &Question) -> Result<(), String> {
    if question.key.is_empty() || question.key.len() > KEY_BYTES_MAX {
        return Err(format!("the key must have 1 to {KEY_BYTES_MAX} bytes"));
    }
    let params: Map<String, Value> = question
        .params
        .to()
        .map_err(|_| "the params must be an object".to_owned())?;
    match question.kind {
        QuestionKind::ElicitForm => {
            message(&params)?;
            Form::parse(params.get("requestedSchema")).map(|_| ())
        }
        QuestionKind::ElicitUrl => {
            message(&params)?;
            url(&params)
        }
        QuestionKind::Sample => sampling::check_request(&params),
        QuestionKind::Roots => Ok(()),
    }
}

fn message(params: &Map<String, Value>) -> Result<(), String> {
    match params.get("message") {
        Some(Value::String(_)) => Ok(()),
        _ => Err("`message` must be a string".to_owned()),
    }
}

/// An absolute web address. It is only ever opened by the user's own browser, never by us.
fn url(params: &Map<String, Value>) -> Result<(), String> {
    let url = params.get("url").and_then(Value::as_str).unwrap_or("");
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    let is_clean = url.chars().all(|c| !c.is_control() && !c.is_whitespace());
    match has_host && is_clean {
        true => Ok(()),
        false => Err("`url` must be an absolute http or https URL".to_owned()),
    }
}
