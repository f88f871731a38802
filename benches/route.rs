//! An admitted call to its outcome: over a worker that answers in place, and over loopback.

use benches::{Hosted, Scripted, caller, raw, runtime, server, text};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use ostler_dispatch::{CallControl, Dispatcher, NewCall, workers::Workers};
use ostler_env::Env;
use ostler_protocol::{Raw, call::CallEvent, facet::ClientFacet};
use ostler_types::{CallKind, Caller, Limits, ServerId, Shard};

/// Who calls what, for many calls.
struct Calls<W: Workers> {
    dispatcher: Dispatcher<W>,
    caller: Caller,
    server: ServerId,
}

impl<W: Workers> Calls<W> {
    fn new(env: &Env, workers: W, hosted: &Hosted) -> Self {
        let catalogs = hosted.catalogs.clone();
        Self {
            dispatcher: Dispatcher::new(env, workers, catalogs, &Limits::default()),
            caller: caller(env),
            server: server(),
        }
    }

    /// The steps of the edge, in its order.
    async fn call(&self, arguments: &Raw) -> Raw {
        let Self {
            dispatcher, caller, ..
        } = self;
        let admitted = dispatcher.admit(caller, &self.server, CallKind::Tool, "echo");
        let admitted = admitted.expect("there is room");
        admitted.check(arguments).await.expect("it fits the schema");
        let call = NewCall {
            id: dispatcher.mint_call_id(Shard(1)),
            arguments: arguments.clone(),
            facet: ClientFacet::default(),
            wants_progress: false,
            answers: Vec::new(),
        };
        let mut call = dispatcher.start(caller, admitted, call, CallControl::new());
        loop {
            if let CallEvent::Outcome(outcome) = call.next().await {
                return outcome.expect("the worker answers");
            }
        }
    }
}

fn arguments(bytes: usize) -> Raw {
    raw(format!(r#"{{"text":"{}"}}"#, text(bytes)))
}

fn route(c: &mut Criterion) {
    let runtime = runtime();
    let env = Env::system();
    let hosted = runtime.block_on(async { Hosted::linked(&env).await });
    let (small, large) = (arguments(300), arguments(100 << 10));
    let result = raw(r#"{"content":[{"type":"text","text":"done"}]}"#.to_owned());
    let scripted = Calls::new(&env, Scripted::answering(result), &hosted);
    let linked = Calls::new(&env, hosted.hub.clone(), &hosted);
    let mut group = c.benchmark_group("route");
    group.throughput(Throughput::Elements(1));
    group.bench_function("in place/300B", |b| {
        b.to_async(&runtime).iter(|| scripted.call(&small));
    });
    group.bench_function("loopback/300B", |b| {
        b.to_async(&runtime).iter(|| linked.call(&small));
    });
    group.bench_function("loopback/100KiB", |b| {
        b.to_async(&runtime).iter(|| linked.call(&large));
    });
    group.throughput(Throughput::Elements(64));
    group.bench_function("loopback/300B, 64 at once", |b| {
        let all = || join_all((0..64).map(|_| linked.call(&small)));
        b.to_async(&runtime).iter(all);
    });
}

criterion_group!(benches, route);
criterion_main!(benches);
