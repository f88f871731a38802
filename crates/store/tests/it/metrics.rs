//! Every metric is seen to move.

use std::time::Duration;

use ostler_env::Env;
use ostler_store::{
    Batch, Janitor, Key, Owner, Record, Store, Table,
    faults::{self, Fault},
};
use ostler_types::{Shard, TenantId};

fn key(n: u64) -> Key {
    let tenant = TenantId::parse("acme").unwrap();
    Key::new(Table::Tasks, Shard(1), &tenant).u64(n)
}

fn put(env: &Env, n: u64, len: usize) -> Batch {
    let record = Record {
        kind: 1,
        version: 1,
        epoch: 1,
        owner: Owner {
            tenant: TenantId::parse("acme").unwrap(),
            principal: [1; 32],
        },
        payload: vec![0; len].into(),
    };
    let mut batch = Batch::new();
    batch.put(key(n), record, Some(env.wall() + Duration::from_secs(1)));
    batch
}

fn value(env: &Env, name: &str) -> f64 {
    env.metrics().value(name, &[]).unwrap()
}

fn errors(env: &Env, kind: &str) -> f64 {
    let errors = env
        .metrics()
        .value("ostler_store_errors_total", &[("kind", kind)]);
    errors.unwrap()
}

#[tokio::test(start_paused = true)]
async fn commits_their_groups_and_their_size_are_counted() {
    let env = Env::seeded(1);
    let (store, _faults) = faults::memory(&env);
    store.pause();
    let tickets = [1, 2, 3].map(|n| store.submit(put(&env, n, 100)));
    assert!(value(&env, "ostler_store_queue_bytes") > 300.0);
    store.resume();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    assert_eq!(value(&env, "ostler_store_commits_total"), 1.0);
    assert_eq!(value(&env, "ostler_store_batches_total"), 3.0);
    // A head and an index entry each.
    assert_eq!(value(&env, "ostler_store_rows_total"), 6.0);
    assert!(value(&env, "ostler_store_bytes_total") > 300.0);
    assert_eq!(value(&env, "ostler_store_commit_seconds_count"), 1.0);
    assert_eq!(value(&env, "ostler_store_queue_bytes"), 0.0);

    env.sleep(Duration::from_secs(2)).await;
    Janitor::new(&store).sweep().await.unwrap();
    assert_eq!(value(&env, "ostler_store_expired_records_total"), 3.0);
}

#[tokio::test]
async fn errors_are_counted_by_kind_and_refusing_writes_shows() {
    let env = Env::seeded(1);
    let (store, faults) = faults::memory(&env);
    let commit = async |store: &Store, len| store.commit(put(&env, 1, len)).await;
    let writable = || value(&env, "ostler_store_writable");
    assert_eq!(writable(), 1.0);

    assert!(commit(&store, 65 << 20).await.is_err());
    assert_eq!(errors(&env, "too_large"), 1.0);
    faults.set(Fault::ReadFails);
    assert!(store.get(&key(1)).await.is_err());
    assert_eq!(errors(&env, "unreadable"), 1.0);
    faults.set(Fault::Full);
    assert!(commit(&store, 1).await.is_err());
    assert_eq!((errors(&env, "full"), writable()), (1.0, 0.0));
    faults.set(Fault::None);
    commit(&store, 1).await.unwrap();
    assert_eq!(writable(), 1.0);
    faults.set(Fault::SyncFails);
    assert!(commit(&store, 1).await.is_err());
    assert_eq!((errors(&env, "poisoned"), writable()), (1.0, 0.0));
}

#[tokio::test]
async fn being_busy_and_closed_are_counted() {
    let env = Env::seeded(1);
    let (store, _faults) = faults::memory(&env);
    store.pause();
    let tickets = [1, 2].map(|n| store.submit(put(&env, n, 40 << 20)));
    drop(tickets);
    assert_eq!(errors(&env, "busy"), 1.0);
    store.clone().close().await;
    assert!(store.commit(put(&env, 1, 1)).await.is_err());
    assert_eq!(errors(&env, "closed"), 1.0);
}
