//! A call in flight: one attempt after the other, until there is an outcome.
//!
//! [`crate::CallStream`] and [`crate::KeptCall`] hold one of these and differ only in what their
//! drop means. Nothing here is spawned and nothing is queued: the holder's polls drive it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use ostler_catalog::Tool;
use ostler_hub::{AttemptEnd, AttemptEvent, NewAttempt, Placement};
use ostler_protocol::{
    Raw,
    call::{Answer, CallEvent, Failure, Outcome},
    facet::ClientFacet,
    reply,
};
use ostler_types::{CallId, CallKind, Caller, Instant, ServerId, WorkerId};

use crate::{
    admission::Room,
    choice,
    control::CallControl,
    dispatcher::Shared,
    metrics::Ending,
    resolve,
    retry::{self, Facts, Verdict},
    workers::{Attempt, Worker, Workers},
};

/// Workers asked for one attempt: the chosen one may have filled up or left since.
const PLACES_MAX: usize = 3;

pub(crate) struct Flight<W: Workers> {
    shared: Arc<Shared<W>>,
    call: CallId,
    kind: CallKind,
    server: ServerId,
    target: String,
    /// For checking the result; `None` for other kinds.
    tool: Option<Arc<Tool>>,
    /// `None` for a claimed call: its arguments are gone, so it can only end.
    resend: Option<Resend>,
    control: CallControl,
    /// `None` while no worker could be found.
    attempt: Option<W::Attempt>,
    attempts: u32,
    retried_after_loss: bool,
    cancel_sent: AtomicBool,
    kept: bool,
    deadline: Instant,
    started_at: Instant,
    phase: Phase,
    _room: Room,
}

/// What it takes to send a call again.
pub(crate) struct Resend {
    pub(crate) caller: Caller,
    pub(crate) arguments: Raw,
    pub(crate) facet: ClientFacet,
    pub(crate) wants_progress: bool,
    pub(crate) answers: Vec<Answer>,
    pub(crate) idempotent: bool,
}

/// What a call is, whether it starts here or is claimed here.
pub(crate) struct Facets<W: Workers> {
    pub(crate) shared: Arc<Shared<W>>,
    pub(crate) call: CallId,
    pub(crate) kind: CallKind,
    pub(crate) server: ServerId,
    pub(crate) target: String,
    pub(crate) tool: Option<Arc<Tool>>,
    pub(crate) control: CallControl,
    pub(crate) deadline: Instant,
    pub(crate) room: Room,
}

enum Phase {
    Running,
    /// The outcome is here; its structured content is being checked in the pool.
    Checking {
        result: Raw,
        check: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
    },
    /// The outcome was handed out.
    Ended,
}

impl<W: Workers> Flight<W> {
    fn new(facets: Facets<W>) -> Self {
        let started_at = facets.shared.env.now();
        facets.shared.metrics.began();
        Self {
            shared: facets.shared,
            call: facets.call,
            kind: facets.kind,
            server: facets.server,
            target: facets.target,
            tool: facets.tool,
            resend: None,
            control: facets.control,
            attempt: None,
            attempts: 0,
            retried_after_loss: false,
            cancel_sent: AtomicBool::new(false),
            kept: false,
            deadline: facets.deadline,
            started_at,
            phase: Phase::Running,
            _room: facets.room,
        }
    }

    /// A new call, sent to `worker` or, if that one cannot take it, to another.
    pub(crate) fn start(facets: Facets<W>, resend: Resend, worker: &W::Worker) -> Self {
        let mut flight = Self::new(facets);
        flight.resend = Some(resend);
        if !flight.control.is_cancelled() && !flight.place_at(worker) {
            flight.place(worker.id().clone());
        }
        flight
    }

    /// A call that runs already.
    pub(crate) fn claim(facets: Facets<W>, attempt: W::Attempt) -> Self {
        let mut flight = Self::new(facets);
        attempt.set_deadline(flight.deadline);
        flight.attempts = attempt.placement().attempt;
        flight.attempt = Some(attempt);
        flight.kept = true;
        flight
    }

