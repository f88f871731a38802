//! Tasks in the dialect of 2025-11-25: the client asks for them, follows them by polling, and
//! gets the result of the call by `tasks/result`. protocol.md section 7.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use ostler_types::CallKind;

use super::{TaskState, TaskStatus, TaskView, date, write_ms};
use crate::{
    call::Failure,
    fault::Fault,
    id::RequestId,
    json::{Raw, walk},
    reply::{ResultType, Shape, response, tool_error_text},
    revision::{Era, Revision},
    write::{Writer, close_message, notification},
};

/// The `_meta` key that ties a message to a task.
const RELATED_KEY: &str = "io.modelcontextprotocol/related-task";

/// What a status says of a result, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// How long the client wants its task kept, of the `task` member of a request.
pub fn requested_ttl(task: &Raw) -> Result<Option<Duration>, Fault> {
    let bad = |what: &str| Fault::InvalidParams(format!("params.{what}"));
    if !task.is_object() {
        return Err(bad("task must be an object"));
    }
    let Some(ttl) = walk::member(task.as_str(), "ttl").filter(|ttl| *ttl != "null") else {
        return Ok(None);
    };
    let ms = ttl.parse::<f64>().ok().filter(|ms| *ms >= 0.0);
    // What is too long for a duration is cut to what is kept anyway.
    let ttl = ms.map(|ms| Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX));
    ttl.map(Some)
        .ok_or_else(|| bad("task.ttl must be a number of milliseconds"))
}

/// The handle that answers a call which is to be a task. A task begins as `working`, whatever
/// has become of it since [TK-1], [TK-8].
pub fn created(shape: &Shape<'_>, id: &RequestId, task: &TaskView) -> Bytes {
    let message = response(shape, id, ResultType::Complete, 512, |writer| {
        writer.object_member("task", |writer| {
            write_task(writer, task, TaskStatus::Working, None);
        });
    });
    relate(&message, &task.id)
}

/// The answer to `tasks/get`, and to `tasks/cancel`.
pub fn get(shape: &Shape<'_>, id: &RequestId, task: &TaskView) -> Bytes {
    response(shape, id, ResultType::Complete, 512, |writer| {
        write_standing(writer, task);
    })
}

/// Tells that the status of a task changed.
pub fn status(task: &TaskView) -> Bytes {
    notification("notifications/tasks/status", 512, |writer| {
        write_standing(writer, task);
    })
}

/// Ties a message of ours to a task: a request, a notification, or a response with a result.
/// An error has no place for it.
pub fn relate(message: &Bytes, task: &str) -> Bytes {
    let text = std::str::from_utf8(message).expect("messages are written as text");
    let mut writer = Writer::new(text.len() + task.len() + 96);
    writer.open();
    for (name, value) in walk::members(text) {
        match name.as_ref() {
            "params" | "result" => {
                writer.object_member(&name, |writer| write_related(writer, value, task));
            }
            _ => writer.raw_member(&name, value),
        }
    }
    close_message(writer)
}

fn write_related(writer: &mut Writer, body: &str, task: &str) {
    let mut meta = "{}";
    for (name, value) in walk::members(body) {
        match name.as_ref() {
            "_meta" => meta = value,
            _ => writer.raw_member(&name, value),
        }
    }
    writer.object_member("_meta", |writer| {
        for (name, value) in walk::members(meta) {
            writer.raw_member(&name, value);
        }
        writer.object_member(RELATED_KEY, |writer| writer.string_member("taskId", task));
    });
}

/// Where a task stands, in this dialect: a result with `isError` is a failed task.
pub fn status_of(state: &TaskState) -> TaskStatus {
    match state {
        TaskState::Completed(result) if is_error(result) => TaskStatus::Failed,
        state => state.status(),
    }
}

fn write_standing(writer: &mut Writer, task: &TaskView) {
    let failed = failed_with(&task.state);
    let message = failed.as_deref().or(task.status_message.as_deref());
    write_task(writer, task, status_of(&task.state), message);
}

fn write_task(writer: &mut Writer, task: &TaskView, status: TaskStatus, message: Option<&str>) {
    writer.string_member("taskId", &task.id);
    writer.string_member("status", status.as_str());
    if let Some(message) = message {
        writer.string_member("statusMessage", message);
    }
    writer.string_member("createdAt", &date::utc(task.created_at));
    writer.string_member("lastUpdatedAt", &date::utc(task.updated_at));
    match task.ttl {
        Some(ttl) => write_ms(writer, "ttl", ttl),
        None => writer.raw_member("ttl", "null"),
    }
    if let Some(interval) = task.poll_interval {
        write_ms(writer, "pollInterval", interval);
    }
}

/// What went wrong, if something did.
fn failed_with(state: &TaskState) -> Option<Cow<'_, str>> {
    match state {
        TaskState::Completed(result) => is_error(result).then(|| error_text(result)),
        TaskState::Failed(failure) => Some(reason(failure).into()),
        TaskState::Working | TaskState::InputRequired(_) | TaskState::Cancelled => None,
    }
}

fn is_error(result: &Raw) -> bool {
    walk::member(result.as_str(), "isError").and_then(walk::boolean) == Some(true)
}

/// The first text of a result, as far as a status goes.
fn error_text(result: &Raw) -> Cow<'_, str> {
    let content = walk::member(result.as_str(), "content").unwrap_or("[]");
    let mut texts =
        walk::items(content).filter_map(|block| walk::member(block, "text").and_then(walk::text));
    let Some(text) = texts.next() else {
        return "the tool reported an error".into();
    };
    let end = text.floor_char_boundary(MESSAGE_BYTES_MAX);
    text[..end].to_owned().into()
}

fn reason(failure: &Failure) -> String {
    let told = tool_error_text(Revision::LATEST_LEGACY, CallKind::Tool, failure);
    told.unwrap_or_else(|| Fault::from(failure.clone()).message(Era::Legacy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_a_number_of_milliseconds_or_left_to_us() {
        for (task, expected) in [
            ("{}", Some(None)),
            (r#"{"ttl":null}"#, Some(None)),
            (r#"{"ttl":1500}"#, Some(Some(Duration::from_millis(1_500)))),
            (r#"{"ttl":0}"#, Some(Some(Duration::ZERO))),
            (r#"{"ttl":1e300}"#, Some(Some(Duration::MAX))),
            (r#"{"ttl":-1}"#, None),
            (r#"{"ttl":"60000"}"#, None),
            ("[]", None),
            ("true", None),
        ] {
            assert_eq!(
                requested_ttl(&Raw::from_static(task)).ok(),
                expected,
                "{task}"
            );
        }
    }

    #[test]
    fn a_message_keeps_what_it_has_when_it_is_tied_to_a_task() {
        let related = r#""io.modelcontextprotocol/related-task":{"taskId":"t\"1"}"#;
        for (message, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"a":1},"content":[]}}"#,
                format!(
                    r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[],"_meta":{{"a":1,{related}}}}}}}"#
                ),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"x","params":{}}"#,
                format!(r#"{{"jsonrpc":"2.0","method":"x","params":{{"_meta":{{{related}}}}}}}"#),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#.to_owned(),
            ),
        ] {
            let tied = relate(&Bytes::from_static(message.as_bytes()), "t\"1");
            assert_eq!(String::from_utf8_lossy(&tied), expected);
        }
    }
}
