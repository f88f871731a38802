//! Tasks.

use super::*;

fn update(driven: &mut Driven, values: BTreeMap<String, Raw>) -> Effects {
    driven.step(Input::Update(Ticket(8), values))
}

#[test]
fn the_handle_is_shown_once_the_worker_keeps_the_call() {
    let birth = Birth {
        wants_task: true,
        ..Birth::default()
    };
    let mut driven = Driven::new(false, birth);
    check_silent(&driven.call(CallEvent::Started));
    let fx = driven.call(CallEvent::Kept);
    assert!(matches!(reply(&fx), Reply::Task(view) if view.standing == Standing::Working));
    assert_eq!(fx.keep, Keep::Save);
}

#[test]
fn an_outcome_that_is_faster_is_the_plain_answer() {
    let birth = Birth {
        wants_task: true,
        ..Birth::default()
    };
    let mut driven = Driven::new(false, birth);
    let fx = driven.ends(Ok(result()));
    assert_eq!(reply(&fx), &Reply::Outcome(Ok(result())));
}

#[test]
fn a_parked_call_becomes_a_task_after_its_rounds() {
    // [MR-13]
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    let fx = driven.call(CallEvent::BecomeTask);
    assert!(matches!(replies(&fx)[..], [(2, Reply::Task(_))]));
    // Its old token finds the task, for a client that can follow one.
    assert!(matches!(reply(&driven.resume(3, 1, [])), Reply::Task(_)));
    let plain = ClientFacet {
        tasks: false,
        ..able()
    };
    let fx = driven.resume_with(3, 1, answers([]), plain);
    assert_eq!(reply(&fx), &Reply::Refused(TaskError::NeedsTasks));
}

#[test]
fn a_follower_may_ask_for_a_task_and_nobody_else() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    check_silent(&driven.step(Input::WantsTask(Ticket(77))));
    let fx = driven.step(Input::WantsTask(Ticket(2)));
    assert!(matches!(reply(&fx), Reply::Task(_)));
}

#[test]
fn a_client_without_tasks_never_gets_a_handle() {
    let mut driven = Driven::parked(["a"]);
    let plain = ClientFacet {
        tasks: false,
        ..able()
    };
    driven.resume_with(2, 1, answers(["a"]), plain);
    check_silent(&driven.call(CallEvent::BecomeTask));
    let fx = driven.ends(Ok(result()));
    assert_eq!(reply(&fx), &Reply::Outcome(Ok(result())));
}

#[test]
fn the_end_of_a_closed_request_does_not_touch_a_task() {
    // [TK-13]
    let mut driven = Driven::task();
    check_silent(&driven.step(Input::Left(Ticket(1))));
    assert_eq!(driven.standing(), Standing::Working);
}

#[test]
fn questions_of_a_task_wait_in_it_and_leave_when_answered() {
    let mut driven = Driven::task();
    let fx = driven.ask(["a", "b"]);
    assert_eq!((fx.keep, published(&fx).len()), (Keep::Save, 1));
    let fx = update(&mut driven, answers(["a"]));
    assert_eq!(fed(&fx), [("a", &Ok(answer()))]);
    assert_eq!(reply(&fx), &Reply::Acknowledged);
    assert_eq!(driven.open_keys(), ["b"]);
    let fx = update(&mut driven, answers(["b"]));
    assert_eq!(published(&fx), [&Standing::Working]);
}

#[test]
fn a_key_is_never_used_twice_in_a_task() {
    // [TK-6]
    let mut driven = Driven::task();
    for expected in ["a", "a-2", "a-3"] {
        driven.ask(["a"]);
        assert_eq!(driven.open_keys(), [expected]);
        let fx = update(&mut driven, answers([expected]));
        assert_eq!(
            fed(&fx),
            [("a", &Ok(answer()))],
            "the worker knows its own key"
        );
    }
    // Answered keys mean nothing any more.
    driven.ask(["b"]);
    let fx = update(&mut driven, answers(["a", "a-2"]));
    assert_eq!((fed(&fx).len(), reply(&fx)), (0, &Reply::Acknowledged));
}

