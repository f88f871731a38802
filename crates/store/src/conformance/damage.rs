//! Records that are not what was written.

use crate::{
    Janitor,
    key::{part_key, parts_prefix},
};

use super::*;

async fn assert_found_damaged(store: &Store, key: &Key, what: &str) {
    let registry = store.env().metrics();
    let count = || registry.value("ostler_store_corrupt_records_total", &[]);
    let before = count().unwrap_or(0.0);
    assert_eq!(store.get(key).await, Ok(None), "{what}");
    settle(store).await;
    assert_eq!(count(), Some(before + 1.0), "{what} is counted");
    assert!(
        rows(store).iter().all(|(row, _)| row != key.as_bytes()),
        "{what} is set aside"
    );
}

/// Setting aside is queued like any commit; an empty one behind it waits for it.
async fn settle(store: &Store) {
    store.commit(Batch::new()).await.expect("it commits");
}

async fn aside_count(store: &Store) -> usize {
    let page = store
        .scan(&KeyPrefix::table(Table::Aside), None, 4_096)
        .await;
    page.expect("it reads").len()
}

pub(super) async fn a_flipped_bit_anywhere_in_a_record_is_found(store: Store) {
    let deadline = Some(store.env().wall() + Duration::from_secs(60));
    let key = |n| key(Table::Sessions, "acme", n);
    put_until(&store, key(0), record(1, 40), deadline).await;
    let head_len = raw(&store, key(0).as_bytes()).len() as u64;
    let mut batch = Batch::new();
    for n in 0..head_len {
        batch.put(key(n), record(1, 40), deadline);
    }
    store.commit(batch).await.expect("it commits");
    for n in 0..head_len {
        let head = raw(&store, key(n).as_bytes());
        scribble(&store, key(n).as_bytes(), Some(flipped(&head, n as usize)));
    }
    let sessions = KeyPrefix::table(Table::Sessions);
    let page = store.scan(&sessions, None, 4_096).await;
    assert_eq!(page, Ok(vec![]), "a flipped bit was not found");
    settle(&store).await;
    assert_eq!(aside_count(&store).await as u64, head_len);
}

pub(super) async fn a_flipped_bit_in_any_part_is_found(store: Store) {
    let long = key(Table::Tasks, "acme", 1);
    for part in 1..=2 {
        put(&store, long.clone(), record(1, 40_000)).await;
        let row = part_key(long.as_bytes(), part);
        let value = raw(&store, &row);
        scribble(&store, &row, Some(flipped(&value, value.len() - 1)));
        assert_found_damaged(&store, &long, &format!("part {part}")).await;
        let parts = parts_prefix(long.as_bytes());
        let left = rows(&store).iter().any(|(row, _)| row.starts_with(&parts));
        assert!(!left, "parts of a record set aside");
    }
}

pub(super) async fn a_lost_part_or_a_row_under_a_wrong_key_is_found(store: Store) {
    let (one, two) = (key(Table::Tasks, "acme", 1), key(Table::Tasks, "acme", 2));
    put(&store, one.clone(), record(1, 40_000)).await;
    scribble(&store, &part_key(one.as_bytes(), 2), None);
    put(&store, two.clone(), record(2, 40)).await;
    let page = store.scan(&KeyPrefix::table(Table::Tasks), None, 1).await;
    let keys: Vec<_> = page
        .expect("it reads")
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        keys,
        std::slice::from_ref(&two),
        "a page goes on behind what is damaged"
    );
    settle(&store).await;

    let moved = raw(&store, two.as_bytes());
    scribble(&store, one.as_bytes(), Some(moved));
    assert_found_damaged(&store, &one, "another key's row").await;
    for torn in [Bytes::new(), raw(&store, two.as_bytes()).slice(..20)] {
        scribble(&store, one.as_bytes(), Some(torn));
        assert_found_damaged(&store, &one, "a torn row").await;
    }
    assert_holds(&store, &two, &record(2, 40)).await;
}

pub(super) async fn a_damaged_record_can_be_overwritten_and_expires(store: Store) {
    let key = key(Table::Tasks, "acme", 1);
    let soon = Some(store.env().wall() + Duration::from_secs(60));
    let damaged = Some(Bytes::from_static(b"no envelope"));
    put_until(&store, key.clone(), record(1, 40_000), soon).await;
    scribble(&store, key.as_bytes(), damaged.clone());
    put(&store, key.clone(), record(2, 10)).await;
    assert_holds(&store, &key, &record(2, 10)).await;

    put_until(&store, key.clone(), record(1, 40_000), soon).await;
    scribble(&store, key.as_bytes(), damaged);
    pass(&store, Duration::from_secs(120)).await;
    let janitor = Janitor::new(&store);
    janitor.sweep().await.expect("it commits");
    assert_eq!(aside_count(&store).await, 1);
    pass(&store, Duration::from_secs(31 * 24 * 3_600)).await;
    janitor.sweep().await.expect("it commits");
    assert_eq!(rows(&store), Rows::new());
}

fn raw(store: &Store, row: &[u8]) -> Bytes {
    let value = store.core().engine.get(row).expect("it reads");
    value.expect("the row is there")
}

fn flipped(value: &Bytes, byte: usize) -> Bytes {
    let mut value = value.to_vec();
    value[byte] ^= 0x10;
    value.into()
}
