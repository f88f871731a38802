//! Idle sessions sleep, wake, and end in their time.

use std::time::Duration;

use ostler_store::{Janitor, Table};

use super::world::*;
use crate::{Config, SessionError};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn an_unused_session_sleeps_and_wakes_under_the_same_id() {
    let world = World::new();
    let id = world.open().await;
    assert_eq!(world.sessions.live(), 1);
    world.pass(MINUTE).await;
    assert_eq!(world.sessions.live(), 0);
    assert_eq!(world.env.tasks_alive_by_name(), []);
    world.hold(&id).await;
    assert_eq!(world.metric("ostler_session_woken_total", &[]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_session_does_not_sleep_while_it_is_needed() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    world.pass(MINUTE).await;
    assert_eq!(world.sessions.live(), 1, "held");

    let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
    drop((held, reader));
    world.pass(MINUTE).await;
    assert_eq!(world.sessions.live(), 1, "a call runs");

    attempt.end(text("done"));
    let reader = world.hold(&id).await.listen().await.expect("listening");
    world.pass(MINUTE).await;
    assert_eq!(world.sessions.live(), 1, "somebody listens");

    drop(reader);
    world.pass(MINUTE).await;
    assert_eq!(world.sessions.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_ends_and_a_used_or_heard_one_does_not() {
    let world = World::new();
    let (idle, used) = (world.open().await, world.open().await);
    let heard = world.open().await;
    let _reader = world.hold(&heard).await.listen().await.expect("listening");
    for _ in 0..5 {
        world.pass(MINUTE * 10).await;
        world.hold(&used).await;
    }
    assert_eq!(
        world.hold_error(&ann(), &server(), &idle).await,
        SessionError::Unknown
    );
    world.hold(&heard).await;
    Janitor::new(&world.store).sweep().await.expect("swept");
    assert_eq!(world.rows(Table::Sessions).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_its_age_used_or_not() {
    let world = World::with(Config {
        age_max: MINUTE * 60,
        ..Config::default()
    });
    let id = world.open().await;
    let held = world.hold(&id).await;
    let reader = held.listen().await.expect("listening");
    world.pass(MINUTE * 61).await;
    assert_eq!(
        world.hold_error(&ann(), &server(), &id).await,
        SessionError::Unknown
    );
    world.pass(MINUTE * 4).await;
    assert_eq!(all_shown(&rest(reader).await), ["priming"]);
}

#[tokio::test(start_paused = true)]
async fn the_mark_of_use_is_written_seldom() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let commits = || world.metric("ostler_store_commits_total", &[]);
    let before = commits();
    for _ in 0..600 {
        world.hold(&id).await;
        world.pass(Duration::from_secs(1)).await;
    }
    drop(held);
    let marks = commits() - before;
    assert!((2.0..=5.0).contains(&marks), "{marks} in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_change_in_its_sleep_is_told_once_and_no_change_is_not() {
    let world = World::new();
    let id = world.open().await;
    world.pass(MINUTE).await;
    let mut reader = world.hold(&id).await.listen().await.expect("listening");
    next(&mut reader).await;
    silent(&mut reader).await;
    drop(reader);

    world.pass(MINUTE).await;
    assert_eq!(world.sessions.live(), 0);
    world
        .catalogs
        .register(&server(), &worker(), offer(&["echo", "more"]));
    let mut reader = world.hold(&id).await.listen().await.expect("listening");
    assert_eq!(shown(&next(&mut reader).await), "priming");
    assert_eq!(
        shown(&next(&mut reader).await),
        "notifications/tools/list_changed"
    );
    silent(&mut reader).await;
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_a_listener_outlasts_a_sleep() {
    let world = World::new();
    let id = world.open().await;
    world
        .catalogs
        .register(&server(), &worker(), offer(&["echo", "more"]));
    world.pass(MINUTE).await;
    assert_eq!(world.sessions.live(), 0);
    let mut reader = world.hold(&id).await.listen().await.expect("listening");
    next(&mut reader).await;
    assert_eq!(
        shown(&next(&mut reader).await),
        "notifications/tools/list_changed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_listener_could_not_resume_sleeps_too() {
    let world = World::with(Config {
        stream_events_max: 1,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let mut reader = held.listen().await.expect("listening");
    let first = next(&mut reader).await.id.expect("primed");
    for name in ["a", "b"] {
        world
            .catalogs
            .register(&server(), &worker(), offer(&["echo", name]));
        next(&mut reader).await;
    }
    drop(reader);
    assert!(held.resume(&first).await.is_err());
    drop(held);
    world.pass(MINUTE).await;
    assert_eq!(world.sessions.live(), 0);
}

/// The budget of an idle stream is 16 KiB for everything, its connection included.
#[test]
fn a_live_session_is_small() {
    use ostler_hub::Hub;
    let actor = size_of::<crate::actor::Actor<Hub>>();
    let handle = size_of::<crate::actor::Handle<Hub>>();
    assert!(
        actor <= 1_536 && handle <= 512,
        "{actor} and {handle} bytes"
    );
}