#[test]
fn junk_is_acknowledged_under_unknown_keys_and_refused_under_open_ones() {
    let mut driven = Driven::task();
    driven.ask(["a", "b"]);
    let junk = || Raw::from_static(r#"{"ignored":true}"#);
    let fx = update(&mut driven, BTreeMap::from([("zzz".to_owned(), junk())]));
    assert_eq!(
        (fx.keep, reply(&fx)),
        (Keep::Unchanged, &Reply::Acknowledged)
    );
    let mut values = answers(["a"]);
    values.insert("b".to_owned(), junk());
    let fx = update(&mut driven, values);
    assert!(
        matches!(reply(&fx), Reply::Refused(TaskError::BadAnswer(reason)) if reason.contains("inputResponses.b"))
    );
    assert_eq!(driven.open_keys(), ["b"], "the good answer was taken");
}

#[test]
fn what_the_client_of_the_handle_cannot_be_asked_is_answered_at_once() {
    let mut driven = Driven::task();
    driven.state.facet = ClientFacet {
        tasks: true,
        ..ClientFacet::default()
    };
    let fx = driven.ask(["a"]);
    assert_eq!(fed(&fx), [("a", &Err(AnswerFailure::Unsupported))]);
    assert!(published(&fx).is_empty());
}

#[test]
fn progress_is_the_status_message_and_is_not_stored() {
    let mut driven = Driven::task();
    let cases = [
        (Some("half"), Some(2.0), "half"),
        (None, Some(2.0), "1 of 2"),
        (None, None, "1"),
    ];
    for (message, total, expected) in cases {
        let message = message.map(str::to_owned);
        let progress = Progress {
            progress: 1.0,
            total,
            message,
        };
        check_silent(&driven.call(CallEvent::Progress(progress)));
        assert_eq!(
            driven.state.view().unwrap().message.as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn a_task_ends_as_its_call_does() {
    // [TK-8] isError is a completed task; only a failed call is a failed one.
    let is_error = Raw::from_static(r#"{"content":[],"isError":true}"#);
    let cases = [
        (Ok(result()), Standing::Completed(result())),
        (Ok(is_error.clone()), Standing::Completed(is_error)),
        (Err(lost()), Standing::Failed(lost())),
        (Err(Failure::Cancelled), Standing::Cancelled),
    ];
    for (outcome, expected) in cases {
        let mut driven = Driven::task();
        driven.ask(["a"]);
        let fx = driven.ends(outcome);
        assert_eq!(
            (fx.keep, fx.effects.last()),
            (Keep::Save, Some(&Effect::Recorded))
        );
        assert_eq!(published(&fx), [&expected]);
        let fx = driven.step(Input::Get(Ticket(5)));
        assert!(matches!(reply(&fx), Reply::Task(view) if view.standing == expected));
        assert_eq!(driven.state.rest(), Rest::Idle);
    }
}

#[test]
fn an_ended_task_never_changes() {
    let mut driven = Driven::task();
    driven.ends(Ok(result()));
    let before = driven.state.clone();
    for input in [
        Input::Cancel(Ticket(5)),
        Input::Update(Ticket(5), answers(["a"])),
    ] {
        let fx = driven.step(input);
        assert_eq!(
            (reply(&fx), fx.keep),
            (&Reply::Acknowledged, Keep::Unchanged)
        );
    }
    check_silent(&driven.ask(["a"]));
    assert_eq!(driven.ends(Err(lost())).effects, [Effect::Recorded]);
    assert_eq!(driven.state, before);
}

#[test]
fn a_cancelled_task_is_cancelled_when_its_worker_has_ended() {
    let mut driven = Driven::task();
    driven.ask(["a"]);
    let fx = driven.step(Input::Cancel(Ticket(5)));
    assert!(fx.cancel_call && fx.keep == Keep::Save);
    assert_eq!(reply(&fx), &Reply::Acknowledged);
    assert_eq!(driven.standing(), Standing::Working);
    // A second one is acknowledged too, and orders nothing.
    let fx = driven.step(Input::Cancel(Ticket(6)));
    assert!(!fx.cancel_call && *reply(&fx) == Reply::Acknowledged);
    assert_eq!(
        published(&driven.ends(Err(Failure::Cancelled))),
        [&Standing::Cancelled]
    );
}

#[test]
fn a_worker_that_does_not_stop_has_a_short_time() {
    let mut driven = Driven::task();
    driven.step(Input::Cancel(Ticket(5)));
    assert_eq!(
        driven.state.next_tick(),
        Some(driven.now + driven.config.cancel_grace)
    );
    let fx = driven.tick_after(driven.config.cancel_grace);
    assert_eq!(published(&fx), [&Standing::Cancelled]);
    assert_eq!(driven.ends(Ok(result())).effects, [Effect::Recorded]);
    assert_eq!(driven.standing(), Standing::Cancelled);
}

#[test]
fn a_result_that_beats_the_cancel_is_kept() {
    let mut driven = Driven::task();
    driven.step(Input::Cancel(Ticket(5)));
    assert_eq!(
        published(&driven.ends(Ok(result()))),
        [&Standing::Completed(result())]
    );
}

#[test]
fn a_parked_call_is_no_task_to_anybody() {
    let mut driven = Driven::parked(["a"]);
    let inputs = [
        Input::Get(Ticket(5)),
        Input::Cancel(Ticket(5)),
        Input::Update(Ticket(5), answers(["a"])),
    ];
    for input in inputs {
        assert_eq!(
            reply(&driven.step(input)),
            &Reply::Refused(TaskError::Unknown)
        );
    }
}
