//! The calls of `dispatch`, as [`Work`].

use std::task::{Context, Poll};

use ostler_dispatch::{CallStream, Claim, Dispatcher, KeptCall, Refusal};
use ostler_hub::Placement;
use ostler_protocol::call::{Answer, CallEvent};
use ostler_types::{CallKind, Caller, Instant, ServerId};

use crate::{
    error::TaskError,
    facts::Facts,
    work::{Source, Work},
};

/// Finds calls again through the dispatcher.
pub(crate) struct Dispatched(Dispatcher);

impl Dispatched {
    pub fn new(dispatcher: Dispatcher) -> Self {
        Self(dispatcher)
    }

    /// From here on a lost link does not end the call.
    pub fn keep(call: CallStream) -> Box<dyn Work> {
        Box::new(Kept(call.keep()))
    }
}

impl Source for Dispatched {
    fn attach(&self, facts: &Facts, place: &Placement, deadline: Instant) -> Option<Box<dyn Work>> {
        let server = ServerId {
            tenant: facts.owner.tenant.clone(),
            name: facts.owner.server.clone(),
        };
        let call = self.0.attach(Claim {
            call: facts.call,
            tenant: &facts.owner.tenant,
            server: &server,
            kind: facts.binding.kind,
            target: &facts.target,
            placement: place,
            deadline,
        })?;
        Some(Box::new(Kept(call)))
    }

    fn permit(
        &self,
        caller: &Caller,
        server: &ServerId,
        kind: CallKind,
        target: &str,
    ) -> Result<(), TaskError> {
        match self.0.permit(caller, server, kind, target) {
            Err(Refusal::Forbidden { scopes }) => Err(TaskError::Forbidden { scopes }),
            Err(_) => Err(TaskError::Unknown),
            Ok(()) => Ok(()),
        }
    }
}

struct Kept(KeptCall);

impl Work for Kept {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        self.0.poll_next(cx)
    }

    fn answer(&self, answers: Vec<Answer>) {
        self.0.answer(answers);
    }

    fn cancel(&self, reason: &str) {
        self.0.cancel(reason);
    }

    fn recorded(&self) {
        self.0.recorded();
    }

    fn set_deadline(&mut self, deadline: Instant) {
        self.0.set_deadline(deadline);
    }

    fn place(&self) -> Option<Placement> {
        self.0.placement()
    }
}
