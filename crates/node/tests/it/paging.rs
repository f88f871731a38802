//! Cursors of lists ([P-3]).

use std::collections::BTreeMap;

use ostler_testkit::{Modern, Session};
use ostler_worker::{Ctx, Tool};
use serde_json::{Value, json};

use crate::world::World;

fn tool(name: &str) -> Tool {
    Tool::new(name, "For pages.", |_ctx: Ctx| async { "" })
}

/// How often each tool is shown by all pages, with a change of the list before each but the first.
async fn pages(world: &World, mut change: impl AsyncFnMut(usize)) -> BTreeMap<String, usize> {
    let (mut shown, mut cursor) = (BTreeMap::new(), None::<Value>);
    for page in 0.. {
        let mut list = Modern::new("tools/list", json!({}));
        if let Some(cursor) = cursor.take() {
            change(page).await;
            list = list.param("cursor", cursor);
        }
        let result = list.result(&world.door()).await;
        for tool in result["tools"].as_array().expect("tools") {
            let name = tool["name"].as_str().expect("a name").to_owned();
            *shown.entry(name).or_default() += 1;
        }
        match &result["nextCursor"] {
            Value::Null => break,
            next => cursor = Some(next.clone()),
        }
    }
    shown
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_was_while_the_list_changes() {
    let world = World::with(|config| config.edge.limits.page_entries_max = 3).await;
    let before = pages(&world, async |_| {}).await;
    assert!(before.values().all(|times| *times == 1));
    let (server, changes) = (world.script.server(), "ostler_catalog_changes_total");
    let shown = pages(&world, async |page| {
        let seen = world.node.metric(changes, &[]);
        match page {
            1 => assert!(server.remove_tool("echo"), "the first of all"),
            _ => server.add(tool(&format!("extra{page}"))),
        }
        world.node.reaches(changes, &[], seen + 1.0).await;
    })
    .await;
    for name in before.keys() {
        assert_eq!(shown.get(name), Some(&1), "{name} in {shown:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_in_both_eras() {
    let world = World::open().await;
    let session = Session::open(&world.door(), json!({})).await;
    let lists = [
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    ];
    for (id, method) in (1..).zip(lists) {
        for cursor in ["x", "AAAA", "bm90LW91cnM"] {
            let params = json!({"cursor": cursor});
            let modern = Modern::new(method, params.clone())
                .send(&world.door())
                .await;
            assert_eq!((modern.status, modern.code()), (400, -32602), "{method}");
            let legacy = session.ask(format!("{id}{cursor}"), method, params).await;
            assert_eq!((legacy.status, legacy.code()), (200, -32602), "{method}");
        }
        let empty = Modern::new(method, json!({"cursor": ""}))
            .send(&world.door())
            .await;
        assert_eq!(empty.code(), 0, "{method}: the empty cursor is the start");
    }
    world.end(session).await;
}
