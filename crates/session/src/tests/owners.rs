//! Whose session it is, and how many one may have.

use ostler_protocol::{inbound::Initialize, json::Raw};
use ostler_store::{KeyPrefix, Table, faults::Fault};

use super::world::*;
use crate::{Config, SessionError};

async fn check_unknown(world: &World, id: &str) {
    let foreign = [
        (caller("acme", "bob", "c1"), server()),
        (caller("acme", "ann", "c2"), server()),
        (caller("other", "ann", "c1"), server()),
        (ann(), server_named("strict")),
    ];
    for (caller, server) in foreign {
        let refused = world.hold_error(&caller, &server, id).await;
        assert_eq!(
            refused,
            SessionError::Unknown,
            "{:?} at {server}",
            caller.identity
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_else_finds_a_session_awake_or_asleep() {
    let mut world = World::new();
    let id = world.open().await;
    check_unknown(&world, &id).await;
    world.restart().await;
    check_unknown(&world, &id).await;
    assert_eq!(world.sessions.live(), 0, "nobody wakes another's session");
    world.hold(&id).await;
}

#[tokio::test(start_paused = true)]
async fn ids_that_were_never_given_are_unknown() {
    let world = World::new();
    let id = world.open().await;
    let swapped: String = id
        .chars()
        .map(|c| {
            if c.is_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c
            }
        })
        .collect();
    let long = "A".repeat(16 << 10);
    for bad in ["", "x", &id[1..], &swapped, &format!("{id} "), &long] {
        assert_eq!(
            world.hold_error(&ann(), &server(), bad).await,
            SessionError::Unknown
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_is_unknown_and_its_handles_are_of_no_use() {
    let world = World::new();
    let id = world.open().await;
    let (held, other) = (world.hold(&id).await, world.hold(&id).await);
    let reader = other.listen().await.expect("listening");
    held.end().await.expect("ended");
    assert_eq!(
        world.hold_error(&ann(), &server(), &id).await,
        SessionError::Unknown
    );
    assert_eq!(other.initialized().await, Err(SessionError::Unknown));
    assert_eq!(other.listen().await.map(|_| ()), Err(SessionError::Unknown));
    assert_eq!(all_shown(&rest(reader).await), ["priming"]);
    assert_eq!(
        world.metric("ostler_session_ended_total", &[("by", "client")]),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn a_principal_has_only_so_many_sessions_asleep_or_awake() {
    let mut world = World::with(Config {
        sessions_per_principal_max: 2,
        ..Config::default()
    });
    let first = world.open().await;
    world.open().await;
    assert_eq!(world.try_open().await, Err(SessionError::TooManySessions));
    world.restart().await;
    assert_eq!(world.try_open().await, Err(SessionError::TooManySessions));
    world.hold(&first).await.end().await.expect("ended");
    world.open().await;
}

#[tokio::test(start_paused = true)]
async fn all_principals_of_a_tenant_have_only_so_many_sessions() {
    let mut world = World::with(Config {
        sessions_per_tenant_max: 2,
        ..Config::default()
    });
    let bob = caller("acme", "bob", "c1");
    let open = async |world: &World| {
        let sessions = &world.sessions;
        sessions
            .create(&bob, &server(), &initialize())
            .await
            .map(drop)
    };
    let first = world.open().await;
    open(&world).await.expect("there is room");
    assert_eq!(open(&world).await, Err(SessionError::TooManySessions));
    world.restart().await;
    assert_eq!(open(&world).await, Err(SessionError::TooManySessions));
    world.hold(&first).await.end().await.expect("ended");
    open(&world).await.expect("there is room again");
}

/// Not by whoever comes first after a start, but before.
#[tokio::test(start_paused = true)]
async fn sessions_that_were_counted_are_not_counted_again_to_open_one() {
    let mut world = World::with(Config {
        sessions_per_principal_max: 1,
        ..Config::default()
    });
    world.open().await;
    world.restart().await;
    world.sessions.count().await;
    world.faults.set(Fault::ReadFails);
    assert_eq!(world.try_open().await, Err(SessionError::TooManySessions));
}

#[tokio::test(start_paused = true)]
async fn a_count_that_failed_is_not_tried_again_at_once() {
    let world = World::with(Config {
        sessions_per_principal_max: 1,
        ..Config::default()
    });
    world.open().await;
    world.pass(std::time::Duration::from_secs(10)).await;
    world.faults.set(Fault::ReadFails);
    assert_eq!(world.try_open().await, Err(SessionError::Storage));
    assert_eq!(world.try_open().await, Err(SessionError::TooManySessions));
    world.pass(std::time::Duration::from_secs(10)).await;
    assert_eq!(world.try_open().await, Err(SessionError::Storage));
}

#[tokio::test(start_paused = true)]
async fn expired_sessions_do_not_count() {
    let world = World::with(Config {
        sessions_per_principal_max: 1,
        ..Config::default()
    });
    world.open().await;
    world.pass(std::time::Duration::from_secs(3_600)).await;
    ostler_store::Janitor::new(&world.store)
        .sweep()
        .await
        .expect("swept");
    world.open().await;
    assert_eq!(world.try_open().await, Err(SessionError::TooManySessions));
}

#[tokio::test(start_paused = true)]
async fn what_a_session_keeps_of_its_client_is_bounded() {
    let world = World::new();
    let long = format!(
        "{{\"experimental\":{{\"x\":\"{}\"}}}}",
        "x".repeat(64 << 10)
    );
    let long = Raw::parse(long.into(), 64).unwrap();
    let refused = Initialize {
        capabilities: long.clone(),
        ..initialize()
    };
    let error = world.sessions.create(&ann(), &server(), &refused).await;
    assert!(matches!(error, Err(SessionError::Refused(_))), "{error:?}");

    let shortened = Initialize {
        client_info: long,
        ..initialize()
    };
    let id = world
        .sessions
        .create(&ann(), &server(), &shortened)
        .await
        .expect("opened");
    let held = world.hold(&id).await;
    let uri = format!("mem://{}", "x".repeat(2 << 10));
    let error = held.subscribe(uri).await;
    assert!(matches!(error, Err(SessionError::Refused(_))), "{error:?}");
    let rows = world
        .store
        .scan(&KeyPrefix::table(Table::Sessions), None, 9)
        .await;
    assert!(rows.expect("scanned")[0].1.payload.len() < 1_024);
}
