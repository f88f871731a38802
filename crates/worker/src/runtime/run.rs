//! The task that polls one handler.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ostler_env::Sleep;
use ostler_protocol::call::Failure;

use super::{
    call::{Call, Stop},
    calls::{Calls, Ended},
};
use crate::handler::Running;

/// How long a cancelled handler may clean up.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// Polls a handler until it ends, panics or is stopped. It is polled once on the link, so that
/// a handler that ends at once costs no task; what is left then becomes a task of its own.
pub(crate) struct Run {
    call: Arc<Call>,
    calls: Arc<Calls>,
    handler: Running,
    started: bool,
    grace: Option<Sleep>,
}

impl Run {
    pub fn new(call: Arc<Call>, calls: Arc<Calls>, handler: Running) -> Self {
        Self {
            call,
            calls,
            handler,
            started: false,
            grace: None,
        }
    }

    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let stopped = self.poll_stop(cx);
        if stopped.is_ready() {
            return stopped;
        }
        let handler = &mut self.handler;
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(reply))) => Poll::Ready(Ok(reply.0)),
            Ok(Poll::Ready(Err(failure))) => Poll::Ready(Err(self.told(failure))),
            Err(panic) => {
                let why = panic_text(&*panic);
                tracing::error!(call = %self.call.id, why, "a handler panicked");
                Poll::Ready(Err(Failure::Internal("the handler panicked".to_owned())))
            }
        }
    }

    /// The text of a defect may hold anything: it stays here.
    fn told(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Internal(why) => {
                tracing::error!(call = %self.call.id, why, "a handler failed");
                Failure::Internal("the handler failed".to_owned())
            }
            other => other,
        }
    }

    /// Ready when the handler must not be polled any more.
    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let cancelled = Poll::Ready(Err(Failure::Cancelled));
        match self.call.poll_stop(cx) {
            None => Poll::Pending,
            Some(Stop::Drop) => cancelled,
            Some(Stop::Cancel) => {
                let env = &self.call.env;
                let start = || env.deadline_sleep(env.now() + CANCEL_GRACE);
                let grace = self.grace.get_or_insert_with(start);
                match Pin::new(grace).poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => cancelled,
                }
            }
        }
    }

    /// What the handler holds is the author's too, and may panic when it goes.
    fn drop_handler(&mut self) {
        let handler = std::mem::replace(&mut self.handler, Box::pin(std::future::pending()));
        if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
            tracing::error!(call = %self.call.id, "a handler panicked when it was dropped");
        }
    }

    fn pending(&mut self) {
        if !self.started {
            self.started = true;
            self.call.started();
        }
        self.call.flush_asks();
    }
}

impl Future for Run {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match this.poll_outcome(cx) {
            Poll::Pending => {
                this.pending();
                Poll::Pending
            }
            Poll::Ready(outcome) => {
                this.drop_handler();
                this.calls.end(&this.call, outcome);
                Poll::Ready(())
            }
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a text")
}
