//! A modern call on its way: every event of the worker becomes the next thing to send.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::StatusCode;
use ostler_catalog::Declarations;
use ostler_dispatch::{Admitted, CallControl, CallStream, NewCall};
use ostler_protocol::{
    RequestId,
    call::{CallEvent, Executed, Failure, Log, Outcome, Progress, Question},
    facet::ClientFacet,
    fault::Fault,
    inbound::RequestMeta,
    json::Raw,
    listing::TaskSupport,
    relay::{Allowance, Relay},
    reply::{self, Shape},
    task,
};
use ostler_task::{
    CallFacts, End, InputRequired, KnownAnswers, RoundEvent, RoundStream, TaskError, Tasks,
};
use ostler_types::{Caller, Identity, Instant, ServerId};

use super::call::Request;
use crate::{Inner, rejection, routes::Exchange};

/// Where the events of a call come from.
enum Source {
    Call(CallStream),
    /// A parked call that this request came back for.
    Round(RoundStream),
    /// The call is parked or becomes a task: stored, and kept by its worker, before it shows.
    Handover(BoxFuture<'static, Result<End, TaskError>>),
    Over,
}

/// One call and the response it gets.
pub struct Flow {
    exchange: Exchange,
    id: RequestId,
    server_info: Raw,
    relay: Relay,
    allowance: Allowance,
    facts: CallFacts,
    known: KnownAnswers,
    /// When a task-capable call becomes a task.
    task_at: Option<Instant>,
    source: Source,
}

/// The next thing to send.
pub enum Step {
    Notify(Bytes),
    Done(Done),
}

/// The last message.
pub enum Done {
    Result(Bytes),
    Fault(Fault),
}

/// What a flow waits for.
pub enum Heard {
    Call(CallEvent),
    Round(Option<Result<RoundEvent, TaskError>>),
    HandedOver(Result<End, TaskError>),
    TaskTime,
}

impl Flow {
    /// A flow that has no call yet. Without declarations nothing special is known of its target.
    pub fn new(
        exchange: Exchange,
        request: Request,
        server_info: Raw,
        declarations: Option<&Declarations>,
    ) -> Self {
        let RequestMeta {
            facet,
            log_level,
            progress_token,
            ..
        } = request.meta;
        let facts = CallFacts {
            revision: request.revision,
            kind: request.kind,
            target: request.target,
            arguments: request.arguments,
            facet,
            replay_safe: declarations.is_some_and(|declared| declared.replay_safe),
            task_support: declarations.is_some_and(|declared| declared.task != TaskSupport::None),
            timeout: declarations.and_then(|declared| declared.timeout),
            request: None,
        };
        let edge = &exchange.edge;
        // A task-capable call of a client that can follow one becomes a task after a short hold.
        let may_become_task = facts.task_support && facet.tasks;
        Self {
            task_at: may_become_task.then(|| edge.env.now() + edge.config.task_after),
            id: request.id,
            server_info,
            relay: Relay::new(request.revision, progress_token, log_level),
            allowance: Allowance::new(edge.config.limits.chatter_per_second_max, edge.env.now()),
            known: KnownAnswers::default(),
            source: Source::Over,
            facts,
            exchange,
        }
    }

    /// Starts the call, with the answers that are known from the start.
    pub fn start(&mut self, admitted: Admitted, known: KnownAnswers) {
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
        self.known = known;
        self.source = Source::Call(call);
    }

    /// Follows a call that was parked, for this round.
    pub fn follow(&mut self, round: RoundStream) {
        self.source = Source::Round(round);
    }

    fn facet(&self) -> ClientFacet {
        self.facts.facet
    }

    /// The next step, however long it takes.
    pub async fn next(&mut self) -> Step {
        loop {
            let heard = self.hear().await;
            if let Some(step) = self.act(heard) {
                return step;
            }
        }
    }

