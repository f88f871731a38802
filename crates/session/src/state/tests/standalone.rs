//! The standalone stream.

use ostler_protocol::inbound::ListKind;

use super::*;
use crate::stream::Cursor;

const LISTEN: Input = Input::Listen { arrival: 0 };

fn tools() -> Input {
    Input::Noticed(vec![Notice::List(ListKind::Tools)])
}

fn updated(uri: &str) -> Input {
    Input::Noticed(vec![Notice::Updated(uri.into())])
}

fn subscribe(uri: &str) -> Input {
    let uri = uri.into();
    Input::Subscribe { arrival: 0, uri }
}

fn gone(seq: Option<u64>) -> Input {
    Input::ListenerGone {
        taken: seq.map(|seq| Place { epoch: 1, seq }),
    }
}

#[test]
fn a_listener_is_primed_and_shown_what_waits_each_once() {
    let mut script = Script::new();
    script.check(tools(), &[]);
    script.check(tools(), &[]);
    script.check(
        LISTEN,
        &[
            "+event get 1.1 empty",
            "+event get 1.2 notifications/tools/list_changed",
            "listen",
            "show get 1.1 empty",
            "show get 1.2 notifications/tools/list_changed",
        ],
    );
    script.check(
        tools(),
        &[
            "+event get 1.3 notifications/tools/list_changed",
            "show get 1.3 notifications/tools/list_changed",
        ],
    );
}

#[test]
fn nothing_is_pushed_before_initialized() {
    let mut script = Script::restored(Config::default(), Restored::default());
    script.apply(LISTEN);
    script.check(tools(), &[]);
    assert!(script.state.alarm().is_some(), "the wait is bounded");
    let effects = script.apply(Input::Initialized);
    assert_eq!(
        effects[1],
        "+event get 1.2 notifications/tools/list_changed"
    );
}

#[test]
fn what_a_listener_did_not_take_is_shown_to_the_next() {
    let mut script = Script::new();
    script.apply(LISTEN);
    script.apply(tools());
    script.apply(gone(Some(1)));
    assert!(script.state.unseen_lists().tools);
    let effects = script.apply(LISTEN);
    assert_eq!(
        effects[1],
        "+event get 1.4 notifications/tools/list_changed"
    );

    script.apply(gone(Some(4)));
    assert!(!script.state.unseen_lists().tools);
    script.check(
        LISTEN,
        &["+event get 1.5 empty", "listen", "show get 1.5 empty"],
    );
}

#[test]
fn a_listener_that_resumes_gets_new_things_without_a_second_priming() {
    let mut script = Script::new();
    script.apply(LISTEN);
    script.apply(gone(None));
    script.apply(tools());
    let cursor = Cursor {
        stream: StreamId::STANDALONE,
        place: Place { epoch: 1, seq: 1 },
    };
    script.check(
        Input::Resume { arrival: 0, cursor },
        &[
            "+event get 1.2 notifications/tools/list_changed",
            "replay get 1.1 live",
            "show get 1.2 notifications/tools/list_changed",
        ],
    );
}

#[test]
fn a_call_stream_is_live_until_its_outcome() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    let stream = call_stream(1);
    let place = Place { epoch: 1, seq: 1 };
    let resume = || Input::Resume {
        arrival: 0,
        cursor: Cursor { stream, place },
    };
    script.check(resume(), &["replay post1 1.1 live"]);
    script.apply(event(call, outcome()));
    script.check(resume(), &["replay post1 1.1 ended"]);
}

#[test]
fn updates_reach_subscribers_only() {
    let mut script = Script::new();
    script.apply(LISTEN);
    script.check(updated("mem://a"), &[]);
    script.check(subscribe("mem://a"), &["+session", "watch mem://a"]);
    script.check(subscribe("mem://a"), &[]);
    let effects = script.apply(updated("mem://a"));
    assert_eq!(effects[0], "+event get 1.2 notifications/resources/updated");
    let unsubscribe = Input::Unsubscribe("mem://a".into());
    script.check(unsubscribe, &["+session", "unwatch mem://a"]);
    script.check(updated("mem://a"), &[]);
}

#[test]
fn subscriptions_are_bounded() {
    let mut script = Script::with(Config {
        subscriptions_max: 1,
        ..Config::default()
    });
    script.apply(subscribe("mem://a"));
    assert_eq!(
        script.refused(subscribe("mem://b")),
        SessionError::TooManySubscriptions
    );
}

#[test]
fn an_unsubscribed_resource_is_forgotten_though_it_waited() {
    let mut script = Script::new();
    script.apply(subscribe("mem://a"));
    script.apply(updated("mem://a"));
    script.apply(Input::Unsubscribe("mem://a".into()));
    assert_eq!(script.apply(LISTEN).len(), 3);
}

#[test]
fn a_stream_keeps_only_so_many_events() {
    let mut script = Script::with(Config {
        stream_events_max: 2,
        ..Config::default()
    });
    script.apply(LISTEN);
    script.apply(tools());
    let effects = script.apply(tools());
    assert_eq!(effects[1], "-event get 1.1");
    let effects = script.apply(tools());
    assert_eq!(effects[1], "-event get 1.2");
}

#[test]
fn what_was_unseen_in_an_earlier_life_still_is() {
    let unseen = ListKinds {
        prompts: true,
        ..ListKinds::default()
    };
    let restored = Restored {
        initialized: true,
        unseen,
        ..Restored::default()
    };
    let mut script = Script::restored(Config::default(), restored);
    let effects = script.apply(LISTEN);
    assert_eq!(
        effects[1],
        "+event get 1.2 notifications/prompts/list_changed"
    );
}
