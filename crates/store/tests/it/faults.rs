use std::time::Duration;

use ostler_env::Env;
use ostler_store::{
    Batch, Health, Janitor, Key, Owner, Record, Store, StoreError, Table,
    disk::Disk,
    faults::{self, Fault, Faults},
};
use ostler_types::{Shard, TenantId};

fn store(env: &Env) -> (Store, Faults) {
    faults::memory(env)
}

fn key(n: u64) -> Key {
    let tenant = TenantId::parse("acme").unwrap();
    Key::new(Table::Tasks, Shard(1), &tenant).u64(n)
}

fn put(n: u64, len: usize) -> Batch {
    let record = Record {
        kind: 1,
        version: 1,
        epoch: 1,
        owner: Owner {
            tenant: TenantId::parse("acme").unwrap(),
            principal: [1; 32],
        },
        payload: vec![n as u8; len].into(),
    };
    let mut batch = Batch::new();
    batch.put(key(n), record, None);
    batch
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    store.commit(put(1, 10)).await.unwrap();
    faults.set(Fault::Full);
    assert_eq!(store.commit(put(2, 10)).await, Err(StoreError::Full));
    assert_eq!(store.health(), Health::Full);
    assert!(store.get(&key(1)).await.unwrap().is_some());
    assert!(store.get(&key(2)).await.unwrap().is_none());
    faults.set(Fault::None);
    store.commit(put(2, 10)).await.unwrap();
    assert_eq!(store.health(), Health::Good);
}

#[tokio::test(start_paused = true)]
async fn what_a_full_disk_refused_at_its_sync_is_taken_back() {
    let env = Env::seeded(1);
    let disk = Disk::new(&env);
    let (in_memory, faults) = store(&env);
    let stores: [(Store, &dyn Fn(Fault)); 2] = [
        (in_memory, &|fault| faults.set(fault)),
        (disk.open(&env), &|fault| disk.set(fault)),
    ];
    for (store, set) in stores {
        store.commit(put(1, 10)).await.unwrap();
        let before = faults::rows(&store);
        set(Fault::FullAtSync);
        // A record of several rows, one that replaces another, and a delete.
        let mut batch = put(2, 50_000);
        batch.append(put(1, 50_000));
        assert_eq!(store.commit(batch).await, Err(StoreError::Full));
        assert!(faults::rows(&store) == before, "what was refused is read");
        let mut batch = Batch::new();
        batch.delete(key(1));
        for _ in 0..2 {
            assert_eq!(store.commit(batch.clone()).await, Err(StoreError::Full));
            assert_eq!(store.health(), Health::Full);
        }
        set(Fault::None);
        store.commit(batch).await.unwrap();
        assert_eq!(store.health(), Health::Good);
        assert_eq!(faults::rows(&store), []);
    }
}

#[tokio::test]
async fn a_delete_that_finds_nothing_does_not_say_that_a_full_disk_has_space() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    faults.set(Fault::Full);
    assert_eq!(store.commit(put(1, 10)).await, Err(StoreError::Full));
    let mut batch = Batch::new();
    batch.delete(key(7));
    assert!(store.commit(batch).await.is_ok());
    assert_eq!(store.health(), Health::Full);
}

