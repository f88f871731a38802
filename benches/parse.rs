//! From the bytes of a POST to a checked request, and from a worker's result to a response.

use std::hint::black_box;

use benches::{raw, rows, text};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ostler_protocol::{
    RequestId, Revision,
    inbound::{Field, Headers, parse},
    reply::{Shape, call_result},
};
use ostler_types::{CallKind, Limits};

/// Header lines in a list as short as a client's.
struct Lines(&'static [(&'static str, &'static str)]);

impl Headers for Lines {
    fn all(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let is_it = move |known: &str| known.eq_ignore_ascii_case(field.name());
        let mine = self.0.iter().filter(move |(known, _)| is_it(known));
        mine.map(|(_, value)| value.as_bytes())
    }

    fn params(&self) -> impl Iterator<Item = (&str, &[u8])> {
        std::iter::empty()
    }
}

const MODERN: Lines = Lines(&[
    ("accept", "application/json, text/event-stream"),
    ("content-type", "application/json"),
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "search"),
]);

const LEGACY: Lines = Lines(&[
    ("accept", "application/json, text/event-stream"),
    ("content-type", "application/json"),
    ("mcp-protocol-version", "2025-11-25"),
    (
        "mcp-session-id",
        "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",
    ),
]);

const MODERN_META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"#;

const SIZES: [(&str, usize); 3] = [("300B", 300), ("2KiB", 2 << 10), ("100KiB", 100 << 10)];

fn call(meta: &str, arguments: &str) -> Bytes {
    let head = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","#;
    Bytes::from(format!("{head}{meta}\"arguments\":{arguments}}}}}"))
}

/// Bodies of so many bytes in all, by the shape of their arguments.
fn bodies(meta: &str) -> Vec<(String, Bytes)> {
    let overhead = call(meta, "").len();
    let of_rows = |(name, bytes)| {
        let arguments = format!(r#"{{"rows":{}}}"#, rows(bytes - overhead - 9));
        (format!("rows/{name}"), call(meta, &arguments))
    };
    let mut bodies: Vec<_> = SIZES.map(of_rows).into();
    let arguments = format!(r#"{{"text":"{}"}}"#, text((100 << 10) - overhead - 11));
    bodies.push(("text/100KiB".to_owned(), call(meta, &arguments)));
    bodies
}

fn inbound(c: &mut Criterion) {
    let limits = Limits::default();
    for (era, headers, meta) in [("modern", MODERN, MODERN_META), ("legacy", LEGACY, "")] {
        let mut group = c.benchmark_group(format!("parse/{era}"));
        for (name, body) in bodies(meta) {
            parse(&headers, body.clone(), &limits).expect("a good request");
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_function(name, |b| {
                b.iter(|| parse(&headers, black_box(&body).clone(), &limits))
            });
        }
    }
}

fn outbound(c: &mut Criterion) {
    let server_info = raw(r#"{"name":"calc","version":"1.0.0"}"#.to_owned());
    let id = RequestId::number(7);
    for (era, revision) in [
        ("modern", Revision::LATEST_MODERN),
        ("legacy", Revision::LATEST_LEGACY),
    ] {
        let shape = Shape {
            revision,
            server_info: &server_info,
        };
        let mut group = c.benchmark_group(format!("call_result/{era}"));
        for (name, bytes) in SIZES {
            let content = r#""content":[{"type":"text","text":"see structuredContent"}]"#;
            let rows = rows(bytes - content.len() - 34);
            let result = raw(format!(
                r#"{{{content},"structuredContent":{{"rows":{rows}}}}}"#
            ));
            group.throughput(Throughput::Bytes(result.bytes().len() as u64));
            group.bench_with_input(BenchmarkId::new("rows", name), &result, |b, result| {
                b.iter(|| call_result(&shape, &id, CallKind::Tool, black_box(result)))
            });
        }
    }
}

criterion_group!(benches, inbound, outbound);
criterion_main!(benches);
