//! A Server of members that a test makes up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

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

/// Offers and answers what a test says, and remembers what it was asked and told of watches.
#[derive(Default)]
struct Made {
    offer: watch::Sender<Arc<Offer>>,
    answers: Mutex<BTreeMap<&'static str, Result<Value, ToolError>>>,
    asked: Mutex<Vec<String>>,
    told: Mutex<Vec<(String, bool)>>,
}

impl Member for Made {
    fn offer(&self) -> watch::Receiver<Arc<Offer>> {
        self.offer.subscribe()
    }

    fn call(&self, _: Ctx, asked: Asked) -> BoxFuture<'static, Result<Reply, ToolError>> {
        let answer = self.answers.lock().get(&*asked.target).cloned();
        let missing = || Err(ToolError::NotFound(asked.target.clone()));
        let answer = answer.unwrap_or_else(missing);
        self.asked.lock().push(asked.target);
        Box::pin(ready(answer.and_then(|value| Reply::of(&value))))
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

    /// What it has without listing it, and what it says of each.
    fn has(&self, answers: &[(&'static str, Result<Value, ToolError>)]) {
        *self.answers.lock() = answers.iter().cloned().collect();
        self.offer.send_replace(Arc::new(Offer {
            unlisted: true,
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

/// Serves these members on a node; the worker is linked.
struct World {
    env: Env,
    node: TestNode,
    served: Served,
    worker: tokio::task::JoinHandle<()>,
}

impl World {
    async fn open(members: [(&str, &Arc<Made>); 2]) -> World {
        let env = Env::system();
        let seats = members.map(|(name, made)| Seat {
            name: name.to_owned(),
            rules: Rules::default(),
            member: made.clone(),
        });
        let served = Served::start(&env, &id(), Server::new("made", "1"), seats.into());
        // What they offer now is shown; who offers nothing yet is not waited for.
        served.settled(&env, Duration::ZERO).await;
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
        World {
            env,
            node,
            served,
            worker,
        }
    }

    async fn stop(self) {
        self.worker.abort();
        self.node.stop().await;
        drop((self.served, self.env));
    }
}

#[tokio::test]
async fn a_watch_is_its_owners_whoever_that_is_by_now() {
    let (one, other) = (Arc::new(Made::default()), Arc::new(Made::default()));
    one.offers(&[], &[json!({"uriTemplate": "x://{id}", "name": "all"})]);
    let world = World::open([("one", &one), ("other", &other)]).await;
    let node = &world.node;
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
    world.stop().await;
}

fn contents(uri: &str, text: &str) -> Result<Value, ToolError> {
    Ok(json!({"contents": [{"uri": uri, "text": text}]}))
}

fn away() -> Result<Value, ToolError> {
    Err(ToolError::Protocol {
        code: -31008,
        message: "it is away".to_owned(),
        data: None,
    })
}

#[tokio::test]
async fn what_nobody_lists_is_read_of_the_first_who_has_it() {
    let (one, other) = (Arc::new(Made::default()), Arc::new(Made::default()));
    let refused = Err(ToolError::failed("unknown to me"));
    one.has(&[
        ("x://both", contents("x://both", "one")),
        ("x://away", away()),
        ("x://odd", refused),
    ]);
    other.has(&[
        ("x://both", contents("x://both", "other")),
        ("x://second", contents("x://second", "other")),
        ("x://odd", contents("x://odd", "other")),
    ]);
    let world = World::open([("one", &one), ("other", &other)]).await;
    let door = world.node.door();
    let read = |uri: &str| Modern::new("resources/read", json!({"uri": uri}));
    for (uri, text) in [
        ("x://both", "one"),
        ("x://second", "other"),
        ("x://odd", "other"),
    ] {
        let found = read(uri).result(&door).await;
        assert_eq!(found["contents"][0]["text"], text, "{found}");
    }
    assert_eq!(*other.asked.lock(), ["x://second", "x://odd"]);
    // One does not have it, and the other cannot be asked: nobody knows.
    assert_eq!(read("x://away").send(&door).await.code(), -31008);
    let nowhere = read("x://nowhere").send(&door).await;
    assert_eq!(nowhere.code(), -32602);
    assert_eq!(nowhere.json()["error"]["data"]["uri"], "x://nowhere");
    // Traversal is nobody's, asked or not.
    let asked = one.asked.lock().len();
    assert_eq!(read("x://a/../both").send(&door).await.code(), -32602);
    assert_eq!(one.asked.lock().len(), asked);
    world.stop().await;
}

#[tokio::test]
async fn what_nobody_lists_is_watched_of_all_who_may_have_it() {
    let (one, other) = (Arc::new(Made::default()), Arc::new(Made::default()));
    one.has(&[]);
    other.has(&[]);
    let world = World::open([("one", &one), ("other", &other)]).await;
    let filter = json!({"resourceSubscriptions": ["x://1"]});
    let live = listen(&world.node.door(), filter).await;
    one.is_told(&[true]).await;
    other.is_told(&[true]).await;
    // Now it is known whose it is.
    one.offers(&[json!({"uri": "x://1", "name": "first"})], &[]);
    other.is_told(&[true, false]).await;
    drop(live);
    one.is_told(&[true, false]).await;
    world.stop().await;
}
