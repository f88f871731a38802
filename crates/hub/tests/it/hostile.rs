//! Workers that try what they may not: the layer grpc of the hostile corpus, where no other test shows it.

use bytes::Bytes;
use ostler_hub::AttemptEnd;
use ostler_rpc::worker_v1::{self as wire, from_worker::Frame as From, to_worker::Frame as To};
use tonic::Code;

use crate::rig::{
    Rig, Worker, attach, catalog, end, hello, hello_with, id, offer, ok, raw, server,
};

/// GRPC-003.
#[tokio::test(start_paused = true)]
async fn who_a_worker_claims_to_be_in_metadata_counts_for_nothing() {
    let rig = Rig::new();
    let bearer = rig.bearer();
    let claims = [("x-tenant-id", "umbrella"), ("x-principal", "admin")];
    let of_umbrella = wire::Hello {
        servers: vec![offer("umbrella", "calc", &catalog(&["add"]))],
        ..hello()
    };
    let proven = [claims[0], claims[1], ("authorization", bearer.as_str())];
    for (metadata, hello, code) in [
        (&claims[..], hello(), Code::Unauthenticated),
        (&claims[..], of_umbrella.clone(), Code::Unauthenticated),
        (&proven[..], of_umbrella, Code::PermissionDenied),
    ] {
        let channel = rig.dial("http://umbrella.example").await;
        let refused = attach(channel, metadata, vec![From::Hello(hello)]).await;
        assert_eq!(refused.err().unwrap().code(), code, "{metadata:?}");
    }
    let channel = rig.dial("http://umbrella.example").await;
    let frames = vec![From::Hello(hello())];
    let _worker = attach(channel, &proven, frames).await.unwrap();
    assert_eq!(rig.only().id().as_str(), "w1");
}

