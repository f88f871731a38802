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
    reply::{self, Shape},
};
use ostler_session::{HeldSession, NewRequest, Reader, Ticket};
use ostler_types::CallKind;

use super::{failed, stream};
use crate::{
    rejection,
    routes::{self, Exchange},
};

/// What a worker is to do.
pub struct Work {
    kind: CallKind,
    target: String,
    arguments: Raw,
}

impl Work {
    pub fn of(params: CallParams) -> Self {
        Self {
            kind: params.kind,
            target: params.target,
            arguments: params.arguments,
        }
    }

    pub fn complete(params: CompleteParams) -> Self {
        Self {
            kind: CallKind::Completion,
            target: params.reference.as_str().to_string(),
            arguments: params.arguments,
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
    let admitted = match admit(&exchange, &held, &id, &work).await {
        Ok(admitted) => admitted,
        Err(response) => return response,
    };
    let control = CallControl::new();
    let request = NewRequest {
        id: id.clone(),
        kind: work.kind,
        target: work.target.clone(),
        progress_token,
        control: control.clone(),
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
) -> Result<Admitted, Response> {
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
    let shape = Shape {
        revision: held.facts().revision,
        server_info: &admitted.snapshot.server_info,
    };
    let lacking = held
        .facts()
        .facet
        .lacking(&admitted.declarations().requires);
    if !lacking.is_empty() {
        let failure = Err(Failure::NeedsCapability(lacking));
        let body = reply::outcome(&shape, id, work.kind, &work.target, &failure);
        return Err(rejection::json(StatusCode::OK, body));
    }
    match admitted.check(&work.arguments).await {
        Ok(()) => Ok(admitted),
        // The model may correct itself [T-8].
        Err(problem) => Err(rejection::json(
            StatusCode::OK,
            reply::tool_error(&shape, id, &problem),
        )),
    }
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
                // Nobody was sent anywhere yet.
                CallEvent::Started | CallEvent::Kept | CallEvent::Visited { .. } => {}
                CallEvent::Progress(_) if ticket.progress_token().is_none() => {}
                CallEvent::Log(log) if log.level < ticket.log_level() => {}
                // The legacy era of this revision runs it to its end.
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
        Err(Failure::NeedsScope(scopes)) => {
            let scopes = scopes.clone();
            rejection::failed(shape.revision, id, &Fault::Forbidden { scopes })
        }
        outcome => {
            let body = reply::outcome(shape, id, work.kind, &work.target, outcome);
            rejection::json(StatusCode::OK, body)
        }
    }
}
