//! One call within a session.
//!
//! The fast path answers with one JSON body and stores nothing. Everything else (an event worth a
//! stream, a question, a long run, a lost socket) hands the call to the session, which keeps it.

use axum::response::Response;
use http::StatusCode;
use ostler_dispatch::{Admitted, CallControl, CallStream, NewCall};
use ostler_protocol::{
    RequestId,
    call::{CallEvent, Failure, Outcome},
    fault::Fault,
    inbound::{CallParams, CompleteParams},
    json::Raw,
    listing::TaskSupport,
    reply::{self, Shape},
    task::legacy,
};
use ostler_session::{HeldSession, NewRequest, Reader, Ticket};
use ostler_types::CallKind;

use super::{
    failed, stream,
    tasks::{self, Manner},
};
use crate::{
    rejection,
    routes::{self, Exchange},
};

/// What a worker is to do.
pub struct Work {
    pub(super) kind: CallKind,
    pub(super) target: String,
    pub(super) arguments: Raw,
    /// What the client says of the task it wants.
    task: Option<Raw>,
    /// The handle of the task whose result is waited for.
    related: Option<String>,
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
}

pub async fn run(
    exchange: Exchange,
    held: HeldSession,
    id: RequestId,
    work: Work,
    progress_token: Option<Raw>,
) -> Response {
    let (admitted, manner) = match admit(&exchange, &held, &id, &work).await {
        Ok(admitted) => admitted,
        Err(response) => return response,
    };
    match manner {
        Manner::Call => start(exchange, held, id, work, progress_token, admitted).await,
        Manner::Task { ttl } => {
            tasks::create(exchange, held, id, work, progress_token, admitted, ttl).await
        }
    }
}

async fn start(
    exchange: Exchange,
    held: HeldSession,
    id: RequestId,
    work: Work,
    progress_token: Option<Raw>,
    admitted: Admitted,
) -> Response {
    let control = CallControl::new();
    let request = NewRequest {
        id: id.clone(),
        kind: work.kind,
        target: work.target.clone(),
        progress_token,
        control: control.clone(),
        task: None,
    };
    let ticket = match held.begin(request) {
        Ok(ticket) => ticket,
        Err(error) => return failed(&exchange, Some(&id), error.into()),
    };
    let call = NewCall {
        id: exchange.edge.dispatcher.mint_call_id(held.shard()),
        arguments: work.arguments.clone(),
        facet: held.facts().facet,
        wants_progress: ticket.progress_token().is_some(),
        answers: Vec::new(),
    };
    let server_info = admitted.snapshot.server_info.clone();
    let call = exchange
        .edge
        .dispatcher
        .start(&exchange.caller, admitted, call, control);
    answer(exchange, held, work, server_info, ticket, call).await
}

/// Answers a booked request with what its call says.
pub async fn answer(
    exchange: Exchange,
    held: HeldSession,
    work: Work,
    server_info: Raw,
    ticket: Ticket,
    call: CallStream,
) -> Response {
    let id = ticket.id().clone();
    let running = Running {
        held,
        held_call: Some((ticket, call)),
        backlog: Vec::new(),
    };
    respond(exchange, id, work, server_info, running).await
}

/// Everything that can refuse a call before it costs anything; an error is the response.
async fn admit(
    exchange: &Exchange,
    held: &HeldSession,
    id: &RequestId,
    work: &Work,
) -> Result<(Admitted, Manner), Response> {
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    let fail = |fault| failed(exchange, Some(id), fault);
    if edge.is_draining() {
        return Err(fail(Fault::Draining));
    }
    let admitted = edge
        .dispatcher
        .admit(caller, server, work.kind, &work.target);
    let admitted = admitted.map_err(|refusal| fail(refusal.of_known_server().into()))?;
    let revision = held.facts().revision;
    let manner = tasks::manner(revision, &admitted, work.task.as_ref()).map_err(fail)?;
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
        (Manner::Task { .. }, failure) => return Err(fail(failure.into())),
        // The model may correct itself [T-8].
        (Manner::Call, Failure::InvalidParams(problem)) => reply::tool_error(&shape, id, &problem),
        (Manner::Call, failure) => {
            reply::outcome(&shape, id, work.kind, &work.target, &Err(failure))
        }
    };
    Err(rejection::json(StatusCode::OK, body))
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

/// A call on its fast path. Dropped before its end, the session takes it [CAN-2], [CAN-3].
struct Running {
    held: HeldSession,
    held_call: Option<(Ticket, CallStream)>,
    backlog: Vec<CallEvent>,
}

/// What ends the fast path.
enum First {
    Outcome(Outcome),
    Streams,
}

impl Running {
    /// The outcome, or the first event that needs a stream.
    async fn first(&mut self) -> First {
        while let Some((ticket, call)) = &mut self.held_call {
            let event = call.next().await;
            match event {
                CallEvent::Outcome(outcome) => return First::Outcome(outcome),
                CallEvent::Started | CallEvent::Kept => {}
                CallEvent::Progress(_) if ticket.progress_token().is_none() => {}
                CallEvent::Log(log) if log.level < ticket.log_level() => {}
                // Nothing was asked yet.
                CallEvent::Withdrawn(_) => {}
                // The client did not ask for a task: it gets the result.
                CallEvent::BecomeTask => {}
                event @ (CallEvent::Progress(_) | CallEvent::Log(_) | CallEvent::Ask(_)) => {
                    self.backlog.push(event);
                    return First::Streams;
                }
            }
        }
        First::Streams
    }

    fn adopt(&mut self, reader: Reader) -> Option<ostler_session::StreamReader> {
        let (ticket, call) = self.held_call.take()?;
        self.held
            .adopt(ticket, call, std::mem::take(&mut self.backlog), reader)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.adopt(Reader::None);
    }
}

async fn respond(
    exchange: Exchange,
    id: RequestId,
    work: Work,
    server_info: Raw,
    mut running: Running,
) -> Response {
    let edge = &exchange.edge;
    let stream_at = edge.env.now() + edge.config.stream_after;
    match edge.env.until(stream_at, running.first()).await {
        Some(First::Outcome(outcome)) => {
            if let Some((ticket, _call)) = running.held_call.take() {
                running.held.finish(ticket);
            }
            let shape = Shape {
                revision: running.held.facts().revision,
                server_info: &server_info,
            };
            outcome_response(&shape, &id, &work, &outcome)
        }
        Some(First::Streams) | None => match running.adopt(Reader::Attached) {
            Some(reader) => stream::respond(&exchange, running.held.clone(), reader),
            None => failed(
                &exchange,
                Some(&id),
                Fault::Overloaded {
                    retry_after: edge.config.stream_after,
                },
            ),
        },
    }
}

fn outcome_response(shape: &Shape<'_>, id: &RequestId, work: &Work, outcome: &Outcome) -> Response {
    match outcome {
        // The client cancelled and wants no answer [CAN-1].
        Err(Failure::Cancelled) => routes::accepted(),
        // Lacking scopes have a status of their own while there is one to give.
        Err(Failure::NeedsScope(scopes)) if work.related.is_none() => {
            let scopes = scopes.clone();
            rejection::failed(shape.revision, id, &Fault::Forbidden { scopes })
        }
        outcome => {
            let body = reply::outcome(shape, id, work.kind, &work.target, outcome);
            let related = work.related.as_deref();
            let body = match related {
                Some(task) => legacy::relate(&body, task),
                None => body,
            };
            rejection::json(StatusCode::OK, body)
        }
    }
}
