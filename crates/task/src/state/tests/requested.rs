//! Tasks that the client asked for, and requests that wait for their results.

use ostler_types::SessionId;

use super::*;
use crate::facts::TaskRequest;

/// A call that is to be a task; nothing has come of it yet.
fn wanted(ttl: Option<Duration>) -> Driven {
    let mut driven = Driven::new(false, Birth::default());
    driven.state.facts.revision = Revision::LATEST_LEGACY;
    driven.state.facts.request = Some(TaskRequest {
        ttl,
        progress_token: None,
        session: SessionId([3; 24]),
    });
    driven.state.facet.tasks = false;
    driven
}

/// A task whose handle is out.
fn task() -> Driven {
    let mut driven = wanted(None);
    driven.call(CallEvent::Kept);
    driven
}

fn wait(driven: &mut Driven, ticket: u64) -> Effects {
    driven.step(Input::Wait(Ticket(ticket), followed_by(ticket)))
}

fn gives(
    driven: &mut Driven,
    ticket: u64,
    key: &str,
    value: Result<Raw, AnswerFailure>,
) -> Effects {
    let key = key.to_owned();
    let answers = vec![Answer { key, value }];
    driven.step(Input::Answers(Ticket(ticket), answers))
}

/// What each waiter is told, in one word each.
fn told(fx: &Effects) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    for effect in &fx.effects {
        let Effect::Tell(ticket, event) = effect else {
            continue;
        };
        let what = match event {
            CallEvent::Ask(questions) => {
                let keys: Vec<_> = questions.iter().map(|q| q.key.as_str()).collect();
                format!("ask {}", keys.join(" "))
            }
            CallEvent::Withdrawn(keys) => format!("withdrawn {}", keys.join(" ")),
            CallEvent::Visited { key } => format!("visited {key}"),
            CallEvent::Outcome(Ok(_)) => "result".to_owned(),
            CallEvent::Outcome(Err(failure)) => format!("failed: {failure}"),
            other => panic!("{other:?} is not for a waiter"),
        };
        all.push((ticket.0, what));
    }
    all
}

fn check_told(fx: &Effects, expected: &[(u64, &str)]) {
    let told = told(fx);
    let told: Vec<_> = told
        .iter()
        .map(|(ticket, what)| (*ticket, what.as_str()))
        .collect();
    assert_eq!(told, expected);
}

fn ttl(driven: &Driven) -> Duration {
    driven.state.view().expect("it is a task").ttl
}

#[test]
fn what_a_client_asks_for_becomes_a_task_without_the_workers_wish() {
    let mut driven = wanted(None);
    let fx = driven.call(CallEvent::Kept);
    assert!(matches!(reply(&fx), Reply::Task(view) if view.standing == Standing::Working));
    assert_eq!(fx.keep, Keep::Save);
}

#[test]
fn a_call_that_ends_at_once_was_a_task_all_the_same() {
    let mut driven = wanted(None);
    let fx = driven.ends(Ok(result()));
    assert!(matches!(reply(&fx), Reply::Task(view) if view.standing == Standing::Working));
    assert_eq!(fx.keep, Keep::Save);
    assert_eq!(driven.standing(), Standing::Completed(result()));
}

#[test]
fn a_client_that_is_gone_before_the_handle_has_its_task_all_the_same() {
    // [CAN-2] [TK-13]
    let mut driven = wanted(None);
    check_silent(&driven.step(Input::Left(Ticket(1))));
    let fx = driven.call(CallEvent::Kept);
    assert_eq!((fx.keep, replies(&fx)), (Keep::Save, vec![]));
    assert_eq!(driven.standing(), Standing::Working);
}

#[test]
fn a_task_is_kept_as_long_as_its_client_asked_for_within_bounds() {
    // [TK-7]
    let config = Config::default();
    let minute = Duration::from_secs(60);
    for (asked, kept) in [
        (None, config.task_ttl),
        (Some(minute), minute),
        (Some(Duration::ZERO), config.poll_interval),
        (Some(Duration::MAX), config.task_ttl_max),
    ] {
        let mut driven = wanted(asked);
        driven.call(CallEvent::Kept);
        assert_eq!(ttl(&driven), kept, "{asked:?}");
    }
    let mut driven = wanted(Some(minute));
    driven.call(CallEvent::Kept);
    driven.ends(Ok(result()));
    assert_eq!(ttl(&driven), minute, "its end changes nothing");
    assert_eq!(driven.tick_after(minute).keep, Keep::Erase);
}

#[test]
fn the_result_is_waited_for_and_told_to_all_who_wait() {
    let mut driven = task();
    check_told(&wait(&mut driven, 7), &[]);
    check_told(&wait(&mut driven, 8), &[]);
    let fx = driven.ends(Ok(result()));
    check_told(&fx, &[(7, "result"), (8, "result")]);
    assert_eq!(fx.keep, Keep::Save);
    check_told(&wait(&mut driven, 9), &[(9, "result")]);
}

