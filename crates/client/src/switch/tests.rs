//! The machine, by its inputs and effects.

use std::time::Duration;

use ostler_protocol::RequestId;
use ostler_types::Instant;

use super::state::{Effect, Flight, Input, Part, RELATED_TASK, State};
use crate::{error::Error, host::Abilities, limits::Limits, message};

const FORM: &str = r#"{"message":"m","requestedSchema":{}}"#;
const LIST: u64 = 90;
const NOW: Instant = Instant(0);
const GHOST_MAX: Duration = Duration::from_secs(1);

fn filler() -> Abilities {
    Abilities {
        form: true,
        ..Abilities::default()
    }
}

fn flight(id: u64, owner: u64, part: Part) -> Flight {
    Flight {
        id,
        owner,
        token: id,
        task: None,
        part,
    }
}

fn asking(id: u64, owner: u64) -> Flight {
    flight(id, owner, Part::Asking(filler()))
}

/// A machine with these in flight, all written, and a list that is in nobody's way.
fn state(flights: impl IntoIterator<Item = Flight>) -> State {
    let mut state = State::new(&Limits {
        message_bytes_max: 1 << 10,
        asks_max: 2,
        ghost_max: GHOST_MAX,
        ..Limits::default()
    });
    let list = flight(LIST, 99, Part::Plain);
    for flight in flights.into_iter().chain([list]) {
        let id = flight.id;
        apply(&mut state, Input::Begun(flight));
        apply(&mut state, Input::Written { id });
    }
    state
}

/// What has no effect to look at.
fn apply(state: &mut State, input: Input) {
    state.apply(NOW, input, &mut Vec::new());
}

/// To whom a message goes; 0 stands for an answer of ours to the server.
fn heard(state: &mut State, text: &str) -> Vec<u64> {
    heard_at(NOW, state, text)
}

fn heard_at(now: Instant, state: &mut State, text: &str) -> Vec<u64> {
    let messages = message::read(text.to_owned().into()).expect("a message");
    let mut effects = Vec::new();
    for message in messages {
        state.apply(now, Input::Heard(message), &mut effects);
    }
    let to = |effect: &Effect| match effect {
        Effect::Deliver { to, .. } | Effect::Fail { to, .. } => *to,
        Effect::Say(_) => 0,
    };
    effects.iter().map(to).collect()
}

