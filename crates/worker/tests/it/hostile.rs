//! What a node that breaks the protocol can do to a worker, and what a careless author can make a
//! worker send. Every entry of the corpus is run by a test named here, or does not concern an SDK.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Full;
use ostler_env::{Env, log::Ear};
use ostler_rpc::worker_v1::{self as wire, to_worker::Frame};
use ostler_types::Instant;
use ostler_worker::{Ctx, LogLevel, Reply, Server, ToolError, Worker, WorkerError};
use prost::Message;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{Request, Response},
    server::NamedService,
};

use crate::hub::{Hub, Link, Running, call_id, dial, spawn};

/// Entries, and the tests of this SDK that run them.
const RUN: &[(&str, &str)] = &[
    (
        "GRPC-001",
        "links::a_refused_credential_ends_the_worker_with_the_reason",
    ),
    (
        "GRPC-002",
        "links::a_refused_credential_ends_the_worker_with_the_reason",
    ),
    (
        "GRPC-005",
        "hostile::a_frame_against_the_rules_ends_the_link_and_nothing_else",
    ),
    (
        "GRPC-006",
        "hostile::what_may_pass_is_waited_for_with_growing_pauses",
    ),
    (
        "GRPC-007",
        "hostile::what_may_pass_is_waited_for_with_growing_pauses",
    ),
    ("GRPC-008", "hostile::what_a_node_does_not_take_is_logged"),
    ("GRPC-012", "hostile::what_a_node_does_not_take_is_logged"),
    ("GRPC-013", "hostile::what_a_node_does_not_take_is_logged"),
    ("GRPC-014", "hostile::what_a_node_does_not_take_is_logged"),
    ("GRPC-016", "hostile::what_a_node_does_not_take_is_logged"),
    (
        "GRPC-018",
        "hostile::frames_about_calls_that_nobody_knows_change_nothing",
    ),
    ("GRPC-019", "hostile::a_node_touches_no_call_of_another"),
    (
        "GRPC-020",
        "hostile::a_call_that_comes_twice_has_one_outcome",
    ),
    (
        "GRPC-021",
        "hostile::a_cancel_that_comes_twice_or_late_ends_a_call_once",
    ),
    ("GRPC-024", "hostile::a_result_that_is_none_is_a_defect"),
    ("GRPC-025", "hostile::line_breaks_leave_escaped"),
    ("GRPC-027", "hostile::depth_is_told_to_the_model"),
    (
        "GRPC-029",
        "hostile::bytes_that_are_no_frame_end_the_link_and_nothing_else",
    ),
    (
        "GRPC-030",
        "asks::a_client_that_cannot_answer_is_named_by_what_it_lacks",
    ),
    (
        "GRPC-031",
        "hostile::bytes_that_are_no_frame_end_the_link_and_nothing_else",
    ),
    ("GRPC-033", "hostile::absurd_numbers_do_no_harm"),
    ("GRPC-035", "hostile::a_defect_stays_in_the_log"),
    ("GRPC-040", "links::a_silent_node_is_left_and_dialled_again"),
    (
        "GRPC-041",
        "hostile::a_node_that_goes_on_and_takes_no_answers_is_left",
    ),
    (
        "GRPC-042",
        "hostile::what_may_pass_is_waited_for_with_growing_pauses",
    ),
    ("GRPC-044", "hostile::a_flood_of_logs_fills_no_link"),
    (
        "GRPC-047",
        "links::a_worker_that_ends_finishes_its_calls_and_takes_no_more",
    ),
    ("CON-004", "hostile::what_a_call_says_is_in_no_log"),
    ("CON-010", "hostile::a_defect_stays_in_the_log"),
];

