//! The hub drains and stops; and one link over a real socket.

use std::time::Duration;

use ostler_protocol::call::CallEvent;
use ostler_rpc::worker_v1::{from_worker::Frame as From, to_worker::Frame as To};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, transport::Endpoint};

use crate::rig::{self, Rig, end, event, hello, ok, server};

#[tokio::test(start_paused = true)]
async fn a_draining_hub_finishes_plain_calls_and_leaves_kept_ones_to_others() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut plain = rig.start(1);
    let mut kept = rig.start(2);
    worker.next_call().await;
    worker.next_call().await;
    kept.keep();
    assert!(matches!(worker.next().await, To::Keep(_)));
    worker.kept(2).await;
    assert_eq!(event(&mut kept).await, CallEvent::Kept);
    rig.hub.drain();
    assert!(matches!(worker.next().await, To::Drain(_)));
    assert!(rig.hub.candidates(&server()).is_empty());
    let refused = rig
        .try_worker(|hello| hello.worker_id = "w2".to_owned())
        .await;
    assert_eq!(refused.err().unwrap().code(), Code::Unavailable);
    let draining = rig.metric("links_refused_total", &[("reason", "draining")]);
    assert_eq!(draining, 1.0);
    worker.ok(1).await;
    assert_eq!(end(&mut plain).await, ok());
    assert_eq!(worker.end().await, Some(Code::Unavailable));
    rig.hub.drained().await;
    assert_eq!(
        rig.metric("links_ended_total", &[("reason", "drained")]),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_hub_leaves_nothing_running() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let _attempt = rig.start(1);
    rig.hub.close().await;
    assert_eq!(worker.end().await, Some(Code::Unavailable));
    // The sweep hears of it when it next wakes.
    rig.env.sleep(Duration::from_secs(1)).await;
    let alive = rig.env.tasks_alive_by_name();
    assert!(
        alive.iter().all(|(name, _)| *name == "test-server"),
        "{alive:?}"
    );
    assert_eq!(rig.metric("links", &[]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_dropped_stops_its_sweep() {
    let rig = Rig::new();
    let env = rig.env.clone();
    drop(rig);
    env.sleep(Duration::from_secs(1)).await;
    assert_eq!(env.tasks_alive_by_name(), []);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_counted_once_at_its_start_and_once_at_its_end() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut attempts: Vec<_> = (0..6).map(|call| rig.start(call)).collect();
    rig.env.sleep(Duration::from_millis(1)).await;
    for call in 0..3 {
        worker.ok(call).await;
    }
    worker.settle(&rig).await;
    attempts[3].cancel("enough");
    worker.cut();
    for attempt in &mut attempts {
        rig::end_at_last(attempt).await;
    }
    let ends = ["ok", "cancelled", "lost"].map(|end| rig.ended(end));
    assert_eq!(ends, [3.0, 1.0, 2.0]);
    assert_eq!(rig.metric("calls_started_total", &[]), 6.0);
}

#[tokio::test]
async fn a_worker_on_loopback_needs_no_token_when_anonymous_ones_are_allowed() {
    let rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder();
    let server = server.serve_with_incoming(rig.hub.service(), incoming);
    let server = rig.env.spawn("test-tcp", async { server.await.unwrap() });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut worker = rig::attach(channel, &[], vec![From::Hello(hello())])
        .await
        .unwrap();
    assert!(matches!(worker.next().await, To::Welcome(_)));
    let mut attempt = rig.start(1);
    worker.next_call().await;
    worker.ok(1).await;
    assert_eq!(end(&mut attempt).await, ok());
    rig.hub.close().await;
    server.abort();
}
