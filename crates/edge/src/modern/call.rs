//! One call of a modern request: from its params to the last message of its response.
//!
//! The response waits for the first thing worth sending, or `stream_after`, before its status goes
//! out [M-10]; an outcome until then is one JSON body, everything else makes it a stream. Whoever
//! drops the response drops the call with it, and so cancels it [MS-3].

use std::collections::BTreeMap;

use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use ostler_dispatch::{Admitted, Refusal};
use ostler_protocol::{
    RequestId, Revision,
    facet::Capability,
    fault::Fault,
    inbound::{CallParams, CompleteParams, RequestMeta, check_param_headers},
    json::Raw,
    listing::TaskSupport,
    reply::{self, Shape},
    sse,
};
use ostler_task::{End, KnownAnswers, Resumed};
use ostler_types::CallKind;

use super::{
    failed,
    flow::{Done, Flow, Step},
};
use crate::{fields::Fields, lists, metrics::StreamKind, rejection, routes::Exchange};

/// What a client asks of a worker, once its message was understood.
pub struct Request {
    pub(super) id: RequestId,
    pub(super) revision: Revision,
    pub(super) meta: RequestMeta,
    pub(super) kind: CallKind,
    pub(super) target: String,
    pub(super) arguments: Raw,
    input_responses: BTreeMap<String, Raw>,
    request_state: Option<String>,
}

impl Request {
    pub fn new(id: RequestId, revision: Revision, meta: RequestMeta, params: CallParams) -> Self {
        Self {
            id,
            revision,
            meta,
            kind: params.kind,
            target: params.target,
            arguments: params.arguments,
            input_responses: params.input_responses.unwrap_or_default(),
            request_state: params.request_state,
        }
    }

    pub fn complete(
        id: RequestId,
        revision: Revision,
        meta: RequestMeta,
        params: CompleteParams,
    ) -> Self {
        Self {
            id,
            revision,
            meta,
            kind: CallKind::Completion,
            target: params.reference.as_str().to_string(),
            arguments: params.arguments,
            input_responses: BTreeMap::new(),
            request_state: None,
        }
    }
}

pub async fn run(exchange: Exchange, mut request: Request, fields: &Fields<'_>) -> Response {
    let begun = match request.request_state.take() {
        None => begin(exchange, request, fields).await,
        // Boxed, as every rarer branch of a request: the plain call carries no room for it.
        Some(state) => Box::pin(come_back(exchange, request, fields, state)).await,
    };
    match begun {
        Ok(flow) => respond(flow).await,
        Err(response) => *response,
    }
}

/// A new call. An error is the response.
async fn begin(
    exchange: Exchange,
    mut request: Request,
    fields: &Fields<'_>,
) -> Result<Flow, Box<Response>> {
    let admitted = match admit(&exchange, &request, fields) {
        Ok(admitted) => admitted,
        Err(fault) => return Err(refuse(&exchange, &request, &fault)),
    };
    if let Err(problem) = admitted.check(&request.arguments).await {
        // The model may correct itself [T-8].
        let server_info = &admitted.snapshot.server_info;
        let shape = Shape {
            revision: request.revision,
            server_info,
        };
        let body = reply::tool_error(&shape, &request.id, &problem);
        return Err(Box::new(rejection::json(StatusCode::OK, body)));
    }
    let known = KnownAnswers::from_first_request(std::mem::take(&mut request.input_responses));
    let server_info = admitted.snapshot.server_info.clone();
    let mut flow = Flow::new(
        exchange,
        request,
        server_info,
        Some(admitted.declarations()),
    );
    flow.start(admitted, known);
    Ok(flow)
}

