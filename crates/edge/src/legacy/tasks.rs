//! Tasks that clients of 2025-11-25 ask for. protocol.md section 7.

use std::time::Duration;

use bytes::Bytes;
use ostler_dispatch::{Admitted, CallControl, CallStream, FollowedBy, NewCall};
use ostler_protocol::{
    RequestId, Revision,
    fault::Fault,
    json::Raw,
    listing::TaskSupport,
    reply::Shape,
    task::{TaskView, legacy},
};
use ostler_session::{HeldSession, NewRequest, RunningCall, TaskRef, Ticket};
use ostler_task::{CallFacts, End, KnownAnswers, TaskError, TaskRequest};
use ostler_types::CallKind;

use super::call::{Begun, Call, Request, Work};
use crate::{lists, routes::Exchange};

/// How a call is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Call,
    Task { ttl: Option<Duration> },
}

/// What the tool and its client agree on. What a Server does not declare is not looked at.
pub fn manner(
    revision: Revision,
    admitted: &Admitted,
    wish: Option<&Raw>,
) -> Result<Manner, Fault> {
    let declared = revision.has_requested_tasks() && admitted.snapshot.capabilities.tasks;
    match (admitted.declarations().task, wish.filter(|_| declared)) {
        (TaskSupport::None, Some(_)) => Err(not_found(
            "tools/call with `task` (this tool does not run as one)",
        )),
        (TaskSupport::Required, None) if declared => Err(not_found(
            "tools/call without `task` (this tool runs only as one)",
        )),
        (TaskSupport::None | TaskSupport::Optional | TaskSupport::Required, None) => {
            Ok(Manner::Call)
        }
        (TaskSupport::Optional | TaskSupport::Required, Some(wish)) => {
            let ttl = legacy::requested_ttl(wish)?;
            Ok(Manner::Task { ttl })
        }
    }
}

/// A call that its client wants to follow: answered with the handle, once it is stored [TK-1].
/// A client that is gone before that has a task all the same [CAN-2].
pub async fn create(
    exchange: &Exchange,
    held: &HeldSession,
    request: Request,
    admitted: Admitted,
    ttl: Option<Duration>,
) -> Begun {
    let Request {
        id,
        work,
        progress_token,
    } = request;
    let wish = TaskRequest {
        ttl,
        progress_token,
        session: held.id(),
    };
    let ticket = match book(held, &id) {
        Ok(ticket) => ticket,
        Err(fault) => return Begun::Refused(id, fault),
    };
    let created = start(exchange, held, work, admitted, wish).await;
    held.finish(ticket);
    match created {
        Ok(view) => Begun::Answered(shaped(held, |shape| legacy::created(shape, &id, &view))),
        Err(fault) => Begun::Refused(id, fault),
    }
}

/// The id is in use until the handle is out. That it is cancelled means nothing: a task is
/// cancelled by its own method [CAN-4].
fn book(held: &HeldSession, id: &RequestId) -> Result<Ticket, Fault> {
    let request = NewRequest {
        id: id.clone(),
        kind: CallKind::Tool,
        target: String::new(),
        progress_token: None,
        control: CallControl::new(),
        task: None,
    };
    Ok(held.begin(request)?)
}

async fn start(
    exchange: &Exchange,
    held: &HeldSession,
    work: Work,
    admitted: Admitted,
    request: TaskRequest,
) -> Result<TaskView, Fault> {
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    let session = held.facts();
    let declarations = admitted.declarations();
    let facts = CallFacts {
        revision: session.revision,
        kind: work.kind,
        target: work.target,
        arguments: work.arguments.clone(),
        facet: session.facet,
        replay_safe: declarations.replay_safe,
        task_support: true,
        timeout: declarations.timeout,
        request: Some(request),
    };
    let call = NewCall {
        id: edge.dispatcher.mint_call_id(held.shard()),
        arguments: work.arguments,
        facet: session.facet,
        // With a token or without: the last is the task's message.
        wants_progress: true,
        answers: Vec::new(),
    };
    let control = CallControl::new();
    // First: a call that starts is at its worker at once.
    let reserved = edge.tasks.reserve(caller, server)?;
    let call = edge.dispatcher.start(caller, admitted, call, control);
    let known = KnownAnswers::default();
    let created = edge.tasks.create(reserved, call, facts, known, Vec::new());
    // Its worker is at it already.
    match created.await.map_err(|error| Fault::from(error).begun())? {
        End::Task(view) => Ok(view),
        End::Outcome(_) | End::InputRequired(_) | End::Rerun(_) => {
            let reason = "a call that is to be a task became none";
            Err(Fault::Internal(reason.to_owned()))
        }
    }
}