/// Entries that concern no SDK, or not this one, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("GRPC-003", "a worker sends no metadata but its token"),
    (
        "GRPC-026",
        "results are written from types, which have no such members; raw ones are their author's",
    ),
    (
        "GRPC-034",
        "a process that is killed runs nothing of the SDK",
    ),
    ("GRPC-036", "the node runs it again, at another worker"),
    ("GRPC-037", "it is about workers that are gone"),
    ("CON-006", "nothing is masked"),
    ("CON-007", "services over HTTP are the bridge's"),
    ("CON-008", "services over HTTP are the bridge's"),
    ("CON-009", "processes are the bridge's"),
];

const TESTS: &[(&str, &str)] = &[
    ("asks", include_str!("asks.rs")),
    ("links", include_str!("links.rs")),
    ("hostile", include_str!("hostile.rs")),
];

#[test]
fn no_entry_of_the_corpus_is_forgotten() {
    let corpus = include_str!("../../../node/tests/it/hostile/corpus.jsonl").lines();
    let entries = corpus.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let layered = entries.filter(|it| it["layer"] == "grpc" || it["layer"] == "content");
    let wanted: BTreeSet<_> = layered
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    let said = RUN.iter().chain(NOT_HERE);
    let said: BTreeSet<_> = said.map(|(entry, _)| (*entry).to_owned()).collect();
    assert_eq!(wanted, said);
    for (entry, test) in RUN {
        let (module, name) = test.split_once("::").unwrap();
        let (_, text) = TESTS.iter().find(|(known, _)| *known == module).unwrap();
        assert!(text.contains(&format!("fn {name}(")), "{entry}: {test}");
    }
}

async fn quick(_ctx: Ctx) -> &'static str {
    "quick"
}

async fn wait(ctx: Ctx) -> &'static str {
    ctx.cancelled().await;
    std::future::pending().await
}

fn server() -> Server {
    Server::new("test", "1")
        .tool("quick", "", quick)
        .tool("wait", "", wait)
}

const QUICK: &str = r#"{"content":[{"type":"text","text":"quick"}]}"#;

async fn alive(link: &mut Link) {
    link.call(99, "quick", json!({})).await;
    assert_eq!(link.said().await, format!("outcome 99 {QUICK}"));
}

/// Until the worker has taken in all that was sent, and said nothing to it.
async fn settled(link: &mut Link) {
    link.send(Frame::Ping(wire::Ping { nonce: 1 })).await;
    assert_eq!(link.said().await, "pong 1");
}

fn cancel(id: u64) -> Frame {
    let (call, reason) = (Some(call_id(id)), String::new());
    Frame::Cancel(wire::Cancel { call, reason })
}

// ---- from a node ---------------------------------------------------------------------

/// A node that answers every link with the same, and says when it did.
#[derive(Clone)]
struct Canned {
    answer: Arc<dyn Fn() -> Response<Body> + Send + Sync>,
    asked: mpsc::Sender<Instant>,
    env: Env,
}

impl NamedService for Canned {
    const NAME: &'static str = "ostler.worker.v1.Workers";
}

impl tower::Service<Request<Body>> for Canned {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let now = self.env.now();
        // Nobody counts after the test.
        let _ = self.asked.try_send(now);
        ready(Ok((self.answer)()))
    }
}

/// A worker of such a node, and when it linked.
fn canned(
    answer: impl Fn() -> Response<Body> + Send + Sync + 'static,
) -> (Running, mpsc::Receiver<Instant>) {
    let (wires, incoming) = mpsc::channel(16);
    let (asked, links) = mpsc::channel(64);
    let node = Canned {
        answer: Arc::new(answer),
        asked,
        env: Env::seeded(0),
    };
    let serve = tonic::transport::Server::builder()
        .add_service(node)
        .serve_with_incoming(ReceiverStream::new(incoming));
    spawn(async { serve.await.unwrap() });
    let worker = Worker::new("http://hub").serve("default", "test", server());
    let worker = worker.env(Env::seeded(1)).dial_with(dial(wires));
    (Running::start(worker), links)
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_waited_for_with_growing_pauses() {
    for code in [
        Code::Aborted,
        Code::AlreadyExists,
        Code::ResourceExhausted,
        Code::Unavailable,
    ] {
        let (_running, mut links) = canned(move || Status::new(code, "not now").into_http());
        let mut before = links.recv().await.unwrap();
        for full in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let now = links.recv().await.unwrap();
            let pause = now.since(before).as_millis();
            assert!(
                (full / 2..=full + 10).contains(&pause),
                "{code}: {pause} of {full}"
            );
            before = now;
        }
    }
}

