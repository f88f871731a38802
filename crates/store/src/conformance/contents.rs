//! Batches, reads, scans, long payloads, bounds.

use crate::{Health, StoreError, key::KEY_BYTES_MAX, record::CHUNK_BYTES};

use super::*;

pub(super) async fn a_batch_reaches_all_its_tables_and_its_last_change_wins(store: Store) {
    let (session, event) = (
        key(Table::Sessions, "acme", 1),
        key(Table::Events, "acme", 1),
    );
    let mut batch = Batch::new();
    batch.put(session.clone(), record(1, 10), None);
    batch.put(event.clone(), record(2, 20_000), None);
    batch.put(event.clone(), record(3, 30), None);
    store.commit(batch).await.expect("it commits");
    assert_holds(&store, &session, &record(1, 10)).await;
    assert_holds(&store, &event, &record(3, 30)).await;
    assert_eq!(rows(&store).len(), 2, "the long event left parts");

    let mut batch = Batch::new();
    batch.put(session.clone(), record(4, 40), None);
    batch.delete(session.clone());
    batch.delete(key(Table::Tasks, "acme", 9));
    batch.put(event.clone(), record(5, 50), None);
    store.commit(batch).await.expect("it commits");
    assert_absent(&store, &session).await;
    assert_holds(&store, &event, &record(5, 50)).await;
    store.commit(Batch::new()).await.expect("nothing is enough");
}

pub(super) async fn a_scan_is_in_order_within_its_prefix_and_pages_to_the_end(store: Store) {
    for n in [3, 1, 300, 2, 256, 255] {
        put(&store, key(Table::Events, "acme", n), record(n, 10)).await;
    }
    // Neighbors on all sides that a scan must not stray into.
    put(&store, key(Table::Events, "acm", 1), record(1, 10)).await;
    put(&store, key(Table::Events, "acmes", 1), record(1, 10)).await;
    put(&store, key(Table::Sessions, "acme", 1), record(1, 10)).await;
    put(&store, key(Table::Calls, "acme", 1), record(1, 10)).await;

    let prefix = Key::new(Table::Events, Shard(7), &tenant("acme")).prefix();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .scan(&prefix, after.as_ref(), 4)
            .await
            .expect("it reads");
        let len = page.len();
        after = page.last().map(|(key, _)| key.clone());
        found.extend(page);
        if len < 4 {
            break;
        }
    }
    let numbers: Vec<_> = found.iter().map(|(key, _)| key.last_u64()).collect();
    assert_eq!(numbers, [1, 2, 3, 255, 256, 300].map(Some));
    assert!(
        found
            .iter()
            .all(|(key, found)| *found == record(key.last_u64().unwrap_or(0), 10))
    );
    let none = store.scan(&prefix, None, 0).await;
    assert_eq!(none, Ok(vec![]));
    let behind = key(Table::Sessions, "zzz", 1);
    let outside = Key::new(Table::Events, Shard(6), &tenant("acme")).prefix();
    assert_eq!(store.scan(&outside, Some(&behind), 9).await, Ok(vec![]));
}

pub(super) async fn payloads_of_any_length_come_back_whole(store: Store) {
    let lengths = [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        3 * CHUNK_BYTES,
        1_000_000,
        4 << 20,
    ];
    for (n, len) in (0..).zip(lengths) {
        put(&store, key(Table::Tasks, "acme", n), record(n, len)).await;
    }
    for (n, len) in (0..).zip(lengths) {
        assert_holds(&store, &key(Table::Tasks, "acme", n), &record(n, len)).await;
    }
    let page = store.scan(&KeyPrefix::table(Table::Tasks), None, 99).await;
    let page = page.expect("it reads");
    assert_eq!(page.len(), lengths.len());
    for ((n, len), (_, found)) in (0..).zip(lengths).zip(page) {
        assert!(found == record(n, len), "length {len}");
    }
    let longest = rows(&store).iter().map(|(_, row)| row.len()).max();
    assert!(longest <= Some(16 << 10), "a row has {longest:?} bytes");
}

pub(super) async fn a_record_leaves_no_rows_when_overwritten_or_deleted(store: Store) {
    let key = key(Table::Tasks, "acme", 1);
    let soon = store.env().wall() + Duration::from_secs(60);
    let row_counts = [(100_000, Some(soon)), (40_000, None), (10, Some(soon))];
    for (len, deadline) in row_counts {
        put_until(&store, key.clone(), record(1, len), deadline).await;
        let expected = len.div_ceil(CHUNK_BYTES) + usize::from(deadline.is_some());
        assert_eq!(rows(&store).len(), expected, "rows of {len} bytes");
        assert_holds(&store, &key, &record(1, len)).await;
    }
    put(&store, key.clone(), record(1, 50_000)).await;
    delete(&store, &key).await;
    assert_eq!(rows(&store), Rows::new());
}

/// Each batch writes the same long payload under two keys; a scan must always find them equal.
pub(super) async fn a_scan_sees_each_batch_whole_while_others_commit(store: Store) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let env = store.env().clone();
    let writer = |writer: u64| {
        let store = store.clone();
        env.spawn("writer", async move {
            for n in 0..EACH {
                let mut batch = Batch::new();
                let record = record(writer * EACH + n, 20_000);
                batch.put(key(Table::Tasks, "acme", 1), record.clone(), None);
                batch.put(key(Table::Tasks, "acme", 2), record.clone(), None);
                batch.put(key(Table::Events, "acme", record.epoch), record, None);
                store.commit(batch).await.expect("it commits");
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(writer).collect();
    let tasks = KeyPrefix::table(Table::Tasks);
    while writers.iter().any(|writer| !writer.is_finished()) {
        let pair = store.scan(&tasks, None, 2).await.expect("it reads");
        assert!(pair.is_empty() || pair[0].1 == pair[1].1, "half a batch");
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("no writer panics");
    }
    let events = store
        .scan(&KeyPrefix::table(Table::Events), None, 4_096)
        .await;
    assert_eq!(events.expect("it reads").len() as u64, WRITERS * EACH);
}

pub(super) async fn what_is_too_large_is_refused_before_anything_is_stored(store: Store) {
    let long_key = key(Table::Tasks, "acme", 1).bytes(&[7; KEY_BYTES_MAX]);
    for (key, len) in [
        (long_key, 1),
        (key(Table::Tasks, "acme", 2), (64 << 20) + 1),
    ] {
        let mut batch = Batch::new();
        batch.put(self::key(Table::Tasks, "acme", 3), record(3, 3), None);
        batch.put(key, record(1, len), None);
        assert_eq!(store.commit(batch).await, Err(StoreError::TooLarge));
    }
    assert_eq!(rows(&store), Rows::new());
    assert_eq!(store.health(), Health::Good);
}

pub(super) async fn a_closed_store_refuses_everything_after_storing_what_was_queued(store: Store) {
    let other = store.clone();
    store.pause();
    let mut batch = Batch::new();
    batch.put(key(Table::Tasks, "acme", 1), record(1, 1), None);
    let queued = store.submit(batch.clone());
    store.close().await;
    queued.await.expect("what was queued before");
    assert_eq!(other.commit(batch).await, Err(StoreError::Closed));
    assert_eq!(other.health(), Health::Closed);
    other.close().await;
}