    /// Sends the call to a worker that serves it now, to `last` only if there is no other.
    /// Without one, `attempt` stays `None`.
    fn place(&mut self, last: WorkerId) {
        let shared = self.shared.clone();
        let Some(snapshot) = shared.catalogs.snapshot(&self.server) else {
            return;
        };
        let Ok(entry) = resolve::resolve(&snapshot, self.kind, &self.target) else {
            return;
        };
        let mut others = entry.workers().to_vec();
        others.retain(|worker| *worker != last);
        for _ in 0..PLACES_MAX {
            let candidates = shared.workers.candidates(&self.server);
            let random = shared.env.random_u64();
            let chosen = choice::choose(&candidates, &others, random)
                .or_else(|_| choice::choose(&candidates, entry.workers(), random));
            match chosen {
                Ok(worker) if self.place_at(worker) => return,
                Ok(worker) => others.retain(|other| other != worker.id()),
                Err(_) => return,
            }
        }
    }

    fn place_at(&mut self, worker: &W::Worker) -> bool {
        let Some(resend) = &self.resend else {
            return false;
        };
        let new = NewAttempt {
            call: self.call,
            attempt: self.attempts + 1,
            server: &self.server,
            kind: self.kind,
            target: &self.target,
            arguments: &resend.arguments,
            client: &resend.facet,
            caller: &resend.caller,
            deadline: self.deadline,
            wants_progress: resend.wants_progress,
            answers: &resend.answers,
        };
        let Ok(attempt) = self.shared.workers.start(worker, &new) else {
            return false;
        };
        self.attempts += 1;
        if self.kept {
            attempt.keep();
        }
        self.attempt = Some(attempt);
        true
    }

