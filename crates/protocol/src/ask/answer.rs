//! Whether an answer fits its question: the same check for the responses of legacy clients
//! and the `inputResponses` of modern ones [MR-12], [TR-7].

use serde_json::{Map, Value};

use super::{form::Form, sampling};
use crate::{
    call::{Question, QuestionKind},
    json::Raw,
};

/// Checks a client's answer. Declining and cancelling are answers like any other [SP-6].
pub fn check_answer(question: &Question, answer: &Raw) -> Result<(), String> {
    let answer: Map<String, Value> = answer
        .to()
        .map_err(|_| "the answer must be an object".to_owned())?;
    match question.kind {
        QuestionKind::ElicitForm => check_form(question, &answer),
        QuestionKind::ElicitUrl => {
            action(&answer)?;
            no_content(&answer)
        }
        QuestionKind::Sample => sampling::check_result(&question.params, &answer),
        QuestionKind::Roots => check_roots(&answer),
    }
}

#[derive(PartialEq, Eq)]
enum Action {
    Accept,
    Decline,
    Cancel,
}

fn action(answer: &Map<String, Value>) -> Result<Action, String> {
    match answer.get("action").and_then(Value::as_str) {
        Some("accept") => Ok(Action::Accept),
        Some("decline") => Ok(Action::Decline),
        Some("cancel") => Ok(Action::Cancel),
        _ => Err("`action` must be accept, decline or cancel".to_owned()),
    }
}

fn check_form(question: &Question, answer: &Map<String, Value>) -> Result<(), String> {
    match action(answer)? {
        Action::Decline | Action::Cancel => no_content(answer),
        Action::Accept => {
            let schema: Value = match question.params.get("requestedSchema") {
                Some(schema) => schema.to().map_err(|error| error.to_string())?,
                None => Value::Null,
            };
            let empty = Map::new();
            let content = match answer.get("content") {
                None | Some(Value::Null) => &empty,
                Some(Value::Object(content)) => content,
                Some(_) => return Err("`content` must be an object".to_owned()),
            };
            Form::parse(Some(&schema))?.check(content)
        }
    }
}

/// Some clients always send a content; only what says something is refused.
fn no_content(answer: &Map<String, Value>) -> Result<(), String> {
    match answer.get("content") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(content)) if content.is_empty() => Ok(()),
        Some(_) => Err("`content` is only for an accepted form".to_owned()),
    }
}

/// Roots are files, as the specification has it [SP-8].
fn check_roots(answer: &Map<String, Value>) -> Result<(), String> {
    let roots = answer.get("roots").and_then(Value::as_array);
    for (at, root) in roots.ok_or("`roots` must be an array")?.iter().enumerate() {
        let uri = root.get("uri").and_then(Value::as_str).unwrap_or("");
        if !uri.starts_with("file://") {
            return Err(format!("roots[{at}]: `uri` must begin with file://"));
        }
        if root.get("name").is_some_and(|name| !name.is_string()) {
            return Err(format!("roots[{at}]: `name` must be a string"));
        }
    }
    Ok(())
}