/// A call that exists already: it needs no room, no worker either if its outcome is stored.
async fn come_back(
    exchange: Exchange,
    mut request: Request,
    fields: &Fields<'_>,
    state: String,
) -> Result<Flow, Box<Response>> {
    let snapshot = lists::snapshot(&exchange).ok();
    let tool = snapshot
        .as_ref()
        .and_then(|snapshot| snapshot.tool(&request.target));
    let tool = tool.filter(|_| request.kind == CallKind::Tool);
    if let Some(Err(fault)) =
        tool.map(|tool| check_param_headers(fields, tool.param_rules(), &request.arguments))
    {
        return Err(refuse(&exchange, &request, &fault));
    }
    let params = CallParams {
        kind: request.kind,
        target: request.target.clone(),
        arguments: request.arguments.clone(),
        input_responses: Some(std::mem::take(&mut request.input_responses)),
        request_state: Some(state),
        task: None,
    };
    let Exchange {
        edge,
        caller,
        server,
    } = &exchange;
    let resumed = edge
        .tasks
        .resume(caller, server, &params, request.meta.facet)
        .await;
    // Only a call that runs again from the start takes a place again.
    let again = match &resumed {
        Ok(Resumed::End(End::Rerun(_))) => match admit(&exchange, &request, fields) {
            Ok(admitted) => Some(admitted),
            Err(fault) => return Err(refuse(&exchange, &request, &fault)),
        },
        _ => None,
    };
    let server_info = snapshot
        .as_ref()
        .map_or_else(lists::nameless, |snapshot| snapshot.server_info.clone());
    let declarations = tool.map(|tool| &tool.declarations);
    let mut flow = Flow::new(exchange, request, server_info, declarations);
    match (resumed, again) {
        (Ok(Resumed::Live(round)), _) => flow.follow(round),
        (Ok(Resumed::End(End::Rerun(known))), Some(admitted)) => flow.start(admitted, known),
        (Ok(Resumed::End(end)), _) => return Err(Box::new(flow.response(flow.end(end)))),
        (Err(error), _) => return Err(Box::new(flow.response(Done::Fault(error.into())))),
    }
    Ok(flow)
}

fn refuse(exchange: &Exchange, request: &Request, fault: &Fault) -> Box<Response> {
    Box::new(failed(exchange, request.revision, &request.id, fault))
}

/// Everything that can refuse a call before it costs anything, in the order of [M-9].
fn admit(exchange: &Exchange, request: &Request, fields: &Fields<'_>) -> Result<Admitted, Fault> {
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    if edge.is_draining() {
        return Err(Fault::Draining);
    }
    let admitted = edge
        .dispatcher
        .admit(caller, server, request.kind, &request.target)
        .map_err(Refusal::of_known_server)?;
    if let Some(tool) = admitted.tool() {
        check_param_headers(fields, tool.param_rules(), &request.arguments)?;
    }
    let facet = &request.meta.facet;
    let mut lacking = facet.lacking(&admitted.declarations().requires);
    if admitted.declarations().task == TaskSupport::Required && !facet.tasks {
        lacking.push(Capability::Tasks);
    }
    match lacking.is_empty() {
        true => Ok(admitted),
        false => Err(Fault::MissingCapability(lacking)),
    }
}

async fn respond(mut flow: Flow) -> Response {
    let edge = flow.edge();
    let stream_at = edge.env.now() + edge.config.stream_after;
    let first = loop {
        let Some(heard) = edge.env.until(stream_at, flow.hear()).await else {
            break None;
        };
        match flow.act(heard) {
            None => {}
            Some(Step::Done(done)) => return flow.response(done),
            Some(Step::Notify(message)) => break Some(message),
        }
    };
    let identity = flow.identity();
    let body = edge
        .streams
        .body(StreamKind::Response, into_stream(first, flow), &identity);
    rejection::event_stream(body)
}

/// What is left of a response that became a stream.
fn into_stream(first: Option<Bytes>, flow: Flow) -> impl Stream<Item = Bytes> + Send + 'static {
    let rest = stream::unfold(Some(flow), |flow| async move {
        let mut flow = flow?;
        Some(match flow.next().await {
            Step::Notify(message) => (message, Some(flow)),
            Step::Done(done) => (flow.message(done), None),
        })
    });
    stream::iter(first)
        .chain(rest)
        .map(|message| sse::event(None, &message))
}
