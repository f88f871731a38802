//! The params of all methods. Values are borrowed from the body until they are worth keeping.

use std::{borrow::Cow, collections::BTreeMap};

use ostler_types::{CallKind, Limits};

use super::{CallParams, CompleteParams, CompleteTarget, ListenFilter, meta::Meta};
use crate::{
    call::LogLevel,
    fault::Fault,
    json::{
        Kind, Raw,
        walk::{self, Walk},
    },
};

/// The members that any method knows, found in one pass whatever the method.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    /// They are neither an object nor `null`.
    malformed: bool,
    pub meta: Meta<'a>,
    pub name: Option<&'a str>,
    pub uri: Option<&'a str>,
    pub task_id: Option<&'a str>,
    task: Option<&'a str>,
    pub level: Option<&'a str>,
    pub protocol_version: Option<&'a str>,
    pub capabilities: Option<&'a str>,
    pub client_info: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub reason: Option<&'a str>,
    arguments: Option<&'a str>,
    input_responses: Option<&'a str>,
    request_state: Option<&'a str>,
    cursor: Option<&'a str>,
    reference: Option<&'a str>,
    argument: Option<&'a str>,
    context: Option<&'a str>,
    notifications: Option<&'a str>,
}

impl<'a> Params<'a> {
    /// Reads the value here and steps over it. `_meta` is read on the way, so that no byte of a
    /// request is walked twice.
    pub(super) fn read(walk: &mut Walk<'a>) -> Self {
        let mut found = Self::default();
        let kind = walk.kind();
        if kind != Kind::Object {
            walk.skip();
            found.malformed = kind != Kind::Null;
            return found;
        }
        walk.enter();
        while let Some(name) = walk.next_name() {
            if name == "_meta" {
                found.meta = Meta::read(walk);
                continue;
            }
            let value = walk.skip();
            let slot = match name.as_ref() {
                "name" => &mut found.name,
                "uri" => &mut found.uri,
                "taskId" => &mut found.task_id,
                "task" => &mut found.task,
                "level" => &mut found.level,
                "protocolVersion" => &mut found.protocol_version,
                "capabilities" => &mut found.capabilities,
                "clientInfo" => &mut found.client_info,
                "requestId" => &mut found.request_id,
                "reason" => &mut found.reason,
                "arguments" => &mut found.arguments,
                "inputResponses" => &mut found.input_responses,
                "requestState" => &mut found.request_state,
                "cursor" => &mut found.cursor,
                "ref" => &mut found.reference,
                "argument" => &mut found.argument,
                "context" => &mut found.context,
                "notifications" => &mut found.notifications,
                _ => continue,
            };
            *slot = Some(value);
        }
        found
    }

    /// By name only ([RPC-5]).
    pub(super) fn check_object(&self) -> Result<(), Fault> {
        match self.malformed {
            true => Err(Fault::InvalidParams("params must be an object".to_owned())),
            false => Ok(()),
        }
    }

    pub(super) fn cursor(&self) -> Result<Option<String>, Fault> {
        let cursor = present(self.cursor).map(|cursor| string("cursor", Some(cursor)));
        cursor.transpose()
    }

    pub(super) fn uri(&self) -> Result<String, Fault> {
        string("uri", self.uri)
    }

    pub(super) fn task(&self) -> Result<String, Fault> {
        string("taskId", self.task_id)
    }

    /// What a legacy client says of the task that it wants a call to be; other calls and
    /// the modern era have no such wish.
    pub(super) fn requested_task(&self, body: &Raw) -> Option<Box<Raw>> {
        present(self.task).map(|task| Box::new(body.slice(task)))
    }

    /// Answers by key. The values are not looked at: junk under an unknown key must do no harm
    /// ([MR-7], [TK-6]), and which keys are known is not known here.
    pub(super) fn answers(&self, body: &Raw) -> Result<BTreeMap<String, Raw>, Fault> {
        let responses = object("inputResponses", self.input_responses)?;
        let answers = walk::members(responses);
        Ok(answers
            .map(|(key, value)| (key.into_owned(), body.slice(value)))
            .collect())
    }

    /// `tools/call`, `prompts/get` and `resources/read` of the legacy era.
    pub(super) fn call(&self, kind: CallKind, body: &Raw) -> Result<CallParams, Fault> {
        let target = match kind {
            CallKind::Tool | CallKind::Prompt | CallKind::Completion => string("name", self.name)?,
            CallKind::Resource => self.uri()?,
        };
        Ok(CallParams {
            kind,
            target,
            arguments: self.arguments(kind, body)?,
            input_responses: None,
            request_state: None,
            task: None,
        })
    }

    /// The same with what a modern client brings along on a retry ([MR-4], [MR-8]).
    pub(super) fn modern_call(&self, kind: CallKind, body: &Raw) -> Result<CallParams, Fault> {
        let call = self.call(kind, body)?;
        let state = self
            .request_state
            .map(|state| string("requestState", Some(state)));
        let responses = self.input_responses.map(|_| self.answers(body));
        Ok(CallParams {
            request_state: state.transpose()?,
            input_responses: responses.transpose()?,
            ..call
        })
    }

    /// `{}` when absent ([T-8]).
    fn arguments(&self, kind: CallKind, body: &Raw) -> Result<Raw, Fault> {
        let Some(arguments) = present(self.arguments).filter(|_| kind != CallKind::Resource) else {
            return Ok(Raw::empty_object());
        };
        let arguments = object("arguments", Some(arguments))?;
        if kind == CallKind::Prompt {
            must_hold_strings("arguments", arguments)?;
        }
        Ok(body.slice(arguments))
    }