/// One gRPC message; `flag` says whether it is compressed.
fn message(flag: u8, len: usize, bytes: &[u8]) -> Bytes {
    let len = u32::try_from(len).unwrap().to_be_bytes();
    [&[flag], &len[..], bytes].concat().into()
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frame_end_the_link_and_nothing_else() {
    let refusal = wire::EntryRefusal {
        name: "no text".into(),
        ..Default::default()
    };
    let welcome = wire::Welcome {
        protocol: 1,
        refusals: vec![refusal],
        ..Default::default()
    };
    let frame = Some(Frame::Welcome(welcome));
    let mut bad_text = wire::ToWorker { frame }.encode_to_vec();
    let at = bad_text.windows(7).position(|it| it == b"no text");
    bad_text[at.unwrap()] = 0xff;
    let large = (256 << 10) + 1;
    let cases = [
        ("gzip", message(1, 5, b"bomb!"), "gzip"),
        ("identity", message(0, bad_text.len(), &bad_text), "UTF-8"),
        ("identity", message(0, 3, b"\xff\xff\xff"), "varint"),
        ("identity", message(0, large, &vec![0; large]), "too large"),
    ];
    for (encoding, bytes, why) in cases {
        let ear = Ear::listen();
        let (_running, mut links) = canned(move || {
            let answer = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-encoding", encoding);
            answer.body(Body::new(Full::new(bytes.clone()))).unwrap()
        });
        for _ in 0..2 {
            links.recv().await.unwrap();
        }
        assert!(ear.heard().contains(why), "{why}: {}", ear.heard());
    }
}

fn part(transfer: u64, len: usize) -> Frame {
    let data = vec![0; len].into();
    Frame::Part(wire::Part { transfer, data })
}

#[tokio::test(start_paused = true)]
async fn a_frame_against_the_rules_ends_the_link_and_nothing_else() {
    let not_open = wire::Call {
        call: Some(call_id(1)),
        target: "quick".into(),
        arguments: Some(wire::Payload {
            transfer: 5,
            ..Default::default()
        }),
        ..Default::default()
    };
    let protocol = 1;
    let welcome = wire::Welcome {
        protocol,
        ..Default::default()
    };
    for frame in [
        Frame::Welcome(welcome),
        part(0, 1),
        part(1, 0),
        part(1, (64 << 10) + 1),
        Frame::Cancel(wire::Cancel::default()),
        Frame::Call(wire::Call::default()),
        Frame::Call(not_open),
    ] {
        let mut hub = Hub::new();
        let (_running, mut link) = hub.start(hub.worker(server())).await;
        link.send(frame).await;
        assert_eq!(link.said().await, "end");
        alive(&mut hub.linked().await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_node_does_not_take_is_logged() {
    let ear = Ear::listen();
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    let refusal = wire::EntryRefusal {
        server: 0,
        kind: "tool".into(),
        name: "quick".into(),
        reason: "its schema looks elsewhere".into(),
    };
    let (server, refusals) = (0, vec![refusal]);
    link.send(Frame::CatalogTaken(wire::CatalogTaken { server, refusals }))
        .await;
    settled(&mut link).await;
    assert!(ear.heard().contains("its schema looks elsewhere"));
}

#[tokio::test(start_paused = true)]
async fn frames_about_calls_that_nobody_knows_change_nothing() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    let call = Some(call_id(77));
    let (calls, attempt) = (vec![call_id(77)], 1);
    let (server, uri) = (9, "a:b".to_owned());
    for frame in [
        Frame::Keep(wire::Keep { call }),
        cancel(77),
        Frame::Forget(wire::Forget { call, attempt }),
        Frame::Recorded(wire::Recorded { calls }),
        Frame::Watch(wire::Watch {
            server,
            uri: uri.clone(),
        }),
        Frame::Unwatch(wire::Unwatch { server, uri }),
        Frame::Drain(wire::Drain {}),
    ] {
        link.send(frame).await;
    }
    link.answer(77, "k", json!({})).await;
    settled(&mut link).await;
    alive(&mut link).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_touches_no_call_of_another() {
    let mut hub = Hub::new();
    let worker = hub.worker(server()).hub("http://hub");
    let (_running, mut first) = hub.start(worker).await;
    let mut second = hub.linked().await;
    first.call(1, "wait", json!({})).await;
    assert_eq!(first.said().await, "started 1");
    let call = Some(call_id(1));
    second.send(cancel(1)).await;
    second.send(Frame::Keep(wire::Keep { call })).await;
    settled(&mut second).await;
    settled(&mut first).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_twice_has_one_outcome() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "wait", json!({})).await;
    assert_eq!(link.said().await, "started 1");
    link.call(1, "quick", json!({})).await;
    assert_eq!(link.said().await, format!("outcome 1 {QUICK}"));
    settled(&mut link).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_comes_twice_or_late_ends_a_call_once() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "wait", json!({})).await;
    assert_eq!(link.said().await, "started 1");
    link.send(cancel(1)).await;
    link.send(cancel(1)).await;
    assert_eq!(link.said().await, "outcome 1 FAILURE_KIND_CANCELLED ");
    link.send(cancel(1)).await;
    settled(&mut link).await;
}

#[tokio::test(start_paused = true)]
async fn depth_is_told_to_the_model() {
    let mut hub = Hub::new();
    let any = |_ctx: Ctx, _args: Value| async { "" };
    let (_running, mut link) = hub.start(hub.worker(server().tool("any", "", any))).await;
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    link.call_with(1, "any", json!({}), |call| {
        let (inline, transfer) = (deep.into(), 0);
        call.arguments = Some(wire::Payload { inline, transfer });
    })
    .await;
    let said = link.said().await;
    assert!(
        said.contains("recursion") && said.contains("isError"),
        "{said}"
    );
    alive(&mut link).await;
}

async fn left(ctx: Ctx) -> String {
    ctx.progress(f64::NAN, None, None);
    ctx.progress(1.0, Some(f64::INFINITY), None);
    ctx.time_left().is_some().to_string()
}

#[tokio::test(start_paused = true)]
async fn absurd_numbers_do_no_harm() {
    let mut hub = Hub::new();
    let _running = Running::start(hub.worker(server().tool("left", "", left)));
    let mut link = hub.attached().await;
    link.welcome_with(u64::MAX, u32::MAX).await;
    let bytes = u64::MAX;
    link.send(Frame::Grant(wire::Grant { bytes })).await;
    link.call_with(1, "left", json!({}), |call| {
        (call.time_left_ms, call.attempt) = (u64::MAX, u32::MAX);
        call.wants_progress = true;
    })
    .await;
    let wanted = r#"outcome 1 {"content":[{"type":"text","text":"true"}]}"#;
    assert_eq!(link.said().await, wanted);
    for capacity in [0, 100_001, u32::MAX] {
        let ended = Running::start(hub.worker(server()).capacity(capacity));
        assert!(matches!(ended.ended().await, Err(WorkerError::BadCapacity)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_on_and_takes_no_answers_is_left() {
    let ping = || Frame::Ping(wire::Ping { nonce: 1 });
    let call = || {
        Frame::Call(wire::Call {
            call: Some(call_id(1)),
            target: "nothing".into(),
            kind: wire::CallKind::Tool.into(),
            ..Default::default()
        })
    };
    let floods: [fn() -> Frame; 2] = [ping, call];
    for frame in floods {
        let mut hub = Hub::new();
        let (_running, link) = hub.start(hub.worker(server()).capacity(1)).await;
        let mut next = loop {
            tokio::select! {
                biased;
                next = hub.attached() => break next,
                // May wait for ever: nobody reads the link that was left.
                _ = link.offer(frame()) => {}
            }
        };
        next.welcome().await;
        alive(&mut next).await;
    }
}

// ---- from an author ------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_result_that_is_none_is_a_defect() {
    let ear = Ear::listen();
    let mut hub = Hub::new();
    let bad = |_ctx: Ctx| async { Reply::of(&[1]) };
    let (_running, mut link) = hub.start(hub.worker(server().tool("bad", "", bad))).await;
    link.call(1, "bad", json!({})).await;
    let wanted = "outcome 1 FAILURE_KIND_INTERNAL the handler failed";
    assert_eq!(link.said().await, wanted);
    assert!(ear.heard().contains("a result is a JSON object"));
}

#[tokio::test(start_paused = true)]
async fn line_breaks_leave_escaped() {
    let mut hub = Hub::new();
    let lines = |_ctx: Ctx| async { "a\r\nb\n\ndata: c" };
    let (_running, mut link) = hub
        .start(hub.worker(server().tool("lines", "", lines)))
        .await;
    link.call(1, "lines", json!({})).await;
    let said = link.said().await;
    assert!(said.contains(r"a\r\nb\n\ndata: c"), "{said}");
}

const SECRET: &str = "panicked at db.rs:7: SELECT * FROM users WHERE token='eyJhbGci'";

async fn panics(_ctx: Ctx) {
    panic!("{SECRET}")
}

#[tokio::test(start_paused = true)]
async fn a_defect_stays_in_the_log() {
    let ear = Ear::listen();
    let mut hub = Hub::new();
    let fails = |_ctx: Ctx| async { Err::<(), _>(ToolError::Internal(SECRET.to_owned())) };
    let server = server().tool("fails", "", fails).tool("panics", "", panics);
    let (_running, mut link) = hub.start(hub.worker(server)).await;
    for (tool, told) in [("fails", "failed"), ("panics", "panicked")] {
        link.call(1, tool, json!({})).await;
        let wanted = format!("outcome 1 FAILURE_KIND_INTERNAL the handler {told}");
        assert_eq!(link.said().await, wanted);
    }
    assert_eq!(ear.heard().matches(SECRET).count(), 2);
    alive(&mut link).await;
}

async fn flood(ctx: Ctx) {
    for _ in 0..10_000 {
        ctx.log(LogLevel::Info, "AKIAIOSFODNN7EXAMPLE".repeat(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_logs_fills_no_link() {
    let mut hub = Hub::new();
    let server = server().tool("flood", "", flood);
    let (_running, mut link) = hub.start(hub.worker(server)).await;
    link.call(1, "flood", json!({})).await;
    let mut lines = 0;
    while link.said().await.starts_with("log") {
        lines += 1;
    }
    assert!((100..1_000).contains(&lines), "{lines}");
}

const CARD: &str = "4111111111111111";

async fn pay(ctx: Ctx, args: Value) -> Result<String, ToolError> {
    ctx.log(LogLevel::Info, &args);
    match args["card"].as_str() {
        Some(CARD) => Ok(args.to_string()),
        _ => Err(ToolError::failed(args)),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_call_says_is_in_no_log() {
    let ear = Ear::listen();
    let mut hub = Hub::new();
    let worker = hub.worker(server().tool("pay", "", pay));
    let (mut running, mut link) = hub.start(worker.token(format!("t{CARD}"))).await;
    for args in [json!({"card": CARD}), json!({"card": [CARD]}), json!(CARD)] {
        link.call(1, "pay", args).await;
        while !link.said().await.starts_with("outcome") {}
    }
    running.shut_down();
    assert_eq!(link.said().await, "leaving");
    drop(link);
    assert!(running.ended().await.is_ok());
    assert!(ear.heard().contains("linked"));
    assert!(!ear.heard().contains(CARD), "{}", ear.heard());
}
