//! What an actor costs: a question and its answer, and the turns of a legacy session.

use std::{sync::Arc, time::Duration};

use benches::{Hosted, caller, runtime, server};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use ostler_actor::{Item, Reply, mailbox};
use ostler_auth::KeyRing;
use ostler_dispatch::{CallControl, Dispatcher};
use ostler_env::Env;
use ostler_protocol::{
    RequestId,
    call::LogLevel,
    inbound::{Field, Headers, Inbound, Initialize, parse},
};
use ostler_session::{Config, HeldSession, NewRequest, Sessions};
use ostler_store::Store;
use ostler_task::Tasks;
use ostler_types::{CallKind, Limits};

fn ask(c: &mut Criterion) {
    let runtime = runtime();
    let env = Env::system();
    let (address, mut mailbox) = mailbox::<(), Reply<u64>>(8, 64);
    let actor = async move {
        while let Some(item) = mailbox.next().await {
            if let Item::Data(reply) = item {
                reply.send(7);
            }
        }
    };
    let _entered = runtime.enter();
    drop(env.spawn("bench.actor", actor));
    c.bench_function("turn/ask", |b| {
        b.to_async(&runtime).iter(|| async {
            let deadline = env.now() + Duration::from_secs(10);
            address.ask(&env, deadline, |reply| reply).await
        });
    });
}

struct NoLines;

impl Headers for NoLines {
    fn all(&self, _field: Field) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }

    fn params(&self) -> impl Iterator<Item = (&str, &[u8])> {
        std::iter::empty()
    }
}

fn initialize() -> Initialize {
    let body = br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
    match parse(&NoLines, Bytes::from_static(body), &Limits::default()) {
        Ok(Inbound::Initialize(initialize)) => initialize,
        other => panic!("no initialize: {other:?}"),
    }
}

/// A session in memory over a hub without workers.
fn sessions(env: &Env) -> Sessions {
    let Hosted { hub, catalogs } = Hosted::alone(env);
    let dispatcher = Dispatcher::new(env, hub, catalogs, &Limits::default());
    let store = Store::open(&ostler_store::Config::memory(), env).expect("memory opens");
    let keys = Arc::new(KeyRing::ephemeral(env));
    let tasks = Tasks::new(
        env,
        store.clone(),
        dispatcher.clone(),
        keys.clone(),
        ostler_task::Config::default(),
    );
    let tasks = Arc::new(tasks);
    Sessions::new(env, store, dispatcher, tasks, keys, Config::default())
}

/// What a plain call does to its session: nothing is stored and no actor hears of it.
fn book(session: &HeldSession) {
    let request = NewRequest {
        id: RequestId::number(7),
        kind: CallKind::Tool,
        target: "search".to_owned(),
        progress_token: None,
        control: CallControl::new(),
        task: None,
    };
    let ticket = session.begin(request).expect("the book has room");
    session.finish(ticket);
}

fn session(c: &mut Criterion) {
    let runtime = runtime();
    let env = Env::system();
    let _entered = runtime.enter();
    let (sessions, caller, server) = (sessions(&env), caller(&env), server());
    let id = runtime.block_on(sessions.create(&caller, &server, &initialize()));
    let id = id.expect("a session opens");
    let held = runtime.block_on(sessions.hold(&caller, &server, &id));
    let held = held.expect("it exists");
    c.bench_function("turn/session/hold", |b| {
        b.to_async(&runtime)
            .iter(|| sessions.hold(&caller, &server, &id));
    });
    c.bench_function("turn/session/plain call", |b| b.iter(|| book(&held)));
    c.bench_function("turn/session/set_level", |b| {
        b.to_async(&runtime)
            .iter(|| async { held.set_level(LogLevel::Info).await.expect("it is stored") });
    });
}

criterion_group!(benches, ask, session);
criterion_main!(benches);
