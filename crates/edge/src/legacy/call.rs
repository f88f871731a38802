//! One call within a session, until it streams or ends.

use std::task::{Context, Poll};

use bytes::Bytes;
use ostler_dispatch::{Admitted, CallControl, NewCall};
use ostler_protocol::{
    RequestId,
    call::{CallEvent, Failure, Outcome},
    fault::Fault,
    inbound::{CallParams, CompleteParams},
    json::Raw,
    listing::TaskSupport,
    reply::{self, Shape},
};
use ostler_session::{HeldSession, NewRequest, RunningCall, Ticket};
use ostler_types::CallKind;

use super::tasks::{self, Manner};
use crate::routes::Exchange;

/// What a worker is to do.
pub struct Work {
    pub kind: CallKind,
    pub target: String,
    pub arguments: Raw,
    /// What the client says of the task it wants.
    task: Option<Box<Raw>>,
    /// The handle of the task whose result is waited for.
    pub related: Option<String>,
}

impl Work {
    pub fn of(params: CallParams) -> Self {
        Self {
            kind: params.kind,
            target: params.target,
            arguments: params.arguments,
            task: params.task,
            related: None,
        }
    }

    /// To wait for the result of a task: it is a tool's, whichever.
    pub fn result(task: String) -> Self {
        Self {
            kind: CallKind::Tool,
            target: String::new(),
            arguments: Raw::empty_object(),
            task: None,
            related: Some(task),
        }
    }

    pub fn complete(params: CompleteParams) -> Self {
        Self {
            kind: CallKind::Completion,
            target: params.reference.as_str().to_string(),
            arguments: params.arguments,
            task: None,
            related: None,
        }
    }

    /// What its request is told when its session does not take the call that runs for it. A task goes
    /// on without those who wait for it.
    pub fn not_taken(&self, fault: &Fault) -> Fault {
        match &self.related {
            Some(_) => fault.clone(),
            None => fault.clone().begun(),
        }
    }
}

/// A request for a call.
pub struct Request {
    pub id: RequestId,
    pub work: Work,
    pub progress_token: Option<Raw>,
}

/// What became of a request at once.
pub enum Begun {
    Running(Box<Call>),
    /// A whole response.
    Answered(Bytes),
    Refused(RequestId, Fault),
}

/// A call on its fast path.
pub struct Call {
    pub id: RequestId,
    pub work: Work,
    pub server_info: Raw,
    pub running: RunningCall,
}

/// Starts a call, unless something refuses it before it costs anything.
pub async fn begin(exchange: &Exchange, held: &HeldSession, request: Request) -> Begun {
    let admitted = admit(exchange, held, &request.id, &request.work).await;
    match admitted {
        Ok((admitted, Manner::Call)) => start(exchange, held, request, admitted),
        Ok((admitted, Manner::Task { ttl })) => {
            tasks::create(exchange, held, request, admitted, ttl).await
        }
        Err(begun) => begun,
    }
}

fn start(exchange: &Exchange, held: &HeldSession, request: Request, admitted: Admitted) -> Begun {
    let Request {
        id,
        work,
        progress_token,
    } = request;
    let control = CallControl::new();
    let booked = held.begin(NewRequest {
        id: id.clone(),
        kind: work.kind,
        target: work.target.clone(),
        progress_token,
        control: control.clone(),
        task: None,
    });
    let ticket = match booked {
        Ok(ticket) => ticket,
        Err(error) => return Begun::Refused(id, error.into()),
    };
    let call = NewCall {
        id: exchange.edge.dispatcher.mint_call_id(held.shard()),
        arguments: work.arguments.clone(),
        facet: held.facts().facet,
        wants_progress: ticket.progress_token().is_some(),
        answers: Vec::new(),
    };
    let server_info = admitted.snapshot.server_info.clone();
    let dispatcher = &exchange.edge.dispatcher;
    let running = RunningCall {
        ticket,
        call: dispatcher.start(&exchange.caller, admitted, call, control),
        backlog: Vec::new(),
    };
    Begun::Running(Box::new(Call {
        id,
        work,
        server_info,
        running,
    }))
}

/// What need not begin is the error.
async fn admit(
    exchange: &Exchange,
    held: &HeldSession,
    id: &RequestId,
    work: &Work,
) -> Result<(Admitted, Manner), Begun> {
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    let refuse = |fault| Begun::Refused(id.clone(), fault);
    if edge.is_draining() {
        return Err(refuse(Fault::Draining));
    }
    let admitted = edge
        .dispatcher
        .admit(caller, server, work.kind, &work.target);
    let admitted = admitted.map_err(|refusal| refuse(refusal.of_known_server().into()))?;
    let revision = held.facts().revision;
    let manner = tasks::manner(revision, &admitted, work.task.as_deref()).map_err(refuse)?;
    let Some(failure) = misfit(held, &admitted, work, manner).await else {
        return Ok((admitted, manner));
    };
    let server_info = &admitted.snapshot.server_info;
    let shape = Shape {
        revision,
        server_info,
    };
    let body = match (manner, failure) {
        // A client that waits for a handle can read no other result, but any error.
        (Manner::Task { .. }, failure) => return Err(refuse(failure.into())),
        // The model may correct itself [T-8].
        (Manner::Call, Failure::InvalidParams(problem)) => reply::tool_error(&shape, id, &problem),
        (Manner::Call, failure) => {
            reply::outcome(&shape, id, work.kind, &work.target, &Err(failure))
        }
    };
    Err(Begun::Answered(body))
}

/// Why this client's call cannot be that of its target, if so.
async fn misfit(
    held: &HeldSession,
    admitted: &Admitted,
    work: &Work,
    manner: Manner,
) -> Option<Failure> {
    let declarations = admitted.declarations();
    let lacking = held.facts().facet.lacking(&declarations.requires);
    if !lacking.is_empty() {
        return Some(Failure::NeedsCapability(lacking));
    }
    if (declarations.task, manner) == (TaskSupport::Required, Manner::Call) {
        let reason = "this tool runs only as a task, and needs a client that can follow one";
        return Some(Failure::InvalidParams(reason.to_owned()));
    }
    let checked = admitted.check(&work.arguments).await;
    checked.err().map(Failure::InvalidParams)
}

impl Call {
    /// The outcome, or the first event that needs a stream and is on the backlog then.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        loop {
            let RunningCall {
                ticket,
                call,
                backlog,
            } = &mut self.running;
            match std::task::ready!(call.poll_next(cx)) {
                CallEvent::Outcome(outcome) => return Poll::Ready(Some(outcome)),
                event if needs_stream(&event, ticket) => {
                    backlog.push(event);
                    return Poll::Ready(None);
                }
                _ => {}
            }
        }
    }
}

fn needs_stream(event: &CallEvent, ticket: &Ticket) -> bool {
    match event {
        CallEvent::Progress(_) => ticket.progress_token().is_some(),
        CallEvent::Log(log) => log.level >= ticket.log_level(),
        CallEvent::Ask(_) => true,
        // Nothing was asked yet that could be withdrawn or visited. A client that did not ask for a
        // task gets the result of what would be one.
        CallEvent::Started
        | CallEvent::Kept
        | CallEvent::Withdrawn(_)
        | CallEvent::Visited { .. }
        | CallEvent::BecomeTask
        | CallEvent::Outcome(_) => false,
    }
}
