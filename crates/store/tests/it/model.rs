//! The store against a map: any sequence of commits, reads and reopenings gives the same.

use std::{cell::RefCell, collections::BTreeMap};

use ostler_env::Env;
use ostler_store::{Batch, Config, Key, KeyPrefix, Owner, Record, Store, Table};
use ostler_types::{Shard, TenantId, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::world::Engine;

#[derive(Debug, Clone)]
enum Step {
    /// Puts (with a payload of that length) and deletes of one batch.
    Commit(Vec<(u8, Option<usize>, Option<u64>)>),
    Get(u8),
    Scan {
        after: Option<u8>,
        limit: usize,
    },
    Reopen,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![4 => 0..300_usize, 1 => 15_000..50_000_usize];
    let change = (
        0..24_u8,
        prop::option::weighted(0.7, len),
        prop::option::of(1..9_u64),
    );
    prop_oneof![
        8 => prop::collection::vec(change, 1..6).prop_map(Step::Commit),
        4 => (0..24_u8).prop_map(Step::Get),
        4 => (prop::option::of(0..24_u8), 0..30_usize)
            .prop_map(|(after, limit)| Step::Scan { after, limit }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Compact),
    ]
}

fn key(n: u8) -> Key {
    let tenant = TenantId::parse("acme").unwrap();
    let table = [Table::Sessions, Table::Events, Table::Tasks][usize::from(n % 3)];
    Key::new(table, Shard(n % 2), &tenant).bytes(&[n])
}

fn record(n: u8, len: usize, count: u64) -> Record {
    Record {
        kind: n.into(),
        version: 1,
        epoch: count,
        owner: Owner {
            tenant: TenantId::parse("acme").unwrap(),
            principal: [n; 32],
        },
        payload: vec![n ^ count as u8; len].into(),
    }
}

async fn check(steps: Vec<Step>, env: &Env, open: impl Fn() -> Store) {
    let mut store = open();
    let mut model = BTreeMap::<Key, Record>::new();
    for (count, step) in (0..).zip(steps) {
        match step {
            Step::Commit(changes) => {
                let mut batch = Batch::new();
                for (n, len, hours) in changes {
                    let deadline = hours.map(|n| Timestamp(env.wall().0 + n * 3_600_000));
                    match len.map(|len| record(n, len, count)) {
                        Some(record) => {
                            model.insert(key(n), record.clone());
                            batch.put(key(n), record, deadline);
                        }
                        None => {
                            model.remove(&key(n));
                            batch.delete(key(n));
                        }
                    }
                }
                store.commit(batch).await.unwrap();
            }
            Step::Get(n) => {
                let found = store.get(&key(n)).await.unwrap();
                assert_eq!(found.as_ref(), model.get(&key(n)));
            }
            Step::Scan { after, limit } => scan(&store, &model, after, limit).await,
            Step::Reopen => {
                store.close().await;
                store = open();
            }
            Step::Compact => drop(store.compact().await.unwrap()),
        }
    }
    store.close().await;
}

async fn check_on_disk(steps: Vec<Step>, engine: Engine) {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    check(steps, &env, || engine.must_open(dir.path(), &env)).await;
}

async fn scan(store: &Store, model: &BTreeMap<Key, Record>, after: Option<u8>, limit: usize) {
    let after = after.map(key);
    let prefix = Table::Events;
    let found = store
        .scan(&KeyPrefix::table(prefix), after.as_ref(), limit)
        .await
        .unwrap();
    let expected: Vec<_> = model
        .iter()
        .filter(|(key, _)| key.as_bytes()[0] == prefix as u8)
        .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
        .take(limit)
        .map(|(key, record)| (key.clone(), record.clone()))
        .collect();
    assert!(found == expected, "{} and {}", found.len(), expected.len());
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_a_map(steps in prop::collection::vec(step(), 1..40)) {
        block_on(async {
            let env = Env::seeded(1);
            // Memory forgets at its end, so what is reopened is the same store.
            let steps = steps.into_iter().filter(|step| !matches!(step, Step::Reopen));
            let store = RefCell::new(Some(Store::open(&Config::memory(), &env).unwrap()));
            check(steps.collect(), &env, || store.take().unwrap()).await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn sled_is_a_map_also_across_restarts(steps in prop::collection::vec(step(), 1..40)) {
        block_on(check_on_disk(steps, Engine::Sled));
    }

    #[test]
    fn fjall_is_a_map_also_across_restarts(steps in prop::collection::vec(step(), 1..40)) {
        block_on(check_on_disk(steps, Engine::Fjall));
    }
}
