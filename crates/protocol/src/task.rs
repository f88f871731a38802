//! Tasks as modern clients see them: the extension `io.modelcontextprotocol/tasks`. The view
//! is neutral; the dialect of 2025-11-25 is other functions over it, in [`legacy`].

use std::time::Duration;

use bytes::Bytes;
use ostler_types::{CallKind, Timestamp};

use crate::{
    ask,
    call::{Failure, Question},
    fault::Fault,
    id::RequestId,
    json::Raw,
    reply::{self, ResultType, Shape, response, write_error},
    write::Writer,
};

mod date;
pub mod legacy;

/// Where a task stands, as clients name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    Working,
    InputRequired,
    Completed,
    Failed,
    Cancelled,
}

impl TaskStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            TaskStatus::Working => "working",
            TaskStatus::InputRequired => "input_required",
            TaskStatus::Completed => "completed",
            TaskStatus::Failed => "failed",
            TaskStatus::Cancelled => "cancelled",
        }
    }

    /// It will not change again [TK-8].
    pub const fn is_terminal(self) -> bool {
        match self {
            TaskStatus::Working | TaskStatus::InputRequired => false,
            TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Cancelled => true,
        }
    }
}

/// Where a task stands, with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    Working,
    /// All outstanding questions; answered ones are gone [TK-6].
    InputRequired(Vec<Question>),
    /// The worker's result, era-neutral and sound ([`reply::check_result`]). One with
    /// `isError` is completed too.
    Completed(Raw),
    Failed(Failure),
    Cancelled,
}

impl TaskState {
    pub fn status(&self) -> TaskStatus {
        match self {
            TaskState::Working => TaskStatus::Working,
            TaskState::InputRequired(_) => TaskStatus::InputRequired,
            TaskState::Completed(_) => TaskStatus::Completed,
            TaskState::Failed(_) => TaskStatus::Failed,
            TaskState::Cancelled => TaskStatus::Cancelled,
        }
    }
}

/// A task at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// The wire form of its id.
    pub id: String,
    pub state: TaskState,
    /// For people; the last progress message, say.
    pub status_message: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// How long it is kept after its creation; `None` is for ever [TK-7].
    pub ttl: Option<Duration>,
    pub poll_interval: Option<Duration>,
}

/// The handle that stands in for the result of a call [TK-1]. It never carries what the task
/// waits for or ended with.
pub fn created(shape: &Shape<'_>, id: &RequestId, task: &TaskView) -> Bytes {
    response(shape, id, ResultType::Task, 512, |writer| {
        let status = task.state.status();
        task.write_handle(writer, status, task.status_message.as_deref());
    })
}

/// The answer to `tasks/get`: the whole state, always of type `complete` [TK-5].
pub fn get(shape: &Shape<'_>, id: &RequestId, task: &TaskView) -> Bytes {
    response(shape, id, ResultType::Complete, 1024, |writer| {
        task.write_detailed(writer, shape);
    })
}

impl TaskView {
    fn write_handle(&self, writer: &mut Writer, status: TaskStatus, message: Option<&str>) {
        writer.string_member("taskId", &self.id);
        writer.string_member("status", status.as_str());
        if let Some(message) = message {
            writer.string_member("statusMessage", message);
        }
        writer.string_member("createdAt", &date::utc(self.created_at));
        writer.string_member("lastUpdatedAt", &date::utc(self.updated_at));
        match self.ttl {
            Some(ttl) => write_ms(writer, "ttlMs", ttl),
            None => writer.raw_member("ttlMs", "null"),
        }
        if let Some(interval) = self.poll_interval {
            write_ms(writer, "pollIntervalMs", interval);
        }
    }

    /// A `DetailedTask`, as members of an open object.
    pub(crate) fn write_detailed(&self, writer: &mut Writer, shape: &Shape<'_>) {
        let message = self.status_message.as_deref();
        match &self.state {
            TaskState::Working => self.write_handle(writer, TaskStatus::Working, message),
            TaskState::Cancelled => self.write_handle(writer, TaskStatus::Cancelled, message),
            TaskState::InputRequired(questions) => {
                self.write_handle(writer, TaskStatus::InputRequired, message);
                ask::write_input_requests(writer, questions);
            }
            TaskState::Completed(result) => {
                match reply::result_object(shape, CallKind::Tool, result) {
                    Ok(result) => {
                        self.write_handle(writer, TaskStatus::Completed, message);
                        writer.raw_member("result", result.as_str());
                    }
                    Err(failure) => self.write_failed(writer, shape, failure),
                }
            }
            TaskState::Failed(failure) => self.write_failed(writer, shape, failure.clone()),
        }
    }

    fn write_failed(&self, writer: &mut Writer, shape: &Shape<'_>, failure: Failure) {
        let fault = Fault::from(failure);
        let reason = fault.message(shape.revision.era());
        self.write_handle(writer, TaskStatus::Failed, Some(&reason));
        writer.name("error");
        write_error(writer, shape.revision, &fault);
    }
}

/// Milliseconds that every JSON reader holds exactly.
fn write_ms(writer: &mut Writer, name: &str, span: Duration) {
    const SAFE_MAX: u128 = (1 << 53) - 1;
    writer.name(name);
    writer.int(span.as_millis().min(SAFE_MAX) as i128);
}

#[cfg(test)]
mod tests;
