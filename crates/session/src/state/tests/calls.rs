//! Calls with a stream.

use ostler_protocol::call::{Executed, Failure};

use super::*;

#[test]
fn what_the_client_could_come_back_with_waits_for_the_commit_and_for_kept() {
    let mut script = Script::new();
    script.check(
        adopt(1, vec![CallEvent::Started, progress(1.0)]),
        &["+call 1", "+event post1 1.1 empty", "keep post1"],
    );
    script.check(
        event(call(1), CallEvent::Kept),
        &["show post1 1.1 empty", "chat post1 notifications/progress"],
    );
}

#[test]
fn an_outcome_before_kept_shows_everything_once_it_is_stored() {
    let mut script = Script::new();
    script.apply(adopt(1, vec![]));
    script.check(
        event(call(1), outcome()),
        &[
            "+event post1 1.2 result last",
            "-call 1",
            "show post1 1.1 empty",
            "show post1 1.2 result",
            "complete post1",
            "release 1",
            "recorded 1",
        ],
    );
}

#[test]
fn an_outcome_comes_once_and_nothing_follows_it() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    script.apply(event(call, outcome()));
    script.check(event(call, outcome()), &[]);
    script.check(event(call, progress(9.0)), &[]);
    script.check(event(call, CallEvent::Ask(vec![form("k")])), &[]);
}

#[test]
fn a_lost_worker_is_a_final_event_too() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    let executed = Executed::Unknown;
    let lost = CallEvent::Outcome(Err(Failure::WorkerLost { executed }));
    let effects = script.apply(event(call, lost));
    assert_eq!(effects[0], "+event post1 1.2 error -31003 last");
}

#[test]
fn a_cancelled_call_gets_no_answer() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    let id = RequestId::number(1);
    script.check(Input::Cancelled { id: id.clone() }, &["cancel 1"]);
    script.check(Input::Cancelled { id }, &[]);
    script.check(
        event(call, outcome()),
        &[
            "+event post1 1.2 empty last",
            "-call 1",
            "complete post1",
            "release 1",
            "recorded 1",
        ],
    );
}

#[test]
fn a_call_cancelled_on_the_way_here_is_cancelled_on_arrival() {
    let mut script = Script::new();
    let arrived = adopt(1, vec![]);
    let Input::Adopt(mut adoption) = arrived else {
        unreachable!()
    };
    adoption.calls[0].cancelled = true;
    let effects = script.apply(Input::Adopt(adoption));
    assert_eq!(effects[2..], ["keep post1", "cancel 1"]);
}

#[test]
fn a_cancellation_of_nothing_in_flight_is_ignored() {
    let id = RequestId::number(7);
    Script::new().check(Input::Cancelled { id }, &[]);
}

#[test]
fn logs_follow_the_level_of_the_session_while_the_call_runs() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    script.check(event(call, log(LogLevel::Debug)), &[]);
    script.check(
        event(call, log(LogLevel::Info)),
        &["chat post1 notifications/message"],
    );
    script.check(Input::SetLevel(LogLevel::Debug), &["+session"]);
    script.check(
        event(call, log(LogLevel::Debug)),
        &["chat post1 notifications/message"],
    );
    script.apply(Input::SetLevel(LogLevel::Error));
    script.check(event(call, log(LogLevel::Warning)), &[]);
}

#[test]
fn a_flood_of_progress_is_thinned() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    let relayed = |script: &mut Script, from: u32| {
        let flood = (from..from + 1_000).map(|n| event(call, progress(f64::from(n))));
        let chats = flood.map(|input| script.apply(input));
        chats
            .filter(|effects| effects[0].starts_with("chat"))
            .count()
    };
    assert_eq!(relayed(&mut script, 0), 50);
    script.pass(Duration::from_secs(1));
    assert_eq!(relayed(&mut script, 1_000), 50);
    script.pass(Duration::from_millis(100));
    assert_eq!(relayed(&mut script, 2_000), 5);
}

#[test]
fn a_session_takes_only_so_many_streams() {
    let streams_per_session_max = 1;
    let mut script = Script::with(Config {
        streams_per_session_max,
        ..Config::default()
    });
    script.adopt_kept();
    script.check(
        adopt(2, vec![]),
        &[
            "refuse: quota reached: streams in this session",
            "release 2",
        ],
    );
}

#[test]
fn a_call_that_moved_is_stored_before_anything_of_the_new_attempt() {
    use ostler_hub::Placement;
    use ostler_types::{InstanceEpoch, WorkerId};
    let mut script = Script::new();
    let call = script.adopt_kept();
    let placement = Placement {
        worker: WorkerId::parse("w-2").unwrap(),
        instance: InstanceEpoch(1),
        attempt: 2,
    };
    let moved = || Input::Moved {
        call,
        placement: placement.clone(),
    };
    script.check(moved(), &["+call 1"]);
    script.check(moved(), &[]);
}

#[test]
fn a_task_is_no_task_for_this_revision() {
    let mut script = Script::new();
    let call = script.adopt_kept();
    script.check(event(call, CallEvent::BecomeTask), &[]);
}
