//! MCP Apps and skills ([EX-2] to [EX-4]).

use ostler_testkit::{Modern, Script, Session, TestNode, TestWorker};
use ostler_worker::{Ctx, Resource, ResourceContents, Skill, Tool};
use serde_json::{Value, json};

const UI: &str = "io.modelcontextprotocol/ui";
const SKILLS: &str = "io.modelcontextprotocol/skills";

/// A node whose worker has an app and a skill.
async fn node() -> (TestNode, TestWorker) {
    node_with(|_| {}).await
}

async fn node_with(change: impl FnOnce(&mut ostler_node::Config)) -> (TestNode, TestWorker) {
    let page = Resource::ui("ui://clock", "clock", |_ctx: Ctx| async {
        let csp = json!({"csp": {"connectDomains": ["https://time.example"]}});
        ResourceContents::text("ui://clock", "<p>12:00</p>").meta("ui", csp)
    });
    let tool = Tool::new("clock", "Tells the time.", |_ctx: Ctx| async { "12:00" });
    let skill = Skill::new("tea", "How to make tea.", "Boil water.")
        .meta("io.modelcontextprotocol.skills/version", json!("2"))
        .meta("io.modelcontextprotocol/made-up", json!(1));
    let script = Script::new();
    let server = script.server();
    server.add(tool.ui("ui://clock"));
    server.add(page);
    server.add(skill.file("notes/leaves.md", "text/markdown", "Green."));
    let node = TestNode::with(change).await;
    let worker = node.worker(&script).await;
    (node, worker)
}

fn entry<'a>(list: &'a Value, key: &str, value: &str) -> Option<&'a Value> {
    let mut entries = list.as_array().expect("a list").iter();
    entries.find(|entry| entry[key] == value)
}

#[tokio::test]
async fn an_app_is_declared_listed_and_read_by_a_modern_client() {
    let (node, _worker) = node().await;
    let door = node.door();
    let found = Modern::new("server/discover", json!({}))
        .result(&door)
        .await;
    assert_eq!(found["capabilities"]["extensions"][UI], json!({}));
    let tools = Modern::new("tools/list", json!({})).result(&door).await;
    let tool = entry(&tools["tools"], "name", "clock").expect("the tool");
    assert_eq!(tool["_meta"]["ui"]["resourceUri"], "ui://clock");
    let resources = Modern::new("resources/list", json!({})).result(&door).await;
    assert_eq!(entry(&resources["resources"], "uri", "ui://clock"), None);
    let read = Modern::new("resources/read", json!({"uri": "ui://clock"}));
    let contents = &read.result(&door).await["contents"][0];
    assert_eq!(contents["mimeType"], "text/html;profile=mcp-app");
    let domains = json!(["https://time.example"]);
    assert_eq!(contents["_meta"]["ui"]["csp"]["connectDomains"], domains);
    node.stop().await;
}

#[tokio::test]
async fn a_legacy_client_is_shown_apps_if_it_shows_them_too() {
    let (node, _worker) = node().await;
    let door = node.door();
    let plain = Session::open(&door, json!({})).await;
    assert_eq!(plain.initialized["capabilities"]["extensions"], Value::Null);
    let mime_types = json!({"mimeTypes": ["text/html;profile=mcp-app"]});
    let session = Session::open(&door, json!({"extensions": {UI: mime_types}})).await;
    let declared = &session.initialized["capabilities"]["extensions"];
    assert_eq!(
        *declared,
        json!({UI: {}}),
        "and nothing else of the modern era"
    );
    let tools = session.result(1, "tools/list", json!({})).await;
    let tool = entry(&tools["tools"], "name", "clock").expect("the tool");
    assert_eq!(tool["_meta"]["ui"]["resourceUri"], "ui://clock");
    let read = session
        .result(2, "resources/read", json!({"uri": "ui://clock"}))
        .await;
    assert_eq!(read["contents"][0]["text"], "<p>12:00</p>");
    for (id, method) in [
        (3, "skills/list"),
        (4, "skills/get"),
        (5, "resources/directory/read"),
    ] {
        let response = session
            .ask(id, method, json!({"uri": "skill://tea/SKILL.md"}))
            .await;
        assert_eq!(response.code(), -32601, "{method}");
    }
    node.stop().await;
}

