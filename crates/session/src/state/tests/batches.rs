//! Several calls on one stream.

use super::*;

fn pair() -> Input {
    adopt_all(vec![], vec![adopted(1, vec![]), adopted(2, vec![])])
}

/// Both kept by their workers.
fn script() -> Script {
    let mut script = Script::new();
    script.apply(pair());
    script.apply(event(call(1), CallEvent::Kept));
    script.apply(event(call(2), CallEvent::Kept));
    script
}

#[test]
fn a_batch_is_one_stream_that_shows_nothing_before_all_its_calls_are_safe() {
    let mut script = Script::new();
    let answer = Bytes::from_static(b"{\"result\":{}}");
    let calls = vec![adopted(1, vec![progress(1.0)]), adopted(2, vec![])];
    script.check(
        adopt_all(vec![answer], calls),
        &[
            "+call 1",
            "+call 2",
            "+event post1 1.1 empty",
            "+event post1 1.2 result",
            "keep post1",
        ],
    );
    script.check(event(call(1), CallEvent::Kept), &[]);
    script.check(
        event(call(2), CallEvent::Kept),
        &[
            "show post1 1.1 empty",
            "show post1 1.2 result",
            "chat post1 notifications/progress",
        ],
    );
}

/// The time to answer is the client's, not that of a worker that is slow to promise.
#[test]
fn a_question_has_its_time_from_when_it_is_shown() {
    let mut script = Script::new();
    script.apply(pair());
    script.apply(event(call(1), CallEvent::Kept));
    script.apply(event(call(1), CallEvent::Ask(vec![form("k")])));
    assert_eq!(script.state.alarm(), None);
    let patience = Config::default().elicitation_timeout;
    script.pass(patience * 2);
    script.check(Input::Tick, &[]);
    let shown = script.apply(event(call(2), CallEvent::Kept));
    assert_eq!(shown.last().unwrap(), "show post1 1.2 elicitation/create");
    assert_eq!(script.state.alarm(), Some(script.now + patience));
}

/// What is stored does not count against what may be dropped.
#[test]
fn many_answers_leave_room_for_chatter() {
    let mut script = Script::new();
    let answers = vec![Bytes::from_static(b"{\"result\":{}}"); 64];
    script.apply(adopt_all(answers, vec![adopted(1, vec![progress(1.0)])]));
    let shown = script.apply(event(call(1), CallEvent::Kept));
    assert_eq!(shown.last().unwrap(), "chat post1 notifications/progress");
}

#[test]
fn the_stream_of_a_batch_ends_with_its_last_call() {
    let mut script = script();
    script.check(
        event(call(2), outcome()),
        &[
            "+event post1 1.2 result",
            "-call 2",
            "show post1 1.2 result",
            "release 2",
            "recorded 2",
        ],
    );
    assert!(!script.state.is_idle());
    script.check(
        event(call(1), outcome()),
        &[
            "+event post1 1.3 result last",
            "-call 1",
            "show post1 1.3 result",
            "complete post1",
            "release 1",
            "recorded 1",
        ],
    );
    assert!(script.state.is_idle());
}

/// What was answered can still be resumed to.
#[test]
fn a_batch_whose_last_call_is_cancelled_has_an_end_too() {
    let mut script = script();
    script.apply(event(call(1), outcome()));
    let id = RequestId::number(2);
    script.check(Input::Cancelled { id }, &["cancel 2"]);
    script.check(
        event(call(2), outcome()),
        &[
            "+event post1 1.3 empty last",
            "-call 2",
            "complete post1",
            "release 2",
            "recorded 2",
        ],
    );
}

#[test]
fn each_call_of_a_batch_asks_for_itself() {
    let mut script = script();
    script.apply(event(call(1), CallEvent::Ask(vec![form("k")])));
    script.apply(event(call(2), CallEvent::Ask(vec![form("k")])));
    let id = RequestId::number(1);
    script.check(
        Input::Cancelled { id },
        &[
            "+event post1 1.4 notifications/cancelled",
            "cancel 1",
            "show post1 1.4 notifications/cancelled",
        ],
    );
    let answered = Input::Answered {
        id: RequestId::from_token("\"srv-1-2\"").unwrap(),
        result: Ok(Raw::from_static(r#"{"action":"decline"}"#)),
    };
    let effects = script.apply(answered);
    assert_eq!(effects[1], r#"answer k: {"action":"decline"}"#);
}

#[test]
fn a_batch_is_refused_as_a_whole() {
    let streams_per_session_max = 1;
    let mut script = Script::with(Config {
        streams_per_session_max,
        ..Config::default()
    });
    script.apply(adopt(7, vec![]));
    let refused = "refuse: quota reached: streams in this session";
    script.check(pair(), &[refused, "release 1", "release 2"]);
}

#[test]
fn the_calls_of_a_batch_are_restored_to_one_stream() {
    let mut script = Script::new();
    for request in [1, 2] {
        let restored = RestoredCall {
            stream: call_stream(1),
            facts: facts(request),
            questions: vec![],
        };
        script.state.restore_call(script.now, restored);
    }
    let effects = script.apply(event(call(1), outcome()));
    assert_eq!(effects[0], "+event post1 1.1 result");
    let effects = script.apply(event(call(2), outcome()));
    assert_eq!(effects[0], "+event post1 1.2 result last");
}
