//! The params of methods that exist in both eras, and of the modern ones.

use std::{borrow::Cow, collections::BTreeMap};

use ostler_types::{CallKind, Limits};

use super::{CallParams, CompleteParams, CompleteTarget, ListenFilter};
use crate::{
    call::LogLevel,
    fault::Fault,
    json::{Kind, Raw},
};

/// The members of these names, in one pass over the object.
pub(super) fn pick<const N: usize>(object: &Raw, names: [&str; N]) -> [Option<Raw>; N] {
    let mut found = [const { None }; N];
    for (name, value) in object.members() {
        if let Some(at) = names.iter().position(|wanted| *wanted == name) {
            found[at] = Some(value);
        }
    }
    found
}

fn must_be<T>(name: &str, what: &str) -> Result<T, Fault> {
    Err(Fault::InvalidParams(format!(
        "params.{name} must be {what}"
    )))
}

fn string(name: &str, value: Option<&Raw>) -> Result<String, Fault> {
    match value.and_then(Raw::text) {
        Some(text) => Ok(text.into_owned()),
        None => must_be(name, "a string"),
    }
}

/// A member that may be missing; `null` counts as missing, as some clients write it so.
fn optional_string(name: &str, value: Option<Raw>) -> Result<Option<String>, Fault> {
    let value = value.filter(|raw| !raw.is_null());
    value.map(|raw| string(name, Some(&raw))).transpose()
}

/// An object, `{}` when missing or `null`.
fn optional_object(name: &str, value: Option<Raw>) -> Result<Raw, Fault> {
    match value {
        None => Ok(Raw::empty_object()),
        Some(raw) if raw.is_null() => Ok(Raw::empty_object()),
        Some(raw) if raw.is_object() => Ok(raw),
        Some(_) => must_be(name, "an object"),
    }
}

pub(super) fn log_level(name: &str, value: Option<&Raw>) -> Result<LogLevel, Fault> {
    let level = value
        .and_then(Raw::text)
        .and_then(|text| LogLevel::parse(&text));
    let names = LogLevel::ALL.map(LogLevel::as_str).join(", ");
    level.ok_or_else(|| Fault::InvalidParams(format!("{name} must be one of {names}")))
}

pub(super) fn cursor(params: &Raw) -> Result<Option<String>, Fault> {
    let [cursor] = pick(params, ["cursor"]);
    optional_string("cursor", cursor)
}

/// The one member that names what a method is about.
pub(super) fn target(params: &Raw, name: &'static str) -> Result<String, Fault> {
    let [value] = pick(params, [name]);
    string(name, value.as_ref())
}

/// Params of `tools/call`, `prompts/get` and `resources/read` without the modern members.
pub(super) fn legacy_call(params: &Raw, kind: CallKind) -> Result<CallParams, Fault> {
    let source = target_member(kind);
    let [target, arguments] = pick(params, [source, "arguments"]);
    call(kind, target, arguments)
}

/// The same with what a client brings along on a retry ([MR-4], [MR-8]).
pub(super) fn modern_call(params: &Raw, kind: CallKind) -> Result<CallParams, Fault> {
    let names = [
        target_member(kind),
        "arguments",
        "inputResponses",
        "requestState",
    ];
    let [target, arguments, responses, state] = pick(params, names);
    let call = call(kind, target, arguments)?;
    let state = state
        .map(|raw| string("requestState", Some(&raw)))
        .transpose()?;
    let responses = responses.map(|raw| answers(Some(raw))).transpose()?;
    Ok(CallParams {
        input_responses: responses,
        request_state: state,
        ..call
    })
}

pub(super) const fn target_member(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Tool | CallKind::Prompt | CallKind::Completion => "name",
        CallKind::Resource => "uri",
    }
}

fn call(kind: CallKind, target: Option<Raw>, arguments: Option<Raw>) -> Result<CallParams, Fault> {
    let target = string(target_member(kind), target.as_ref())?;
    let arguments = match kind {
        CallKind::Resource => Raw::empty_object(),
        CallKind::Tool | CallKind::Completion => optional_object("arguments", arguments)?,
        CallKind::Prompt => strings_by_name("arguments", optional_object("arguments", arguments)?)?,
    };
    Ok(CallParams {
        kind,
        target,
        arguments,
        input_responses: None,
        request_state: None,
    })
}

/// Arguments of prompts and completions are strings in every revision.
fn strings_by_name(name: &str, object: Raw) -> Result<Raw, Fault> {
    let all_strings = object.members().all(|(_, value)| value.text().is_some());
    match all_strings {
        true => Ok(object),
        false => must_be(name, "an object of strings"),
    }
}

/// Answers by key. The values are not looked at: junk under an unknown key must do no harm
/// ([MR-7], [TK-6]), and which keys are known is not known here.
pub(super) fn answers(responses: Option<Raw>) -> Result<BTreeMap<String, Raw>, Fault> {
    match responses {
        Some(raw) if raw.is_object() => Ok(raw
            .members()
            .map(|(key, value)| (key.into_owned(), value))
            .collect()),
        _ => must_be("inputResponses", "an object"),
    }
}

