//! Questions to the client.

use ostler_protocol::inbound::ClientError;

use super::*;

fn ask(questions: Vec<Question>) -> Input {
    event(call(1), CallEvent::Ask(questions))
}

fn answered(id: &str, value: &'static str) -> Input {
    Input::Answered {
        id: RequestId::from_token(&format!("\"{id}\"")).unwrap(),
        result: Ok(Raw::from_static(value)),
    }
}

const ACCEPT: &str = r#"{"action":"accept","content":{"name":"Ann"}}"#;

fn script() -> Script {
    let mut script = Script::new();
    script.adopt_kept();
    script
}

#[test]
fn a_question_is_stored_then_shown_and_its_answer_stored_then_fed() {
    let mut script = script();
    script.check(
        ask(vec![form("k")]),
        &[
            "+call 1",
            "+question srv-1-1 open",
            "+event post1 1.2 elicitation/create",
            "show post1 1.2 elicitation/create",
            "extend 1",
            "count QuestionAsked",
        ],
    );
    let fed = format!("answer k: {ACCEPT}");
    let stored = format!("+question srv-1-1 {ACCEPT}");
    script.check(answered("srv-1-1", ACCEPT), &[&stored, &fed]);
    let effects = script.apply(event(call(1), outcome()));
    assert!(
        effects.contains(&"-question srv-1-1".to_string()),
        "{effects:?}"
    );
}

#[test]
fn an_answer_counts_once() {
    let mut script = script();
    script.apply(ask(vec![form("k")]));
    script.apply(answered("srv-1-1", ACCEPT));
    script.check(answered("srv-1-1", ACCEPT), &["count AnswerUnmatched"]);
    script.check(answered("srv-9-9", ACCEPT), &["count AnswerUnmatched"]);
    script.check(answered("x", ACCEPT), &["count AnswerUnmatched"]);
}

#[test]
fn what_the_client_cannot_answer_fails_at_once_and_is_never_shown() {
    let mut script = script();
    script.check(
        ask(vec![sample("s")]),
        &["count QuestionUnsupported", "answer s: Unsupported"],
    );
    let bad = Question {
        params: Raw::from_static("{}"),
        ..form("b")
    };
    script.check(ask(vec![bad]), &["answer b: Invalid"]);
}

#[test]
fn questions_of_one_batch_are_shown_together_and_answered_in_any_order() {
    let mut script = script();
    let effects = script.apply(ask(vec![form("a"), sample("s"), form("b")]));
    let shown: Vec<_> = effects
        .iter()
        .filter(|line| line.starts_with("show"))
        .collect();
    assert_eq!(
        shown,
        [
            "show post1 1.2 elicitation/create",
            "show post1 1.3 elicitation/create"
        ]
    );
    let fed = |script: &mut Script, id| script.apply(answered(id, ACCEPT))[1].clone();
    assert_eq!(fed(&mut script, "srv-1-2"), format!("answer b: {ACCEPT}"));
    assert_eq!(fed(&mut script, "srv-1-1"), format!("answer a: {ACCEPT}"));
}

