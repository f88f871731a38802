//! The standalone stream.

use std::time::Duration;

use super::world::*;

#[tokio::test(start_paused = true)]
async fn the_newest_listener_wins_and_the_older_is_told_to_come_back() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let older = held.listen().await.expect("listening");
    let mut newer = held.listen().await.expect("listening");
    assert_eq!(all_shown(&rest(older).await), ["priming", "retry"]);
    assert_eq!(shown(&next(&mut newer).await), "priming");
    silent(&mut newer).await;
}

/// In one turn of the session, that is.
#[tokio::test(start_paused = true)]
async fn a_listener_that_comes_as_another_reader_leaves_is_heard_of() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (other, _attempt, _) = world.adopt_kept(&held, 1).await;
    drop(other);
    let mut reader = held.listen().await.expect("listening");
    assert_eq!(shown(&next(&mut reader).await), "priming");
    world
        .catalogs
        .register(&server(), &worker(), offer(&["echo", "a"]));
    assert_eq!(
        shown(&next(&mut reader).await),
        "notifications/tools/list_changed"
    );
}

#[tokio::test(start_paused = true)]
async fn event_ids_differ_in_all_streams_of_a_session() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (_reader, _, call) = world.adopt_kept(&held, 1).await;
    let mut ids = vec![call];
    for _ in 0..2 {
        let mut reader = held.listen().await.expect("listening");
        ids.push(next(&mut reader).await.id.expect("primed"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_changed_list_is_told_once_and_on_no_call_stream() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut call, _attempt, _) = world.adopt_kept(&held, 1).await;
    let mut reader = held.listen().await.expect("listening");
    next(&mut reader).await;
    world
        .catalogs
        .register(&server(), &worker(), offer(&["echo", "a"]));
    world
        .catalogs
        .register(&server(), &worker(), offer(&["echo", "a", "b"]));
    assert_eq!(
        shown(&next(&mut reader).await),
        "notifications/tools/list_changed"
    );
    world.pass(Duration::from_secs(5)).await;
    silent(&mut reader).await;
    silent(&mut call).await;
}

#[tokio::test(start_paused = true)]
async fn updates_of_subscribed_resources_are_told_until_unsubscribed() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let mut reader = held.listen().await.expect("listening");
    next(&mut reader).await;
    held.subscribe("mem://a".into()).await.expect("subscribed");
    world.pass(Duration::from_millis(1)).await;
    world.resources.change();
    assert_eq!(
        shown(&next(&mut reader).await),
        "notifications/resources/updated"
    );
    held.unsubscribe("mem://a".into())
        .await
        .expect("unsubscribed");
    world.pass(Duration::from_millis(1)).await;
    world.resources.change();
    silent(&mut reader).await;
}

#[tokio::test(start_paused = true)]
async fn draining_tells_every_stream_to_come_back_at_its_own_time() {
    let world = World::new();
    let mut readers = Vec::new();
    for _ in 0..20 {
        let held = world.hold(&world.open().await).await;
        readers.push(held.listen().await.expect("listening"));
    }
    world.sessions.drain().await;
    let mut waits = Vec::new();
    for reader in readers {
        let frames = rest(reader).await;
        assert_eq!(all_shown(&frames), ["priming", "retry"]);
        waits.extend(frames[1].retry);
    }
    let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!(*least >= Duration::from_secs(1) && *most <= Duration::from_secs(10));
    assert!(*most - *least > Duration::from_secs(3), "spread out");
    assert!(world.try_open().await.is_err(), "no new sessions");
}