#[test]
fn only_tasks_have_results_to_wait_for() {
    for mut driven in [Driven::parked(["a"]), Driven::asked(["a"])] {
        let fx = wait(&mut driven, 7);
        assert_eq!(reply(&fx), &Reply::Refused(TaskError::Unknown));
    }
}

#[test]
fn the_oldest_gives_way_where_too_many_wait() {
    let mut driven = task();
    driven.config.waiters_max = 1;
    driven.ask(["a"]);
    wait(&mut driven, 7);
    let fx = wait(&mut driven, 8);
    let refused = Reply::Refused(TaskError::Overloaded);
    assert_eq!(replies(&fx), [(7, &refused)]);
    check_told(&fx, &[(8, "ask a")]);
}

#[test]
fn who_comes_back_is_as_old_as_its_request() {
    let mut driven = task();
    driven.ask(["a"]);
    wait(&mut driven, 7);
    wait(&mut driven, 8);
    driven.step(Input::Left(Ticket(7)));
    // The one that left, by a new name.
    check_silent(&driven.step(Input::Wait(Ticket(9), followed_by(7))));
    check_told(&driven.step(Input::Left(Ticket(8))), &[(9, "ask a")]);
}

#[test]
fn a_question_is_for_the_newest_whose_client_can_be_asked() {
    let mut driven = task();
    let unable = FollowedBy {
        facet: ClientFacet::default(),
        ..followed_by(9)
    };
    driven.step(Input::Wait(Ticket(9), unable));
    let fx = driven.ask(["a"]);
    check_told(&fx, &[]);
    assert_eq!(fed(&fx), [], "it waits for somebody who can");
    check_told(&wait(&mut driven, 7), &[(7, "ask a")]);
    check_silent(&driven.step(Input::Left(Ticket(9))));
}

#[test]
fn a_question_is_shown_on_one_waiter_at_a_time() {
    let mut driven = task();
    let fx = driven.ask(["a"]);
    check_told(&fx, &[]);
    assert_eq!(
        published(&fx).len(),
        1,
        "the client can see that it is asked"
    );
    check_told(&wait(&mut driven, 7), &[(7, "ask a")]);
    check_told(&driven.ask(["b"]), &[(7, "ask b")]);
    check_told(
        &wait(&mut driven, 8),
        &[(7, "withdrawn a b"), (8, "ask a b")],
    );
    check_told(&driven.step(Input::Left(Ticket(8))), &[(7, "ask a b")]);
    check_told(&driven.step(Input::Left(Ticket(7))), &[]);
    assert_eq!(driven.open_keys(), ["a", "b"]);
}

#[test]
fn one_that_leaves_and_was_not_asked_changes_nothing() {
    let mut driven = task();
    driven.ask(["a"]);
    wait(&mut driven, 7);
    wait(&mut driven, 8);
    check_silent(&driven.step(Input::Left(Ticket(7))));
}

#[test]
fn an_answer_is_stored_then_fed_and_the_status_told() {
    let mut driven = task();
    wait(&mut driven, 7);
    driven.ask(["a"]);
    let fx = gives(&mut driven, 7, "a", Ok(answer()));
    assert_eq!(fed(&fx), [("a", &Ok(answer()))]);
    assert_eq!(
        (fx.keep, published(&fx)),
        (Keep::Save, vec![&Standing::Working])
    );
    check_told(&fx, &[]);
    check_silent(&gives(&mut driven, 7, "a", Ok(answer())));
}

#[test]
fn an_answer_from_elsewhere_takes_the_question_back() {
    let mut driven = task();
    driven.ask(["a", "b"]);
    wait(&mut driven, 7);
    wait(&mut driven, 8);
    // On its way when the question moved.
    let fx = gives(&mut driven, 7, "a", Ok(answer()));
    check_told(&fx, &[(8, "withdrawn a")]);
    let fx = driven.step(Input::Update(Ticket(9), answers(["b", "unknown"])));
    check_told(&fx, &[(8, "withdrawn b")]);
}

#[test]
fn what_the_client_does_not_answer_fails_that_question() {
    let mut driven = task();
    wait(&mut driven, 7);
    driven.ask(["a"]);
    let failure = Err(AnswerFailure::TimedOut);
    let fx = gives(&mut driven, 7, "a", failure.clone());
    assert_eq!(fed(&fx), [("a", &failure)]);
    assert_eq!(driven.standing(), Standing::Working);
    // Found again, the worker asks again; the client is not.
    let mut driven = driven.restarted();
    driven.step(Input::Attached);
    assert_eq!(fed(&driven.ask(["a"])), [("a", &failure)]);
    assert_eq!(driven.standing(), Standing::Working);
}

