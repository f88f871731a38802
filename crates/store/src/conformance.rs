//! What every engine must do: one suite, called once per engine. It panics where a store does
//! not do it.
//!
//! Call it under a paused clock: deadlines pass by sleeping.

mod contents;
mod deadlines;
mod damage;

use std::time::Duration;

use bytes::Bytes;

use ostler_types::{Shard, TenantId, Timestamp};

use crate::{
    Batch, Key, KeyPrefix, Owner, Record, Store, Table,
    engine::Rows,
    faults::{rows, scribble},
};

/// Runs all cases, each on a fresh, empty store from `make`.
pub async fn run(make: impl Fn() -> Store) {
    contents::a_batch_reaches_all_its_tables_and_its_last_change_wins(make()).await;
    contents::a_scan_is_in_order_within_its_prefix_and_pages_to_the_end(make()).await;
    contents::payloads_of_any_length_come_back_whole(make()).await;
    contents::a_record_leaves_no_rows_when_overwritten_or_deleted(make()).await;
    contents::a_scan_sees_each_batch_whole_while_others_commit(make()).await;
    contents::what_is_too_large_is_refused_before_anything_is_stored(make()).await;
    contents::a_closed_store_refuses_everything_after_storing_what_was_queued(make()).await;
    deadlines::only_what_has_passed_its_latest_deadline_is_deleted(make()).await;
    deadlines::no_deadline_is_further_away_than_the_bound(make()).await;
    deadlines::the_janitor_deletes_more_than_one_batch(make()).await;
    damage::a_flipped_bit_anywhere_in_a_record_is_found(make()).await;
    damage::a_flipped_bit_in_any_part_is_found(make()).await;
    damage::a_lost_part_or_a_row_under_a_wrong_key_is_found(make()).await;
    damage::a_damaged_record_can_be_overwritten_and_expires(make()).await;
}

/// Runs the cases of an engine that keeps: each call of `open` opens the same store, which is
/// empty at first.
pub async fn run_durable(open: impl Fn() -> Store) {
    let store = open();
    for n in 0..100 {
        put(&store, key(Table::Events, "acme", n), record(n, 700)).await;
    }
    put(&store, key(Table::Tasks, "acme", 1), record(1, 4 << 20)).await;
    let mut queued = Batch::new();
    queued.put(key(Table::Tasks, "acme", 2), record(2, 9), None);
    let ticket = store.submit(queued);
    store.close().await;
    ticket.await.expect("it commits");

    let store = open();
    let events = KeyPrefix::table(Table::Events);
    let page = store.scan(&events, None, 1_000).await.expect("it reads");
    assert_eq!(page.len(), 100, "events after reopening");
    assert_holds(&store, &key(Table::Tasks, "acme", 1), &record(1, 4 << 20)).await;
    assert_holds(&store, &key(Table::Tasks, "acme", 2), &record(2, 9)).await;
    store.close().await;
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("a good label")
}

fn key(table: Table, tenant_name: &str, n: u64) -> Key {
    Key::new(table, Shard(7), &tenant(tenant_name)).u64(n)
}

/// A record that differs from those of other numbers in all fields.
fn record(n: u64, payload_len: usize) -> Record {
    // A prime number of bytes, so that no two chunks are equal.
    let pattern: Vec<u8> = (0..251).map(|i: u64| (i * 31 + n) as u8).collect();
    let mut payload = pattern.repeat(payload_len / pattern.len() + 1);
    payload.truncate(payload_len);
    Record {
        kind: n as u16,
        version: 1,
        epoch: n,
        owner: Owner {
            tenant: tenant("acme"),
            principal: [n as u8; 32],
        },
        payload: payload.into(),
    }
}

async fn put(store: &Store, key: Key, record: Record) {
    put_until(store, key, record, None).await;
}

async fn put_until(store: &Store, key: Key, record: Record, deadline: Option<Timestamp>) {
    let mut batch = Batch::new();
    batch.put(key, record, deadline);
    store.commit(batch).await.expect("it commits");
}

async fn delete(store: &Store, key: &Key) {
    let mut batch = Batch::new();
    batch.delete(key.clone());
    store.commit(batch).await.expect("it commits");
}

async fn assert_holds(store: &Store, key: &Key, record: &Record) {
    let found = store.get(key).await.expect("it reads");
    assert!(found.as_ref() == Some(record), "{key:?} is not as written");
}

async fn assert_absent(store: &Store, key: &Key) {
    let found = store.get(key).await.expect("it reads");
    assert!(found.is_none(), "{key:?} is still there");
}

async fn pass(store: &Store, span: Duration) {
    store.env().sleep(span).await;
}
