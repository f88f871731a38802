//! A Server of members that a test makes up.

use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};
use ostler_bridge::{Member, Offer, Presence, Rules, Seat, Served, member::Asked};
use ostler_env::Env;
use ostler_testkit::{Modern, TestNode, until};
use ostler_types::{ServerId, ServerName, TenantId};
use ostler_worker::{Ctx, Raw, Reply, Server, ToolError, Worker};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::lists::listen;

/// Offers what a test says, and remembers what it was told of watches.
#[derive(Default)]
struct Made {
    offer: watch::Sender<Arc<Offer>>,
    told: Mutex<Vec<(String, bool)>>,
}

impl Member for Made {
    fn offer(&self) -> watch::Receiver<Arc<Offer>> {
        self.offer.subscribe()
    }

    fn call(&self, _: Ctx, asked: Asked) -> BoxFuture<'static, Result<Reply, ToolError>> {
        Box::pin(ready(Err(ToolError::NotFound(asked.target))))
    }

    fn watch(&self, uri: &str, wanted: bool) {
        self.told.lock().push((uri.to_owned(), wanted));
    }
}

impl Made {
    fn offers(&self, resources: &[Value], templates: &[Value]) {
        let raws = |values: &[Value]| values.iter().map(Raw::from_value).collect();
        self.offer.send_replace(Arc::new(Offer {
            resources: raws(resources),
            templates: raws(templates),
            resource_watch: true,
            presence: Presence::Up,
            ..Offer::default()
        }));
    }

    async fn is_told(&self, wanted: &[bool]) {
        let wanted: Vec<_> = wanted.iter().map(|it| ("x://1".to_owned(), *it)).collect();
        until(&wanted, || (*self.told.lock() == wanted).then_some(())).await;
    }
}

fn id() -> ServerId {
    ServerId {
        tenant: TenantId::parse("default").unwrap(),
        name: ServerName::parse("default").unwrap(),
    }
}

#[tokio::test]
async fn a_watch_is_its_owners_whoever_that_is_by_now() {
    let (one, other) = (Arc::new(Made::default()), Arc::new(Made::default()));
    one.offers(&[], &[json!({"uriTemplate": "x://{id}", "name": "all"})]);
    let env = Env::system();
    let seats = [("one", &one), ("other", &other)].map(|(name, made)| Seat {
        name: name.to_owned(),
        rules: Rules::default(),
        member: made.clone(),
    });
    let served = Served::start(&env, &id(), Server::new("made", "1"), seats.into());
    let node = TestNode::anonymous().await;
    let worker = Worker::new(format!("http://{}", node.workers)).env(env.clone());
    let worker = worker.serve("default", "default", served.server());
    let worker = env.spawn("test.worker", async move {
        let ended = worker.run_until(std::future::pending::<()>()).await;
        panic!("a worker ended by itself: {ended:?}");
    });
    let server = served.server();
    assert!(!server.is_linked());
    until("a link", || server.is_linked().then_some(())).await;
    node.reaches("ostler_hub_links_opened_total", &[], 1.0)
        .await;
    let live = listen(&node.door(), json!({"resourceSubscriptions": ["x://1"]})).await;
    one.is_told(&[true]).await;
    // Its exact owner comes late, and goes.
    other.offers(&[json!({"uri": "x://1", "name": "first"})], &[]);
    other.is_told(&[true]).await;
    one.is_told(&[true, false]).await;
    other.offers(&[], &[]);
    other.is_told(&[true, false]).await;
    one.is_told(&[true, false, true]).await;
    drop(live);
    one.is_told(&[true, false, true, false]).await;
    let read = Modern::new("resources/read", json!({"uri": "x://1"}));
    assert_eq!(read.send(&node.door()).await.code(), -32602);
    worker.abort();
    node.stop().await;
}