#[test]
fn a_bad_answer_and_a_client_error_are_typed_failures() {
    let mut script = script();
    script.apply(ask(vec![form("a"), form("b")]));
    script.check(
        answered("srv-1-1", r#"{"action":"accept","content":{"name":7}}"#),
        &[
            "+question srv-1-1 Invalid",
            "count AnswerInvalid",
            "answer a: Invalid",
        ],
    );
    let error = ClientError {
        code: -1,
        message: "no".into(),
    };
    let refused = Input::Answered {
        id: RequestId::from_token("\"srv-1-2\"").unwrap(),
        result: Err(error),
    };
    script.check(refused, &["+question srv-1-2 Refused", "answer b: Refused"]);
}

#[test]
fn a_question_that_nobody_answers_is_withdrawn_and_given_up() {
    let mut script = script();
    script.apply(ask(vec![form("k")]));
    let due = script.state.alarm().expect("an alarm for the answer");
    assert_eq!(due.since(script.now), Config::default().elicitation_timeout);
    script.now = due;
    script.check(
        Input::Tick,
        &[
            "+event post1 1.3 notifications/cancelled",
            "+question srv-1-1 TimedOut",
            "count QuestionTimedOut",
            "show post1 1.3 notifications/cancelled",
            "answer k: TimedOut",
        ],
    );
    assert_eq!(script.state.alarm(), None);
    script.check(answered("srv-1-1", ACCEPT), &["count AnswerUnmatched"]);
}

#[test]
fn cancelling_the_request_withdraws_its_questions_only() {
    let mut script = script();
    script.adopt_kept();
    script.apply(ask(vec![form("k")]));
    script.apply(event(call(2), CallEvent::Ask(vec![form("other")])));
    let id = RequestId::number(1);
    script.check(
        Input::Cancelled { id },
        &[
            "+event post1 1.3 notifications/cancelled",
            "cancel 1",
            "show post1 1.3 notifications/cancelled",
        ],
    );
    script.check(answered("srv-1-1", ACCEPT), &["count AnswerUnmatched"]);
    script.check(ask(vec![form("late")]), &["answer late: Refused"]);
    assert_eq!(script.apply(answered("srv-1-2", ACCEPT)).len(), 2);
}

#[test]
fn a_worker_that_asks_again_after_a_lost_link_asks_the_client_once() {
    let mut script = script();
    script.apply(ask(vec![form("k")]));
    script.check(ask(vec![form("k")]), &[]);
    script.apply(answered("srv-1-1", ACCEPT));
    let fed = format!("answer k: {ACCEPT}");
    script.check(ask(vec![form("k")]), &[&fed]);
}

#[test]
fn questions_wait_for_initialized_but_not_for_ever() {
    let opening = || {
        let mut script = Script::restored(Config::default(), Restored::default());
        script.adopt_kept();
        script.check(ask(vec![form("k")]), &[]);
        script
    };
    let shows = |effects: &[String]| {
        effects
            .iter()
            .any(|line| line.starts_with("show post1 1.2"))
    };

    let mut ready = opening();
    let effects = ready.apply(Input::Initialized);
    assert!(effects[0] == "+session" && shows(&effects), "{effects:?}");

    let mut silent = opening();
    silent.now = silent.state.alarm().expect("an alarm for the wait");
    let effects = silent.apply(Input::Tick);
    assert!(shows(&effects), "{effects:?}");
    silent.check(Input::Initialized, &["+session"]);
}

#[test]
fn a_call_asks_only_so_many_rounds() {
    let mut script = Script::with(Config {
        ask_rounds_max: 1,
        ..Config::default()
    });
    script.adopt_kept();
    script.apply(ask(vec![form("a")]));
    script.check(ask(vec![form("a")]), &[]);
    script.check(ask(vec![form("b")]), &["answer b: Refused"]);
}

#[test]
fn a_restored_call_waits_for_open_answers_and_feeds_the_stored_ones_again() {
    let asked = |answer| Asked {
        key: "k".into(),
        kind: QuestionKind::ElicitForm,
        params: form("k").params,
        answer,
    };
    let answer = Answer {
        key: "k".into(),
        value: Ok(Raw::from_static(ACCEPT)),
    };
    let id = |number| AskId { epoch: 0, number };
    let mut script = Script::new();
    let restored = RestoredCall {
        stream: call_stream(1),
        facts: facts(1),
        questions: vec![(id(1), asked(Some(answer))), (id(2), asked(None))],
    };
    script.state.restore_call(script.now, restored);
    let fed = format!("answer k: {ACCEPT}");
    script.check(Input::Claimed { call: call(1) }, &[&fed]);
    assert_eq!(script.apply(answered("srv-0-2", ACCEPT))[1], fed);
    let effects = script.apply(event(call(1), outcome()));
    assert_eq!(effects[0], "+event post1 1.1 result last");
    assert!(
        effects.contains(&"-question srv-0-1".to_string()),
        "{effects:?}"
    );
}

fn visit(key: &str) -> Question {
    Question {
        key: key.into(),
        kind: QuestionKind::ElicitUrl,
        params: Raw::from_static(r#"{"message":"?","url":"https://x.example/"}"#),
    }
}

fn visited(key: &str) -> Input {
    event(call(1), CallEvent::Visited { key: key.into() })
}

/// A call whose client can visit pages and was asked to visit one.
fn visiting(revision: Revision) -> Script {
    let mut script = Script::new();
    script.state.terms.facet = ClientFacet::with(&[Capability::ElicitUrl]);
    script.state.terms.revision = revision;
    script.adopt_kept();
    script.apply(ask(vec![visit("k")]));
    script
}

const CONSENT: &str = r#"{"action":"accept"}"#;

/// A request that waits for the result of a task.
fn waits() -> Adopted {
    let mut adopted = adopted(1, vec![CallEvent::Ask(vec![form("k")])]);
    adopted.facts.task = Some(FollowedTask {
        handle: "task".into(),
        since: Timestamp(0),
    });
    adopted
}

/// Others wait for the same task, and may be asked in its place.
#[test]
fn what_a_task_asks_is_never_answered_but_by_a_client() {
    let unable = || {
        let mut script = Script::new();
        script.state.terms.facet = ClientFacet::default();
        script
    };
    let cancelled = Adopted {
        cancelled: true,
        ..waits()
    };
    for (mut script, waits) in [(unable(), waits()), (Script::new(), cancelled)] {
        let effects = script.apply(adopt_all(vec![], vec![waits]));
        let is_answer = |effect: &String| effect.starts_with("answer");
        assert!(!effects.iter().any(is_answer), "{effects:?}");
    }
}

/// Its task runs on; there would be nothing to wait for but the end of the task.
#[test]
fn a_session_of_one_stream_that_only_follows_a_task_ends_when_it_is_drained() {
    let mut script = Script::new();
    script.state.terms.lifetime = Lifetime::Stream;
    script.apply(adopt_all(vec![], vec![waits()]));
    script.check(Input::Drain, &["cancel 1", "release 1"]);
}

/// [SP-5]
#[test]
fn the_end_of_a_visit_is_told_once_to_the_client_that_agreed_to_it() {
    let mut script = visiting(Revision::V2025_11_25);
    script.check(visited("k"), &[]);
    script.apply(answered("srv-1-1", CONSENT));
    script.check(visited("other"), &[]);
    let told = "post1 1.3 notifications/elicitation/complete";
    script.check(
        visited("k"),
        &[&format!("+event {told}"), &format!("show {told}")],
    );
    script.check(visited("k"), &[]);
}

/// A call that runs again may ask in other words, under the same key.
#[test]
fn the_end_of_a_visit_ends_all_of_its_key() {
    let mut script = visiting(Revision::V2025_11_25);
    script.apply(answered("srv-1-1", CONSENT));
    let other = Question {
        params: Raw::from_static(r#"{"message":"Now?","url":"https://x.example/"}"#),
        ..visit("k")
    };
    script.apply(ask(vec![other]));
    script.apply(answered("srv-1-2", CONSENT));
    let effects = script.apply(visited("k"));
    let told = |effect: &&String| effect.starts_with("+event") && effect.ends_with("complete");
    assert_eq!(effects.iter().filter(told).count(), 2, "{effects:?}");
    script.check(visited("k"), &[]);
}

#[test]
fn a_visit_that_was_declined_or_is_cancelled_has_no_end() {
    let mut script = visiting(Revision::V2025_11_25);
    script.apply(answered("srv-1-1", r#"{"action":"decline"}"#));
    script.check(visited("k"), &[]);
    let mut script = visiting(Revision::V2025_11_25);
    script.apply(answered("srv-1-1", CONSENT));
    script.apply(Input::Cancelled {
        id: RequestId::number(1),
    });
    script.check(visited("k"), &[]);
}

#[test]
fn a_visit_survives_a_restart() {
    let mut script = Script::new();
    let answer = Answer {
        key: "k".into(),
        value: Ok(Raw::from_static(CONSENT)),
    };
    let Question { key, kind, params } = visit("k");
    let asked = Asked {
        key,
        kind,
        params,
        answer: Some(answer),
    };
    let id = AskId {
        epoch: 1,
        number: 1,
    };
    let restored = RestoredCall {
        stream: call_stream(1),
        facts: facts(1),
        questions: vec![(id, asked)],
    };
    script.state.restore_call(script.now, restored);
    let effects = script.apply(visited("k"));
    assert_eq!(effects.len(), 2, "{effects:?}");
}

#[test]
fn ids_of_visits_are_unlike_those_of_other_sessions() {
    let id = AskId {
        epoch: 2,
        number: 3,
    };
    let expected = "00000000000000000000000000000001-2-3";
    assert_eq!(visits::elicitation_id(CallId(1), id), expected);
}
