//! The running call behind a task, as its actor holds it.
//!
//! A seam: `dispatch` gives real ones, tests give scripted ones.

use std::task::{Context, Poll};

use ostler_hub::Placement;
use ostler_protocol::call::{Answer, CallEvent};
use ostler_types::{CallKind, Caller, Instant, ServerId};

use crate::{error::TaskError, facts::Facts};

/// A call that its worker keeps running whatever happens to the link. Dropping it only lets go
/// of it.
pub(crate) trait Work: Send {
    /// The next event; never ready again after the outcome.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent>;
    fn answer(&self, answers: Vec<Answer>);
    fn cancel(&self, reason: &str);
    /// Its outcome is stored.
    fn recorded(&self);
    fn set_deadline(&mut self, deadline: Instant);
    /// Where it runs now, if anywhere.
    fn place(&self) -> Option<Placement>;
}

/// Where calls of an earlier life of this node are found again, and who may ask for them.
pub(crate) trait Source: Send + Sync {
    /// Only the attempt at `place` counts.
    fn attach(&self, facts: &Facts, place: &Placement, deadline: Instant) -> Option<Box<dyn Work>>;
    /// Whether the caller holds what the target of a call needs now; [`TaskError::Forbidden`].
    fn permit(
        &self,
        caller: &Caller,
        server: &ServerId,
        kind: CallKind,
        target: &str,
    ) -> Result<(), TaskError>;
}
