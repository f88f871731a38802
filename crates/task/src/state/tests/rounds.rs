//! Parked calls.

use super::*;

#[test]
fn questions_are_shown_once_the_worker_keeps_the_call() {
    let mut driven = Driven::asked(["a", "b"]);
    check_silent(&driven.call(CallEvent::Started));
    let fx = driven.call(CallEvent::Kept);
    assert_eq!(shown(&fx), (1, vec!["a", "b"]));
    assert_eq!(fx.keep, Keep::Save);
    assert_eq!(driven.state.phase, Phase::Parked);
}

#[test]
fn an_outcome_that_is_faster_than_the_keep_is_the_answer_and_nothing_is_stored() {
    let mut driven = Driven::asked(["a"]);
    let fx = driven.ends(Ok(result()));
    assert_eq!(reply(&fx), &Reply::Outcome(Ok(result())));
    assert_eq!(fx.keep, Keep::Unchanged);
    assert_eq!(driven.state.rest(), Rest::Over);
}

#[test]
fn answers_are_fed_and_the_request_follows_the_call() {
    let mut driven = Driven::parked(["a"]);
    let fx = driven.resume(2, 1, ["a"]);
    assert_eq!(fed(&fx), [("a", &Ok(answer()))]);
    assert_eq!(reply(&fx), &Reply::Following);
    assert_eq!(fx.keep, Keep::Save);
    let fx = driven.ends(Ok(result()));
    assert_eq!(replies(&fx), [(2, &Reply::Outcome(Ok(result())))]);
    assert_eq!(
        (fx.keep, fx.effects.last()),
        (Keep::Save, Some(&Effect::Recorded))
    );
}

#[test]
fn the_next_questions_are_a_new_round() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    assert_eq!(shown(&driven.ask(["b"])), (2, vec!["b"]));
    driven.resume(3, 2, ["b"]);
    // The same key in a later round is a question of its own.
    assert_eq!(shown(&driven.ask(["a"])), (3, vec!["a"]));
}

#[test]
fn missing_answers_are_asked_for_again_with_a_fresh_state() {
    let mut driven = Driven::parked(["a", "b"]);
    let fx = driven.resume(2, 1, ["a"]);
    assert_eq!(shown(&fx), (2, vec!["b"]));
    assert_eq!(fed(&fx), [("a", &Ok(answer()))]);
    // [MR-7] without any answer the questions stay, and so does their time.
    let before = driven.state.deadline;
    driven.now = driven.now + Duration::from_secs(60);
    let fx = driven.resume(3, 2, []);
    assert_eq!(shown(&fx), (2, vec!["b"]));
    assert_eq!((fx.keep, driven.state.deadline), (Keep::Unchanged, before));
}

#[test]
fn unknown_keys_are_ignored_whatever_they_carry() {
    let mut driven = Driven::parked(["a"]);
    let mut values = answers(["a"]);
    values.insert("junk".to_owned(), Raw::from_static("12345"));
    let fx = driven.resume_with(2, 1, values, able());
    assert_eq!(fed(&fx).len(), 1);
    assert_eq!(reply(&fx), &Reply::Following);
}

#[test]
fn a_malformed_answer_refuses_the_request_and_changes_nothing() {
    let mut driven = Driven::parked(["a", "b"]);
    let before = driven.state.clone();
    let mut values = answers(["a"]);
    values.insert("b".to_owned(), Raw::from_static("12345"));
    let fx = driven.resume_with(2, 1, values, able());
    assert!(
        matches!(reply(&fx), Reply::Refused(TaskError::BadAnswer(reason)) if reason.contains("inputResponses.b"))
    );
    assert_eq!(
        (driven.state, fx.keep, fed(&fx).len()),
        (before, Keep::Unchanged, 0)
    );
}

#[test]
fn a_token_of_a_past_round_gets_the_present_questions_and_feeds_nothing() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    driven.ask(["b"]);
    let fx = driven.resume(3, 1, ["a", "b"]);
    assert_eq!(shown(&fx), (2, vec!["b"]));
    assert!(fed(&fx).is_empty());
}

#[test]
fn a_second_resume_of_a_round_follows_the_same_call() {
    let mut driven = Driven::parked(["a"]);
    assert_eq!(fed(&driven.resume(2, 1, ["a"])).len(), 1);
    let fx = driven.resume(3, 1, ["a"]);
    assert_eq!((fed(&fx).len(), reply(&fx)), (0, &Reply::Following));
    let fx = driven.ends(Ok(result()));
    let tickets: Vec<_> = replies(&fx).iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(tickets, [2, 3]);
}

#[test]
fn followers_of_one_call_are_bounded() {
    let mut driven = Driven::parked(["a"]);
    for ticket in 0..driven.config.followers_max as u64 {
        assert_eq!(reply(&driven.resume(ticket, 1, ["a"])), &Reply::Following);
    }
    let fx = driven.resume(99, 1, ["a"]);
    assert_eq!(reply(&fx), &Reply::Refused(TaskError::Overloaded));
}

#[test]
fn a_round_that_was_never_shown_is_refused() {
    let mut driven = Driven::parked(["a"]);
    let fx = driven.resume(2, 2, ["a"]);
    assert_eq!(reply(&fx), &Reply::Refused(TaskError::State));
}

#[test]
fn a_stored_outcome_is_given_again_for_any_round() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    driven.ask(["b"]);
    let fx = driven.ends(Ok(result()));
    assert_eq!((fx.keep, replies(&fx).len()), (Keep::Save, 0));
    for round in [1, 2] {
        let fx = driven.resume(3, round, ["b"]);
        assert_eq!(reply(&fx), &Reply::Outcome(Ok(result())));
    }
    assert_eq!(driven.state.rest(), Rest::Idle);
}

