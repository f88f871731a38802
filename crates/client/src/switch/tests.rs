//! The machine, by its inputs and effects.

use super::state::{Effect, Flight, Input, Part, RELATED_TASK, State};
use crate::{error::Error, host::Abilities, message};

const FORM: &str = r#"{"message":"m","requestedSchema":{}}"#;
const LIST: u64 = 90;

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
    let mut state = State::new(1 << 10, 2);
    let list = flight(LIST, 99, Part::Plain);
    for flight in flights.into_iter().chain([list]) {
        let id = flight.id;
        state.apply(Input::Begun(flight), &mut Vec::new());
        state.apply(Input::Written { id }, &mut Vec::new());
    }
    state
}

/// To whom a message goes; 0 stands for an answer of ours to the server.
fn heard(state: &mut State, text: &str) -> Vec<u64> {
    let messages = message::read(text.to_owned().into()).expect("a message");
    let mut effects = Vec::new();
    for message in messages {
        state.apply(Input::Heard(message), &mut effects);
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
fn a_question_taken_back_is_taken_back_once() {
    let mut state = state([asking(1, 1)]);
    assert_eq!(heard(&mut state, &ask(7, FORM)), [1]);
    let cancelled = note("cancelled", r#"{"requestId":7}"#);
    assert_eq!(heard(&mut state, &cancelled), [1]);
    assert!(heard(&mut state, &cancelled).is_empty());
}

#[test]
fn what_waits_is_bounded_but_for_the_response() {
    let mut full = state([asking(1, 1)]);
    for id in [7, 8] {
        assert_eq!(heard(&mut full, &ask(id, FORM)), [1]);
    }
    assert_eq!(heard(&mut full, &ask(9, FORM)), [0], "too many questions");
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
    full.apply(taken, &mut Vec::new());
    let short = note("progress", r#"{"progressToken":1}"#);
    assert_eq!(heard(&mut full, &short), [1], "there is room again");
    let response = format!(r#"{{"id":1,"result":{long}}}"#);
    assert_eq!(heard(&mut full, &response), [1]);
    assert!(heard(&mut full, &short).is_empty(), "it is over");
}

#[test]
fn what_was_not_written_when_it_broke_was_not_sent() {
    let mut state = state([asking(1, 1)]);
    state.apply(Input::Begun(asking(2, 1)), &mut Vec::new());
    let mut effects = Vec::new();
    let reason = "gone".to_owned();
    state.apply(Input::Broke { reason }, &mut effects);
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
