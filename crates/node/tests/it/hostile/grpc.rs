//! Layers grpc and content: workers that break the rules, and what their clients get. What needs no
//! client to be seen is in the tests of `hub` and `catalog`.

use bytes::Bytes;
use ostler_rpc::worker_v1::{
    self as wire, FromWorker, from_worker::Frame as From, outcome::Outcome,
};
use ostler_testkit::{Door, Modern, Response, Script, Sent, Session, TestNode, m_ok, soon};
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tonic::Code;

use super::store::contents;
use crate::{
    raw::{Worker, hello, inline},
    world::text,
};

/// Entries with a test of their own.
pub const SINGLE: &[&str] = &[
    "GRPC-024", "GRPC-026", "GRPC-027", "GRPC-029", "GRPC-031", "GRPC-034", "GRPC-041", "GRPC-047",
    "CON-004", "CON-010",
];

async fn say(door: &Door, arguments: Value) -> Sent {
    door.begin(&Modern::call("say", arguments).to(door)).await
}

/// The end of a request, in whatever form.
async fn ended(sent: Sent) -> Response {
    sent.head().await.finish().await
}

fn items(count: usize) -> String {
    let items = vec![r#"{"type":"text","text":""}"#; count].join(",");
    format!(r#"{{"content":[{items}]}}"#)
}

/// Results that are none, and the code that their clients get.
fn bad_results() -> Vec<(&'static str, String, i64)> {
    let deep = format!(
        r#"{{"content":[],"x":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let twice = r#"{"resultType":"complete","resultType":"input_required","content":[]}"#;
    vec![
        ("GRPC-024", "[]".to_owned(), -31006),
        ("GRPC-024", r#"{"foo":1}"#.to_owned(), -31006),
        ("GRPC-024", r#"{"content":"text"}"#.to_owned(), -31006),
        ("GRPC-026", twice.to_owned(), -31006),
        (
            "GRPC-026",
            r#"{"resultType":"input_required","content":[]}"#.to_owned(),
            -31006,
        ),
        (
            "GRPC-026",
            r#"{"resultType":"weird","content":[]}"#.to_owned(),
            -31006,
        ),
        ("GRPC-027", deep, -31006),
        ("GRPC-027", items(10_001), -31005),
    ]
}

#[tokio::test]
async fn a_result_that_is_none_fails_its_call_and_nothing_else() {
    let node = TestNode::anonymous().await;
    let mut worker = Worker::link(&node, hello("raw", "say")).await;
    let door = node.door();
    let session = Session::open(&door, json!({})).await;
    for (id, (entry, result, code)) in (1..).zip(bad_results()) {
        let requests = [
            Modern::call("say", json!({})).to(&door),
            session.call(id, "say", json!({})),
        ];
        for request in requests {
            let sent = door.begin(&request).await;
            let call = worker.call().await;
            worker.result(&call, result.clone()).await;
            let response = ended(sent).await;
            assert_eq!(response.status, 200, "{entry}");
            assert_eq!(response.code(), code, "{entry}: {}", response.text());
        }
    }
    let sent = say(&door, json!({})).await;
    let call = worker.call().await;
    worker.result(&call, items(10_000)).await;
    let content = ended(sent).await.json()["result"]["content"].clone();
    assert_eq!(content.as_array().map(Vec::len), Some(10_000));
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

/// A message of gRPC: a flag, a length, and what may be something else.
fn message(flag: u8, len: u32, bytes: &[u8]) -> Vec<u8> {
    [&[flag], &len.to_be_bytes()[..], bytes].concat()
}

fn whole(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("a small message");
    message(0, len, bytes)
}

/// Links with this as the worker's side of the stream, and gives the status it ends with.
async fn attach(node: &TestNode, encoding: Option<&str>, body: Vec<u8>) -> Code {
    let socket = TcpStream::connect(node.workers).await;
    let dialed = h2::client::handshake(socket.expect("the node listens")).await;
    let (mut send, connection) = dialed.expect("it speaks HTTP/2");
    let mut head = http::Request::post("http://node/ostler.worker.v1.Workers/Attach")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(encoding) = encoding {
        head = head.header("grpc-encoding", encoding);
    }
    let head = head.body(()).expect("a request");
    let status = async {
        let (response, mut stream) = send.send_request(head, false).expect("a stream");
        let body = Bytes::from(body);
        stream.send_data(body, false).expect("it is taken");
        let response = response.await.expect("a response");
        let at_once = response.headers().get("grpc-status").cloned();
        let mut body = response.into_body();
        while let Some(data) = body.data().await {
            drop(data.expect("the stream goes on"));
        }
        let trailers = body.trailers().await.expect("it ends in order");
        let at_last = trailers.and_then(|trailers| trailers.get("grpc-status").cloned());
        at_once.or(at_last).expect("a status")
    };
    let status = async {
        tokio::select! {
            status = status => status,
            ended = connection => panic!("the node closed the connection: {ended:?}"),
        }
    };
    Code::from_bytes(soon("the end of a link", status).await.as_bytes())
}

/// GRPC-029: nothing is inflated, whatever it would be. GRPC-031: before and after `Hello`.
#[tokio::test]
async fn bytes_that_are_no_frame_end_their_link_and_nothing_else() {
    let node = TestNode::anonymous().await;
    let _worker = node.worker(&Script::new()).await;
    let bomb = [&[0x1f, 0x8b, 8, 0][..], &[0; 10_240]].concat();
    let len = u32::try_from(bomb.len()).expect("a small message");
    // `Hello.worker_id` and `Progress.message`.
    let bad_id = [0x0a, 4, 0x1a, 2, 0xc3, 0x28];
    let bad_progress = [0x22, 4, 0x2a, 2, 0xc3, 0x28];
    let good = FromWorker::from(From::Hello(hello("raw", "say"))).encode_to_vec();
    let invalid = Code::InvalidArgument;
    for (entry, encoding, body, code) in [
        (
            "GRPC-029",
            Some("gzip"),
            message(1, len, &bomb),
            Code::Unimplemented,
        ),
        ("GRPC-029", None, message(1, len, &bomb), invalid),
        ("GRPC-029", None, message(0, 1 << 30, &bomb), invalid),
        ("GRPC-031", None, whole(&bad_id), invalid),
        (
            "GRPC-031",
            None,
            [whole(&good), whole(&bad_progress)].concat(),
            invalid,
        ),
    ] {
        let told = attach(&node, encoding, body).await;
        assert_eq!(told, code, "{entry} {encoding:?}");
        assert_eq!(text(&m_ok().result(&node.door()).await), "hi");
    }
    node.stop().await;
}

/// GRPC-034. Its frame was handed over, so it may have run, whatever its worker did not say
/// (design.md 4.2): it is not run at another.
#[tokio::test]
async fn a_call_of_a_worker_that_dies_without_a_word_may_have_run() {
    let node = TestNode::anonymous().await;
    let door = node.door();
    let mut dies = Worker::link(&node, hello("dies", "say")).await;
    let lost = say(&door, json!({"n": 1})).await;
    dies.call().await;
    let mut stays = Worker::link(&node, hello("stays", "say")).await;
    drop(dies);
    let lost = ended(lost).await.json();
    assert_eq!(lost["error"]["code"], -31003, "{lost}");
    assert_eq!(lost["error"]["data"]["executed"], "unknown", "{lost}");
    let next = say(&door, json!({"n": 2})).await;
    let call = stays.call().await;
    assert_eq!(call.arguments, inline(r#"{"n":2}"#));
    stays.result(&call, r#"{"content":[]}"#).await;
    assert_eq!(ended(next).await.code(), 0);
    node.stop().await;
}

/// GRPC-041, and that the words of GRPC-044 are in no metric.
#[tokio::test]
async fn a_flooding_worker_is_cut_off_and_its_neighbor_serves() {
    let node = TestNode::with(|config| config.workers.hub.chatter_per_second_max = 400).await;
    let _neighbor = node.worker(&Script::new()).await;
    let mut floods = Worker::link(&node, hello("floods", "say")).await;
    let secret = "AKIAIOSFODNN7EXAMPLE";
    let log = wire::Log {
        call: Some(wire::CallId { hi: 1, lo: 1 }),
        attempt: 1,
        data: inline(format!("\"{secret}{}\"", "x".repeat(1_000))),
        ..wire::Log::default()
    };
    let flood = async {
        while floods.try_say(From::Log(log.clone())).await {}
        floods.end().await
    };
    let door = node.door();
    let neighbor = async {
        for _ in 0..50 {
            assert_eq!(text(&m_ok().result(&door).await), "hi");
        }
    };
    let (end, ()) = tokio::join!(soon("the end of a flood", flood), neighbor);
    assert_eq!(end, Code::ResourceExhausted);
    let overdrawn = [("reason", "overdrawn")];
    let cut = node.metric("ostler_hub_links_ended_total", &overdrawn);
    assert_eq!(cut, 1.0);
    assert!(!node.env.metrics().render().contains(secret));
    node.stop().await;
}

/// GRPC-047.
#[tokio::test]
async fn a_leaving_worker_finishes_fifty_calls_and_gets_no_more() {
    let node = TestNode::anonymous().await;
    let door = node.door();
    let mut leaves = Worker::link(&node, hello("leaves", "say")).await;
    let (mut sent, mut calls) = (Vec::new(), Vec::new());
    for n in 0..50 {
        sent.push(say(&door, json!({"n": n})).await);
        calls.push(leaves.call().await);
    }
    let mut stays = Worker::link(&node, hello("stays", "say")).await;
    leaves.say(From::Leaving(wire::Leaving {})).await;
    leaves.settle().await;
    for n in 50..60 {
        let new = say(&door, json!({"n": n})).await;
        let call = stays.call().await;
        stays.result(&call, r#"{"content":[]}"#).await;
        assert_eq!(ended(new).await.code(), 0, "{n}");
    }
    for call in calls {
        leaves.result(&call, r#"{"content":[]}"#).await;
    }
    for sent in sent {
        let response = ended(sent).await;
        assert_eq!(response.code(), 0, "{}", response.text());
    }
    node.stop().await;
}

/// What a worker that fell may say of it.
const TRACE: &str = "panicked at /srv/app/src/db.rs:7: SELECT * FROM users WHERE token='eyJhbGci'";

/// CON-010.
#[tokio::test]
async fn clients_are_not_told_how_a_worker_fell() {
    let node = TestNode::anonymous().await;
    let mut worker = Worker::link(&node, hello("raw", "say")).await;
    let door = node.door();
    let session = Session::open(&door, json!({})).await;
    let requests = [
        Modern::call("say", json!({})).to(&door),
        session.call(1, "say", json!({})),
    ];
    for request in requests {
        let sent = door.begin(&request).await;
        let call = worker.call().await;
        let failure = wire::Failure {
            kind: wire::FailureKind::Internal.into(),
            message: TRACE.to_owned(),
            ..wire::Failure::default()
        };
        worker.outcome(&call, Outcome::Failure(failure)).await;
        let response = ended(sent).await;
        assert_eq!((response.status, response.code()), (200, -32603));
        let error = &response.json()["error"];
        assert_eq!(error["message"], "internal error", "{error}");
        assert_eq!(error.get("data"), None, "{error}");
    }
    assert!(!node.env.metrics().render().contains("/srv"));
    assert_eq!(session.delete().await.status, 204);
    node.stop().await;
}

const CARD: &str = "4111111111111111";

/// CON-004, but for the masking: its client gets all of it, and nobody else anything.
#[tokio::test]
async fn what_a_plain_result_says_is_in_no_metric_and_not_stored() {
    let node = TestNode::stored().await;
    let mut worker = Worker::link(&node, hello("raw", "say")).await;
    let sent = say(&node.door(), json!({"card": CARD})).await;
    let call = worker.call().await;
    let progress = wire::Progress {
        call: call.call,
        attempt: call.attempt,
        progress: 1.0,
        message: CARD.to_owned(),
        ..wire::Progress::default()
    };
    worker.say(From::Progress(progress)).await;
    let result = json!({
        "content": [
            {"type": "text", "text": CARD},
            {"type": "resource", "resource": {"uri": "mem://a", "text": CARD}},
            {"type": "resource_link", "uri": "mem://b", "name": CARD},
        ],
        "structuredContent": {"card": CARD},
        "_meta": {"example.com/card": CARD},
    });
    worker.result(&call, result.to_string()).await;
    let response = ended(sent).await;
    assert_eq!(response.text().matches(CARD).count(), 5, "{response:?}");
    assert!(!node.env.metrics().render().contains(CARD));
    let data = node.data().to_owned();
    let stored = contents(&data);
    assert!(!stored.is_empty());
    for (path, bytes) in stored {
        let found = bytes.windows(CARD.len()).any(|at| at == CARD.as_bytes());
        assert!(!found, "{path:?}");
    }
    node.stop().await;
}
