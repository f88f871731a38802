use ostler_hub::RefusedReason;
use ostler_protocol::Raw;

use super::*;

const FIRST: Facts = Facts {
    attempts: 1,
    retried_after_loss: false,
    idempotent: false,
    can_resend: true,
    cancelled: false,
};
const IDEMPOTENT: Facts = Facts {
    idempotent: true,
    ..FIRST
};

fn lost_with(executed: Executed) -> Verdict {
    Verdict::Finish(Err(Failure::WorkerLost { executed }))
}

fn never_ran() -> [AttemptEnd; 5] {
    [
        AttemptEnd::NotHanded,
        AttemptEnd::NotNamed,
        AttemptEnd::Refused(RefusedReason::Busy),
        AttemptEnd::Refused(RefusedReason::Draining),
        AttemptEnd::Refused(RefusedReason::UnknownTarget),
    ]
}

fn check(end: AttemptEnd, facts: Facts, expected: Verdict) {
    assert_eq!(judge(end.clone(), facts), expected, "{end:?} {facts:?}");
}

#[test]
fn an_outcome_is_the_end_whatever_it_is() {
    for outcome in [Ok(Raw::empty_object()), Err(Failure::TimedOut)] {
        for facts in [FIRST, IDEMPOTENT] {
            check(
                AttemptEnd::Outcome(outcome.clone()),
                facts,
                Verdict::Finish(outcome.clone()),
            );
        }
    }
}

#[test]
fn what_did_not_run_goes_to_any_worker() {
    for end in never_ran() {
        check(end.clone(), FIRST, Verdict::Redispatch);
        check(end, IDEMPOTENT, Verdict::Redispatch);
    }
}

#[test]
fn what_may_have_run_is_tried_again_once_and_only_if_that_is_harmless() {
    check(AttemptEnd::Lost, FIRST, lost_with(Executed::Unknown));
    check(AttemptEnd::Lost, IDEMPOTENT, Verdict::RetryAfterLoss);
    let retried = Facts {
        attempts: 2,
        retried_after_loss: true,
        ..IDEMPOTENT
    };
    check(AttemptEnd::Lost, retried, lost_with(Executed::Unknown));
    // The second attempt did not run, so there may be a third; the first may have run.
    check(AttemptEnd::NotHanded, retried, Verdict::Redispatch);
    let last = Facts {
        attempts: ATTEMPTS_MAX,
        ..retried
    };
    check(AttemptEnd::NotHanded, last, lost_with(Executed::Unknown));
}

#[test]
fn attempts_are_bounded() {
    let last = Facts {
        attempts: ATTEMPTS_MAX,
        ..IDEMPOTENT
    };
    for end in never_ran() {
        check(end, last, lost_with(Executed::No));
    }
    check(AttemptEnd::Lost, last, lost_with(Executed::Unknown));
}

#[test]
fn a_call_whose_arguments_are_gone_only_ends() {
    let claimed = Facts {
        can_resend: false,
        ..IDEMPOTENT
    };
    check(AttemptEnd::NotNamed, claimed, lost_with(Executed::No));
    check(AttemptEnd::Lost, claimed, lost_with(Executed::Unknown));
}

/// A worker cancels plain calls of a link that was lost for too long, and says so on the next one.
#[test]
fn what_its_worker_gave_up_by_itself_is_lost() {
    let given_up = || AttemptEnd::Outcome(Err(Failure::Cancelled));
    check(given_up(), FIRST, lost_with(Executed::Unknown));
    check(given_up(), IDEMPOTENT, Verdict::RetryAfterLoss);
}

#[test]
fn a_cancelled_call_is_never_sent_again() {
    let cancelled = Facts {
        cancelled: true,
        ..IDEMPOTENT
    };
    let ended = Verdict::Finish(Err(Failure::Cancelled));
    let given_up = AttemptEnd::Outcome(Err(Failure::Cancelled));
    for end in never_ran().into_iter().chain([AttemptEnd::Lost, given_up]) {
        check(end, cancelled, ended.clone());
    }
}
