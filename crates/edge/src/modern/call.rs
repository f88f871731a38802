//! One call of a modern request: from its params to the last message of its response.
//!
//! The response waits for the first thing worth sending, or `stream_after`, before its status goes
//! out [M-10]; an outcome until then is one JSON body, everything else makes it a stream. Whoever
//! drops the response drops the call with it, and so cancels it [MS-3].

use std::{collections::BTreeMap, future::Future, pin::Pin};

use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::StatusCode;
use ostler_dispatch::{Admitted, CallControl, CallStream, NewCall, Refusal};
use ostler_protocol::{
    RequestId, Revision,
    call::{CallEvent, Failure, Outcome},
    facet::{Capability, ClientFacet},
    fault::Fault,
    inbound::{CallParams, CompleteParams, RequestMeta, check_param_headers},
    json::Raw,
    listing::TaskSupport,
    relay::Relay,
    reply::{self, Shape},
    sse, task,
};
use ostler_task::{
    CallFacts, End, InputRequired, KnownAnswers, Resumed, RoundEvent, RoundStream, TaskError,
};
use ostler_types::{CallKind, Instant};

use super::failed;
use crate::{fields::Fields, metrics::StreamKind, rejection, routes::Exchange};

/// What a client asks of a worker, once its message was understood.
pub struct Request {
    id: RequestId,
    revision: Revision,
    meta: RequestMeta,
    kind: CallKind,
    target: String,
    arguments: Raw,
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

pub async fn run(exchange: Exchange, request: Request, fields: &Fields<'_>) -> Response {
    let admitted = match admit(&exchange, &request, fields) {
        Ok(admitted) => admitted,
        Err(fault) => return failed(&exchange, request.revision, &request.id, &fault),
    };
    if let Err(problem) = admitted.check(&request.arguments).await {
        // The model may correct itself [T-8].
        let shape = Shape {
            revision: request.revision,
            server_info: &admitted.snapshot.server_info,
        };
        return rejection::json(
            StatusCode::OK,
            reply::tool_error(&shape, &request.id, &problem),
        );
    }
    match Flow::begin(exchange, request, admitted).await {
        Ok(flow) => respond(flow).await,
        Err(response) => response,
    }
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

/// Where the events of a call come from.
enum Source {
    Call(CallStream),
    /// A parked call that this request came back for.
    Round(RoundStream),
    Over,
}

/// One call and the response it gets.
struct Flow {
    exchange: Exchange,
    id: RequestId,
    server_info: Raw,
    relay: Relay,
    facts: CallFacts,
    known: KnownAnswers,
    /// When a task-capable call becomes a task.
    task_at: Option<Instant>,
    source: Source,
}

/// The next thing to send.
enum Step {
    Notify(Bytes),
    Done(Done),
}

/// The last message.
enum Done {
    Result(Bytes),
    Fault(Fault),
}

/// What a flow waits for.
enum Heard {
    Call(CallEvent),
    Round(Option<Result<RoundEvent, TaskError>>),
    TaskTime,
}

impl Flow {
    /// Starts the call, or finds the one that the request came back for. An error is the response.
    async fn begin(
        exchange: Exchange,
        request: Request,
        admitted: Admitted,
    ) -> Result<Self, Response> {
        let declarations = admitted.declarations();
        let facts = CallFacts {
            revision: request.revision,
            kind: request.kind,
            target: request.target,
            arguments: request.arguments,
            facet: request.meta.facet,
            replay_safe: declarations.replay_safe,
            task_support: declarations.task != TaskSupport::None,
            timeout: declarations.timeout,
        };
        let mut flow = Self {
            id: request.id,
            server_info: admitted.snapshot.server_info.clone(),
            relay: Relay::new(
                request.revision,
                request.meta.progress_token,
                request.meta.log_level,
            ),
            known: KnownAnswers::default(),
            task_at: None,
            source: Source::Over,
            facts,
            exchange,
        };
        flow.arm_task();
        match request.request_state {
            None => {
                flow.known = KnownAnswers::from_first_request(request.input_responses);
                flow.start(admitted);
                Ok(flow)
            }
            Some(state) => flow.resume(admitted, state, request.input_responses).await,
        }
    }

    fn facet(&self) -> ClientFacet {
        self.facts.facet
    }

    /// A task-capable call of a client that can follow one becomes a task after a short hold.
    fn arm_task(&mut self) {
        let edge = &self.exchange.edge;
        if self.facts.task_support && self.facet().tasks {
            self.task_at = Some(edge.env.now() + edge.config.task_after);
        }
    }

    fn start(&mut self, admitted: Admitted) {
        let Exchange { edge, caller, .. } = &self.exchange;
        let call = NewCall {
            id: edge.dispatcher.mint_call_id(self.exchange.shard()),
            arguments: self.facts.arguments.clone(),
            facet: self.facet(),
            wants_progress: self.relay.wants_progress(),
            answers: Vec::new(),
        };
        let call = edge
            .dispatcher
            .start(caller, admitted, call, CallControl::new());
        self.source = Source::Call(call);
    }

    async fn resume(
        mut self,
        admitted: Admitted,
        state: String,
        answers: BTreeMap<String, Raw>,
    ) -> Result<Self, Response> {
        let Exchange {
            edge,
            caller,
            server,
        } = &self.exchange;
        let params = CallParams {
            kind: self.facts.kind,
            target: self.facts.target.clone(),
            arguments: self.facts.arguments.clone(),
            input_responses: Some(answers),
            request_state: Some(state),
        };
        let resumed = edge
            .tasks
            .resume(caller, server, &params, self.facet())
            .await;
        match resumed {
            Ok(Resumed::Live(round)) => self.source = Source::Round(round),
            Ok(Resumed::End(End::Rerun(known))) => {
                self.known = known;
                self.start(admitted);
            }
            Ok(Resumed::End(end)) => {
                let done = self.end(end);
                return Err(self.response(done));
            }
            Err(error) => return Err(self.response(Done::Fault(error.into()))),
        }
        Ok(self)
    }

    /// The next step and the flow again: owned, so that a response can go on with it as a stream.
    async fn next(mut self) -> (Self, Step) {
        loop {
            let step = match self.hear().await {
                Heard::TaskTime => self.task_time().await,
                Heard::Call(event) => self.on_call(event).await,
                Heard::Round(event) => self.on_round(event),
            };
            if let Some(step) = step {
                return (self, step);
            }
        }
    }

    async fn hear(&mut self) -> Heard {
        let env = &self.exchange.edge.env;
        let task_time = async {
            match self.task_at {
                Some(at) => env.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let event = async {
            match &mut self.source {
                Source::Call(call) => Heard::Call(call.next().await),
                Source::Round(round) => Heard::Round(round.next().await),
                Source::Over => Heard::Round(None),
            }
        };
        tokio::select! {
            biased;
            event = event => event,
            () = task_time => Heard::TaskTime,
        }
    }

    async fn on_call(&mut self, event: CallEvent) -> Option<Step> {
        match event {
            CallEvent::Started | CallEvent::Kept => None,
            CallEvent::Progress(progress) => self.relay.progress(&progress).map(Step::Notify),
            CallEvent::Log(log) => self.relay.log(&log).map(Step::Notify),
            CallEvent::Ask(questions) => self.ask(questions).await.map(Step::Done),
            CallEvent::BecomeTask if self.facet().tasks => Some(self.become_task().await),
            // A client that cannot follow a task waits for the end.
            CallEvent::BecomeTask => None,
            CallEvent::Outcome(outcome) => Some(Step::Done(self.outcome(&outcome))),
        }
    }

    fn on_round(&mut self, event: Option<Result<RoundEvent, TaskError>>) -> Option<Step> {
        match event {
            Some(Ok(RoundEvent::Progress(progress))) => {
                self.relay.progress(&progress).map(Step::Notify)
            }
            Some(Ok(RoundEvent::Log(log))) => self.relay.log(&log).map(Step::Notify),
            Some(Ok(RoundEvent::End(end))) => Some(Step::Done(self.end(end))),
            Some(Err(error)) => Some(Step::Done(Done::Fault(error.into()))),
            None => Some(Step::Done(Done::Fault(Fault::Draining))),
        }
    }

    async fn task_time(&mut self) -> Option<Step> {
        self.task_at = None;
        match &self.source {
            Source::Call(_) => Some(self.become_task().await),
            Source::Round(round) => {
                round.request_task();
                None
            }
            Source::Over => None,
        }
    }

    /// Feeds what is known or cannot be asked; parks the call for the rest [MR-1].
    async fn ask(&mut self, questions: Vec<ostler_protocol::call::Question>) -> Option<Done> {
        let split = ostler_task::split(
            self.facts.revision,
            &self.facet(),
            questions,
            &mut self.known,
        );
        let Source::Call(call) = std::mem::replace(&mut self.source, Source::Over) else {
            return Some(Done::Fault(Fault::Internal("only a call asks".to_string())));
        };
        call.answer(split.answers);
        if split.ask.is_empty() {
            self.source = Source::Call(call);
            return None;
        }
        let Exchange {
            edge,
            caller,
            server,
        } = &self.exchange;
        let known = std::mem::take(&mut self.known);
        let parked = edge
            .tasks
            .park(caller, server, call, self.facts.clone(), split.ask, known)
            .await;
        Some(match parked {
            Ok(end) => self.end(end),
            Err(error) => Done::Fault(error.into()),
        })
    }

    async fn become_task(&mut self) -> Step {
        let Source::Call(call) = std::mem::replace(&mut self.source, Source::Over) else {
            return Step::Done(Done::Fault(Fault::Internal(
                "only a call becomes a task".to_string(),
            )));
        };
        let Exchange {
            edge,
            caller,
            server,
        } = &self.exchange;
        let known = std::mem::take(&mut self.known);
        let created = edge
            .tasks
            .create(caller, server, call, self.facts.clone(), known, Vec::new())
            .await;
        Step::Done(match created {
            Ok(end) => self.end(end),
            Err(error) => Done::Fault(error.into()),
        })
    }

    fn shape(&self) -> Shape<'_> {
        Shape {
            revision: self.facts.revision,
            server_info: &self.server_info,
        }
    }

    fn end(&self, end: End) -> Done {
        match end {
            End::InputRequired(InputRequired {
                questions,
                request_state,
            }) => Done::Result(reply::input_required(
                &self.shape(),
                &self.id,
                &questions,
                &request_state,
            )),
            End::Task(view) => Done::Result(task::created(&self.shape(), &self.id, &view)),
            End::Outcome(outcome) => self.outcome(&outcome),
            End::Rerun(_) => Done::Fault(Fault::WorkerLost {
                executed: ostler_protocol::call::Executed::Unknown,
            }),
        }
    }

    fn outcome(&self, outcome: &Outcome) -> Done {
        let CallFacts { kind, target, .. } = &self.facts;
        let result = outcome.as_ref().map_err(Failure::clone);
        let result =
            result.and_then(|result| reply::call_result(&self.shape(), &self.id, *kind, result));
        match result {
            Ok(body) => Done::Result(body),
            // Lacking scopes have a status of their own while there is one to give.
            Err(Failure::NeedsScope(scopes)) => Done::Fault(Fault::Forbidden { scopes }),
            Err(failure) => match reply::tool_error_text(self.facts.revision, *kind, &failure) {
                Some(text) => Done::Result(reply::tool_error(&self.shape(), &self.id, &text)),
                None => Done::Fault(Fault::of_call(failure, *kind, target)),
            },
        }
    }

    /// The last message as a whole response.
    fn response(&self, done: Done) -> Response {
        match done {
            Done::Result(body) => rejection::json(StatusCode::OK, body),
            Done::Fault(fault) => rejection::call_failed(self.facts.revision, &self.id, &fault),
        }
    }

    /// The last message on a stream, whose status is settled.
    fn message(&self, done: Done) -> Bytes {
        match done {
            Done::Result(body) => body,
            Done::Fault(Fault::Forbidden { scopes }) => {
                let CallFacts { kind, target, .. } = &self.facts;
                let outcome = Err(Failure::NeedsScope(scopes));
                reply::outcome(&self.shape(), &self.id, *kind, target, &outcome)
            }
            Done::Fault(fault) => reply::error(self.facts.revision, Some(&self.id), &fault),
        }
    }
}

type Next = Pin<Box<dyn Future<Output = (Flow, Step)> + Send>>;

async fn respond(flow: Flow) -> Response {
    let edge = flow.exchange.edge.clone();
    let valid_until = flow.exchange.caller.identity.valid_until;
    let stream_at = edge.env.now() + edge.config.stream_after;
    let mut next: Next = Box::pin(flow.next());
    let events = match edge.env.until(stream_at, &mut next).await {
        Some((flow, Step::Done(done))) => return flow.response(done),
        Some((flow, Step::Notify(message))) => Events::Message(message, Box::pin(flow.next())),
        None => Events::Waiting(next),
    };
    let body = edge
        .streams
        .body(StreamKind::Response, into_stream(events), valid_until);
    rejection::event_stream(body)
}

/// What is left of a response that became a stream.
enum Events {
    Message(Bytes, Next),
    Waiting(Next),
    Over,
}

fn into_stream(events: Events) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(events, |events| async move {
        let (message, rest) = match events {
            Events::Message(message, next) => (message, Events::Waiting(next)),
            Events::Waiting(next) => match next.await {
                (flow, Step::Notify(message)) => (message, Events::Waiting(Box::pin(flow.next()))),
                (flow, Step::Done(done)) => (flow.message(done), Events::Over),
            },
            Events::Over => return None,
        };
        Some((sse::event(None, &message), rest))
    })
}
