//! Whole JSON-RPC responses, ready to send: the one place where results are shaped for a
//! revision. What a worker said is spliced in as it is; around it come the members that only
//! the platform writes (`resultType`, `serverInfo`, cache hints).

mod content;
mod server;
mod worker;

use bytes::Bytes;
use ostler_types::CallKind;

pub use server::{ServerCapabilities, discover, initialize};

use crate::{
    ask,
    call::{Failure, Outcome, Question},
    facet::required_capabilities,
    fault::Fault,
    id::RequestId,
    inbound::ListKind,
    json::Raw,
    meta,
    notify::SUBSCRIPTION_KEY,
    revision::{Era, Revision},
    write::{Writer, close_message, open_response},
};

/// The `_meta` key under which every modern result names the server [D-4].
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// How long a client may keep a list or a resource whose worker says nothing [C-3]. Nothing
/// tells a client without a listen that a list changed, so it asks again each time.
const TTL_MS: u32 = 0;

/// Who answers, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    pub revision: Revision,
    /// An MCP `Implementation` object.
    pub server_info: &'a Raw,
}

/// What kind of result a modern client gets [C-1].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResultType {
    Complete,
    InputRequired,
    Task,
}

impl ResultType {
    fn as_str(self) -> &'static str {
        match self {
            ResultType::Complete => "complete",
            ResultType::InputRequired => "input_required",
            ResultType::Task => "task",
        }
    }
}

/// Begins a result object. This and [`close_result`] are the only writers of `resultType` and
/// `serverInfo`: always on modern results, never on legacy ones [C-1], [C-2], [D-4].
pub(crate) fn open_result(writer: &mut Writer, shape: &Shape<'_>, result_type: ResultType) {
    writer.open();
    if shape.revision.has_result_types() {
        writer.string_member("resultType", result_type.as_str());
    }
}

/// Ends a result object with its `_meta`: what may pass of the worker's, and the platform's.
pub(crate) fn close_result(
    writer: &mut Writer,
    shape: &Shape<'_>,
    worker_meta: Option<&str>,
    subscription: Option<&RequestId>,
) {
    if shape.revision.has_result_types() {
        writer.object_member("_meta", |writer| {
            if let Some(meta) = worker_meta {
                meta::write_members(writer, meta);
            }
            if let Some(id) = subscription {
                writer.raw_member(SUBSCRIPTION_KEY, id.as_raw());
            }
            writer.raw_member(SERVER_INFO_KEY, shape.server_info.as_str());
        });
    } else if let Some(meta) = worker_meta {
        meta::write(writer, meta);
    }
    writer.close();
}

/// The cache hints that belong on complete lists, discovery and read resources [C-3]. The
/// scope is `private`: what one principal sees may differ from what another does [C-4].
fn write_cache_hints(writer: &mut Writer, shape: &Shape<'_>) {
    if shape.revision.has_result_types() {
        writer.name("ttlMs");
        writer.int(TTL_MS);
        writer.string_member("cacheScope", "private");
    }
}

/// A response with a result of the platform's own.
pub(crate) fn response(
    shape: &Shape<'_>,
    id: &RequestId,
    result_type: ResultType,
    body_bytes: usize,
    fill: impl FnOnce(&mut Writer),
) -> Bytes {
    let bytes = RESULT_BYTES + shape.server_info.bytes().len() + body_bytes;
    let mut writer = open_response(Some(id), bytes);
    writer.name("result");
    open_result(&mut writer, shape, result_type);
    fill(&mut writer);
    close_result(&mut writer, shape, None, None);
    close_message(writer)
}

/// The most that opening and closing a result costs, without the server's description.
const RESULT_BYTES: usize = 128;

/// The response to a call that has a result. The worker's result is checked on the way
/// ([`Failure::BadResult`], [`Failure::TooLarge`]) and brought into the form of the revision [ERA-7].
pub fn call_result(
    shape: &Shape<'_>,
    id: &RequestId,
    kind: CallKind,
    worker_result: &Raw,
) -> Result<Bytes, Failure> {
    let bytes = RESULT_BYTES + shape.server_info.bytes().len() + worker_result.bytes().len();
    let mut writer = open_response(Some(id), bytes);
    writer.name("result");
    worker::write_result(&mut writer, shape, kind, worker_result)?;
    Ok(close_message(writer))
}

/// The result object of [`call_result`] alone, as a task shows it.
pub fn result_object(
    shape: &Shape<'_>,
    kind: CallKind,
    worker_result: &Raw,
) -> Result<Raw, Failure> {
    let mut writer = Writer::new(RESULT_BYTES + worker_result.bytes().len());
    worker::write_result(&mut writer, shape, kind, worker_result)?;
    Ok(writer.into_raw())
}

/// Whether a worker's result can be shaped, whatever the revision.
pub fn check_result(kind: CallKind, worker_result: &Raw) -> Result<(), Failure> {
    let shape = Shape {
        revision: Revision::LATEST_MODERN,
        server_info: &Raw::empty_object(),
    };
    result_object(&shape, kind, worker_result).map(|_| ())
}

