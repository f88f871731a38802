//! Deadlines, restarts and lost calls.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_parked_call_is_cancelled_when_nobody_comes_back() {
    // [MR-10]
    let mut driven = Driven::parked(["a"]);
    assert_eq!(
        driven.state.next_tick(),
        Some(START + driven.config.park_timeout)
    );
    check_silent(&driven.tick_after(driven.config.park_timeout - SECOND));
    let fx = driven.tick_after(SECOND);
    assert!(fx.cancel_call && fx.keep == Keep::Erase);
    let fx = driven.resume(2, 1, ["a"]);
    assert_eq!(reply(&fx), &Reply::Refused(TaskError::State));
    driven.ends(Err(Failure::Cancelled));
    assert_eq!(driven.state.rest(), Rest::Over);
}

#[test]
fn each_round_has_its_own_time() {
    let mut driven = Driven::parked(["a"]);
    driven.now = driven.now + driven.config.park_timeout / 2;
    driven.resume(2, 1, ["a"]);
    driven.ask(["b"]);
    check_silent(&driven.tick_after(driven.config.park_timeout - SECOND));
    assert_eq!(driven.tick_after(SECOND).keep, Keep::Erase);
}

#[test]
fn a_request_that_waits_keeps_the_call_alive() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    for _ in 0..3 {
        check_silent(&driven.tick_after(driven.config.park_timeout));
    }
}

#[test]
fn a_task_is_kept_for_its_whole_time_and_its_result_for_a_while() {
    // [TK-7]
    let mut driven = Driven::task();
    let ttl = driven.config.task_ttl;
    check_silent(&driven.tick_after(ttl - SECOND));
    driven.ends(Ok(result()));
    let view = driven.state.view().unwrap();
    assert_eq!(view.ttl, ttl - SECOND + driven.config.result_keep);
    check_silent(&driven.tick_after(driven.config.result_keep - SECOND));
    assert_eq!(driven.tick_after(SECOND).keep, Keep::Erase);
    assert_eq!(driven.state.rest(), Rest::Over);
}

#[test]
fn a_task_whose_time_is_over_is_stopped_and_unknown() {
    let mut driven = Driven::task();
    let fx = driven.tick_after(driven.config.task_ttl);
    assert!(fx.cancel_call && fx.keep == Keep::Erase);
    let fx = driven.step(Input::Get(Ticket(5)));
    assert_eq!(reply(&fx), &Reply::Refused(TaskError::Unknown));
}

#[test]
fn a_tool_that_may_run_long_makes_long_tasks() {
    let birth = || Birth {
        wants_task: true,
        ..Birth::default()
    };
    let hours = |n: u64| Duration::from_secs(n * 3600);
    let config = Config::default();
    let cases = [
        (None, config.task_ttl),
        (Some(hours(5)), hours(5) + config.result_keep),
        (Some(hours(500)), config.task_ttl_max),
    ];
    for (timeout, expected) in cases {
        let mut driven = Driven::new(false, birth());
        driven.state.facts.timeout = timeout;
        driven.call(CallEvent::Kept);
        assert_eq!(driven.state.view().unwrap().ttl, expected);
    }
}

#[test]
fn an_answer_that_a_call_did_not_hear_is_said_again_after_a_restart() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    let mut driven = driven.restarted();
    check_silent(&driven.step(Input::Attached));
    // A call that is found says again what it waits for.
    assert_eq!(fed(&driven.ask(["a"])), [("a", &Ok(answer()))]);
    assert_eq!(driven.open_keys(), [""; 0]);
    // From then on questions are new ones.
    driven.ask(["a"]);
    assert_eq!(driven.open_keys(), ["a"]);
}

#[test]
fn a_question_that_was_open_before_a_restart_is_asked_once() {
    let mut driven = Driven::parked(["a", "b"]).restarted();
    driven.step(Input::Attached);
    assert!(fed(&driven.ask(["a", "b", "c"])).is_empty());
    assert_eq!(
        (driven.open_keys(), driven.state.asks),
        (vec!["a", "b", "c"], 1)
    );
}

