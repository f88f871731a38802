//! A service whose description is away while a bridge begins.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ostler_bridge::{
    config::{Config, Table, Worker},
    process::Keeper,
};
use ostler_env::Env;
use ostler_testkit::{Modern, Replay, Script, Seen, Stub, TestNode, soon, until};
use serde_json::json;

use crate::{
    lists::{listen, names},
    process::example,
    world::{Bridge, node, text},
};

fn service(stub: &Stub) -> Table {
    Table {
        server: "default".to_owned(),
        name: Some("service".to_owned()),
        openapi: Some(stub.url("/openapi.json")),
        base: Some(stub.url("")),
        allow_private: true,
        ..Table::default()
    }
}

#[tokio::test]
async fn a_service_that_is_away_holds_up_nobody_and_is_served_once_it_is_there() {
    let is_there = Arc::new(AtomicBool::new(false));
    let looked = is_there.clone();
    let description =
        json!({"openapi": "3.1.0", "paths": {"/a": {"get": {"operationId": "late"}}}});
    let stub = Stub::start(move |seen: &Seen| match seen.target.as_str() {
        _ if !looked.load(Ordering::Acquire) => Replay::status(503),
        "/openapi.json" => Replay::json(200, &description),
        _ => Replay::json(200, &json!({"is": "there"})),
    })
    .await;
    let far = TestNode::anonymous().await;
    let worker = far.worker(&Script::new()).await;
    let near = TestNode::anonymous().await;
    let bridge = Bridge::start(&near, vec![service(&stub), node("far", far.edge, "auto")]).await;
    let door = near.door();
    assert_eq!(names(&door).await, names(&far.door()).await);
    let echo = Modern::call("echo", json!({"text": "hi"}));
    assert_eq!(text(&echo.result(&door).await), "hi");
    assert!(!bridge.up("service"));

    let mut live = listen(&door, json!({"toolsListChanged": true})).await;
    is_there.store(true, Ordering::Release);
    let told = live.message().await;
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    let late = Modern::call("late", json!({})).result(&door).await;
    assert_eq!(text(&late), r#"{"is":"there"}"#, "{late}");
    assert!(bridge.up("service"));
    drop(live);
    bridge.stop().await;
    near.stop().await;
    drop(worker);
    far.stop().await;
}

#[tokio::test]
async fn a_bridge_ends_while_a_description_is_fetched() {
    let stub = Stub::start(|_: &Seen| Replay::silence()).await;
    let env = Env::system();
    let config = Config {
        worker: Worker::default(),
        bridge: vec![service(&stub)],
    };
    let keeper = Keeper::new(example("keep"), []);
    let asked = until("a request", || (!stub.seen().is_empty()).then_some(()));
    let never = |_| panic!("nothing is known of the service");
    let run = ostler_bridge::run(env.clone(), config, keeper, never, asked);
    soon("the end of a bridge", run)
        .await
        .expect("it ends in peace");
    until("no task of a bridge", || {
        (env.tasks_alive() == 0).then_some(())
    })
    .await;
}
