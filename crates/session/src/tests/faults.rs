//! A store that fails: nothing is shown, nothing is lost, and it heals by itself.

use std::time::Duration;

use ostler_protocol::call::{CallEvent, LogLevel};
use ostler_store::{Batch, KeyPrefix, Record, Table, faults::Fault};

use super::world::*;
use crate::SessionError;

#[tokio::test(start_paused = true)]
async fn nothing_leaves_before_it_is_stored() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    world.store.pause();
    let (mut reader, attempt) = world.adopt(&held, 1);
    attempt.say(CallEvent::Kept);
    attempt.end(text("done"));
    silent(&mut reader).await;
    assert_eq!(attempt.heard(), [] as [&str; 0], "not even Keep");
    world.store.resume();
    assert_eq!(all_shown(&rest(reader).await), ["priming", "done"]);
}

#[tokio::test(start_paused = true)]
async fn a_final_event_that_cannot_be_stored_is_not_shown_and_comes_later() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    drop(held);
    world.faults.set(Fault::Full);
    attempt.end(text("done"));
    assert_eq!(rest(reader).await, [], "cut off without an answer");
    assert_eq!(attempt.heard(), ["keep"], "not recorded");
    assert_eq!(
        world.metric("ostler_session_commit_failures_total", &[]),
        1.0
    );

    world.faults.set(Fault::None);
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(
        attempt.heard(),
        ["keep", "recorded"],
        "the restarted session has it"
    );
    let held = world.hold(&id).await;
    let frames = rest(held.resume(&first).await.expect("resumed")).await;
    assert_eq!(all_shown(&frames), ["done"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_may_not_be_durable_is_not_told() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    world.faults.set(Fault::SyncFails);
    assert_eq!(held.end().await, Err(SessionError::Storage));
    drop(held);
    world.pass(Duration::from_secs(1)).await;
    let error = world.hold_error(&ann(), &server(), &id).await;
    assert_eq!(error, SessionError::Storage, "it may come back");
}

/// An end that the store could not write is read before it is durable.
#[tokio::test(start_paused = true)]
async fn no_session_is_called_unknown_while_the_disk_is_full() {
    let world = World::new();
    let id = world.open().await;
    world.hold(&id).await.end().await.expect("ended");
    world.faults.set(Fault::Full);
    assert_eq!(world.try_open().await, Err(SessionError::Storage));
    let error = world.hold_error(&ann(), &server(), &id).await;
    assert_eq!(error, SessionError::Storage);
    world.faults.set(Fault::None);
    world.open().await;
    let error = world.hold_error(&ann(), &server(), &id).await;
    assert_eq!(error, SessionError::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_what_must_be_stored_and_nothing_else() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    world.faults.set(Fault::Full);
    assert_eq!(world.try_open().await, Err(SessionError::Storage));
    let (ticket, call) = world.start(&held, 1);
    held.finish(ticket);
    drop(call);

    let (reader, attempt) = world.adopt(&held, 2);
    let told = rest(reader).await;
    assert_eq!(all_shown(&told), ["error -31011"]);
    assert!(may_have_run(&told[0]));
    assert_eq!(attempt.heard(), ["cancel: the client is gone"]);

    drop(held);
    world.faults.set(Fault::None);
    let held = world.hold(&id).await;
    held.set_level(LogLevel::Debug).await.expect("stored");
    world.open().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_commit_that_fails_is_told() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    world.faults.set(Fault::Full);
    assert_eq!(
        held.set_level(LogLevel::Debug).await,
        Err(SessionError::Storage)
    );
}

#[tokio::test(start_paused = true)]
async fn a_crashed_session_is_rebuilt_under_the_same_id() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (mut reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.say(ask("name"));
    let question = next(&mut reader).await;
    attempt.panic_on_answer(true);
    let crashed = held.answer(request_id(&question), accept()).await;
    assert!(
        matches!(crashed, Err(SessionError::Busy { .. })),
        "{crashed:?}"
    );
    assert_eq!(rest(reader).await, []);
    drop(held);

    attempt.panic_on_answer(false);
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(
        attempt.heard()[1],
        format!("answer name: {ACCEPT}"),
        "the answer was stored"
    );
    attempt.end(text("done"));
    let held = world.hold(&id).await;
    let cursor = question.id.expect("stored");
    assert_eq!(
        all_shown(&rest(held.resume(&cursor).await.expect("resumed")).await),
        ["done"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_keeps_crashing_is_given_up() {
    let world = World::new();
    let (id, other) = (world.open().await, world.open().await);
    let other = world.hold(&other).await;
    let (mut others, others_attempt, _) = world.adopt_kept(&other, 1).await;
    let held = world.hold(&id).await;
    let (mut reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.say(ask("name"));
    let question = next(&mut reader).await;
    attempt.panic_on_answer(true);
    drop(held.answer(request_id(&question), accept()).await);
    drop(held);
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(
        world.hold_error(&ann(), &server(), &id).await,
        SessionError::Unknown
    );
    assert_eq!(
        world.metric("ostler_session_ended_total", &[("by", "crash_loop")]),
        1.0
    );
    others_attempt.end(text("done"));
    assert_eq!(
        shown(&next(&mut others).await),
        "done",
        "nobody else felt it"
    );
}

/// Writes rows over with something that cannot be read.
async fn garble(world: &World, table: Table) {
    let rows = world.store.scan(&KeyPrefix::table(table), None, 9).await;
    let mut batch = Batch::new();
    for (key, record) in rows.expect("scanned") {
        let payload = "garbled".into();
        batch.put(key, Record { payload, ..record }, None);
    }
    world.store.commit(batch).await.expect("stored");
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_read_are_counted_and_cost_only_what_they_say() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, _attempt, _) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    world.restart().await;
    let unreadable = |world: &World| world.metric("ostler_session_rows_unreadable_total", &[]);
    assert_eq!(unreadable(&world), 0.0);

    garble(&world, Table::Calls).await;
    world.hold(&id).await;
    assert_eq!(unreadable(&world), 1.0, "a call");

    world.restart().await;
    garble(&world, Table::Sessions).await;
    let refused = world.hold_error(&ann(), &server(), &id).await;
    assert_eq!(refused, SessionError::Unknown);
    assert_eq!(unreadable(&world), 2.0, "a session");
}