pub(super) fn task_update(params: &Raw) -> Result<(String, BTreeMap<String, Raw>), Fault> {
    let [task, responses] = pick(params, ["taskId", "inputResponses"]);
    Ok((string("taskId", task.as_ref())?, answers(responses)?))
}

/// `completion/complete` ([P-2]).
pub(super) fn complete(params: &Raw, limits: &Limits) -> Result<CompleteParams, Fault> {
    let [reference, argument, context] = pick(params, ["ref", "argument", "context"]);
    let Some(reference) = reference.filter(Raw::is_object) else {
        return must_be("ref", "an object");
    };
    let target = complete_target(&reference)?;
    let argument = complete_argument(argument, limits)?;
    let context = complete_context(context, limits)?;
    let arguments = match context {
        Some(context) => format!(r#"{{"argument":{argument},"context":{context}}}"#),
        None => format!(r#"{{"argument":{argument}}}"#),
    };
    Ok(CompleteParams {
        reference,
        target,
        arguments: Raw::from_checked(arguments.into()),
    })
}

fn complete_target(reference: &Raw) -> Result<CompleteTarget, Fault> {
    let [kind, name, uri] = pick(reference, ["type", "name", "uri"]);
    match kind.as_ref().and_then(Raw::text).as_deref() {
        Some("ref/prompt") => {
            string("ref.name", name.as_ref()).map(|name| CompleteTarget::Prompt { name })
        }
        Some("ref/resource") => {
            string("ref.uri", uri.as_ref()).map(|uri| CompleteTarget::Resource { uri })
        }
        _ => must_be("ref.type", "\"ref/prompt\" or \"ref/resource\""),
    }
}

fn complete_argument(argument: Option<Raw>, limits: &Limits) -> Result<Raw, Fault> {
    let Some(argument) = argument.filter(Raw::is_object) else {
        return must_be("argument", "an object");
    };
    let [name, value] = pick(&argument, ["name", "value"]);
    string("argument.name", name.as_ref())?;
    string("argument.value", value.as_ref())?;
    at_most("argument", argument, limits.completion_bytes_max)
}

fn complete_context(context: Option<Raw>, limits: &Limits) -> Result<Option<Raw>, Fault> {
    let Some(context) = context.filter(|raw| !raw.is_null()) else {
        return Ok(None);
    };
    let arguments = optional_object("context.arguments", context.get("arguments"))?;
    strings_by_name("context.arguments", arguments)?;
    match context.is_object() {
        true => at_most("context", context, limits.completion_bytes_max).map(Some),
        false => must_be("context", "an object"),
    }
}

fn at_most(name: &str, value: Raw, bytes_max: usize) -> Result<Raw, Fault> {
    match value.bytes().len() <= bytes_max {
        true => Ok(value),
        false => must_be(name, &format!("at most {bytes_max} bytes long")),
    }
}

/// The filter of `subscriptions/listen` ([L-1]).
pub(super) fn listen(params: &Raw, limits: &Limits) -> Result<ListenFilter, Fault> {
    let [filter] = pick(params, ["notifications"]);
    let Some(filter) = filter.filter(Raw::is_object) else {
        return must_be("notifications", "an object");
    };
    let [tools, prompts, resources, uris, tasks] = pick(
        &filter,
        [
            "toolsListChanged",
            "promptsListChanged",
            "resourcesListChanged",
            "resourceSubscriptions",
            "taskIds",
        ],
    );
    let max = limits.subscriptions_max;
    Ok(ListenFilter {
        tools: flag("toolsListChanged", tools)?,
        prompts: flag("promptsListChanged", prompts)?,
        resources: flag("resourcesListChanged", resources)?,
        uris: strings("resourceSubscriptions", uris, max)?.unwrap_or_default(),
        tasks: strings("taskIds", tasks, max)?,
    })
}

fn flag(name: &str, value: Option<Raw>) -> Result<bool, Fault> {
    match value.filter(|raw| !raw.is_null()) {
        None => Ok(false),
        Some(raw) => match raw.boolean() {
            Some(flag) => Ok(flag),
            None => must_be(&format!("notifications.{name}"), "a boolean"),
        },
    }
}

/// At most `max` strings; counting stops there, so a huge list costs no more than a full one.
fn strings(name: &str, value: Option<Raw>, max: usize) -> Result<Option<Vec<String>>, Fault> {
    let Some(list) = value.filter(|raw| !raw.is_null()) else {
        return Ok(None);
    };
    let what = format!("an array of at most {max} strings");
    let texts = list
        .elements()
        .take(max + 1)
        .map(|e| e.text().map(Cow::into_owned));
    match texts.collect::<Option<Vec<_>>>() {
        Some(texts) if texts.len() <= max && list.kind() == Kind::Array => Ok(Some(texts)),
        _ => must_be(&format!("notifications.{name}"), &what),
    }
}
