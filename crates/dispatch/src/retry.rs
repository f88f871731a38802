//! What happens when an attempt ends: the one place that decides whether a call runs again.

use ostler_hub::AttemptEnd;
use ostler_protocol::call::{Executed, Failure, Outcome};

/// Attempts at one call. A call that no worker takes within them ends, rather than to go round
/// among busy workers.
pub const ATTEMPTS_MAX: u32 = 4;

/// What is known of a call when an attempt at it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// How many attempts there were, this one included.
    pub attempts: u32,
    /// An earlier attempt was lost while it may have run, and the call was tried again.
    pub retried_after_loss: bool,
    /// Running it twice is harmless.
    pub idempotent: bool,
    /// What it takes to send it again is at hand.
    pub can_resend: bool,
    /// Its holder wants it to stop.
    pub cancelled: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Finish(Outcome),
    /// It did not run: any worker may take it.
    Redispatch,
    /// It may have run, and may run again.
    RetryAfterLoss,
}

/// The rule of design 4.2: a call is sent again if it certainly did not run; if it may have run,
/// once, and only if it is idempotent. Never a silent second execution.
pub fn judge(end: AttemptEnd, facts: Facts) -> Verdict {
    let may_resend = facts.can_resend && !facts.cancelled && facts.attempts < ATTEMPTS_MAX;
    match end {
        // Nobody asked for it: its worker gave it up when it had been cut off for too long.
        AttemptEnd::Outcome(Err(Failure::Cancelled)) if !facts.cancelled => {
            judge(AttemptEnd::Lost, facts)
        }
        AttemptEnd::Outcome(outcome) => Verdict::Finish(outcome),
        AttemptEnd::Refused(_) | AttemptEnd::NotHanded | AttemptEnd::NotNamed if may_resend => {
            Verdict::Redispatch
        }
        AttemptEnd::Refused(_) | AttemptEnd::NotHanded | AttemptEnd::NotNamed => {
            Verdict::Finish(Err(unplaced(facts)))
        }
        AttemptEnd::Lost if may_resend && facts.idempotent && !facts.retried_after_loss => {
            Verdict::RetryAfterLoss
        }
        AttemptEnd::Lost => Verdict::Finish(Err(lost(facts))),
    }
}

/// How a call ends that no worker takes (any more).
pub fn unplaced(facts: Facts) -> Failure {
    let executed = match facts.retried_after_loss {
        true => Executed::Unknown,
        false => Executed::No,
    };
    match facts.cancelled {
        true => Failure::Cancelled,
        false => Failure::WorkerLost { executed },
    }
}

fn lost(facts: Facts) -> Failure {
    let executed = Executed::Unknown;
    match facts.cancelled {
        true => Failure::Cancelled,
        false => Failure::WorkerLost { executed },
    }
}

#[cfg(test)]
mod tests;
