use std::time::Duration;

use ostler_protocol::{Raw, Revision, inbound::ListKind, listing::TaskSupport};
use ostler_types::{ServerName, TenantId};
use serde_json::{Value, json};

use super::*;
use crate::{
    entry::Target,
    offer::{Declarations, OfferedEntry},
    snapshot::Capabilities,
};

mod listing;

pub(crate) fn server(name: &str) -> ServerId {
    ServerId {
        tenant: TenantId::parse("acme").unwrap(),
        name: ServerName::parse(name).unwrap(),
    }
}

pub(crate) fn worker(name: &str) -> WorkerId {
    WorkerId::parse(name).unwrap()
}

pub(crate) fn offer_of_tools(names: &[&str]) -> Offer {
    let tool = |name: &&str| json!({"name": name, "inputSchema": {"type": "object"}});
    Offer {
        server_info: Raw::from_static(r#"{"name":"calc","version":"1"}"#),
        instructions: Some("use it".to_owned()),
        tools: names.iter().map(tool).map(entry).collect(),
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        skills: Vec::new(),
        completions: false,
        logging: false,
        resource_watch: false,
    }
}

pub(crate) fn entry(definition: Value) -> OfferedEntry {
    OfferedEntry {
        definition: Raw::from_value(&definition),
        declarations: Declarations::default(),
    }
}

struct World {
    env: Env,
    catalogs: Catalogs,
}

fn world() -> World {
    World::of(Env::seeded(1))
}

impl World {
    fn of(env: Env) -> Self {
        let catalogs = Catalogs::new(&env);
        Self { env, catalogs }
    }

    fn register(&self, name: &str, tools: &[&str]) {
        let refusals =
            self.catalogs
                .register(&server("calc"), &worker(name), offer_of_tools(tools));
        assert_eq!(refusals, []);
    }

    fn remove(&self, name: &str) {
        self.catalogs.remove(&server("calc"), &worker(name));
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.catalogs.snapshot(&server("calc")).unwrap()
    }

    /// The tools as "name workers".
    fn tools(&self) -> Vec<String> {
        let snapshot = self.snapshot();
        let show = |tool: &Arc<crate::entry::Tool>| {
            let workers: Vec<_> = tool.workers().iter().map(WorkerId::as_str).collect();
            format!("{} {}", tool.name, workers.join(","))
        };
        snapshot.tools().iter().map(show).collect()
    }

    fn metric(&self, name: &str) -> f64 {
        self.env.metrics().value(name, &[]).unwrap_or_default()
    }
}

async fn advance(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_server_has_no_snapshot() {
    let world = world();
    assert!(world.catalogs.snapshot(&server("calc")).is_none());
    world.remove("a");
    let _watch = world.catalogs.watch(&server("calc"));
    assert!(world.catalogs.snapshot(&server("calc")).is_none());
    assert_eq!(world.catalogs.servers(), []);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_workers_leaving_takes_only_itself_away() {
    let world = world();
    world.register("a", &["add", "sub"]);
    world.register("b", &["add"]);
    assert_eq!(world.tools(), ["add a,b", "sub a"]);
    world.remove("a");
    assert_eq!(world.tools(), ["add b", "sub "]);
    advance(2_000).await;
    assert_eq!(world.tools(), ["add b"]);
}

/// GRPC-037.
#[tokio::test(start_paused = true)]
async fn the_lists_outlive_the_last_worker_by_the_grace() {
    let world = world();
    world.register("a", &["add"]);
    world.remove("a");
    advance(1_999).await;
    assert_eq!(world.tools(), ["add "]);
    assert!(world.snapshot().workers().is_empty());
    assert!(!world.snapshot().is_deserted());
    advance(1).await;
    let snapshot = world.snapshot();
    assert!(snapshot.tools().is_empty());
    assert!(snapshot.is_deserted());
    assert!(
        snapshot.capabilities.tools,
        "what was declared stays declared"
    );
    assert_eq!(snapshot.instructions.as_deref(), Some("use it"));
    assert_eq!(snapshot.generation, 1, "what clients know still holds");
    world.register("a", &["add"]);
    assert_eq!(world.tools(), ["add a"]);
    assert!(!world.snapshot().is_deserted());
    assert_eq!(world.snapshot().generation, 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_back_in_time_changes_nothing() {
    let world = world();
    world.register("a", &["add"]);
    let before = world.snapshot();
    world.remove("a");
    advance(1_000).await;
    world.register("a", &["add"]);
    advance(5_000).await;
    let after = world.snapshot();
    assert_eq!(world.tools(), ["add a"]);
    assert_eq!(after.generation, before.generation);
    assert_eq!(world.metric("ostler_catalog_changes_total"), 1.0);
}

/// GRPC-008.
#[tokio::test(start_paused = true)]
async fn another_schema_under_a_served_name_is_refused_until_its_worker_left() {
    let world = world();
    world.register("a", &["add"]);
    let mut offer = offer_of_tools(&["add"]);
    let schema = json!({"type": "object", "required": ["x"]});
    offer.tools = vec![entry(json!({"name": "add", "inputSchema": schema}))];
    let calc = server("calc");
    let refusals = world.catalogs.register(&calc, &worker("b"), offer.clone());
    assert_eq!(
        (refusals[0].kind, refusals[0].name.as_str()),
        (EntryKind::Tool, "add")
    );
    assert_eq!(world.tools(), ["add a"]);
    world.remove("a");
    assert_eq!(world.tools(), ["add b"]);
    assert!(
        world
            .snapshot()
            .tool("add")
            .unwrap()
            .check_arguments(&Raw::empty_object())
            .is_err()
    );
    assert_eq!(world.metric("ostler_catalog_refusals_total"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_replaces_its_own_offer() {
    let world = world();
    world.register("a", &["add", "sub"]);
    world.register("a", &["mul"]);
    assert_eq!(world.tools(), ["mul a"]);
    assert_eq!(world.snapshot().generation, 2);
}

#[tokio::test(start_paused = true)]
async fn servers_do_not_see_each_other() {
    let world = world();
    world.register("a", &["add"]);
    let other = server("other");
    world
        .catalogs
        .register(&other, &worker("a"), offer_of_tools(&["list"]));
    world.catalogs.remove(&other, &worker("a"));
    assert_eq!(world.tools(), ["add a"]);
    assert!(
        world
            .catalogs
            .snapshot(&other)
            .unwrap()
            .tool("add")
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn capabilities_are_what_is_served() {
    let world = world();
    world.register("a", &["add"]);
    let tools = Capabilities {
        tools: true,
        ..Capabilities::default()
    };
    assert_eq!(world.snapshot().capabilities, tools);
    let mut offer = offer_of_tools(&[]);
    offer.templates = vec![entry(json!({"uriTemplate": "mem://{x}", "name": "n"}))];
    offer.tools = vec![entry(
        json!({"name": "t", "inputSchema": {"type": "object"}}),
    )];
    offer.tools[0].declarations.task = TaskSupport::Optional;
    offer.prompts = vec![entry(json!({"name": "p"}))];
    (offer.completions, offer.logging, offer.resource_watch) = (true, true, true);
    world
        .catalogs
        .register(&server("calc"), &worker("b"), offer);
    let all = Capabilities {
        tools: true,
        prompts: true,
        resources: true,
        resource_watch: true,
        logging: true,
        completions: true,
        tasks: true,
        ..Capabilities::default()
    };
    assert_eq!(world.snapshot().capabilities, all);
    assert_eq!(world.snapshot().completers()[..], [worker("b")]);
    assert_eq!(world.snapshot().watchers()[..], [worker("b")]);
}

#[tokio::test(start_paused = true)]
async fn pages_cover_a_list_once_also_when_it_changes_meanwhile() {
    let world = world();
    world.register("a", &["t0", "t1", "t2", "t3", "t4"]);
    let first = world.snapshot();
    let page = first.page(ListKind::Tools, Revision::V2026_07_28, None, 2);
    assert_eq!(page.entries.len(), 2);
    let next = page.next.unwrap();
    // t1, behind which the cursor points, is gone; the rest goes on after its place.
    world.register("a", &["t0", "tx", "t2", "t3", "t4"]);
    let second = world.snapshot();
    let page = second.page(ListKind::Tools, Revision::V2026_07_28, Some(&next), 10);
    let names = page
        .entries
        .iter()
        .map(|entry| entry.get("name").unwrap().to_string());
    assert_eq!(
        names.collect::<Vec<_>>(),
        [r#""tx""#, r#""t2""#, r#""t3""#, r#""t4""#]
    );
    assert!(page.next.is_none());
    let end = [&next[..8], &[0xFF]].concat();
    let beyond = second.page(ListKind::Tools, Revision::V2026_07_28, Some(&end), 10);
    assert!(beyond.entries.is_empty() && beyond.next.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_ends_with_the_list_has_no_next() {
    let world = world();
    world.register("a", &["a", "b"]);
    let snapshot = world.snapshot();
    for (limit, entries, more) in [(0, 1, true), (1, 1, true), (2, 2, false), (9, 2, false)] {
        let page = snapshot.page(ListKind::Tools, Revision::V2025_11_25, None, limit);
        assert_eq!(
            (page.entries.len(), page.next.is_some()),
            (entries, more),
            "{limit}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_encoded_stays_in_use_while_clients_see_no_difference() {
    let world = world();
    world.register("a", &["add"]);
    let first = world.snapshot();
    let before = first
        .page(ListKind::Tools, Revision::V2026_07_28, None, 9)
        .entries
        .as_ptr();
    world.register("b", &["add"]);
    let second = world.snapshot();
    let after = second
        .page(ListKind::Tools, Revision::V2026_07_28, None, 9)
        .entries
        .as_ptr();
    assert_eq!(before, after);
}

/// RPC-046, RPC-047.
#[tokio::test(start_paused = true)]
async fn a_resource_is_found_by_its_uri_or_by_a_template() {
    let world = world();
    let mut offer = offer_of_tools(&[]);
    let uris = ["mem://doc/a", "mem://doc/../odd"];
    offer.resources = uris
        .map(|uri| entry(json!({"uri": uri, "name": "n"})))
        .into();
    let templates = ["mem://doc/{id}", "file:///{+path}"];
    offer.templates = templates
        .map(|uri| entry(json!({"uriTemplate": uri, "name": "n"})))
        .into();
    world
        .catalogs
        .register(&server("calc"), &worker("a"), offer);
    let snapshot = world.snapshot();
    let found = |uri: &str| match snapshot.resource(uri) {
        Some(Target::Resource(resource)) => format!("resource {}", resource.name),
        Some(Target::Template(template)) => format!("template {}", template.name),
        None => "nothing".to_owned(),
    };
    assert_eq!(found("mem://doc/a"), "resource mem://doc/a");
    assert_eq!(found("mem://doc/../odd"), "resource mem://doc/../odd");
    assert_eq!(found("mem://doc/b"), "template mem://doc/{id}");
    assert_eq!(found("file:///a/b"), "template file:///{+path}");
    for bad in [
        "file:///../../etc/passwd",
        "mem://doc/..%2f..%2fx",
        "mem://doc/%00",
        "mem://doc/a/b",
        "mem://other",
        &format!("mem://doc/{}X/", "u,".repeat(50_000)),
        "",
    ] {
        assert_eq!(found(bad), "nothing", "{bad:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_offer_without_a_server_info_is_refused_whole() {
    let world = world();
    let mut offer = offer_of_tools(&["add"]);
    offer.server_info = Raw::from_static("[]");
    let refusals = world
        .catalogs
        .register(&server("calc"), &worker("a"), offer);
    assert_eq!(refusals[0].kind, EntryKind::Server);
    assert!(world.catalogs.snapshot(&server("calc")).is_none());
}