    /// The next item. The last one is [`CallEvent::Outcome`]; after that, never ready.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        loop {
            match &mut self.phase {
                Phase::Ended => return Poll::Pending,
                Phase::Checking { result, check } => {
                    let checked = ready!(check.as_mut().poll(cx));
                    let result = result.clone();
                    return Poll::Ready(self.finish_checked(result, checked));
                }
                Phase::Running => {}
            }
            self.pass_cancel_on(cx);
            let event = match &mut self.attempt {
                Some(attempt) => ready!(attempt.poll_next(cx)),
                None => Some(AttemptEvent::Ended(AttemptEnd::NotHanded)),
            };
            let ended = match event {
                Some(AttemptEvent::Event(event)) => return Poll::Ready(event),
                Some(AttemptEvent::Ended(end)) => end,
                None => AttemptEnd::Lost,
            };
            if let Some(event) = self.on_end(ended) {
                return Poll::Ready(event);
            }
        }
    }

    fn pass_cancel_on(&mut self, cx: &Context<'_>) {
        if let Some(reason) = self.control.poll_reason(cx.waker()) {
            self.send_cancel(reason);
        }
    }

    fn send_cancel(&self, reason: &str) {
        if let Some(attempt) = &self.attempt
            && !self.cancel_sent.swap(true, Ordering::AcqRel)
        {
            attempt.cancel(reason);
        }
    }

    /// An attempt is over: another one, a check of the result, or the end.
    fn on_end(&mut self, end: AttemptEnd) -> Option<CallEvent> {
        match retry::judge(end, self.facts()) {
            Verdict::Finish(Ok(result)) => self.check(result),
            Verdict::Finish(Err(failure)) => Some(self.finish(Err(failure), false)),
            Verdict::Redispatch => self.again(),
            Verdict::RetryAfterLoss => {
                self.retried_after_loss = true;
                self.again()
            }
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            attempts: self.attempts,
            retried_after_loss: self.retried_after_loss,
            idempotent: self.resend.as_ref().is_some_and(|resend| resend.idempotent),
            // Without an attempt, every worker has been asked just now.
            can_resend: self.resend.is_some() && self.attempt.is_some(),
            cancelled: self.control.is_cancelled(),
        }
    }

    fn again(&mut self) -> Option<CallEvent> {
        if let Some(last) = self.attempt.take() {
            self.place(last.placement().worker);
        }
        if self.attempt.is_none() {
            let failure = retry::unplaced(self.facts());
            return Some(self.finish(Err(failure), false));
        }
        tracing::debug!(call = %self.call, attempt = self.attempts, "call sent to another worker");
        self.shared.metrics.redispatched.increment(1);
        None
    }

    /// A result that breaks the protocol is a failure, for all who ever look at it. A tool's
    /// structured content must follow its output schema, unless it says `isError` [T-11].
    fn check(&mut self, result: Raw) -> Option<CallEvent> {
        if let Err(failure) = reply::check_result(self.kind, &result) {
            return Some(self.finish(Err(failure), false));
        }
        let Some(tool) = self.tool.clone() else {
            return Some(self.finish(Ok(result), false));
        };
        let is_error = result.get("isError").and_then(|value| value.boolean()) == Some(true);
        if is_error || !tool.has_output_schema() {
            return Some(self.finish(Ok(result), is_error));
        }
        let Some(structured) = result.get("structuredContent") else {
            let missing = Err("structuredContent is missing".to_owned());
            return Some(self.finish_checked(result, missing));
        };
        if tool.output_is_cheap(&structured) {
            let checked = tool.check_output(&structured);
            return Some(self.finish_checked(result, checked));
        }
        let check = async move { tool.check_output_anywhere(&structured).await };
        let check = Box::pin(check);
        self.phase = Phase::Checking { result, check };
        None
    }

    fn finish_checked(&mut self, result: Raw, checked: Result<(), String>) -> CallEvent {
        match checked {
            Ok(()) => self.finish(Ok(result), false),
            Err(reason) => self.finish(Err(Failure::BadResult(reason)), false),
        }
    }

    fn finish(&mut self, outcome: Outcome, is_error: bool) -> CallEvent {
        if let Err(why @ (Failure::BadResult(_) | Failure::TooLarge)) = &outcome {
            self.complain(why);
        }
        self.count_end(Ending::of(&outcome, is_error));
        CallEvent::Outcome(outcome)
    }

    /// For whoever can mend the worker: the client is not told the reason [T-15].
    fn complain(&self, why: &Failure) {
        let worker = self.placement().map(|at| at.worker);
        let worker = worker.as_ref().map(tracing::field::display);
        tracing::warn!(
            call = %self.call, worker, server = %self.server, entry = self.target, %why,
            "a worker's result breaks the protocol or its own output schema"
        );
    }

    fn count_end(&mut self, ending: Ending) {
        self.phase = Phase::Ended;
        let took = self.shared.env.now().since(self.started_at);
        self.shared.metrics.ended(ending);
        self.shared.metrics.seconds.record(took.as_secs_f64());
    }

    /// Its holder is gone and nobody will take the outcome.
    pub(crate) fn abandon(&mut self) {
        if !matches!(self.phase, Phase::Ended) {
            self.send_cancel("the client is gone");
            self.count_end(Ending::Cancelled);
        }
    }

    /// Its holder is gone, and another will come for it.
    pub(crate) fn detach(&mut self) {
        if !matches!(self.phase, Phase::Ended) {
            self.count_end(Ending::Detached);
        }
    }

    pub(crate) fn keep(&mut self) {
        self.kept = true;
        if let Some(attempt) = &self.attempt {
            attempt.keep();
        }
    }

    pub(crate) fn cancel(&self, reason: &str) {
        self.control.cancel(reason);
        self.send_cancel(reason);
    }

    pub(crate) fn answer(&self, answers: Vec<Answer>) {
        if let Some(attempt) = &self.attempt {
            attempt.answer(answers);
        }
    }

    pub(crate) fn recorded(&self) {
        if let Some(attempt) = &self.attempt {
            attempt.recorded();
        }
    }

    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if let Some(attempt) = &self.attempt {
            attempt.set_deadline(deadline);
        }
    }

    pub(crate) fn call(&self) -> CallId {
        self.call
    }

    pub(crate) fn placement(&self) -> Option<Placement> {
        self.attempt.as_ref().map(Attempt::placement)
    }

    pub(crate) fn control(&self) -> &CallControl {
        &self.control
    }
}
