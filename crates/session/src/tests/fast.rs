//! Plain calls: nothing is stored, ids are booked.

use ostler_dispatch::CallControl;
use ostler_protocol::{RequestId, call::LogLevel};
use ostler_store::Table;
use ostler_types::CallKind;

use super::world::*;
use crate::{Config, NewRequest, SessionError};

fn request(number: u64) -> NewRequest {
    NewRequest {
        id: RequestId::number(number),
        kind: CallKind::Tool,
        target: "echo".into(),
        progress_token: None,
        control: CallControl::new(),
        task: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_stores_nothing() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (ticket, call) = world.start(&held, 1);
    held.finish(ticket);
    drop(call);
    assert!(world.rows(Table::Calls).await.is_empty());
    assert!(world.rows(Table::Events).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_id_in_flight_is_refused_and_free_again_afterwards() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let ticket = held.begin(request(1)).expect("free");
    assert_eq!(
        held.begin(request(1)).map(|_| ()),
        Err(SessionError::DuplicateId)
    );
    let other_spelling = NewRequest {
        id: RequestId::from_token("\"1\"").unwrap(),
        ..request(1)
    };
    drop(held.begin(other_spelling).expect("another id"));
    held.finish(ticket);
    drop(held.begin(request(1)).expect("free again"));
}

#[tokio::test(start_paused = true)]
async fn an_id_is_taken_until_its_stream_is_complete() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (reader, attempt, _) = world.adopt_kept(&held, 1).await;
    assert_eq!(
        held.begin(request(1)).map(|_| ()),
        Err(SessionError::DuplicateId)
    );
    attempt.end(text("done"));
    rest(reader).await;
    drop(held.begin(request(1)).expect("free again"));
}

#[tokio::test(start_paused = true)]
async fn a_session_has_only_so_many_requests_in_flight() {
    let world = World::with(Config {
        requests_per_session_max: 1,
        ..Config::default()
    });
    let held = world.hold(&world.open().await).await;
    let _ticket = held.begin(request(1)).expect("room");
    let refused = held.begin(request(2)).map(|_| ());
    assert!(
        matches!(refused, Err(SessionError::Busy { .. })),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_plain_call_is_cancelled_at_once() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (_ticket, call) = world.start(&held, 1);
    held.cancelled(RequestId::number(1), None)
        .await
        .expect("taken");
    assert!(call.control().is_cancelled());
    held.cancelled(RequestId::number(9), None)
        .await
        .expect("ignored");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_knows_the_level_of_its_session() {
    let world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    assert_eq!(
        held.begin(request(1)).expect("booked").log_level(),
        LogLevel::Info
    );
    held.set_level(LogLevel::Error).await.expect("set");
    assert_eq!(
        held.begin(request(1)).expect("booked").log_level(),
        LogLevel::Error
    );
}