    /// Waits for what comes next.
    // Cancel safe: what is heard is taken in the poll that returns it.
    pub async fn hear(&mut self) -> Heard {
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
                Source::Handover(handover) => Heard::HandedOver(handover.await),
                Source::Over => Heard::Round(None),
            }
        };
        tokio::select! {
            biased;
            event = event => event,
            () = task_time => Heard::TaskTime,
        }
    }

    /// What follows from it, if anything is to be sent.
    pub fn act(&mut self, heard: Heard) -> Option<Step> {
        match heard {
            Heard::TaskTime => self.task_time(),
            Heard::Call(event) => self.on_call(event),
            Heard::Round(event) => self.on_round(event),
            Heard::HandedOver(end) => Some(Step::Done(self.handed_over(end))),
        }
    }

    fn on_call(&mut self, event: CallEvent) -> Option<Step> {
        match event {
            // [SP-5]: this era tells the end of a visit by the result.
            CallEvent::Started
            | CallEvent::Kept
            | CallEvent::Withdrawn(_)
            | CallEvent::Visited { .. } => None,
            CallEvent::Progress(progress) => self.progress(&progress),
            CallEvent::Log(log) => self.log(&log),
            CallEvent::Ask(questions) => self.ask(questions),
            CallEvent::BecomeTask if self.facet().tasks => self.become_task(),
            // A client that cannot follow a task waits for the end.
            CallEvent::BecomeTask => None,
            CallEvent::Outcome(outcome) => Some(Step::Done(self.outcome(&outcome))),
        }
    }

    fn on_round(&mut self, event: Option<Result<RoundEvent, TaskError>>) -> Option<Step> {
        match event {
            Some(Ok(RoundEvent::Progress(progress))) => self.progress(&progress),
            Some(Ok(RoundEvent::Log(log))) => self.log(&log),
            Some(Ok(RoundEvent::End(end))) => Some(Step::Done(self.end(end))),
            Some(Err(error)) => Some(Step::Done(Done::Fault(error.into()))),
            None => Some(internal("nothing is followed")),
        }
    }

    fn progress(&mut self, progress: &Progress) -> Option<Step> {
        let message = self.relay.progress(progress)?;
        self.notify(message)
    }

    fn log(&mut self, log: &Log) -> Option<Step> {
        let message = self.relay.log(log)?;
        self.notify(message)
    }

    /// Within its rate: a worker that chatters fills no stream [P-7].
    fn notify(&mut self, message: Bytes) -> Option<Step> {
        let edge = &self.exchange.edge;
        if self.allowance.take(edge.env.now()) {
            return Some(Step::Notify(message));
        }
        edge.metrics.chatter_dropped.increment(1);
        None
    }

    fn handed_over(&mut self, end: Result<End, TaskError>) -> Done {
        // It must not be polled again.
        self.source = Source::Over;
        match end {
            Ok(end) => self.end(end),
            // Its worker is at it already.
            Err(error) => Done::Fault(Fault::from(error).begun()),
        }
    }

    fn task_time(&mut self) -> Option<Step> {
        self.task_at = None;
        match &self.source {
            Source::Call(_) => self.become_task(),
            Source::Round(round) => {
                round.request_task();
                None
            }
            Source::Handover(_) | Source::Over => None,
        }
    }

    /// Feeds what is known or cannot be asked; parks the call for the rest [MR-1].
    fn ask(&mut self, questions: Vec<Question>) -> Option<Step> {
        let split = ostler_task::split(
            self.facts.revision,
            &self.facet(),
            questions,
            &mut self.known,
        );
        let call = match std::mem::replace(&mut self.source, Source::Over) {
            Source::Call(call) => call,
            _ => return Some(internal("only a call asks")),
        };
        call.answer(split.answers);
        if split.ask.is_empty() {
            self.source = Source::Call(call);
            return None;
        }
        self.hand_over(|tasks, caller, server, facts, known| async move {
            let parked = tasks.park(&caller, &server, call, facts, split.ask, known);
            parked.await
        });
        None
    }

    fn become_task(&mut self) -> Option<Step> {
        let call = match std::mem::replace(&mut self.source, Source::Over) {
            Source::Call(call) => call,
            _ => return Some(internal("only a call becomes a task")),
        };
        self.hand_over(|tasks, caller, server, facts, known| async move {
            // The worker wants it, so it runs already. Refused, it is dropped, which cancels it.
            let reserved = tasks.reserve(&caller, &server)?;
            let created = tasks.create(reserved, call, facts, known, Vec::new());
            created.await
        });
        None
    }

    /// Goes on with a handover. It owns what it needs: the response may become a stream meanwhile.
    fn hand_over<F, H>(&mut self, handover: H)
    where
        F: Future<Output = Result<End, TaskError>> + Send + 'static,
        H: FnOnce(Tasks, Caller, ServerId, CallFacts, KnownAnswers) -> F,
    {
        let Exchange {
            edge,
            caller,
            server,
        } = &self.exchange;
        let known = std::mem::take(&mut self.known);
        let (tasks, facts) = (edge.tasks.clone(), self.facts.clone());
        let handover = handover(tasks, caller.clone(), server.clone(), facts, known);
        self.source = Source::Handover(Box::pin(handover));
    }

    fn shape(&self) -> Shape<'_> {
        Shape {
            revision: self.facts.revision,
            server_info: &self.server_info,
        }
    }

    pub fn end(&self, end: End) -> Done {
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
                executed: Executed::Unknown,
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
    pub fn response(&self, done: Done) -> Response {
        match done {
            Done::Result(body) => rejection::json(StatusCode::OK, body),
            Done::Fault(fault) => rejection::call_failed(self.facts.revision, &self.id, &fault),
        }
    }

    /// The last message on a stream, whose status is settled.
    pub fn message(&self, done: Done) -> Bytes {
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

    pub fn edge(&self) -> Arc<Inner> {
        self.exchange.edge.clone()
    }

    pub fn identity(&self) -> Arc<Identity> {
        self.exchange.caller.identity.clone()
    }
}

fn internal(why: &str) -> Step {
    Step::Done(Done::Fault(Fault::Internal(why.to_string())))
}
