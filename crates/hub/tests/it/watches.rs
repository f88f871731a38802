//! Resources that are watched, and catalogs that change.

use std::time::Duration;

use ostler_hub::{TooManyWatches, Watch};
use ostler_rpc::worker_v1::{self as wire, from_worker::Frame as From, to_worker::Frame as To};
use ostler_types::{ServerId, ServerName, TenantId};
use prost::Message;

use crate::rig::{Rig, Worker, catalog, inline, offer, server};

const URI: &str = "file:///a";

async fn updated(worker: &Worker, uri: &str) {
    let (server, uri) = (0, uri.to_owned());
    worker
        .send(From::ResourceUpdated(wire::ResourceUpdated { server, uri }))
        .await;
}

fn watch_frame() -> To {
    let (server, uri) = (0, URI.to_owned());
    To::Watch(wire::Watch { server, uri })
}

fn unwatch_frame() -> To {
    let (server, uri) = (0, URI.to_owned());
    To::Unwatch(wire::Unwatch { server, uri })
}

/// Whether the listener hears of a change within a second.
async fn hears(rig: &Rig, watch: &mut Watch) -> bool {
    let until = rig.env.now() + Duration::from_secs(1);
    rig.env.until(until, watch.changed()).await.is_some()
}

#[tokio::test(start_paused = true)]
async fn one_watch_serves_all_listeners_and_ends_with_the_last() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut one = rig.hub.watch(&server(), URI).unwrap();
    let mut two = rig.hub.watch(&server(), URI).unwrap();
    assert_eq!(worker.next().await, watch_frame());
    assert_eq!(rig.metric("watches", &[]), 1.0);
    updated(&worker, URI).await;
    assert!(hears(&rig, &mut one).await && hears(&rig, &mut two).await);
    drop(one);
    updated(&worker, "file:///b").await;
    assert!(!hears(&rig, &mut two).await);
    drop(two);
    assert_eq!(worker.next().await, unwatch_frame());
    assert_eq!(rig.metric("watches", &[]), 0.0);
    updated(&worker, URI).await;
    worker.settle(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn changes_that_follow_closely_are_told_once_and_never_lost() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut watch = rig.hub.watch(&server(), URI).unwrap();
    for _ in 0..10 {
        updated(&worker, URI).await;
    }
    worker.settle(&rig).await;
    assert!(hears(&rig, &mut watch).await);
    let told = rig.env.now();
    for _ in 0..10 {
        updated(&worker, URI).await;
    }
    assert!(hears(&rig, &mut watch).await);
    assert_eq!(rig.env.now().since(told), Duration::from_millis(100));
    assert!(!hears(&rig, &mut watch).await);
}

#[tokio::test(start_paused = true)]
async fn a_new_link_is_told_what_is_watched() {
    let rig = Rig::new();
    let watch = rig.hub.watch(&server(), URI).unwrap();
    let mut worker = rig.worker().await;
    assert_eq!(worker.next().await, watch_frame());
    worker.cut();
    rig.env.sleep(Duration::from_millis(10)).await;
    let mut worker = rig.worker().await;
    assert_eq!(worker.next().await, watch_frame());
    drop(watch);
    assert_eq!(worker.next().await, unwatch_frame());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_watch_is_not_asked_to() {
    let rig = Rig::new();
    let mut offered = catalog(&["add"]);
    offered.resource_watch = false;
    let edit = |hello: &mut wire::Hello| hello.servers = vec![offer("acme", "calc", &offered)];
    let mut worker = rig.try_worker(edit).await.unwrap();
    let _watch = rig.hub.watch(&server(), URI).unwrap();
    worker.settle(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn watches_are_bounded() {
    let rig = Rig::with(|config| config.watches_max = 1);
    let _one = rig.hub.watch(&server(), "file:///1").unwrap();
    assert!(rig.hub.watch(&server(), "file:///1").is_ok());
    assert!(rig.hub.watch(&server(), "file:///2").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_worker_can_be_told_all_watches_at_once_however_long_their_names_are() {
    let rig = Rig::with(|config| {
        config.watches_max = 64;
        config.watches_per_tenant_max = 64;
        config.control_bytes_max = 64 << 10;
    });
    let long = |n: usize| format!("file:///{n}/{}", "x".repeat(8_000));
    let watches = (0..64).map_while(|n| rig.hub.watch(&server(), &long(n)).ok());
    let watches: Vec<_> = watches.collect();
    assert_eq!(watches.len(), 9, "bounded in bytes too");
    let mut worker = rig.worker().await;
    for _ in &watches {
        assert!(matches!(worker.next().await, To::Watch(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn one_tenant_cannot_take_all_watches() {
    let rig = Rig::with(|config| {
        config.watches_max = 3;
        config.watches_per_tenant_max = 2;
    });
    let watch = |tenant: &str, server: &str| {
        let server = ServerId {
            tenant: TenantId::parse(tenant).unwrap(),
            name: ServerName::parse(server).unwrap(),
        };
        rig.hub.watch(&server, URI)
    };
    let one = watch("acme", "calc").unwrap();
    let _two = watch("acme", "notes").unwrap();
    assert_eq!(watch("acme", "more").err(), Some(TooManyWatches::OfTenant));
    assert!(watch("acme", "calc").is_ok(), "it is watched already");
    let _three = watch("globex", "calc").unwrap();
    drop(one);
    let _four = watch("acme", "more").unwrap();
    assert_eq!(watch("globex", "more").err(), Some(TooManyWatches::OfNode));
}

#[tokio::test(start_paused = true)]
async fn a_changed_catalog_is_taken_and_what_is_not_taken_is_said() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    let mut changed = catalog(&["sub"]);
    changed.tools.push(wire::Tool::default());
    let bytes = inline(changed.encode_to_vec());
    worker
        .send(From::CatalogChanged(wire::CatalogChanged {
            server: 0,
            catalog: bytes,
        }))
        .await;
    let To::CatalogTaken(taken) = worker.next().await else {
        panic!("the hub answers");
    };
    assert_eq!(taken.refusals.len(), 1);
    let snapshot = rig.catalogs.snapshot(&server()).unwrap();
    assert!(snapshot.tool("sub").is_some() && snapshot.tool("add").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_cannot_be_read_leaves_the_old_one_in_use() {
    let rig = Rig::new();
    let mut worker = rig.worker().await;
    for (index, bytes) in [(0, "x"), (9, "")] {
        let changed = wire::CatalogChanged {
            server: index,
            catalog: inline(bytes),
        };
        worker.send(From::CatalogChanged(changed)).await;
        let To::CatalogTaken(taken) = worker.next().await else {
            panic!("the hub answers");
        };
        assert_eq!(taken.refusals[0].kind, "server");
    }
    assert!(
        rig.catalogs
            .snapshot(&server())
            .unwrap()
            .tool("add")
            .is_some()
    );
}
