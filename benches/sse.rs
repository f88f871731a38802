//! One message as an event, and one change told to many streams.

use std::hint::black_box;

use benches::text;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ostler_protocol::{RequestId, notify, sse};

const URI: &str = "file:///srv/reports/2026/q3.md";
/// As long as an event id is.
const EVENT_ID: &str = "AAAAAAAAAAEAAAAAAAAAAQAAAAAAAAAqx7mW0J9fJqkqB1o2c3d4eQ";
const STREAMS: usize = 1_000;

fn framing(c: &mut Criterion) {
    let mut group = c.benchmark_group("sse/event");
    for (name, bytes) in [("300B", 300), ("100KiB", 100 << 10)] {
        let data = text(bytes).into_bytes();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |b| {
            b.iter(|| sse::event(Some(EVENT_ID), black_box(&data)))
        });
    }
}

/// Each listen of the modern era gets a message of its own: it carries the listen's id.
fn to_listens() -> Vec<Bytes> {
    let told = (0..STREAMS as u64).map(|n| {
        let message = notify::resource_updated(URI, Some(&RequestId::number(n)));
        sse::event(None, &message)
    });
    told.collect()
}

/// Legacy sessions get the same message, each under an event id of its own.
fn to_sessions() -> Vec<Bytes> {
    let message = notify::resource_updated(URI, None);
    let told = (0..STREAMS).map(|_| sse::event(Some(black_box(EVENT_ID)), &message));
    told.collect()
}

fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("sse/fan out");
    group.throughput(Throughput::Elements(STREAMS as u64));
    group.bench_function("modern", |b| b.iter(to_listens));
    group.bench_function("legacy", |b| b.iter(to_sessions));
}

criterion_group!(benches, framing, fan_out);
criterion_main!(benches);