#[test]
fn who_waits_hears_of_the_end_of_a_visit() {
    let mut driven = task();
    driven.ask(["a"]);
    gives(&mut driven, 7, "a", Ok(answer()));
    let visited = || CallEvent::Visited { key: "a".into() };
    check_silent(&driven.call(visited()));
    wait(&mut driven, 7);
    check_told(&driven.call(visited()), &[(7, "visited a")]);
    // Asked again, its key has another name for the client, and keeps it [TK-6].
    check_told(&driven.ask(["a"]), &[(7, "ask a-2")]);
    check_told(&driven.call(visited()), &[(7, "visited a-2")]);
    gives(&mut driven, 7, "a-2", Ok(answer()));
    check_told(&driven.call(visited()), &[(7, "visited a-2")]);
    check_silent(&Driven::task().call(visited()));
}

#[test]
fn a_worker_that_stops_by_itself_cancels_its_task_and_who_waits_is_answered() {
    // Whether it is told to or not: after a restart nobody knows any more.
    for mut driven in [task(), task().restarted()] {
        wait(&mut driven, 7);
        let fx = driven.ends(Err(Failure::Cancelled));
        let told = "failed: error -32603 of the worker: \"the call was cancelled\"";
        check_told(&fx, &[(7, told)]);
        assert_eq!(driven.standing(), Standing::Cancelled);
        check_told(&wait(&mut driven, 8), &[(8, told)]);
    }
    let mut driven = wanted(None);
    driven.ends(Err(Failure::Cancelled));
    assert_eq!(driven.standing(), Standing::Cancelled, "before its handle");
}

#[test]
fn what_the_client_cannot_be_asked_is_answered_at_once() {
    let mut driven = task();
    driven.state.facet = ClientFacet::default();
    let fx = driven.ask(["a"]);
    assert_eq!(fed(&fx), [("a", &Err(AnswerFailure::Unsupported))]);
    assert_eq!(driven.standing(), Standing::Working);
}

#[test]
fn a_cancelled_task_is_over_at_once_and_stays_so() {
    // [TK-8]
    let mut driven = task();
    driven.ask(["a"]);
    wait(&mut driven, 7);
    let fx = driven.step(Input::CancelNow(Ticket(8)));
    assert!(fx.cancel_call);
    assert_eq!(fx.keep, Keep::Save);
    check_told(
        &fx,
        &[(
            7,
            "failed: error -32603 of the worker: \"the call was cancelled\"",
        )],
    );
    assert!(matches!(reply(&fx), Reply::Task(view) if view.standing == Standing::Cancelled));
    assert_eq!(published(&fx), [&Standing::Cancelled]);
    let fx = driven.ends(Ok(result()));
    assert_eq!(
        (fx.effects, driven.standing()),
        (vec![Effect::Recorded], Standing::Cancelled)
    );
    let fx = driven.step(Input::CancelNow(Ticket(9)));
    assert_eq!(
        reply(&fx),
        &Reply::Refused(TaskError::Ended(TaskStatus::Cancelled))
    );
}

#[test]
fn a_task_that_ended_cannot_be_cancelled() {
    let failed = Raw::from_static(r#"{"content":[],"isError":true}"#);
    for (outcome, status) in [
        (Ok(result()), TaskStatus::Completed),
        (Ok(failed), TaskStatus::Failed),
        (Err(lost()), TaskStatus::Failed),
    ] {
        let mut driven = task();
        driven.ends(outcome);
        let fx = driven.step(Input::CancelNow(Ticket(8)));
        assert_eq!(reply(&fx), &Reply::Refused(TaskError::Ended(status)));
        assert!(!fx.cancel_call);
    }
    let fx = Driven::parked(["a"]).step(Input::CancelNow(Ticket(8)));
    assert_eq!(reply(&fx), &Reply::Refused(TaskError::Unknown));
}

#[test]
fn who_waits_past_the_end_of_its_time_is_told_as_if_there_never_was_a_task() {
    let mut driven = task();
    wait(&mut driven, 7);
    let kept = ttl(&driven);
    let fx = driven.tick_after(kept);
    assert_eq!(fx.keep, Keep::Erase);
    check_told(
        &fx,
        &[(7, "failed: error -32602 of the worker: \"unknown task\"")],
    );
}

#[test]
fn chatter_goes_to_who_asked_for_the_task_and_to_no_modern_client() {
    let progress = Progress {
        progress: 1.0,
        total: None,
        message: None,
    };
    let chatter = |mut driven: Driven| {
        let fx = driven.call(CallEvent::Progress(progress.clone()));
        assert_eq!(driven.state.view().unwrap().message.as_deref(), Some("1"));
        fx.effects
    };
    let said = Effect::Chatter(Chatter::Progress(progress.clone()));
    assert_eq!(chatter(task()), [said]);
    assert_eq!(chatter(Driven::task()), []);
}

#[test]
fn a_request_comes_back_with_its_task_from_the_store() {
    let mut driven = task();
    driven.ask(["a"]);
    let request = driven.state.facts.request.clone();
    let mut driven = driven.restarted();
    assert_eq!(driven.state.facts.request, request);
    check_told(&wait(&mut driven, 7), &[(7, "ask a")]);
    driven.step(Input::Attached);
    check_told(&driven.ask(["a"]), &[]);
}