    /// `completion/complete` ([P-2]).
    pub(super) fn complete(&self, body: &Raw, limits: &Limits) -> Result<CompleteParams, Fault> {
        let reference = object("ref", self.reference)?;
        let target = complete_target(reference)?;
        let argument = self.complete_argument(limits)?;
        let arguments = match self.complete_context(limits)? {
            Some(context) => format!(r#"{{"argument":{argument},"context":{context}}}"#),
            None => format!(r#"{{"argument":{argument}}}"#),
        };
        Ok(CompleteParams {
            reference: body.slice(reference),
            target,
            arguments: Raw::from_checked(arguments.into()),
        })
    }

    fn complete_argument(&self, limits: &Limits) -> Result<&'a str, Fault> {
        let argument = object("argument", self.argument)?;
        string("argument.name", walk::member(argument, "name"))?;
        string("argument.value", walk::member(argument, "value"))?;
        at_most("argument", argument, limits.completion_bytes_max)
    }

    fn complete_context(&self, limits: &Limits) -> Result<Option<&'a str>, Fault> {
        let Some(context) = present(self.context) else {
            return Ok(None);
        };
        let context = object("context", Some(context))?;
        if let Some(arguments) = present(walk::member(context, "arguments")) {
            must_hold_strings("context.arguments", arguments)?;
        }
        at_most("context", context, limits.completion_bytes_max).map(Some)
    }

    /// The filter of `subscriptions/listen` ([L-1]).
    pub(super) fn listen(&self, limits: &Limits) -> Result<ListenFilter, Fault> {
        let filter = object("notifications", self.notifications)?;
        let mut listen = ListenFilter::default();
        let max = limits.subscriptions_max;
        for (name, value) in walk::members(filter) {
            match name.as_ref() {
                _ if value == "null" => {}
                "toolsListChanged" => listen.tools = flag(&name, value)?,
                "promptsListChanged" => listen.prompts = flag(&name, value)?,
                "resourcesListChanged" => listen.resources = flag(&name, value)?,
                "resourceSubscriptions" => listen.uris = strings(&name, value, max)?,
                "taskIds" => listen.tasks = Some(strings(&name, value, max)?),
                _ => {}
            }
        }
        Ok(listen)
    }
}

pub(super) fn log_level(name: &str, value: Option<&str>) -> Result<LogLevel, Fault> {
    let level = value.and_then(walk::text);
    level
        .and_then(|name| LogLevel::parse(&name))
        .ok_or_else(|| {
            let names = LogLevel::ALL.map(LogLevel::as_str).join(", ");
            Fault::InvalidParams(format!("{name} must be one of {names}"))
        })
}

fn must_be<T>(name: &str, what: &str) -> Result<T, Fault> {
    let reason = format!("params.{name} must be {what}");
    Err(Fault::InvalidParams(reason))
}

/// Without `null`, which is how some clients write "absent".
fn present(value: Option<&str>) -> Option<&str> {
    value.filter(|value| *value != "null")
}

fn string(name: &str, value: Option<&str>) -> Result<String, Fault> {
    match value.and_then(walk::text) {
        Some(text) => Ok(text.into_owned()),
        None => must_be(name, "a string"),
    }
}

fn object<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, Fault> {
    match value {
        Some(value) if walk::kind_of(value) == Kind::Object => Ok(value),
        _ => must_be(name, "an object"),
    }
}

/// Arguments of prompts and completions are strings in every revision.
fn must_hold_strings(name: &str, value: &str) -> Result<(), Fault> {
    let is_object = walk::kind_of(value) == Kind::Object;
    let is_string = |value| walk::kind_of(value) == Kind::String;
    match is_object && walk::members(value).all(|(_, value)| is_string(value)) {
        true => Ok(()),
        false => must_be(name, "an object of strings"),
    }
}

fn complete_target(reference: &str) -> Result<CompleteTarget, Fault> {
    let member = |name| walk::member(reference, name);
    let kind = member("type").and_then(walk::text);
    match kind.as_deref() {
        Some("ref/prompt") => {
            string("ref.name", member("name")).map(|name| CompleteTarget::Prompt { name })
        }
        Some("ref/resource") => {
            string("ref.uri", member("uri")).map(|uri| CompleteTarget::Resource { uri })
        }
        _ => must_be("ref.type", "\"ref/prompt\" or \"ref/resource\""),
    }
}

fn at_most<'a>(name: &str, value: &'a str, bytes_max: usize) -> Result<&'a str, Fault> {
    match value.len() <= bytes_max {
        true => Ok(value),
        false => must_be(name, &format!("at most {bytes_max} bytes long")),
    }
}

fn flag(name: &str, value: &str) -> Result<bool, Fault> {
    match walk::boolean(value) {
        Some(flag) => Ok(flag),
        None => must_be(&format!("notifications.{name}"), "a boolean"),
    }
}

/// At most `max` strings; reading stops there, so a huge list costs no more than a full one.
fn strings(name: &str, value: &str, max: usize) -> Result<Vec<String>, Fault> {
    let is_array = walk::kind_of(value) == Kind::Array;
    let texts = walk::items(value).take(max + 1);
    let texts = texts.map(|item| walk::text(item).map(Cow::into_owned));
    match texts.collect::<Option<Vec<_>>>() {
        Some(texts) if is_array && texts.len() <= max => Ok(texts),
        _ => {
            let what = format!("an array of at most {max} strings");
            must_be(&format!("notifications.{name}"), &what)
        }
    }
}