/// The last message of a call whose HTTP status is settled: its result, an `isError` result
/// for what the model should read, or an error.
pub fn outcome(
    shape: &Shape<'_>,
    id: &RequestId,
    kind: CallKind,
    target: &str,
    outcome: &Outcome,
) -> Bytes {
    let failure = match outcome {
        Ok(result) => match call_result(shape, id, kind, result) {
            Ok(bytes) => return bytes,
            Err(failure) => failure,
        },
        Err(failure) => failure.clone(),
    };
    match tool_error_text(shape.revision, kind, &failure) {
        Some(text) => tool_error(shape, id, &text),
        None => error(
            shape.revision,
            Some(id),
            &Fault::of_call(failure, kind, target),
        ),
    }
}

/// What to tell the model when a failure is one it can act on; `None` for what is an error of
/// the protocol. A legacy client cannot be told of a missing capability in any other way.
pub fn tool_error_text(revision: Revision, kind: CallKind, failure: &Failure) -> Option<String> {
    match (kind, failure, revision.era()) {
        (CallKind::Tool, Failure::NeedsCapability(lacking), Era::Legacy) => Some(format!(
            "this tool needs client capabilities that were not declared, or not in its revision: {}",
            required_capabilities(lacking)
        )),
        (CallKind::Tool, Failure::NeedsScope(scopes), _) => {
            let scopes = scopes.join(" ");
            Some(format!("this tool needs the scopes {scopes}"))
        }
        (CallKind::Tool, Failure::TimedOut, _) => Some("the tool timed out".to_owned()), // [T-15]
        _ => None,
    }
}

/// An error response. The id is left out when it could not be read [RPC-1].
pub fn error(revision: Revision, id: Option<&RequestId>, fault: &Fault) -> Bytes {
    let mut writer = open_response(id, 256);
    writer.name("error");
    write_error(&mut writer, revision, fault);
    close_message(writer)
}

/// The answers to a batch, each a whole response, in one array [BAT-4].
pub fn batch(responses: impl Iterator<Item = Bytes>) -> Bytes {
    let mut body = vec![b'['];
    for (index, response) in responses.enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&response);
    }
    body.push(b']');
    body.into()
}

/// The `error` object of a fault.
pub(crate) fn write_error(writer: &mut Writer, revision: Revision, fault: &Fault) {
    let era = revision.era();
    writer.open();
    writer.name("code");
    writer.int(fault.code(revision));
    writer.string_member("message", &fault.message(era));
    if let Some(data) = fault.data() {
        writer.raw_member("data", data.as_str());
    }
    writer.close();
}

/// A tool's result that says what went wrong, for the model to read [T-8], [T-15].
pub fn tool_error(shape: &Shape<'_>, id: &RequestId, text: &str) -> Bytes {
    response(shape, id, ResultType::Complete, 64 + text.len(), |writer| {
        writer.name("content");
        writer.open_array();
        content::write_text(writer, text);
        writer.close_array();
        writer.bool_member("isError", true);
    })
}

/// An empty result: ping, setLevel, subscribe, and the acks of tasks/update and tasks/cancel.
pub fn empty(shape: &Shape<'_>, id: &RequestId) -> Bytes {
    response(shape, id, ResultType::Complete, 0, |_| {})
}

/// One page of a list. The entries are in the revision's form already
/// ([`listing::entry`](crate::listing::entry)).
pub fn list(
    shape: &Shape<'_>,
    id: &RequestId,
    kind: ListKind,
    entries: &[Raw],
    next_cursor: Option<&str>,
) -> Bytes {
    let name = match kind {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources => "resources",
        ListKind::Templates => "resourceTemplates",
        ListKind::Skills => "skills",
    };
    let entry_bytes: usize = entries.iter().map(|entry| entry.bytes().len() + 1).sum();
    let bytes = 64 + entry_bytes + next_cursor.map_or(0, str::len);
    response(shape, id, ResultType::Complete, bytes, |writer| {
        writer.name(name);
        writer.open_array();
        for entry in entries {
            writer.raw(entry.as_str());
        }
        writer.close_array();
        if let Some(cursor) = next_cursor {
            writer.string_member("nextCursor", cursor);
        }
        write_cache_hints(writer, shape);
    })
}

/// The answer to `skills/get`: an entry as `skills/list` shows it [EX-4]. Modern only.
pub fn skill(shape: &Shape<'_>, id: &RequestId, entry: &Raw) -> Bytes {
    let bytes = 64 + entry.bytes().len();
    response(shape, id, ResultType::Complete, bytes, |writer| {
        writer.raw_member("skill", entry.as_str());
        write_cache_hints(writer, shape);
    })
}

/// The end of one round of a call that needs answers: questions to show, and the token to
/// bring them back with [MR-1], [MR-2]. Modern only.
pub fn input_required(
    shape: &Shape<'_>,
    id: &RequestId,
    questions: &[Question],
    request_state: &str,
) -> Bytes {
    let bytes = 64 + request_state.len() + ask::input_requests_bytes(questions);
    response(shape, id, ResultType::InputRequired, bytes, |writer| {
        if !questions.is_empty() {
            ask::write_input_requests(writer, questions);
        }
        writer.string_member("requestState", request_state);
    })
}

/// The result that ends a listen which the server closes [L-6]. Modern only.
pub fn listen_end(shape: &Shape<'_>, id: &RequestId) -> Bytes {
    let mut writer = open_response(Some(id), RESULT_BYTES + shape.server_info.bytes().len());
    writer.name("result");
    open_result(&mut writer, shape, ResultType::Complete);
    close_result(&mut writer, shape, None, Some(id));
    close_message(writer)
}

#[cfg(test)]
mod tests;