pub async fn get(
    exchange: &Exchange,
    held: &HeldSession,
    id: &RequestId,
    task: &str,
) -> Result<Bytes, Fault> {
    served(held, "tasks/get")?;
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    let view = edge.tasks.get(caller, server, task).await;
    let view = view.map_err(|error| refusal(exchange, "tasks/get", error))?;
    Ok(shaped(held, |shape| legacy::get(shape, id, &view)))
}

pub async fn cancel(
    exchange: &Exchange,
    held: &HeldSession,
    id: &RequestId,
    task: &str,
) -> Result<Bytes, Fault> {
    served(held, "tasks/cancel")?;
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    let view = edge.tasks.cancel_now(caller, server, task).await;
    let view = view.map_err(|error| refusal(exchange, "tasks/cancel", error))?;
    Ok(shaped(held, |shape| legacy::get(shape, id, &view)))
}

/// `tasks/result`: a call of this session like any other, whose events come from the task.
pub async fn result(exchange: &Exchange, held: &HeldSession, id: RequestId, task: String) -> Begun {
    match follow(exchange, held, &id, &task).await {
        Ok(running) => Begun::Running(Box::new(Call {
            id,
            work: Work::result(task),
            server_info: lists::nameless(),
            running,
        })),
        Err(fault) => Begun::Refused(id, fault),
    }
}

async fn follow(
    exchange: &Exchange,
    held: &HeldSession,
    id: &RequestId,
    task: &str,
) -> Result<RunningCall, Fault> {
    served(held, "tasks/result")?;
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    if edge.is_draining() {
        return Err(Fault::Draining);
    }
    let session = held.facts();
    let by = FollowedBy {
        revision: session.revision,
        facet: session.facet,
        since: edge.env.wall(),
    };
    let found = edge.tasks.result(caller, server, task, by).await;
    let found = found.map_err(|error| refusal(exchange, "tasks/result", error))?;
    let control = CallControl::new();
    let request = NewRequest {
        id: id.clone(),
        kind: CallKind::Tool,
        target: String::new(),
        progress_token: found.progress_token,
        control: control.clone(),
        task: Some(TaskRef {
            handle: task.to_owned(),
            deadline: found.deadline,
            since: by.since,
        }),
    };
    let ticket = held.begin(request)?;
    let following = edge.dispatcher.mint_call_id(held.shard());
    Ok(RunningCall {
        ticket,
        call: CallStream::followed(following, found.call, control),
        backlog: Vec::new(),
    })
}

/// Other revisions have no such methods.
fn served(held: &HeldSession, method: &str) -> Result<(), Fault> {
    match held.facts().revision.has_requested_tasks() {
        true => Ok(()),
        false => Err(not_found(method)),
    }
}

/// A Server without any tool for it has no tasks, unless it had one once [CAP-3].
fn refusal(exchange: &Exchange, method: &str, error: TaskError) -> Fault {
    let declared = lists::snapshot(exchange).map(|snapshot| snapshot.capabilities.tasks);
    match error {
        TaskError::Unknown if declared == Ok(false) => not_found(method),
        error => error.into(),
    }
}

fn not_found(method: &str) -> Fault {
    let method = method.to_owned();
    Fault::MethodNotFound { method }
}

fn shaped(held: &HeldSession, write: impl FnOnce(&Shape<'_>) -> Bytes) -> Bytes {
    let nameless = lists::nameless();
    write(&Shape {
        revision: held.facts().revision,
        server_info: &nameless,
    })
}