#[test]
fn the_last_follower_to_leave_cancels_the_call() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    driven.resume(3, 1, ["a"]);
    check_silent(&driven.step(Input::Left(Ticket(2))));
    let fx = driven.step(Input::Left(Ticket(3)));
    assert!(fx.cancel_call && fx.keep == Keep::Save);
    let fx = driven.resume(4, 1, ["a"]);
    assert_eq!(reply(&fx), &Reply::Outcome(Err(Failure::Cancelled)));
}

#[test]
fn a_request_that_leaves_before_anything_was_shown_leaves_nothing() {
    let mut driven = Driven::asked(["a"]);
    let fx = driven.step(Input::Left(Ticket(1)));
    assert!(fx.cancel_call && fx.keep == Keep::Unchanged);
    assert_eq!(
        driven.state.rest(),
        Rest::Busy,
        "the worker may still say how it ended"
    );
    driven.tick_after(driven.config.cancel_grace);
    assert_eq!(driven.state.rest(), Rest::Over);
}

#[test]
fn what_this_request_cannot_be_asked_is_withdrawn() {
    // [MR-3] each request declares anew what its client can do.
    let mut driven = Driven::parked(["a", "b"]);
    let fx = driven.resume_with(2, 1, answers(["a"]), ClientFacet::default());
    let unsupported = Err(AnswerFailure::Unsupported);
    let mut all = fed(&fx);
    all.sort_by_key(|(key, _)| *key);
    assert_eq!(all, [("a", &unsupported), ("b", &unsupported)]);
    assert_eq!(reply(&fx), &Reply::Following);
    assert_eq!(fed(&driven.ask(["c"])), [("c", &unsupported)]);
}

#[test]
fn questions_asked_while_parked_join_the_open_ones() {
    let mut driven = Driven::parked(["a"]);
    let fx = driven.ask(["b"]);
    assert_eq!((fx.keep, replies(&fx).len()), (Keep::Save, 0));
    assert_eq!(shown(&driven.resume(2, 1, ["a"])), (2, vec!["b"]));
}

#[test]
fn a_key_that_is_open_for_two_questions_is_shown_under_two_names() {
    let mut driven = Driven::parked(["a"]);
    let other = Question {
        key: "a".to_owned(),
        ..question("b")
    };
    // The same question again is the same one; another is not [TR-3].
    driven.call(CallEvent::Ask(vec![question("a"), other]));
    assert_eq!(driven.open_keys(), ["a", "a-2"]);
    let fx = driven.resume(2, 1, ["a", "a-2"]);
    assert_eq!(
        fed(&fx).iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        ["a", "a"]
    );
}

#[test]
fn a_call_that_was_sent_to_another_worker_is_answered_what_it_asks_again() {
    let mut driven = Driven::parked(["a"]);
    driven.resume(2, 1, ["a"]);
    driven.ask(["b"]);
    let place = Placement {
        worker: WorkerId::parse("w2").unwrap(),
        instance: InstanceEpoch(1),
        attempt: 2,
    };
    assert_eq!(driven.step(Input::Resent(place)).keep, Keep::Save);
    driven.call(CallEvent::Kept);
    assert_eq!(fed(&driven.ask(["a"])), [("a", &Ok(answer()))]);
    driven.ask(["b"]);
    assert_eq!(driven.open_keys(), ["b"]);
    assert_eq!(reply(&driven.resume(3, 2, ["b"])), &Reply::Following);
}

#[test]
fn answers_known_from_the_start_never_become_questions() {
    let known = KnownAnswers::from_first_request(answers(["b"]));
    let mut driven = Driven::new(
        false,
        Birth {
            known,
            ..asking(["a"])
        },
    );
    driven.call(CallEvent::Kept);
    driven.resume(2, 1, ["a"]);
    let fx = driven.ask(["b"]);
    assert_eq!((fed(&fx).len(), replies(&fx).len()), (1, 0));
}

#[test]
fn a_call_that_asks_too_often_is_ended() {
    let mut driven = Driven::parked(["q"]);
    for round in 1..driven.config.rounds_max {
        driven.resume(2, round, ["q"]);
        driven.ask(["q"]);
    }
    driven.resume(3, driven.config.rounds_max, ["q"]);
    let fx = driven.ask(["q"]);
    assert!(fx.cancel_call);
    assert!(matches!(
        reply(&fx),
        Reply::Outcome(Err(Failure::Internal(_)))
    ));
}

#[test]
fn open_questions_of_one_call_are_bounded() {
    let mut driven = Driven::parked(["q"]);
    let max = driven.config.questions_open_max;
    let many = (0..max + 3).map(|n| question(&n.to_string())).collect();
    let fx = driven.call(CallEvent::Ask(many));
    assert_eq!(driven.open_keys().len(), max);
    let refused: Vec<_> = fed(&fx)
        .into_iter()
        .map(|(_, value)| value.clone())
        .collect();
    assert_eq!(refused, vec![Err(AnswerFailure::Refused); 4]);
}

#[test]
fn chatter_reaches_followers_only() {
    let progress = || {
        CallEvent::Progress(Progress {
            progress: 1.0,
            total: None,
            message: None,
        })
    };
    let log = || {
        CallEvent::Log(Log {
            level: LogLevel::Info,
            logger: None,
            data: Raw::from_static("1"),
        })
    };
    let mut driven = Driven::parked(["a"]);
    check_silent(&driven.call(progress()));
    check_silent(&driven.call(log()));
    driven.resume(2, 1, ["a"]);
    for event in [progress(), log()] {
        let fx = driven.call(event);
        assert!(matches!(fx.effects[..], [Effect::Chatter(_)]));
        assert_eq!(fx.keep, Keep::Unchanged);
    }
}
