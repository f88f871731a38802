//! A node that goes down: its sessions, streams and calls are there again.

use std::time::Duration;

use ostler_auth::{Serves, WorkerGrant};
use ostler_protocol::{RequestId, call::LogLevel};
use ostler_store::{Batch, Table};
use ostler_types::{InstanceEpoch, ServerId, TenantId, WorkerId};

use super::world::*;
use crate::SessionError;

#[tokio::test(start_paused = true)]
async fn a_session_is_there_after_a_restart_with_all_it_knew() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    held.set_level(LogLevel::Debug).await.expect("set");
    held.subscribe("mem://a".into()).await.expect("subscribed");
    drop(held);
    world.restart().await;

    let held = world.hold(&id).await;
    assert!(held.facts().facet.elicit_form);
    let (ticket, _call) = world.start(&held, 1);
    assert_eq!(ticket.log_level(), LogLevel::Debug);
    assert_eq!(world.resources.watched(), ["mem://a", "mem://a"]);
    // Nothing watched the resource in between.
    let mut reader = held.listen().await.expect("listening");
    next(&mut reader).await;
    assert_eq!(
        shown(&next(&mut reader).await),
        "notifications/resources/updated"
    );
    silent(&mut reader).await;
}

#[tokio::test(start_paused = true)]
async fn a_kept_call_survives_and_its_outcome_is_delivered_once_per_resume() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    world.restart().await;

    let held = world.hold(&id).await;
    let reader = held.resume(&first).await.expect("resumed");
    attempt.end(text("done"));
    assert_eq!(all_shown(&rest(reader).await), ["done"]);
    assert_eq!(attempt.heard(), ["keep", "recorded"]);
    let again = rest(held.resume(&first).await.expect("resumed")).await;
    assert_eq!(all_shown(&again), ["done"]);
    assert_eq!(
        world.metric("ostler_session_calls_total", &[("step", "rebound")]),
        1.0
    );
}