fn ask(id: u64, params: &str) -> String {
    format!(r#"{{"id":{id},"method":"elicitation/create","params":{params}}}"#)
}

fn note(method: &str, params: &str) -> String {
    format!(r#"{{"method":"notifications/{method}","params":{params}}}"#)
}

#[test]
fn a_question_goes_to_the_only_principal_there() {
    let unable = flight(3, 1, Part::Asking(Abilities::default()));
    let rows = [
        (vec![], vec![0]),
        (vec![asking(1, 1)], vec![1]),
        (vec![asking(1, 1), asking(2, 1)], vec![2]),
        (vec![asking(1, 1), asking(2, 2)], vec![0]),
        (vec![asking(1, 1), unable.clone()], vec![1]),
        // It says itself that it cannot.
        (vec![unable.clone()], vec![3]),
        // It may be the question of the one that cannot.
        (vec![asking(1, 2), unable], vec![0]),
        (vec![flight(1, 1, Part::Call)], vec![0]),
        (vec![flight(1, 1, Part::Listen(filler()))], vec![1]),
        // A listen hears that somebody was not asked, not what.
        (
            vec![
                flight(1, 9, Part::Listen(filler())),
                asking(2, 1),
                asking(3, 2),
            ],
            vec![0, 1],
        ),
    ];
    for (flights, expected) in rows {
        let shown = format!("{flights:?}");
        assert_eq!(
            heard(&mut state(flights), &ask(7, FORM)),
            expected,
            "{shown}"
        );
    }
}

#[test]
fn a_question_of_a_task_goes_to_whom_waits_for_it_and_to_nobody_else() {
    let waiting = Flight {
        task: Some("t".to_owned()),
        ..asking(1, 1)
    };
    let of = |task: &str| {
        let meta = format!(r#"{{"{RELATED_TASK}":{{"taskId":"{task}"}}}}"#);
        format!(r#"{{"message":"m","requestedSchema":{{}},"_meta":{meta}}}"#)
    };
    let mut state = state([waiting, asking(2, 2)]);
    assert_eq!(heard(&mut state, &ask(7, &of("t"))), [1]);
    assert_eq!(heard(&mut state, &ask(8, &of("u"))), [0]);
    let status = note("tasks/status", r#"{"taskId":"t","status":"working"}"#);
    assert_eq!(heard(&mut state, &status), [1]);
}

#[test]
fn news_go_to_whom_they_name_else_to_all_that_listen() {
    let listens = [5, 6].map(|id| flight(id, 9, Part::Listen(Abilities::default())));
    let calls = [flight(1, 1, Part::Call), flight(2, 2, Part::Call)];
    let mut state = state(listens.into_iter().chain(calls));
    let subscription = r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":6}}"#;
    let rows = [
        (note("progress", r#"{"progressToken":2}"#), vec![2]),
        (note("progress", r#"{"progressToken":3}"#), vec![]),
        (note("progress", "{}"), vec![]),
        (note("tools/list_changed", "{}"), vec![5, 6]),
        (note("tools/list_changed", subscription), vec![6]),
        // A log of one of two principals.
        (note("message", "{}"), vec![5, 6]),
        (note("cancelled", r#"{"requestId":6}"#), vec![6]),
        (note("cancelled", r#"{"requestId":2}"#), vec![]),
        (r#"{"id":"2","result":{}}"#.to_owned(), vec![]),
        (r#"{"id":77,"result":{}}"#.to_owned(), vec![]),
        (
            r#"{"id":null,"error":{"code":1,"message":""}}"#.to_owned(),
            vec![],
        ),
        (r#"{"id":1,"method":"ping"}"#.to_owned(), vec![0]),
    ];
    for (text, expected) in rows {
        assert_eq!(heard(&mut state, &text), expected, "{text}");
    }
    assert_eq!(heard(&mut state, r#"{"id":2,"result":{}}"#), [2]);
    assert_eq!(heard(&mut state, &note("message", "{}")), [1]);
}

#[test]
fn the_end_of_a_visit_goes_once_to_all_that_wait_for_the_page_else_to_all_that_listen() {
    let listen = flight(7, 9, Part::Listen(filler()));
    let waiting = |id| flight(id, 1, Part::Plain);
    let mut state = state([asking(1, 1), waiting(2), waiting(3), listen]);
    let pages = [(1, "a"), (2, "a"), (2, "b"), (2, "too much"), (3, "b")];
    for (id, page) in pages {
        let page = page.to_owned();
        apply(&mut state, Input::Awaits { id, page });
    }
    apply(&mut state, Input::Ended { id: 3 });
    let method = "elicitation/complete";
    let done = |page: &str| note(method, &format!(r#"{{"elicitationId":"{page}"}}"#));
    assert_eq!(heard(&mut state, &done("a")), [1, 2]);
    assert_eq!(heard(&mut state, &done("a")), [7]);
    assert_eq!(heard(&mut state, &done("b")), [2]);
    assert_eq!(heard(&mut state, &done("too much")), [7]);
    assert_eq!(heard(&mut state, &note(method, "{}")), [7]);
}

#[test]
fn a_question_taken_back_is_taken_back_once() {
    let mut state = state([asking(1, 1)]);
    assert_eq!(heard(&mut state, &ask(7, FORM)), [1]);
    let cancelled = note("cancelled", r#"{"requestId":7}"#);
    assert_eq!(heard(&mut state, &cancelled), [1]);
    assert!(heard(&mut state, &cancelled).is_empty());
}

/// Whom a question and a log go to, in this order.
fn nameless(now: Instant, state: &mut State) -> [Vec<u64>; 2] {
    let asked = heard_at(now, state, &ask(7, FORM));
    // So that the next one finds room.
    let id = RequestId::number(7);
    state.apply(now, Input::Answered { asked: id }, &mut Vec::new());
    [asked, heard_at(now, state, &note("message", "{}"))]
}

fn nobody() -> [Vec<u64>; 2] {
    [vec![0], vec![]]
}

#[test]
fn what_a_request_that_was_left_may_still_say_is_shown_to_no_other_principal() {
    let two = [vec![2], vec![2]];
    let rows = [
        (asking(1, 1), Input::Ended { id: 1 }, true),
        (flight(1, 1, Part::Call), Input::Ended { id: 1 }, true),
        // Its own owner may see it.
        (asking(1, 2), Input::Ended { id: 1 }, false),
        // Lists ask and log nothing.
        (flight(1, 1, Part::Plain), Input::Ended { id: 1 }, false),
        // The server is not at work for it.
        (asking(1, 1), Input::Settled { id: 1 }, false),
    ];
    for (left, end, is_ghost) in rows {
        let shown = format!("{left:?} {end:?}");
        let mut state = state([left, asking(2, 2)]);
        apply(&mut state, end);
        apply(&mut state, Input::Ended { id: 1 });
        let expected = match is_ghost {
            true => nobody(),
            false => two.clone(),
        };
        assert_eq!(nameless(NOW, &mut state), expected, "{shown}");
        // Its response lays the ghost.
        heard(&mut state, r#"{"id":1,"result":{}}"#);
        assert_eq!(nameless(NOW, &mut state), two, "{shown}");
    }
}

#[test]
fn an_error_without_an_id_may_be_of_a_request_that_was_left() {
    let error = r#"{"id":null,"error":{"code":-1,"message":"no"}}"#;
    let mut state = state([asking(1, 1), asking(2, 2)]);
    apply(&mut state, Input::Settled { id: LIST });
    apply(&mut state, Input::Ended { id: 1 });
    assert!(heard(&mut state, error).is_empty());
    heard(&mut state, r#"{"id":1,"result":{}}"#);
    assert_eq!(heard(&mut state, error), [2]);
}

#[test]
fn a_request_may_be_over_with_the_response_of_another() {
    let mut state = state([asking(1, 1), asking(2, 2)]);
    apply(&mut state, Input::Outlasts { id: 1, until: 50 });
    apply(&mut state, Input::Ended { id: 1 });
    heard(&mut state, r#"{"id":1,"result":{}}"#);
    assert_eq!(nameless(NOW, &mut state), nobody());
    heard(&mut state, r#"{"id":50,"result":{}}"#);
    assert_eq!(nameless(NOW, &mut state), [vec![2], vec![2]]);
}

/// It crossed with the cancel: the task is there, and goes on.
#[test]
fn a_task_that_was_made_for_a_call_that_was_left_may_ask() {
    let mut state = state([asking(1, 1), asking(2, 2)]);
    apply(&mut state, Input::Outlasts { id: 1, until: 50 });
    apply(&mut state, Input::Ended { id: 1 });
    heard(&mut state, r#"{"id":50,"result":{"task":{"taskId":"t"}}}"#);
    assert_eq!(nameless(NOW, &mut state), nobody());
}

#[test]
fn a_ghost_has_its_time_and_many_are_not_told_apart() {
    let two = [vec![2], vec![2]];
    let later = NOW + GHOST_MAX;
    let mut one = state([asking(1, 1), asking(2, 2)]);
    apply(&mut one, Input::Ended { id: 1 });
    assert_eq!(nameless(NOW, &mut one), nobody());
    assert_eq!(nameless(later, &mut one), two);
    // One more than are kept: the answers of all that are known do not tell whose that one is.
    let ids = 1_000..1_257;
    let mut many = state(ids.clone().map(|id| asking(id, 1)).chain([asking(2, 2)]));
    for id in ids.clone() {
        apply(&mut many, Input::Ended { id });
    }
    for id in ids {
        heard(&mut many, &format!(r#"{{"id":{id},"result":{{}}}}"#));
    }
    assert_eq!(nameless(NOW, &mut many), nobody());
    assert_eq!(nameless(later, &mut many), two);
}

#[test]
fn a_listen_is_not_asked_what_a_request_of_another_that_was_left_may_ask() {
    let listen = flight(5, 9, Part::Listen(filler()));
    let mut state = state([asking(1, 1), listen]);
    apply(&mut state, Input::Ended { id: 1 });
    // It hears that somebody was not asked.
    assert_eq!(heard(&mut state, &ask(7, FORM)), [0, 5]);
    heard(&mut state, r#"{"id":1,"result":{}}"#);
    assert_eq!(heard(&mut state, &ask(8, FORM)), [5]);
}

#[test]
fn what_the_server_has_not_read_is_not_what_it_asks_about() {
    let mut state = state([asking(1, 1)]);
    apply(&mut state, Input::Begun(asking(2, 2)));
    assert_eq!(nameless(NOW, &mut state), [vec![1], vec![1]]);
    // Nor can it be at work for it.
    apply(&mut state, Input::Ended { id: 2 });
    assert_eq!(nameless(NOW, &mut state), [vec![1], vec![1]]);
}

#[test]
fn what_waits_is_bounded_but_for_the_response() {
    let mut full = state([asking(1, 1)]);
    for id in [7, 8] {
        assert_eq!(heard(&mut full, &ask(id, FORM)), [1]);
    }
    assert_eq!(heard(&mut full, &ask(9, FORM)), [0], "too many questions");
    let asked = RequestId::number(7);
    apply(&mut full, Input::Answered { asked });
    assert_eq!(heard(&mut full, &ask(9, FORM)), [1], "one was answered");
    let long = format!(
        r#"{{"progressToken":1,"message":"{}"}}"#,
        "x".repeat(1 << 10)
    );
    assert!(
        heard(&mut full, &note("progress", &long)).is_empty(),
        "too many bytes"
    );
    let taken = Input::Taken {
        id: 1,
        bytes: 8 << 10,
    };
    apply(&mut full, taken);
    let short = note("progress", r#"{"progressToken":1}"#);
    assert_eq!(heard(&mut full, &short), [1], "there is room again");
    let response = format!(r#"{{"id":1,"result":{long}}}"#);
    assert_eq!(heard(&mut full, &response), [1]);
    assert!(heard(&mut full, &short).is_empty(), "it is over");
}

#[test]
fn what_was_not_written_when_it_broke_was_not_sent() {
    let mut state = state([asking(1, 1)]);
    apply(&mut state, Input::Begun(asking(2, 1)));
    let mut effects = Vec::new();
    let reason = "gone".to_owned();
    state.apply(NOW, Input::Broke { reason }, &mut effects);
    let ends: Vec<_> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Fail { to, error } => (*to, matches!(error, Error::NotSent { .. })),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ends, [(1, false), (2, true), (LIST, false)]);
    assert!(!state.has(1));
}