/// GRPC-006: what never left for the older process did not run.
#[tokio::test(start_paused = true)]
async fn calls_that_an_older_process_never_got_may_run_at_another() {
    let rig = Rig::new();
    let _older = rig.worker().await;
    let text = format!(r#"{{"x":"{}"}}"#, "x".repeat(60_000));
    let start = |call| rig.start_with(call, |new| new.arguments = raw(&text));
    let mut attempts: Vec<_> = (0..20).map(start).collect();
    rig.env.sleep(std::time::Duration::from_millis(10)).await;
    let newer = rig.try_worker(|hello| hello.instance_epoch = 8).await;
    let _newer = newer.unwrap();
    assert_eq!(end(&mut attempts[0]).await, AttemptEnd::Lost);
    assert_eq!(end(&mut attempts[19]).await, AttemptEnd::NotHanded);
    assert_eq!((rig.ended("not_handed"), rig.ended("lost")), (12.0, 8.0));
}

/// GRPC-042: a worker that flaps under the name of another keeps it from nothing.
#[tokio::test(start_paused = true)]
async fn nobody_uses_up_the_links_of_another() {
    let rig = Rig::with(|config| config.links_per_ten_seconds_max = 3);
    let worker = rig.worker().await;
    let mut told = Vec::new();
    for _ in 0..5 {
        let frames = vec![From::Hello(hello())];
        let refused = rig.attach(Some(&rig.other_bearer()), frames).await;
        told.push(refused.err().unwrap().code());
    }
    let (denied, exhausted) = (Code::PermissionDenied, Code::ResourceExhausted);
    assert_eq!(told, [denied, denied, denied, exhausted, exhausted]);
    worker.cut();
    rig.env.sleep(std::time::Duration::from_millis(10)).await;
    rig.worker().await;
}

/// Says all that a worker may say of a call, but that it ended.
async fn meddle(worker: &Worker, call: u128) {
    let (call_id, attempt) = (id(call), 1);
    worker.started(call).await;
    worker.kept(call).await;
    worker.progress(call, 0.5).await;
    worker.ask(call, "who").await;
    let become_task = wire::BecomeTask {
        call: call_id,
        attempt,
    };
    worker.send(From::BecomeTask(become_task)).await;
    let visited = wire::Visited {
        call: call_id,
        attempt,
        key: "who".to_owned(),
    };
    worker.send(From::Visited(visited)).await;
    let refused = wire::Refused {
        call: call_id,
        attempt,
        reason: wire::RefusedReason::Busy.into(),
    };
    worker.send(From::Refused(refused)).await;
}

/// GRPC-019.
#[tokio::test(start_paused = true)]
async fn a_worker_of_another_tenant_touches_no_call_of_this_one() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    let foreign = wire::Hello {
        worker_id: "w2".to_owned(),
        servers: vec![offer("umbrella", "calc", &catalog(&["add"]))],
        ..hello()
    };
    let frames = vec![From::Hello(foreign)];
    let rival = rig.attach(Some(&rig.other_bearer()), frames).await;
    let mut rival = rival.unwrap();
    assert!(matches!(rival.next().await, To::Welcome(_)));
    meddle(&rival, 1).await;
    rival.result(1, r#"{"forged":true}"#).await;
    let forget = wire::Forget {
        call: id(1),
        attempt: 1,
    };
    assert_eq!(rival.next().await, To::Forget(forget));
    let unknown = [("reason", "unknown")];
    assert_eq!(rig.metric("outcomes_dropped_total", &unknown), 1.0);
    worker.ok(1).await;
    // The first that the owner hears.
    assert_eq!(end(&mut attempt).await, ok());
}

/// GRPC-020.
#[tokio::test(start_paused = true)]
async fn of_two_outcomes_of_a_plain_call_the_first_wins() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.ok(1).await;
    worker.result(1, r#"{"second":true}"#).await;
    assert_eq!(end(&mut attempt).await, ok());
    assert!(matches!(worker.next().await, To::Forget(_)));
    let unknown = [("reason", "unknown")];
    assert_eq!(rig.metric("outcomes_dropped_total", &unknown), 1.0);
}

fn described(text: &str) -> Bytes {
    let schema = r#"{"type":"object"}"#;
    format!(r#"{{"name":"t","description":"{text}","inputSchema":{schema}}}"#).into()
}

/// A tool whose schema has this member besides its type.
fn with_schema(member: &str) -> Bytes {
    format!(r#"{{"name":"t","inputSchema":{{"type":"object",{member}}}}}"#).into()
}

/// Tools that are not listed, and what their worker is told.
fn bad_tools() -> Vec<(&'static str, Bytes, &'static str)> {
    let branches = vec!["{}"; 10_000].join(",");
    let nested = (0..40).fold("{}".to_owned(), |it, _| format!(r#"{{"not":{it}}}"#));
    let header = r#""properties":{"r":{"type":"string","x-mcp-header":"Region\r\nX: 1"}}"#;
    vec![
        (
            "GRPC-012",
            described(&"x".repeat(1 << 20)),
            "is longer than",
        ),
        ("GRPC-012", described(&"x".repeat(16_385)), "16384 bytes"),
        ("GRPC-012", described(r"\u001b[2J"), "U+001B"),
        ("GRPC-012", described("\u{e0041}"), "U+E0041"),
        ("GRPC-012", described("a\u{202e}b"), "U+202E"),
        (
            "GRPC-013",
            with_schema(r#""$ref":"http://169.254.169.254/x""#),
            "leads outside",
        ),
        (
            "GRPC-013",
            with_schema(r#""$ref":"file:///etc/passwd""#),
            "leads outside",
        ),
        (
            "GRPC-014",
            with_schema(r##""allOf":[{"$ref":"#"}]"##),
            "without end",
        ),
        (
            "GRPC-014",
            with_schema(&format!(r#""anyOf":[{branches}]"#)),
            "subschemas",
        ),
        (
            "GRPC-014",
            with_schema(&format!(r#""not":{nested}"#)),
            "nested deeper",
        ),
        ("GRPC-016", with_schema(header), "x-mcp-header"),
        (
            "GRPC-031",
            Bytes::from_static(b"{\"name\":\"\xc3\x28\"}"),
            "",
        ),
    ]
}

/// Each by itself, beside a tool that nothing is wrong with.
#[tokio::test(start_paused = true)]
async fn a_hostile_tool_is_refused_and_the_others_are_listed() {
    for (entry, definition, expected) in bad_tools() {
        let rig = Rig::new();
        let mut offered = catalog(&["add"]);
        offered.tools.push(wire::Tool {
            definition,
            declarations: None,
        });
        let frames = hello_with(&offered);
        let mut worker = rig.attach(Some(&rig.bearer()), frames).await.unwrap();
        let To::Welcome(welcome) = worker.next().await else {
            panic!("{entry}: Welcome comes first");
        };
        let [refusal] = &welcome.refusals[..] else {
            panic!("{entry}: {:?}", welcome.refusals);
        };
        assert!(refusal.reason.contains(expected), "{entry}: {refusal:?}");
        let snapshot = rig.catalogs.snapshot(&server()).unwrap();
        let listed = snapshot.tools().iter().map(|tool| tool.name.as_str());
        assert_eq!(listed.collect::<Vec<_>>(), ["add"], "{entry}");
    }
}
