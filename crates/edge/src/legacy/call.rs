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
    reply::{self, Shape},
};
use ostler_session::{HeldSession, NewRequest, RunningCall, Ticket};
use ostler_types::CallKind;

use crate::routes::Exchange;

/// What a worker is to do.
pub struct Work {
    pub kind: CallKind,
    pub target: String,
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
    let Request {
        id,
        work,
        progress_token,
    } = request;
    let admitted = match admit(exchange, held, &id, &work).await {
        Ok(admitted) => admitted,
        Err(begun) => return begun,
    };
    let control = CallControl::new();
    let booked = held.begin(NewRequest {
        id: id.clone(),
        kind: work.kind,
        target: work.target.clone(),
        progress_token,
        control: control.clone(),
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
) -> Result<Admitted, Begun> {
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
        return Err(Begun::Answered(body));
    }
    match admitted.check(&work.arguments).await {
        Ok(()) => Ok(admitted),
        // The model may correct itself [T-8].
        Err(problem) => Err(Begun::Answered(reply::tool_error(&shape, id, &problem))),
    }
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
        // The legacy era of this revision runs a would-be task to its end.
        CallEvent::Started | CallEvent::Kept | CallEvent::BecomeTask | CallEvent::Outcome(_) => {
            false
        }
    }
}