/// A start reads what runs, however much has ended lately.
#[tokio::test(start_paused = true)]
async fn what_has_ended_is_not_looked_for_at_a_start() {
    let mut world = World::new();
    let held = world.hold(&world.open().await).await;
    let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.end(text("done"));
    rest(reader).await;
    let (_running, _, _) = world.adopt_kept(&held, 2).await;
    assert_eq!(world.rows(Table::Calls).await.len(), 1);
    drop(held);
    world.restart().await;
    assert_eq!(world.sessions.recover().await, Ok(1));
    assert!(!world.sessions.rebind(attempt.call()).await, "forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_worker_names_wakes_its_session() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    world.restart().await;

    assert_eq!(world.sessions.recover().await, Ok(1));
    assert_eq!(world.sessions.live(), 0);
    assert!(world.sessions.rebind(attempt.call()).await);
    attempt.end(text("done"));
    world.pass(Duration::from_millis(10)).await;
    assert_eq!(attempt.heard(), ["keep", "recorded"]);
    assert!(
        !world.sessions.rebind(attempt.call()).await,
        "recorded: to be forgotten"
    );

    let held = world.hold(&id).await;
    let frames = rest(held.resume(&first).await.expect("resumed")).await;
    assert_eq!(all_shown(&frames), ["done"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_this_run_has_its_owner_too() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (_reader, attempt, _) = world.adopt_kept(&held, 1).await;
    assert!(world.sessions.rebind(attempt.call()).await);
    assert_eq!(attempt.heard(), ["keep"]);
    held.end().await.expect("ended");
    assert!(!world.sessions.rebind(attempt.call()).await);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_worker_names_ends_as_lost_after_the_grace() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    attempt.lose();
    world.restart().await;

    let restarted = world.env.now();
    world.sessions.sweep_lost().await;
    assert_eq!(world.env.now().since(restarted), Duration::from_secs(30));
    let held = world.hold(&id).await;
    let frames = rest(held.resume(&first).await.expect("resumed")).await;
    assert_eq!(all_shown(&frames), ["error -31003"]);
    assert_eq!(
        world.metric("ostler_session_calls_total", &[("step", "lost")]),
        1.0
    );
}

fn grant(serves: &[Serves]) -> WorkerGrant {
    WorkerGrant {
        credential: "k".into(),
        serves: serves.to_vec(),
        workers: Vec::new(),
        valid_until: None,
    }
}

/// design.md 4.2: a newer process ends what the older one ran at once.
#[tokio::test(start_paused = true)]
async fn a_call_whose_worker_is_another_process_now_ends_as_lost_at_once() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    attempt.lose();
    world.restart().await;

    assert_eq!(world.sessions.recover().await, Ok(1));
    let (instance, newer) = (InstanceEpoch(1), InstanceEpoch(2));
    let worker = WorkerId::parse("w-1").expect("a name");
    let other = WorkerId::parse("other").expect("a name");
    let (sessions, own) = (&world.sessions, grant(&[Serves::Tenant(server().tenant)]));
    sessions.worker_replaced(&worker, instance, &own).await;
    sessions.worker_replaced(&other, newer, &own).await;
    let stranger = grant(&[Serves::Tenant(TenantId::parse("umbrella").expect("a name"))]);
    sessions.worker_replaced(&worker, newer, &stranger).await;
    assert_eq!(sessions.live(), 0, "none is about this call");
    let ServerId { tenant, name } = server_named("other");
    let neighbor = grant(&[Serves::Server(tenant, name)]);
    sessions.worker_replaced(&worker, newer, &neighbor).await;
    assert_eq!(sessions.recover().await, Ok(1), "it serves something else");

    let restarted = world.env.now();
    sessions.worker_replaced(&worker, newer, &own).await;
    let held = world.hold(&id).await;
    let frames = rest(held.resume(&first).await.expect("resumed")).await;
    assert_eq!(all_shown(&frames), ["error -31003"]);
    assert_eq!(world.env.now(), restarted);
    assert_eq!(world.sessions.recover().await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_early_waits_for_the_worker() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    world.restart().await;
    attempt.lose();
    let held = world.hold(&id).await;
    let reader = held.resume(&first).await.expect("resumed");
    let start = world.env.now();
    assert_eq!(all_shown(&rest(reader).await), ["error -31003"]);
    assert_eq!(world.env.now().since(start), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_though_the_node_went_down_in_between() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (mut reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.say(ask("name"));
    let question = next(&mut reader).await;
    drop((reader, held));
    world.restart().await;

    let held = world.hold(&id).await;
    held.answer(request_id(&question), accept())
        .await
        .expect("taken");
    let fed = format!("answer name: {ACCEPT}");
    let times_fed = || {
        attempt
            .heard()
            .iter()
            .filter(|heard| **heard == fed)
            .count()
    };
    let before = times_fed();
    assert!(before > 0);
    drop(held);
    world.restart().await;

    // Whether the worker got it, nobody knows: it is told again, and asked of nobody again.
    let held = world.hold(&id).await;
    world.pass(Duration::from_millis(10)).await;
    assert!(times_fed() > before);
    attempt.end(text("done"));
    let cursor = question.id.expect("stored");
    assert_eq!(
        all_shown(&rest(held.resume(&cursor).await.expect("resumed")).await),
        ["done"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancel_before_the_worker_is_back_reaches_it() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    world.restart().await;
    attempt.lose();
    let held = world.hold(&id).await;
    held.cancelled(RequestId::number(1), None)
        .await
        .expect("heard");
    attempt.find();
    assert!(world.sessions.rebind(attempt.call()).await);
    assert_eq!(attempt.heard(), ["keep", "cancel: cancelled by the client"]);
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_an_ended_session_are_nobodys_even_if_no_worker_named_them() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    world.restart().await;
    assert_eq!(world.sessions.recover().await, Ok(1));
    attempt.lose();
    world.hold(&id).await.end().await.expect("ended");
    assert_eq!(world.sessions.recover().await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_call_is_nobodys() {
    let world = World::new();
    assert!(!world.sessions.rebind(ostler_types::CallId(7)).await);
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_stays_ended_after_a_restart() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (_reader, attempt, _) = world.adopt_kept(&held, 1).await;
    held.end().await.expect("ended");
    drop(held);
    assert_eq!(attempt.heard()[1], "cancel: the session ended");
    world.restart().await;
    assert_eq!(
        world.hold_error(&ann(), &server(), &id).await,
        SessionError::Unknown
    );
    for table in [Table::Sessions, Table::Events, Table::Calls] {
        assert!(world.rows(table).await.is_empty(), "{table:?}");
    }
}

/// Down in the middle of an end: the session's row is deleted first, and its other rows were not.
#[tokio::test(start_paused = true)]
async fn what_an_ended_session_left_goes_when_its_calls_are_looked_for() {
    for way in ["named", "replaced", "swept"] {
        let mut world = World::new();
        let held = world.hold(&world.open().await).await;
        let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
        drop((reader, held));
        attempt.lose();
        let mut batch = Batch::new();
        let sessions = world.rows(Table::Sessions).await;
        sessions.into_iter().for_each(|key| batch.delete(key));
        world.sessions.close().await;
        world.store.commit(batch).await.expect("committed");
        world.restart().await;
        assert_eq!(world.sessions.recover().await, Ok(1));

        let worker = WorkerId::parse("w-1").expect("a name");
        let own = grant(&[Serves::Tenant(server().tenant)]);
        let (sessions, newer) = (&world.sessions, InstanceEpoch(2));
        match way {
            "named" => assert!(!sessions.rebind(attempt.call()).await),
            "replaced" => sessions.worker_replaced(&worker, newer, &own).await,
            _ => sessions.sweep_lost().await,
        }
        assert_eq!(world.sessions.recover().await, Ok(0), "{way}");
        for table in [Table::Events, Table::Calls] {
            assert!(world.rows(table).await.is_empty(), "{way}: {table:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn closing_leaves_nothing_running() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let _call = world.adopt_kept(&held, 1).await;
    let _reader = held.listen().await.expect("listening");
    world.sessions.close().await;
    world.pass(Duration::from_millis(10)).await;
    assert_eq!(world.env.tasks_alive_by_name(), []);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_could_not_be_watched_is_watched_for_the_next_caller() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    held.subscribe("mem://a".into()).await.expect("subscribed");
    let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    world.restart().await;
    // Its worker wakes it, and a worker may read nothing.
    world.resources.refuse(true);
    assert!(world.sessions.rebind(attempt.call()).await);
    world.hold(&id).await;
    assert_eq!(world.resources.watched(), ["mem://a"]);

    world.resources.refuse(false);
    let held = world.hold(&id).await;
    assert_eq!(world.resources.watched(), ["mem://a", "mem://a"]);
    world.hold(&id).await;
    assert_eq!(world.resources.watched().len(), 2, "watched once");
    let mut reader = held.listen().await.expect("listening");
    let updated = "notifications/resources/updated";
    assert_eq!(shown(&next(&mut reader).await), "priming");
    assert_eq!(shown(&next(&mut reader).await), updated);
    world.pass(Duration::from_millis(1)).await;
    world.resources.change();
    assert_eq!(shown(&next(&mut reader).await), updated);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_elsewhere_is_claimed_there_even_if_it_only_asked() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (mut reader, first, _) = world.adopt_kept(&held, 1).await;
    first.hand_back();
    world.pass(Duration::from_millis(1)).await;
    let second = world.script.attempt(2);
    second.say(ask("name"));
    let question = next(&mut reader).await;
    drop((reader, held));
    world.restart().await;

    let held = world.hold(&id).await;
    held.answer(request_id(&question), accept())
        .await
        .expect("taken");
    let fed = format!("answer name: {ACCEPT}");
    assert!(second.heard().contains(&fed), "{:?}", second.heard());
    assert!(!first.heard().contains(&fed), "{:?}", first.heard());
}

/// Closes while a session is just waking: its row is not stored yet.
async fn close_while_waking(store_resumes: bool) {
    let mut world = World::new();
    let id = world.open().await;
    world.restart().await;
    world.store.pause();
    let (ann, server) = (ann(), server());
    let hold = world.sessions.hold(&ann, &server, &id);
    let hold = tokio::time::timeout(Duration::from_millis(50), hold);
    let close = tokio::time::timeout(Duration::from_secs(60), world.sessions.close());
    let resume = async {
        world.pass(Duration::from_millis(20)).await;
        if store_resumes {
            world.store.resume();
        }
    };
    let (held, closed, ()) = tokio::join!(hold, close, resume);
    assert_eq!(held.is_ok(), store_resumes);
    assert_eq!(closed, Ok(()), "closed in time");
    assert_eq!(world.sessions.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_hang_on_a_session_that_is_waking() {
    close_while_waking(false).await;
    close_while_waking(true).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_wakes_once_the_node_closes() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
    drop((reader, held));
    world.restart().await;
    world.sessions.close().await;
    assert!(
        world.sessions.rebind(attempt.call()).await,
        "its worker keeps it"
    );
    assert_eq!(
        world.hold_error(&ann(), &server(), &id).await,
        SessionError::Draining
    );
    assert_eq!(world.sessions.live(), 0);
}
