//! The calls of one POST within a session: one, or those of a batch.
//!
//! The fast path answers with one JSON body and stores nothing. Everything else (an event worth a
//! stream, a question, a long run, a lost socket) hands the calls to the session, which keeps them
//! on one stream.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use ostler_dispatch::{Admitted, CallControl, NewCall};
use ostler_protocol::{
    RequestId, Revision,
    call::{CallEvent, Failure, Outcome},
    fault::Fault,
    inbound::{CallParams, CompleteParams},
    json::Raw,
    listing::TaskSupport,
    reply::{self, Shape},
    task::legacy,
};
use ostler_session::{HeldSession, NewRequest, Reader, RunningCall, StreamReader, Ticket};
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
    task: Option<Box<Raw>>,
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
    pub(super) id: RequestId,
    pub(super) work: Work,
    pub(super) server_info: Raw,
    pub(super) running: RunningCall,
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
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
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

    pub fn into_running(self) -> RunningCall {
        self.running
    }
}

fn needs_stream(event: &CallEvent, ticket: &Ticket) -> bool {
    match event {
        CallEvent::Progress(_) => ticket.progress_token().is_some(),
        CallEvent::Log(log) => log.level >= ticket.log_level(),
        CallEvent::Ask(_) => true,
        // Nothing was asked yet that could be withdrawn. A client that did not ask for a task gets
        // the result of what would be one.
        CallEvent::Started
        | CallEvent::Kept
        | CallEvent::Withdrawn(_)
        | CallEvent::BecomeTask
        | CallEvent::Outcome(_) => false,
    }
}

/// A call that ended on its fast path.
struct Ended {
    id: RequestId,
    work: Work,
    server_info: Raw,
    outcome: Outcome,
}

impl Ended {
    /// `None` for a cancelled request: its client wants no answer [CAN-1].
    fn message(&self, revision: Revision) -> Option<Bytes> {
        let shape = Shape {
            revision,
            server_info: &self.server_info,
        };
        let Work {
            kind,
            target,
            related,
            ..
        } = &self.work;
        if self.outcome == Err(Failure::Cancelled) {
            return None;
        }
        let message = reply::outcome(&shape, &self.id, *kind, target, &self.outcome);
        Some(match related {
            Some(task) => legacy::relate(&message, task),
            None => message,
        })
    }
}

/// The requests of one POST. Dropped before their end, the session takes what runs [CAN-2], [CAN-3].
pub struct Post {
    held: HeldSession,
    answered: Vec<Bytes>,
    running: Vec<Call>,
    ended: Vec<Ended>,
}

/// How the answers of a POST that needs no stream are put into its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The answer itself, under a status of its own.
    Single,
    /// An array, however few they are [BAT-4].
    Array,
}

impl Post {
    pub fn new(held: HeldSession) -> Self {
        Self {
            held,
            answered: Vec::new(),
            running: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// No request so far.
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty() && self.running.is_empty()
    }

    pub fn answer(&mut self, message: Bytes) {
        self.answered.push(message);
    }

    pub fn run(&mut self, call: Call) {
        self.running.push(call);
    }

    /// Waits for all outcomes as long as no event needs a stream; whether they are all there.
    fn poll_outcomes(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut at = 0;
        while let Some(call) = self.running.get_mut(at) {
            match call.poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(None) => return Poll::Ready(false),
                Poll::Ready(Some(outcome)) => self.end(at, outcome),
            }
        }
        match self.running.is_empty() {
            true => Poll::Ready(true),
            false => Poll::Pending,
        }
    }

    fn end(&mut self, at: usize, outcome: Outcome) {
        let Call {
            id,
            work,
            server_info,
            running,
        } = self.running.swap_remove(at);
        self.held.finish(running.ticket);
        self.ended.push(Ended {
            id,
            work,
            server_info,
            outcome,
        });
    }

    /// All answers that there are.
    fn take_answers(&mut self) -> Vec<Bytes> {
        let revision = self.held.facts().revision;
        let ended = std::mem::take(&mut self.ended);
        let ended = ended.iter().filter_map(|ended| ended.message(revision));
        std::mem::take(&mut self.answered)
            .into_iter()
            .chain(ended)
            .collect()
    }

    fn adopt(&mut self, reader: Reader) -> Option<StreamReader> {
        let calls = std::mem::take(&mut self.running);
        let calls = calls.into_iter().map(Call::into_running).collect();
        let answered = self.take_answers();
        self.held.adopt(calls, answered, reader)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if !self.running.is_empty() {
            self.adopt(Reader::None);
        }
    }
}

/// The response to a POST whose requests have begun.
pub async fn respond(exchange: &Exchange, mut post: Post, form: Form) -> Response {
    let edge = &exchange.edge;
    let stream_at = edge.env.now() + edge.config.stream_after;
    let outcomes = poll_fn(|cx| post.poll_outcomes(cx));
    if edge.env.until(stream_at, outcomes).await == Some(true) {
        return match form {
            Form::Single => single(&mut post),
            Form::Array => array(post.take_answers()),
        };
    }
    let first = post.running.first().map(|call| call.id.clone());
    match post.adopt(Reader::Attached) {
        Some(reader) => stream::respond(exchange, post.held.clone(), reader),
        None => {
            let retry_after = edge.config.stream_after;
            let id = first.filter(|_| form == Form::Single);
            failed(exchange, id.as_ref(), Fault::Overloaded { retry_after })
        }
    }
}

fn single(post: &mut Post) -> Response {
    // Lacking scopes have a status of their own while there is one to give.
    if let [
        Ended {
            id,
            outcome: Err(Failure::NeedsScope(scopes)),
            work: Work { related: None, .. },
            ..
        },
    ] = &post.ended[..]
    {
        let scopes = scopes.clone();
        return rejection::failed(post.held.facts().revision, id, &Fault::Forbidden { scopes });
    }
    match post.take_answers().pop() {
        Some(body) => rejection::json(StatusCode::OK, body),
        None => routes::accepted(),
    }
}

fn array(answers: Vec<Bytes>) -> Response {
    match answers.is_empty() {
        true => routes::accepted(),
        false => rejection::json(StatusCode::OK, reply::batch(&answers)),
    }
}
