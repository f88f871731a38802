//! Who is let in, and what the others are told.

use std::time::Duration;

use bytes::Bytes;
use ostler_rpc::worker_v1::{self as wire, from_worker::Frame as From, to_worker::Frame as To};
use prost::Message;
use tonic::Code;

use crate::rig::{Rig, catalog, hello, hello_with, inline, known, named, offer, server, tool};

async fn check_refused(rig: &Rig, edit: impl FnOnce(&mut wire::Hello), code: Code) -> String {
    let refused = rig
        .try_worker(edit)
        .await
        .err()
        .expect("it must be refused");
    assert_eq!(refused.code(), code, "{refused}");
    assert!(rig.hub.candidates(&server()).is_empty());
    refused.message().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_let_in_is_a_candidate_and_its_tools_are_listed() {
    let rig = Rig::new();
    let worker = rig.worker().await;
    assert_eq!(worker.welcome.protocol, 1);
    assert_eq!(worker.welcome.heartbeat_ms, 2_000);
    assert!(worker.welcome.refusals.is_empty());
    let only = rig.only();
    assert_eq!((only.id().as_str(), only.epoch().0), ("w1", 7));
    assert_eq!((only.in_flight(), only.capacity()), (0, 100));
    let snapshot = rig.catalogs.snapshot(&server()).unwrap();
    assert!(snapshot.tool("add").is_some());
    assert_eq!(rig.metric("links", &[]), 1.0);
    assert_eq!(rig.metric("links_opened_total", &[]), 1.0);
}

/// GRPC-001.
#[tokio::test(start_paused = true)]
async fn identity_comes_from_the_token_alone() {
    let rig = Rig::new();
    let wrong = format!("{}x", rig.bearer());
    // A wire in memory is not loopback, so there is no anonymous worker either.
    for authorization in [None, Some("Basic x"), Some(wrong.as_str())] {
        let refused = rig.attach(authorization, vec![From::Hello(hello())]).await;
        let refused = refused.err().expect("it must be refused");
        assert_eq!(refused.code(), Code::Unauthenticated, "{authorization:?}");
    }
    let refused = rig.metric("links_refused_total", &[("reason", "unauthenticated")]);
    assert_eq!(refused, 3.0);
    assert!(rig.catalogs.snapshot(&server()).is_none());
}

/// GRPC-002.
#[tokio::test(start_paused = true)]
async fn a_worker_serves_only_what_its_credential_names() {
    let rig = Rig::new();
    let foreign = |hello: &mut wire::Hello| {
        hello.servers.push(offer("umbrella", "calc", &catalog(&[])));
    };
    let message = check_refused(&rig, foreign, Code::PermissionDenied).await;
    assert!(message.contains("umbrella/calc"), "{message}");
    assert!(rig.catalogs.snapshot(&server()).is_none());
    assert_eq!(
        rig.metric("links_refused_total", &[("reason", "denied")]),
        1.0
    );
}

/// GRPC-033: the range of the capacity.
#[tokio::test(start_paused = true)]
async fn a_hello_that_breaks_a_rule_is_refused_with_the_rule() {
    let rig = Rig::new();
    type Edit = fn(&mut wire::Hello);
    let cases: [(Edit, &str); 11] = [
        (|hello| hello.capacity = 0, "allowed are 1 to 100000"),
        (|hello| hello.capacity = 100_001, "allowed are 1 to 100000"),
        (|hello| hello.capacity = 1 << 31, "allowed are 1 to 100000"),
        (|hello| hello.capacity = u32::MAX, "allowed are 1 to 100000"),
        (
            |hello| hello.worker_id = "a b".to_owned(),
            "a worker name has",
        ),
        (
            |hello| hello.servers[0].server = "Calc".to_owned(),
            "a server name has",
        ),
        (
            |hello| hello.servers[0].tenant = String::new(),
            "a tenant name has",
        ),
        (|hello| hello.servers.clear(), "allowed are 1 to 256"),
        (
            |hello| hello.servers.push(hello.servers[0].clone()),
            "offered twice",
        ),
        (
            |hello| hello.servers[0].catalog = inline("x"),
            "cannot be decoded",
        ),
        (
            |hello| hello.calls = inline("x"),
            "known calls cannot be decoded",
        ),
    ];
    for (edit, expected) in cases {
        let message = check_refused(&rig, edit, Code::InvalidArgument).await;
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(
        rig.metric("links_refused_total", &[("reason", "invalid")]),
        11.0
    );
}

#[tokio::test(start_paused = true)]
async fn versions_without_overlap_are_told_apart_from_mistakes() {
    let rig = Rig::new();
    let newer = |hello: &mut wire::Hello| (hello.protocol_min, hello.protocol_max) = (2, 3);
    let message = check_refused(&rig, newer, Code::FailedPrecondition).await;
    assert!(message.contains("1 to 1, the worker 2 to 3"), "{message}");
    let wider = |hello: &mut wire::Hello| (hello.protocol_min, hello.protocol_max) = (0, 9);
    assert_eq!(rig.try_worker(wider).await.unwrap().welcome.protocol, 1);
}

/// GRPC-005.
#[tokio::test(start_paused = true)]
async fn hello_comes_first_and_in_time_and_once() {
    let rig = Rig::new();
    let bearer = rig.bearer();
    let early = vec![From::Leaving(wire::Leaving {})];
    let refused = rig.attach(Some(&bearer), early).await.err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let began = rig.env.now();
    let refused = rig.attach(Some(&bearer), Vec::new()).await.err().unwrap();
    assert_eq!(refused.code(), Code::DeadlineExceeded);
    assert_eq!(rig.env.now().since(began).as_secs(), 10);
    assert_eq!(
        rig.metric("links_refused_total", &[("reason", "timeout")]),
        1.0
    );

    let mut worker = rig.worker().await;
    worker.send(From::Hello(hello())).await;
    assert_eq!(worker.end().await, Some(Code::InvalidArgument));
    assert_eq!(
        rig.metric("links_ended_total", &[("reason", "violation")]),
        1.0
    );
    assert!(rig.hub.candidates(&server()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_bad_tool_never_sinks_the_others() {
    let rig = Rig::new();
    let mut offered = catalog(&["add", "sub"]);
    offered.tools.push(wire::Tool {
        definition: Bytes::from_static(b"{"),
        declarations: None,
    });
    offered.tools.push(wire::Tool {
        declarations: Some(wire::Declarations {
            requires: vec![999],
            ..wire::Declarations::default()
        }),
        ..tool("newer")
    });
    offered.tools.push(wire::Tool {
        definition: Bytes::from_static(br#"{"name":"bad","inputSchema":{"type":"string"}}"#),
        declarations: None,
    });
    let edit = |hello: &mut wire::Hello| hello.servers = vec![offer("acme", "calc", &offered)];
    let worker = rig.try_worker(edit).await.unwrap();
    let refusals = worker.welcome.refusals.iter();
    let refusals: Vec<_> = refusals
        .map(|it| (it.kind.as_str(), it.name.as_str()))
        .collect();
    assert_eq!(refusals, [("tool", "#2"), ("tool", "#3"), ("tool", "bad")]);
    let snapshot = rig.catalogs.snapshot(&server()).unwrap();
    assert!(snapshot.tool("add").is_some() && snapshot.tool("sub").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_catalog_may_be_larger_than_a_frame() {
    let rig = Rig::new();
    let mut offered = catalog(&["add"]);
    for n in 0..500 {
        let name = format!("tool-{n}");
        let description = "x".repeat(300);
        let definition = format!(
            r#"{{"name":"{name}","description":"{description}","inputSchema":{{"type":"object"}}}}"#
        );
        offered.tools.push(wire::Tool {
            definition: definition.into(),
            declarations: None,
        });
    }
    assert!(offered.encoded_len() > 100_000);
    let frames = hello_with(&offered);
    let _worker = rig.attach(Some(&rig.bearer()), frames).await.unwrap();
    let snapshot = rig.catalogs.snapshot(&server()).unwrap();
    assert!(snapshot.tool("tool-499").is_some());
}

/// GRPC-007.
#[tokio::test(start_paused = true)]
async fn the_same_process_twice_is_refused_and_the_live_link_untouched() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    for epoch in [7, 6] {
        let rival = rig.try_worker(|hello| hello.instance_epoch = epoch).await;
        assert_eq!(rival.err().unwrap().code(), Code::AlreadyExists);
    }
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.ok(1).await;
    assert_eq!(crate::rig::end(&mut attempt).await, crate::rig::ok());
    assert_eq!(
        rig.metric("links_refused_total", &[("reason", "rival")]),
        2.0
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_id_belongs_to_the_credential_that_used_it_first() {
    let rig = Rig::new();
    let worker = rig.worker().await;
    let mut rival = hello();
    rival.instance_epoch = 99;
    let frames = || vec![From::Hello(rival.clone())];
    let refused = rig.attach(Some(&rig.other_bearer()), frames()).await;
    assert_eq!(refused.err().unwrap().code(), Code::PermissionDenied);
    worker.cut();
    // The binding outlives the link for the grace, not for ever.
    rig.env.sleep(Duration::from_secs(20)).await;
    let refused = rig.attach(Some(&rig.other_bearer()), frames()).await;
    assert_eq!(refused.err().unwrap().code(), Code::PermissionDenied);
    rig.env.sleep(Duration::from_secs(20)).await;
    assert!(
        rig.attach(Some(&rig.other_bearer()), frames())
            .await
            .is_ok()
    );
}

/// GRPC-042: what its clients are told of it is in the tests of `catalog`.
#[tokio::test(start_paused = true)]
async fn a_flapping_worker_is_told_to_wait() {
    let rig = Rig::with(|config| config.links_per_ten_seconds_max = 3);
    for _ in 0..3 {
        rig.worker().await.cut();
        rig.env.sleep(Duration::from_millis(10)).await;
    }
    let refused = rig.try_worker(|_| ()).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("wait 99"), "{refused}");
    assert_eq!(
        rig.metric("links_refused_total", &[("reason", "flapping")]),
        1.0
    );
    rig.env.sleep(Duration::from_secs(10)).await;
    rig.worker().await;
}

#[tokio::test(start_paused = true)]
async fn known_calls_without_an_owner_do_not_keep_a_worker_out() {
    let rig = Rig::new();
    let calls = known(&[
        (1, wire::KnownCallState::Ended),
        (2, wire::KnownCallState::Held),
    ]);
    rig.try_worker(|hello| hello.calls = calls).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_credential_has_so_many_workers_at_once() {
    let rig = Rig::with(|config| config.workers_per_credential_max = 2);
    let _first = rig.try_worker(named("w1")).await.unwrap();
    let second = rig.try_worker(named("w2")).await.unwrap();
    let refused = rig.try_worker(named("w3")).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(
        refused.message().contains("workers_per_credential_max"),
        "{refused}"
    );
    assert_eq!(
        rig.metric("links_refused_total", &[("reason", "crowded")]),
        1.0
    );
    let frames = vec![From::Hello(hello())];
    let mut other = hello();
    other.worker_id = "w4".to_owned();
    assert!(
        rig.attach(Some(&rig.other_bearer()), vec![From::Hello(other)])
            .await
            .is_ok()
    );
    // A newer process takes the place of its older one.
    assert!(
        rig.attach(Some(&rig.bearer()), frames).await.is_err(),
        "w1 is linked"
    );
    rig.try_worker(|hello| hello.instance_epoch += 1)
        .await
        .unwrap();
    // One that is gone has its place for as long as its calls might go on.
    second.cut();
    rig.env.sleep(Duration::from_secs(1)).await;
    assert!(rig.try_worker(named("w3")).await.is_err());
    rig.env.sleep(Duration::from_secs(31)).await;
    rig.try_worker(named("w3")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_credential_has_so_many_handshakes_at_once() {
    let rig = Rig::with(|config| config.handshakes_per_credential_max = 2);
    let (bearer, other) = (rig.bearer(), rig.other_bearer());
    let silent = || rig.attach(Some(&bearer), Vec::new());
    let (first, second, third) = tokio::join!(silent(), silent(), async {
        rig.env.sleep(Duration::from_secs(1)).await;
        assert!(
            rig.attach(Some(&other), vec![From::Hello(hello())])
                .await
                .is_ok()
        );
        silent().await
    });
    let code = |refused: Result<_, tonic::Status>| refused.err().map(|status| status.code());
    assert_eq!(code(first), Some(Code::DeadlineExceeded));
    assert_eq!(code(second), Some(Code::DeadlineExceeded));
    assert_eq!(code(third), Some(Code::ResourceExhausted));
    // They are over.
    rig.env.sleep(Duration::from_secs(1)).await;
    rig.try_worker(named("w2")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_left_makes_room_at_once() {
    let rig = Rig::with(|config| config.workers_per_credential_max = 1);
    for worker in ["w1", "w2", "w3"] {
        let mut worker = rig.try_worker(named(worker)).await.unwrap();
        worker.send(From::Leaving(wire::Leaving {})).await;
        worker.finish();
        rig.env.sleep(Duration::from_millis(200)).await;
    }
}

/// The size of a catalog with these tools, as it is counted.
fn bytes_of(tools: &[&str]) -> usize {
    catalog(tools).encoded_len()
}

#[tokio::test(start_paused = true)]
async fn the_catalogs_of_a_credential_have_so_many_bytes_together() {
    let max = bytes_of(&["add"]) + bytes_of(&["add", "sub"]);
    let rig = Rig::with(|config| config.catalog_bytes_per_credential_max = max);
    let mut first = rig.try_worker(named("w1")).await.unwrap();
    let changed = |tools: &[&str]| {
        let catalog = inline(catalog(tools).encode_to_vec());
        From::CatalogChanged(wire::CatalogChanged { server: 0, catalog })
    };
    let large = |hello: &mut wire::Hello| {
        named("w2")(hello);
        hello.servers[0].catalog = inline(catalog(&["add", "sub", "mul"]).encode_to_vec());
    };
    let refused = rig.try_worker(large).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(
        refused
            .message()
            .contains("catalog_bytes_per_credential_max"),
        "{refused}"
    );
    let _second = rig.try_worker(named("w2")).await.unwrap();
    for (tools, is_taken) in [
        (&["add", "sub"][..], true),
        (&["add", "sub", "mul"], false),
        (&["add"], true),
    ] {
        first.send(changed(tools)).await;
        let To::CatalogTaken(taken) = first.next().await else {
            panic!("{tools:?} is not answered");
        };
        assert_eq!(taken.refusals.is_empty(), is_taken, "{tools:?}: {taken:?}");
    }
    // What is refused leaves the catalog as it is.
    assert!(
        rig.catalogs
            .snapshot(&server())
            .unwrap()
            .tool("mul")
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_changes_its_catalogs_keeps_within_its_own_bytes() {
    let max = 2 * bytes_of(&["add"]);
    let rig = Rig::with(|config| config.catalog_bytes_max = max);
    let two = |hello: &mut wire::Hello| {
        hello
            .servers
            .push(offer("acme", "more", &catalog(&["add"])))
    };
    let mut worker = rig.try_worker(two).await.unwrap();
    let catalog = inline(catalog(&["add", "sub"]).encode_to_vec());
    let changed = wire::CatalogChanged { server: 1, catalog };
    worker.send(From::CatalogChanged(changed)).await;
    let To::CatalogTaken(taken) = worker.next().await else {
        panic!("it is answered");
    };
    let [refusal] = taken.refusals.as_slice() else {
        panic!("{taken:?}");
    };
    assert!(refusal.reason.contains("catalog_bytes_max"), "{refusal:?}");
}
