//! Rows that verify and are still not to be believed.

use std::time::Duration;

use ostler_protocol::{Revision, json::Raw};
use ostler_store::{Batch, Key, Owner, Record, Table};
use ostler_types::Timestamp;

use super::world::*;
use crate::{
    SessionError,
    record::{self, Opening, SessionRow},
};

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn the_row(world: &World, table: Table) -> (Key, Record) {
    let mut keys = world.rows(table).await;
    let key = keys.pop().expect("there is one");
    let record = world.store.get(&key).await.expect("it reads");
    (key, record.expect("it is stored"))
}

async fn put(world: &World, key: Key, record: Record) {
    let mut batch = Batch::new();
    batch.put(key, record, None);
    world.store.commit(batch).await.expect("it commits");
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_record_names_another_owner_is_unknown() {
    let mut world = World::new();
    let id = world.open().await;
    let (key, mut record) = the_row(&world, Table::Sessions).await;
    record.owner.principal = [0; 32];
    put(&world, key, record).await;
    world.restart().await;
    let error = world.hold_error(&ann(), &server(), &id).await;
    assert_eq!(error, SessionError::Unknown);
    assert_eq!(
        world.metric("ostler_session_rows_unreadable_total", &[]),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_record_names_another_owner_is_a_gap() {
    let mut world = World::new();
    let id = world.open().await;
    let held = world.hold(&id).await;
    let (reader, attempt, first) = world.adopt_kept(&held, 1).await;
    attempt.end(text("done"));
    rest(reader).await;
    drop(held);
    let (key, mut record) = the_row(&world, Table::Events).await;
    record.owner.principal = [0; 32];
    put(&world, key, record).await;
    world.restart().await;
    let resumed = world.hold(&id).await.resume(&first).await;
    assert!(matches!(resumed, Err(SessionError::ResumeGap { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_session_from_the_year_9999_ends_in_its_time() {
    let mut world = World::new();
    let id = world.open().await;
    let (key, _) = the_row(&world, Table::Sessions).await;
    let caller = ann();
    let mut row = SessionRow::new(&Opening {
        server: &server().name,
        principal: caller.principal(),
        revision: Revision::V2025_11_25,
        capabilities: &Raw::from_static("{}"),
        client_info: &Raw::from_static("{}"),
        now: Timestamp(253_402_300_799_000),
    });
    row.epoch = 1;
    let owner = Owner::new(&server().tenant, caller.principal());
    put(&world, key, record::encode(&row, 1, &owner)).await;
    world.restart().await;
    drop(world.hold(&id).await);
    world.pass(DAY).await;
    let error = world.hold_error(&ann(), &server(), &id).await;
    assert_eq!(error, SessionError::Unknown);
}
