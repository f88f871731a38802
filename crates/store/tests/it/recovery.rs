//! A disk that does not sync: mended by a rewrite to fresh files, or the end of all writes.

use ostler_env::Env;
use ostler_store::{
    Config, Health, Store, StoreError,
    faults::{self, Fault, Faults},
};
use tempfile::TempDir;

use crate::world::{ENGINES, Engine, assert_holds, fill, key, put};

fn open(engine: Engine, dir: &TempDir, env: &Env) -> (Store, Faults) {
    faults::over(&engine.config(dir.path()), env).unwrap()
}

fn value(env: &Env, name: &str) -> f64 {
    env.metrics().value(name, &[]).unwrap()
}

#[tokio::test]
async fn after_one_failed_sync_what_is_live_is_in_fresh_files_and_nobody_was_refused() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let (store, faults) = open(engine, &dir, &env);
        fill(&store, 0..50, 20_000).await;
        for round in 1..=3 {
            faults.set(Fault::SyncFailsOnce);
            store.pause();
            let tickets: Vec<_> = (0..20)
                .map(|n| store.submit(put(round * 100 + n, 20_000)))
                .collect();
            store.resume();
            for ticket in tickets {
                ticket.await.unwrap();
            }
            assert_eq!(store.health(), Health::Good);
            assert_eq!(value(&env, "ostler_store_sync_errors_total"), round as f64);
            assert_eq!(value(&env, "ostler_store_recoveries_total"), round as f64);
            assert_eq!(value(&env, "ostler_store_writable"), 1.0);
        }
        fill(&store, 50..60, 20_000).await;
        store.close().await;
        let store = engine.must_open(dir.path(), &env);
        assert_holds(&store, 0..60, 20_000, "before and after").await;
        for round in 1..=3 {
            assert_holds(&store, round * 100..round * 100 + 20, 20_000, "during").await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn when_fresh_files_do_not_sync_either_the_store_fails_and_keeps_what_it_acknowledged() {
    for engine in ENGINES {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let (store, faults) = open(engine, &dir, &env);
        fill(&store, 0..50, 20_000).await;
        faults.set(Fault::SyncFails);
        let mut batch = put(100, 20_000);
        batch.append(put(101, 20_000));
        let refused = store.commit(batch).await;
        let failed = StoreError::Poisoned("the sync failed".into());
        assert_eq!(refused, Err(failed.clone()), "{engine:?}");
        assert_eq!(value(&env, "ostler_store_recoveries_total"), 0.0);
        assert_eq!(store.poisoned().await, "the sync failed");
        faults.set(Fault::None);
        assert_eq!(store.commit(put(102, 10)).await, Err(failed));
        assert!(store.compact().await.is_err());
        assert_holds(&store, 0..50, 20_000, "reads go on").await;
        store.close().await;

        let store = engine.must_open(dir.path(), &env);
        assert_holds(&store, 0..50, 20_000, "after a restart").await;
        let first = store.get(&key(100)).await.unwrap();
        let second = store.get(&key(101)).await.unwrap();
        assert_eq!(first.is_some(), second.is_some(), "half a batch");
        store.close().await;
    }
}

#[tokio::test]
async fn a_store_that_takes_writes_has_not_failed() {
    let env = Env::seeded(1);
    let (store, faults) = faults::memory(&env);
    for fault in [Fault::None, Fault::Full, Fault::SyncFailsOnce] {
        faults.set(fault);
        drop(store.commit(put(1, 10)).await);
        let mut failed = Box::pin(store.poisoned());
        let now = env.now();
        assert!(env.until(now, &mut failed).await.is_none(), "{fault:?}");
    }
    assert_eq!(
        Store::open(&Config::memory(), &env).unwrap().health(),
        Health::Good
    );
}