#[test]
fn a_call_goes_on_after_a_restart() {
    let mut driven = Driven::parked(["a"]).restarted();
    check_silent(&driven.step(Input::Attached));
    assert_eq!(reply(&driven.resume(2, 1, ["a"])), &Reply::Following);
    let fx = driven.ends(Ok(result()));
    assert_eq!(reply(&fx), &Reply::Outcome(Ok(result())));
}

#[test]
fn a_request_may_wait_for_a_call_that_is_not_found_yet() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    let mut driven = driven.restarted();
    assert_eq!(reply(&driven.resume(3, 1, [])), &Reply::Following);
    driven.step(Input::Attached);
    assert_eq!(replies(&driven.ends(Ok(result()))).len(), 1);
}

#[test]
fn a_call_that_nobody_names_is_lost_after_the_grace() {
    let mut driven = Driven::task().restarted();
    check_silent(&driven.tick_after(driven.config.rebind_grace - SECOND));
    let fx = driven.tick_after(SECOND);
    assert_eq!(
        (fx.keep, published(&fx)),
        (Keep::Save, vec![&Standing::Failed(lost())])
    );
}

#[test]
fn a_lost_call_that_may_run_again_does_so_with_all_answers() {
    let mut driven = Driven::replay_safe(["a"]);
    driven.resume(2, 1, ["a"]);
    driven.ask(["b"]);
    driven.resume(3, 2, ["b"]);
    let fx = driven.ends(Err(lost()));
    let Reply::Rerun(known) = reply(&fx) else {
        panic!("a rerun expected: {fx:?}");
    };
    let mut again = known.clone();
    let questions = vec![question("a"), question("b"), question("c")];
    let split = crate::split(Revision::LATEST_MODERN, &able(), questions, &mut again);
    assert_eq!((split.answers.len(), split.ask.len()), (2, 1));
    // And so does a client that lost this reply.
    assert!(matches!(reply(&driven.resume(4, 2, [])), Reply::Rerun(_)));
}

#[test]
fn a_lost_call_that_may_not_run_again_says_so() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    assert_eq!(
        reply(&driven.ends(Err(lost()))),
        &Reply::Outcome(Err(lost()))
    );
}

#[test]
fn a_call_whose_client_left_may_run_again_for_it() {
    let mut driven = Driven::replay_safe(["a"]);
    driven.resume(2, 1, ["a"]);
    driven.step(Input::Left(Ticket(2)));
    assert!(matches!(reply(&driven.resume(3, 1, [])), Reply::Rerun(_)));
}

#[test]
fn a_cancel_survives_a_restart() {
    let mut driven = Driven::task();
    driven.step(Input::Cancel(Ticket(5)));
    let mut driven = driven.restarted();
    assert!(driven.step(Input::Attached).cancel_call);
    let fx = driven.tick_after(driven.config.cancel_grace);
    assert_eq!(published(&fx), [&Standing::Cancelled]);
}

#[test]
fn what_could_not_be_stored_at_first_leaves_nothing() {
    let mut driven = Driven::parked(["a"]);
    let fx = driven.step(Input::NeverStored);
    assert!(fx.cancel_call && fx.effects.is_empty() && fx.keep == Keep::Unchanged);
    driven.tick_after(driven.config.cancel_grace);
    assert_eq!(driven.state.rest(), Rest::Over);
}

#[test]
fn a_request_that_the_store_refused_does_not_cancel_the_call() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    check_silent(&driven.step(Input::Unfollowed(Ticket(2))));
    assert_eq!(driven.state.phase, Phase::Parked);
    let fx = driven.resume(3, 1, ["a"]);
    assert_eq!((fed(&fx).len(), reply(&fx)), (0, &Reply::Following));
}
