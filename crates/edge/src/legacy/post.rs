//! The requests of one POST: one, or those of a batch.
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
use ostler_protocol::{
    RequestId, Revision,
    call::{Failure, Outcome},
    fault::Fault,
    json::Raw,
    reply::{self, Shape},
    task::legacy,
};
use ostler_session::{HeldSession, Reader, StreamReader};

use super::{
    call::{Call, Work},
    failed, stream,
};
use crate::{
    rejection,
    routes::{self, Exchange},
};

/// A call that ended on its fast path.
struct Ended {
    id: RequestId,
    work: Work,
    server_info: Raw,
    outcome: Outcome,
}

impl Ended {
    fn bytes(&self) -> usize {
        self.outcome
            .as_ref()
            .map_or(0, |result| result.bytes().len())
    }

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
    /// Why requests were refused; their errors are among the answers.
    refused: Vec<Fault>,
    running: Vec<Call>,
    ended: Vec<Ended>,
    /// Of all answers so far.
    bytes: usize,
    /// From here on nothing more is answered at once. The largest answer may lie beyond.
    bytes_max: usize,
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
    pub fn new(exchange: &Exchange, held: HeldSession) -> Self {
        Self {
            held,
            answered: Vec::new(),
            refused: Vec::new(),
            running: Vec::new(),
            ended: Vec::new(),
            bytes: 0,
            bytes_max: exchange.edge.config.limits.outcome_bytes_max,
        }
    }

    /// The answers that wait for the others are as large as they may be together.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// No request so far.
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty() && self.running.is_empty()
    }

    pub fn answer(&mut self, message: Bytes) {
        self.bytes += message.len();
        self.answered.push(message);
    }

    pub fn refuse(&mut self, id: &RequestId, fault: Fault) {
        let revision = self.held.facts().revision;
        self.answer(reply::error(revision, Some(id), &fault));
        self.refused.push(fault);
    }

    pub fn run(&mut self, call: Call) {
        self.running.push(call);
    }

    /// Waits for all outcomes as long as nothing needs a stream; whether they are all there. Many
    /// bytes need one: there they do not wait for each other.
    fn poll_outcomes(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut at = 0;
        while let Some(call) = self.running.get_mut(at) {
            if self.bytes >= self.bytes_max {
                return Poll::Ready(false);
            }
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
        let ended = Ended {
            id,
            work,
            server_info,
            outcome,
        };
        self.bytes += ended.bytes();
        self.ended.push(ended);
    }

    /// All answers that there are, each put into its form when it is taken.
    fn take_answers(&mut self) -> impl Iterator<Item = Bytes> + use<> {
        let revision = self.held.facts().revision;
        let ended = std::mem::take(&mut self.ended).into_iter();
        let ended = ended.filter_map(move |ended| ended.message(revision));
        std::mem::take(&mut self.answered).into_iter().chain(ended)
    }

    /// None of its requests began.
    fn is_refused(&self) -> bool {
        self.refused.len() == self.answered.len() && self.ended.is_empty()
    }

    /// Calls that nobody takes are cancelled: each request has an error then, and the answers stay.
    fn adopt(&mut self, reader: Reader) -> Result<Option<StreamReader>, Vec<(RequestId, Fault)>> {
        let calls = std::mem::take(&mut self.running).into_iter();
        let calls = calls.map(|call| (call.running, (call.id, call.work)));
        let (calls, requests): (_, Vec<_>) = calls.unzip();
        self.answered = self.take_answers().collect();
        let adopted = self.held.adopt(calls, self.answered.clone(), reader);
        adopted.map_err(|error| {
            let fault = Fault::from(error);
            let requests = requests.into_iter();
            let refused = requests.map(|(id, work)| (id, work.not_taken(&fault)));
            refused.collect()
        })
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        // Who has no event id cannot come back for a task's result here, but may ask for it anew.
        self.running.retain(|call| call.work.related.is_none());
        if !self.running.is_empty() {
            // Calls that cannot be taken are cancelled.
            drop(self.adopt(Reader::None));
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
            Form::Array => array(&mut post),
        };
    }
    match post.adopt(Reader::Attached) {
        Ok(Some(reader)) => stream::respond(exchange, post.held.clone(), reader),
        Ok(None) => failed(exchange, None, Fault::Internal("no reader".into())),
        Err(refused) => not_taken(exchange, post, refused, form),
    }
}

fn not_taken(
    exchange: &Exchange,
    mut post: Post,
    refused: Vec<(RequestId, Fault)>,
    form: Form,
) -> Response {
    if let (Form::Single, [(id, fault)]) = (form, &refused[..]) {
        return failed(exchange, Some(id), fault.clone());
    }
    for (id, fault) in refused {
        exchange.edge.metrics.refused(rejection::reason(&fault));
        post.refuse(&id, fault);
    }
    array(&mut post)
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
    match post.take_answers().next() {
        Some(body) => rejection::json(StatusCode::OK, body),
        None => routes::accepted(),
    }
}

fn array(post: &mut Post) -> Response {
    let is_refused = post.is_refused();
    let mut answers = post.take_answers().peekable();
    match (answers.peek().is_some(), is_refused) {
        (false, _) => routes::accepted(),
        (true, true) => rejection::batch(&post.refused, reply::batch(answers)),
        (true, false) => rejection::json(StatusCode::OK, reply::batch(answers)),
    }
}