#[tokio::test]
async fn after_a_failed_sync_no_write_is_taken_again() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    faults.set(Fault::SyncFails);
    let refused = StoreError::Poisoned("the sync failed".into());
    assert_eq!(store.commit(put(1, 10)).await, Err(refused.clone()));
    faults.set(Fault::None);
    assert_eq!(store.commit(put(2, 10)).await, Err(refused));
    assert_eq!(store.health(), Health::Poisoned("the sync failed".into()));
    assert!(store.get(&key(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_queued_behind_a_failed_sync_is_refused_too() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    store.pause();
    // More than one group takes.
    let tickets: Vec<_> = (0..5_000).map(|n| store.submit(put(n, 10))).collect();
    faults.set(Fault::SyncFails);
    store.resume();
    for ticket in tickets {
        assert!(matches!(ticket.await, Err(StoreError::Poisoned(_))));
    }
}

#[tokio::test]
async fn a_failed_read_is_an_error_and_poisons_nothing() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    store.commit(put(1, 10)).await.unwrap();
    faults.set(Fault::ReadFails);
    let failed = StoreError::Unreadable("the read failed".into());
    assert_eq!(store.get(&key(1)).await, Err(failed.clone()));
    assert_eq!(store.commit(put(1, 20)).await, Err(failed));
    faults.set(Fault::None);
    store.commit(put(1, 20)).await.unwrap();
    assert_eq!(store.health(), Health::Good);
}

#[tokio::test]
async fn commits_wait_at_the_bound_and_submits_are_refused_at_twice_it() {
    let env = Env::seeded(1);
    let (store, _faults) = store(&env);
    store.pause();
    let big = || put(1, 12 << 20);
    let mut tickets: Vec<_> = (0..3).map(|_| store.submit(big())).collect();
    let waits = store.clone();
    let waits = env.spawn("waits", async move { waits.commit(put(2, 10)).await });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    tickets.push(store.submit(big()));
    tickets.push(store.submit(big()));
    assert_eq!(store.submit(big()).await, Err(StoreError::Busy));
    store.resume();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    waits.await.unwrap().unwrap();
    assert_eq!(store.health(), Health::Good);
}

#[tokio::test]
async fn a_paused_store_shows_nothing_that_is_not_committed() {
    let env = Env::seeded(1);
    let (store, _faults) = store(&env);
    store.pause();
    let ticket = store.submit(put(1, 10));
    assert!(store.get(&key(1)).await.unwrap().is_none());
    store.resume();
    ticket.await.unwrap();
    assert!(store.get(&key(1)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_store_is_settled_once_all_that_was_queued_is_durable() {
    let env = Env::seeded(1);
    let (store, _) = store(&env);
    store.pause();
    store.settled().await.expect("nothing is queued");
    let queued = store.submit(put(1, 10));
    let mut settled = Box::pin(store.settled());
    let second = env.now() + Duration::from_secs(1);
    assert!(env.until(second, &mut settled).await.is_none());
    store.resume();
    assert_eq!(settled.await, Ok(()));
    queued.await.expect("it commits");
    assert!(store.get(&key(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn an_empty_batch_does_not_say_that_a_full_disk_has_space() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    faults.set(Fault::Full);
    assert_eq!(store.commit(put(1, 10)).await, Err(StoreError::Full));
    assert!(store.commit(Batch::new()).await.is_ok());
    assert_eq!(store.health(), Health::Full);
}

#[tokio::test]
async fn what_a_failed_sync_left_is_never_settled() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    faults.set(Fault::SyncFails);
    drop(store.commit(put(1, 10)).await);
    assert_eq!(
        store.settled().await,
        Err(StoreError::Poisoned("the sync failed".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn that_there_is_space_again_is_found_without_a_writer() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    let janitor = env.spawn("janitor", Janitor::new(&store).run());
    faults.set(Fault::Full);
    assert_eq!(store.commit(put(1, 10)).await, Err(StoreError::Full));
    env.sleep(Duration::from_secs(3)).await;
    assert_eq!(store.health(), Health::Full);
    faults.set(Fault::None);
    env.sleep(Duration::from_secs(3)).await;
    assert_eq!(store.health(), Health::Good);
    assert_eq!(faults::rows(&store), [], "it left something");
    janitor.abort();
    drop(janitor.await);
}

#[tokio::test]
async fn a_slow_sync_acknowledges_nothing_early_and_holds_up_no_read() {
    let env = Env::seeded(1);
    let (store, faults) = store(&env);
    store.commit(put(1, 10)).await.unwrap();
    faults.set(Fault::Slow(Duration::from_secs(3_600)));
    let mut queued = Box::pin(store.commit(put(2, 10)));
    for _ in 0..10 {
        assert!(env.until(env.now(), &mut queued).await.is_none());
        assert!(store.get(&key(1)).await.unwrap().is_some());
    }
    faults.set(Fault::None);
    queued.await.unwrap();
    // It is as slow as it says, and not slower.
    faults.set(Fault::Slow(Duration::from_millis(1)));
    store.commit(put(3, 10)).await.unwrap();
}
