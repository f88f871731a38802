//! What is listed: followed, federated, complete while a member is down.

use ostler_bridge::config::Table;
use ostler_testkit::{Door, Live, Modern, Script, TestNode, until};
use serde_json::{Value, json};

use crate::world::{Bridge, ERAS, World, node, text};

pub async fn names(door: &Door) -> Vec<String> {
    let list = Modern::new("tools/list", json!({})).result(door).await;
    let tools = list["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

pub async fn listen(door: &Door, filter: Value) -> Live {
    let listen = Modern::new("subscriptions/listen", json!({"notifications": filter}));
    let mut live = listen.open(door).await;
    let first = live.message().await;
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    live
}

#[tokio::test]
async fn the_server_is_shown_as_the_upstream_describes_itself() {
    for era in ERAS {
        let world = World::open(era).await;
        let direct = names(&world.far.door()).await;
        assert_eq!(names(&world.door()).await, direct);
        let found = Modern::new("server/discover", json!({}))
            .result(&world.door())
            .await;
        let info = &found["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(info["name"], "testkit", "{found}");
        assert_eq!(found["instructions"], "For tests.");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_tool_that_the_upstream_adds_is_told_of_and_can_be_called() {
    for era in ERAS {
        let world = World::open(era).await;
        let door = world.door();
        let mut live = listen(&door, json!({"toolsListChanged": true})).await;
        Modern::call("change", json!({"text": "added"}))
            .result(&door)
            .await;
        let told = live.message().await;
        assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
        let added = Modern::call("added", json!({})).result(&door).await;
        assert_eq!(text(&added), "added");
        drop(live);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_resource_is_watched_at_the_upstream_while_somebody_watches_it_here() {
    for (era, uri) in ERAS.into_iter().flat_map(|era| {
        let uris = ["mem://text", "mem://unlisted"];
        uris.map(|uri| (era, uri))
    }) {
        let world = World::open(era).await;
        let door = world.door();
        let mut live = listen(&door, json!({"resourceSubscriptions": [uri]})).await;
        let server = world.script.server().clone();
        until("a watched resource", || {
            server.is_watched(uri).then_some(())
        })
        .await;
        Modern::call("touch", json!({"text": uri}))
            .result(&door)
            .await;
        let told = live.message().await;
        assert_eq!(told["method"], "notifications/resources/updated", "{told}");
        assert_eq!(told["params"]["uri"], uri);
        drop(live);
        until("nobody watches", || (!server.is_watched(uri)).then_some(())).await;
        world.stop().await;
    }
}

#[tokio::test]
async fn several_members_are_one_server_whose_lists_outlive_a_member_that_is_down() {
    let (one, two) = (TestNode::anonymous().await, TestNode::anonymous().await);
    let script = Script::new();
    let workers = (one.worker(&script).await, two.worker(&script).await);
    let near = TestNode::anonymous().await;
    let prefixed = Table {
        prefix: "two".to_owned(),
        include: vec!["echo".to_owned()],
        ..node("two", two.edge, "legacy")
    };
    let members = vec![node("one", one.edge, "auto"), prefixed];
    let bridge = Bridge::start(&near, members).await;
    let door = near.door();
    let before = names(&door).await;
    assert!(before.contains(&"two_echo".to_owned()), "{before:?}");
    let echo = Modern::call("two_echo", json!({"text": "hi"}))
        .result(&door)
        .await;
    assert_eq!(text(&echo), "hi");
    assert!(bridge.up("one") && bridge.up("two"));

    drop(workers.1);
    two.stop().await;
    let down = Modern::call("two_echo", json!({"text": "hi"}))
        .send(&door)
        .await;
    assert_eq!(down.code(), -31008, "{down:?}");
    // It was found out by who needed it.
    until("a member that is down", || {
        (!bridge.up("two")).then_some(())
    })
    .await;
    assert_eq!(names(&door).await, before);
    let echo = Modern::call("echo", json!({"text": "hi"}))
        .result(&door)
        .await;
    assert_eq!(text(&echo), "hi");
    let found = Modern::new("server/discover", json!({}))
        .result(&door)
        .await;
    let said = found["instructions"].as_str().unwrap();
    assert!(said.contains("what two offers"), "{said}");
    bridge.stop().await;
    near.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn a_contested_name_is_its_first_members_and_the_conflict_is_counted() {
    let far = TestNode::anonymous().await;
    let worker = far.worker(&Script::new()).await;
    let near = TestNode::anonymous().await;
    let members = vec![
        node("first", far.edge, "auto"),
        node("other", far.edge, "auto"),
    ];
    let bridge = Bridge::start(&near, members).await;
    assert_eq!(names(&near.door()).await, names(&far.door()).await);
    let labels = [("server", "default/default")];
    let metrics = bridge.env.metrics();
    let conflicts = metrics.value("ostler_bridge_conflicts_total", &labels);
    assert!(conflicts.unwrap() > 10.0, "{conflicts:?}");
    bridge.stop().await;
    near.stop().await;
    drop(worker);
    far.stop().await;
}
