//! A record made durable: alone, and together with others; and all of them rewritten.

use benches::{runtime, tenant, text};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::try_join_all;
use ostler_env::Env;
use ostler_store::{Batch, Config, Key, Owner, Record, Store, Table};
use ostler_types::Shard;

/// Keys are used again after so many, so that a fast engine does not fill the memory.
const KEYS: u64 = 1 << 14;

struct Records {
    payload: Bytes,
    next: u64,
}

impl Records {
    fn new() -> Self {
        let payload = text(300).into();
        Self { payload, next: 0 }
    }

    /// A batch with one record.
    fn batch(&mut self) -> Batch {
        self.next = (self.next + 1) % KEYS;
        let record = Record {
            kind: 1,
            version: 1,
            epoch: 1,
            owner: Owner {
                tenant: tenant(),
                principal: [7; 32],
            },
            payload: self.payload.clone(),
        };
        let mut batch = Batch::new();
        let key = Key::new(Table::Events, Shard(1), &tenant()).u64(self.next);
        batch.put(key, record, None);
        batch
    }
}

fn append(c: &mut Criterion, engine: &str, config: &Config) {
    let runtime = runtime();
    let env = Env::system();
    let store = Store::open(config, &env).expect("the store opens");
    let mut records = Records::new();
    let mut group = c.benchmark_group(format!("append/{engine}"));
    for committers in [1, 64] {
        group.throughput(Throughput::Elements(committers as u64));
        let id = BenchmarkId::new("committers", committers);
        group.bench_function(id, |b| {
            b.to_async(&runtime).iter(|| {
                let batches: Vec<_> = (0..committers).map(|_| records.batch()).collect();
                let commits = batches.into_iter().map(|batch| store.commit(batch));
                let all = try_join_all(commits);
                async { all.await.expect("they are stored") }
            });
        });
    }
    group.finish();
    runtime.block_on(store.close());
}

fn memory(c: &mut Criterion) {
    append(c, "memory", &Config::memory());
}

/// On the disk of the build: a place for temporary files may be no disk at all.
fn sled(c: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    append(c, "sled", &Config::sled(dir.path()));
}

fn fjall(c: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    append(c, "fjall", &Config::fjall(dir.path()));
}

/// Commits wait while this runs, so it says for how long.
fn rewrite(c: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    let path = |engine| dir.path().join(engine);
    for (engine, config) in [
        ("sled", Config::sled(path("sled"))),
        ("fjall", Config::fjall(path("fjall"))),
    ] {
        let runtime = runtime();
        let store = Store::open(&config, &Env::system()).expect("the store opens");
        let mut records = Records::new();
        let mut batch = Batch::new();
        for _ in 0..KEYS {
            batch.append(records.batch());
        }
        runtime.block_on(store.commit(batch)).expect("it is stored");
        let mut group = c.benchmark_group("rewrite");
        group.sample_size(10).throughput(Throughput::Elements(KEYS));
        group.bench_function(engine, |b| {
            b.to_async(&runtime)
                .iter(|| async { store.compact().await.expect("it is rewritten") });
        });
        group.finish();
        runtime.block_on(store.close());
    }
}

criterion_group!(benches, memory, sled, fjall, rewrite);
criterion_main!(benches);