#[tokio::test]
async fn nothing_is_declared_that_no_worker_has() {
    let node = TestNode::anonymous().await;
    let _worker = node.worker(&Script::new()).await;
    let door = node.door();
    let found = Modern::new("server/discover", json!({}))
        .result(&door)
        .await;
    let extensions = &found["capabilities"]["extensions"];
    assert_eq!(
        (&extensions[UI], &extensions[SKILLS]),
        (&Value::Null, &Value::Null)
    );
    for method in ["skills/list", "skills/get", "resources/directory/read"] {
        let response = Modern::new(method, json!({"uri": "skill://tea"}))
            .send(&door)
            .await;
        assert_eq!(
            (response.status, response.code()),
            (404, -32601),
            "{method}"
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn skills_are_listed_got_and_their_directories_read() {
    let (node, _worker) = node().await;
    let door = node.door();
    let found = Modern::new("server/discover", json!({}))
        .result(&door)
        .await;
    let declared = &found["capabilities"]["extensions"][SKILLS];
    assert_eq!(*declared, json!({"directoryRead": true}));
    let listed = Modern::new("skills/list", json!({})).result(&door).await;
    let skill = entry(&listed["skills"], "uri", "skill://tea/SKILL.md").expect("the skill");
    let named = |method, uri: &str| Modern::new(method, json!({"uri": uri}));
    let got = named("skills/get", "skill://tea/SKILL.md")
        .result(&door)
        .await;
    assert_eq!(got["skill"], *skill);
    let meta = json!({"io.modelcontextprotocol.skills/version": "2"});
    assert_eq!(skill["_meta"], meta, "and no key of the protocol's own");
    assert!(got["ttlMs"].is_u64() && got["cacheScope"].is_string());
    let text = named("resources/read", "skill://tea/SKILL.md")
        .result(&door)
        .await;
    let text = text["contents"][0]["text"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(text.starts_with("---\nname: \"tea\"\n"), "{text}");
    assert_eq!(skill["resources"][0]["size"], text.len());
    let read = named("resources/directory/read", "skill://tea")
        .result(&door)
        .await;
    let notes = entry(&read["resources"], "mimeType", "inode/directory").expect("a directory");
    let read = named(
        "resources/directory/read",
        notes["uri"].as_str().expect("a URI"),
    );
    let read = read.result(&door).await;
    assert_eq!(read["resources"][0]["uri"], "skill://tea/notes/leaves.md");
    for (method, uri) in [
        ("skills/get", "skill://coffee/SKILL.md"),
        ("resources/directory/read", "skill://tea/SKILL.md"),
        ("resources/directory/read", "skill://coffee"),
    ] {
        let response = named(method, uri).send(&door).await;
        assert_eq!(response.code(), -32602, "{method} {uri}");
    }
    node.stop().await;
}

/// [EX-4], [P-3].
#[tokio::test]
async fn a_directory_is_read_page_by_page() {
    let (node, _worker) = node_with(|config| config.edge.limits.page_entries_max = 1).await;
    let door = node.door();
    let read = |uri: &str, cursor: &Value| {
        let request = Modern::new("resources/directory/read", json!({"uri": uri}));
        match cursor {
            Value::Null => request,
            cursor => request.param("cursor", cursor.clone()),
        }
    };
    let first = read("skill://tea", &json!("")).result(&door).await;
    let cursor = &first["nextCursor"];
    let second = read("skill://tea/", cursor).result(&door).await;
    assert_eq!(second["nextCursor"], Value::Null);
    let names = [
        first["resources"][0]["uri"].clone(),
        second["resources"][0]["uri"].clone(),
    ];
    assert_eq!(names, ["skill://tea/SKILL.md", "skill://tea/notes"]);
    // Of another directory, of a list, and made up.
    let list = Modern::new("tools/list", json!({})).result(&door).await;
    for (uri, cursor) in [
        ("skill://tea/notes", cursor),
        ("skill://tea", &list["nextCursor"]),
        ("skill://tea", &json!("x")),
    ] {
        let refused = read(uri, cursor).send(&door).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, -32602),
            "{uri} {cursor}"
        );
    }
    node.stop().await;
}
