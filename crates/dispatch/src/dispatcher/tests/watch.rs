//! Watching, on a real hub that no worker is linked to.

use std::{sync::Arc, time::Duration};

use ostler_auth::{WorkerAccess, WorkerGrant, WorkerTokens};
use ostler_catalog::Changes;
use ostler_hub::{Config, Hub, Orphans, Placement};
use ostler_types::{CallId, CallKind, InstanceEpoch, Limits, ServerId, WorkerId};

use super::world::{offer, server, world};
use crate::{Dispatcher, Refusal};

struct Nobody;

impl Orphans for Nobody {
    fn orphan(&self, _call: CallId, _placement: Placement) {}

    fn newcomer(&self, _worker: &WorkerId, _instance: InstanceEpoch, _grant: &Arc<WorkerGrant>) {}
}

#[tokio::test(start_paused = true)]
async fn a_resource_is_watched_by_who_may_read_it() {
    let world = world();
    let tokens = WorkerTokens::new(&world.env, &WorkerAccess::default()).unwrap();
    let config = Config {
        watches_max: 1,
        ..Config::default()
    };
    let (env, catalogs) = (&world.env, world.catalogs.clone());
    let hub = Hub::new(
        env,
        config,
        catalogs.clone(),
        Arc::new(tokens),
        Arc::new(Nobody),
    );
    let dispatcher = Dispatcher::new(env, hub.clone(), catalogs.clone(), &Limits::default());
    let caller = world.caller("acme", &[]);
    let refusal =
        |server: &ServerId, uri: &str| dispatcher.watch_resource(&caller, server, uri).err();

    let not_offered = Refusal::NotOffered(CallKind::Resource);
    assert_eq!(refusal(&world.calc, "mem://r"), Some(not_offered));
    let mut watchable = offer(false);
    watchable.resource_watch = true;
    catalogs.register(&world.calc, &WorkerId::parse("a").unwrap(), watchable);
    let unknown = Refusal::UnknownTarget {
        kind: CallKind::Resource,
        target: "mem://other".to_owned(),
    };
    assert_eq!(refusal(&world.calc, "mem://other"), Some(unknown));
    assert_eq!(
        refusal(&server("globex/calc"), "mem://r"),
        Some(Refusal::UnknownServer)
    );
    let watch = dispatcher
        .watch_resource(&caller, &world.calc, "mem://t/1")
        .unwrap();
    assert!(matches!(
        refusal(&world.calc, "mem://r"),
        Some(Refusal::Overloaded { .. })
    ));
    drop(watch);
    assert_eq!(refusal(&world.calc, "mem://r"), None);
    hub.close().await;
}

#[tokio::test(start_paused = true)]
async fn changes_of_lists_are_told_from_where_a_listener_left_off() {
    let world = world();
    let caller = world.caller("acme", &[]);
    let watch = world
        .dispatcher
        .watch_changes(&caller, &world.calc)
        .unwrap();
    let seen = watch.seen();
    drop(watch);
    let worker = WorkerId::parse("a").unwrap();
    world.catalogs.remove(&world.calc, &worker);
    let mut other = offer(true);
    other.tools.truncate(1);
    let worker = WorkerId::parse("b").unwrap();
    world.catalogs.register(&world.calc, &worker, other);
    let watch = world
        .dispatcher
        .watch_changes_since(&caller, &world.calc, seen);
    let start = world.env.now();
    let tools = Changes {
        tools: true,
        ..Changes::default()
    };
    assert_eq!(watch.unwrap().changed().await, tools);
    assert!(world.env.now().since(start) >= Duration::from_secs(2));
}
