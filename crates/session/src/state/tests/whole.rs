//! The session as a whole: its end, its sleep, and invariants over random inputs.

use ostler_protocol::inbound::ListKind;
use proptest::prelude::*;

use super::*;
use crate::stream::Cursor;

#[test]
fn an_ended_session_cancels_its_calls_and_knows_nothing_more() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    script.check(Input::End, &["cancel 1", "release 1", "complete post1"]);
    for input in [Input::Initialized, Input::End, event(call, outcome())] {
        assert_eq!(script.refused(input), SessionError::Unknown);
    }
}

#[test]
fn a_draining_session_closes_its_readers_and_keeps_its_calls() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    script.check(Input::Drain, &["come back get", "come back post1"]);
    assert_eq!(
        script.apply(event(call, outcome()))[0],
        "+event post1 1.2 result last"
    );
}

/// [SSE-12]: without a priming event there is nothing to come back with.
#[test]
fn a_draining_session_of_an_older_client_breaks_no_answer_off() {
    let mut script = Script::older();
    script.adopt_kept();
    script.check(Input::Drain, &["come back get"]);
}

/// Nor what waits to be shown: its reader has seen no event yet.
#[test]
fn a_draining_session_breaks_nothing_off_that_was_not_shown() {
    let mut script = Script::new();
    script.apply(adopt(1, vec![]));
    script.check(Input::Drain, &["come back get"]);
}

#[test]
fn a_session_is_idle_without_calls_and_listeners() {
    let mut script = Script::new();
    assert!(script.state.is_idle());
    let call = script.adopt_kept();
    assert!(!script.state.is_idle());
    script.apply(event(call, outcome()));
    assert!(script.state.is_idle());
    script.apply(Input::Listen { arrival: 0 });
    assert!(!script.state.is_idle());
    script.apply(Input::ListenerGone { taken: None });
    assert!(script.state.is_idle());
}

fn any_event() -> impl Strategy<Value = CallEvent> {
    prop_oneof![
        Just(CallEvent::Started),
        Just(CallEvent::Kept),
        Just(CallEvent::BecomeTask),
        (0..100u32).prop_map(|n| progress(f64::from(n))),
        Just(log(LogLevel::Error)),
        Just(CallEvent::Ask(vec![form("a"), sample("b")])),
        (0..3u32).prop_map(|n| CallEvent::Ask(vec![form(&n.to_string())])),
        (0..3u32).prop_map(|n| CallEvent::Withdrawn(vec![n.to_string()])),
        Just(outcome()),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    let stream = (1..6u32).prop_map(call_stream);
    let place = (1..3u64, 1..9u64).prop_map(|(epoch, seq)| Place { epoch, seq });
    prop_oneof![
        2 => (1..6u64).prop_map(|request| adopt(request, vec![])),
        2 => (1..6u64, 6..9u64).prop_map(|(one, other)| {
            let calls = vec![adopted(one, vec![]), adopted(other, vec![])];
            adopt_all(vec![Bytes::from_static(b"{\"result\":1}")], calls)
        }),
        8 => (1..9u64, any_event()).prop_map(|(request, e)| event(call(request), e)),
        2 => (1..9u32).prop_map(|n| Input::Answered {
            id: RequestId::from_token(&format!("\"srv-1-{n}\"")).unwrap(),
            result: Ok(Raw::from_static(r#"{"action":"decline"}"#)),
        }),
        1 => (1..6u64).prop_map(|n| Input::Cancelled { id: RequestId::number(n) }),
        1 => Just(Input::Listen { arrival: 0 }),
        1 => Just(Input::ListenerGone { taken: None }),
        1 => (stream, place).prop_map(|(stream, place)| Input::Resume {
            arrival: 0,
            cursor: Cursor { stream, place },
        }),
        1 => Just(Input::Noticed(vec![Notice::List(ListKind::Tools)])),
        1 => Just(Input::News(News::Status(Bytes::from_static(b"{}")))),
        1 => Just(Input::Initialized),
        1 => Just(Input::Tick),
        1 => Just(Input::Drain),
    ]
}

/// What holds of all effects together, in their order.
#[derive(Default)]
struct Checker {
    stored: Vec<(StreamId, Place)>,
    shown: Vec<(StreamId, Place)>,
    ended: Vec<StreamId>,
    finished: Vec<CallId>,
    answered: Vec<(CallId, String)>,
}

impl Checker {
    fn write(&mut self, write: &Write) {
        match write {
            Write::Event {
                stream,
                place,
                last,
                ..
            } => {
                assert!(!self.ended.contains(stream), "an event after the last one");
                let newest = self.stored.iter().filter(|(of, _)| of == stream).max();
                let follows = newest.is_none_or(|(_, newest)| newest.is_followed_by(*place));
                assert!(follows, "a place is skipped or given twice");
                self.stored.push((*stream, *place));
                if *last {
                    self.ended.push(*stream);
                }
            }
            // Requests that come again are new calls under the old name.
            Write::Call { facts, .. } => self.finished.retain(|call| *call != facts.call),
            Write::DropCall { call } => {
                assert!(!self.finished.contains(call), "finished twice");
                self.finished.push(*call);
            }
            Write::Question { asked, id, call } if asked.answer.is_some() => {
                let fact = (*call, id.to_text());
                assert!(!self.answered.contains(&fact), "answered twice");
                self.answered.push(fact);
            }
            Write::Session
            | Write::DropEvent { .. }
            | Write::Question { .. }
            | Write::DropQuestion { .. } => {}
        }
    }

    fn act(&mut self, act: &Act) {
        if let Act::Show { stream, place, .. } = act {
            let event = (*stream, *place);
            assert!(self.stored.contains(&event), "shown before it is stored");
            let newest = self.shown.iter().filter(|(of, _)| of == stream).max();
            assert!(
                newest.is_none_or(|newest| *newest < event),
                "shown out of order"
            );
            self.shown.push(event);
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_shown_before_it_is_stored_and_streams_have_one_end(
        inputs in prop::collection::vec((any_input(), 0..20_000u64), 0..120),
    ) {
        let mut script = Script::restored(Config::default(), Restored::default());
        let mut checker = Checker::default();
        for (input, millis) in inputs {
            script.pass(Duration::from_millis(millis));
            let mut effects = Effects::default();
            script.state.apply(script.now, input, &mut effects).expect("never ended here");
            effects.writes.iter().for_each(|write| checker.write(write));
            effects.acts.iter().for_each(|act| checker.act(act));
        }
    }
}
