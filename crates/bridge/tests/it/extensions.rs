//! What extensions add to an upstream: skills, and apps.

use ostler_testkit::{Door, Modern, Script, TestNode, until};
use ostler_worker::{Ctx, Resource, Skill, Tool};
use serde_json::{Value, json};

use crate::{
    lists::listen,
    world::{Bridge, ERAS, World, node, text},
};

fn tea() -> Skill {
    Skill::new("tea", "How to make tea.", "Boil water.").file(
        "notes/leaves.md",
        "text/markdown",
        "Green.",
    )
}

/// The result of a method that takes a URI.
async fn of(door: &Door, method: &str, uri: &str) -> Value {
    Modern::new(method, json!({"uri": uri})).result(door).await
}

async fn skills(door: &Door) -> Vec<Value> {
    let listed = Modern::new("skills/list", json!({})).send(door).await;
    let listed = listed.json()["result"]["skills"].as_array().cloned();
    listed.unwrap_or_default()
}

#[tokio::test]
async fn skills_are_the_upstreams_with_all_their_files() {
    let script = Script::new();
    script.server().add(tea());
    let world = World::of("modern", script).await;
    let (near, far) = (world.door(), world.far.door());
    let skill = "skill://tea/SKILL.md";
    for (method, uri) in [
        ("skills/get", skill),
        ("resources/read", skill),
        ("resources/read", "skill://tea/notes/leaves.md"),
        ("resources/directory/read", "skill://tea"),
        ("resources/directory/read", "skill://tea/notes"),
    ] {
        let (shown, meant) = (of(&near, method, uri).await, of(&far, method, uri).await);
        for part in ["skill", "contents", "resources"] {
            let uris = |result: &Value| {
                let entries = result[part].as_array().into_iter().flatten();
                entries.map(|it| it["uri"].clone()).collect::<Vec<_>>()
            };
            assert_eq!(uris(&shown), uris(&meant), "{method} {uri}");
        }
        assert_eq!(shown["skill"], meant["skill"]);
        assert_eq!(shown["contents"], meant["contents"]);
    }
    assert_eq!(skills(&near).await, skills(&far).await);
    let other = Modern::new("skills/get", json!({"uri": "skill://coffee/SKILL.md"}));
    assert_eq!(other.send(&near).await.code(), -32602);
    let mut live = listen(&near, json!({"resourcesListChanged": true})).await;
    let coffee = Skill::new("coffee", "How to make coffee.", "Grind beans.");
    world.script.server().add(coffee);
    let told = live.message().await;
    let method = "notifications/resources/list_changed";
    assert_eq!(told["method"], method, "{told}");
    assert_eq!(skills(&near).await.len(), 2);
    drop(live);
    world.stop().await;
}

/// A file of one would not be what the other says of it.
#[tokio::test]
async fn of_two_members_with_the_same_skill_the_first_has_all_of_it() {
    let far = [TestNode::anonymous().await, TestNode::anonymous().await];
    let scripts = [(); 2].map(|()| Script::new());
    let milk = Skill::new("tea", "With milk.", "Boil milk.");
    scripts[0].server().add(milk);
    scripts[1].server().add(tea());
    let workers = (
        far[0].worker(&scripts[0]).await,
        far[1].worker(&scripts[1]).await,
    );
    let near = TestNode::anonymous().await;
    let members = [("first", &far[0]), ("other", &far[1])];
    let members = members.map(|(name, far)| node(name, far.edge, "modern"));
    let bridge = Bridge::start(&near, members.into()).await;
    let door = near.door();
    until("the first member", || bridge.up("first").then_some(())).await;
    until("the other member", || bridge.up("other").then_some(())).await;
    let shown = skills(&door).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(shown[0]["frontmatter"]["description"], "With milk.");
    let read = of(&door, "resources/read", "skill://tea/SKILL.md").await;
    let text = read["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("Boil milk."), "{text}");
    bridge.stop().await;
    near.stop().await;
    drop(workers);
    for node in far {
        node.stop().await;
    }
}

const UI: &str = "io.modelcontextprotocol/ui";

#[tokio::test]
async fn apps_are_shown_and_the_upstream_knows_who_can_show_them() {
    for era in ERAS {
        let script = Script::new();
        let tool = Tool::new("clock", "Tells the time.", |ctx: Ctx| async move {
            format!("12:00 {}", ctx.client().ui)
        });
        script.server().add(tool.ui("ui://clock"));
        let page = Resource::ui("ui://clock", "clock", |_ctx: Ctx| async { "<p>12:00</p>" });
        script.server().add(page);
        let world = World::of(era, script).await;
        let door = world.door();
        let found = Modern::new("server/discover", json!({}))
            .result(&door)
            .await;
        assert_eq!(found["capabilities"]["extensions"][UI], json!({}));
        let listed = Modern::new("tools/list", json!({})).result(&door).await;
        let mut tools = listed["tools"].as_array().unwrap().iter();
        let clock = tools.find(|tool| tool["name"] == "clock").unwrap();
        assert_eq!(clock["_meta"]["ui"]["resourceUri"], "ui://clock");
        let page = &of(&door, "resources/read", "ui://clock").await["contents"][0];
        assert_eq!(page["mimeType"], "text/html;profile=mcp-app");
        let can = json!({"extensions": {UI: {"mimeTypes": ["text/html;profile=mcp-app"]}}});
        let told = Modern::call("clock", json!({}))
            .can(can)
            .result(&door)
            .await;
        assert_eq!(text(&told), "12:00 true");
        // On a connection that all share a legacy upstream is told what any client may do.
        let plain = Modern::call("clock", json!({})).result(&door).await;
        assert_eq!(text(&plain), format!("12:00 {}", era == "legacy"));
        world.stop().await;
    }
}
