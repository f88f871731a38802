//! Pages, what is not listed, and what follows from what is.

use std::collections::BTreeSet;

use ostler_protocol::inbound::ListKind;
use proptest::prelude::*;

use super::*;

const MODERN: Revision = Revision::V2026_07_28;

fn names(snapshot: &Snapshot, kind: ListKind, after: Option<&[u8]>, len: usize) -> Vec<String> {
    let page = snapshot.page(kind, MODERN, after, len);
    let text = |raw: &Raw| raw.get("name").and_then(|name| name.to::<String>().ok());
    page.entries.iter().filter_map(text).collect()
}

fn next(snapshot: &Snapshot, after: Option<&[u8]>, len: usize) -> Option<Vec<u8>> {
    let page = snapshot.page(ListKind::Tools, MODERN, after, len);
    page.next
}

/// Walks the pages while the list becomes each of `lists` in turn, and says what was shown. An
/// empty list stands for a while without anybody.
async fn walk(lists: &[Vec<String>], len: usize) -> Vec<String> {
    let world = world();
    let (mut shown, mut cursor) = (Vec::new(), None);
    for step in 0.. {
        let list = &lists[step.min(lists.len() - 1)];
        let list: Vec<_> = list.iter().map(String::as_str).collect();
        if list.is_empty() {
            world.remove("a");
            advance(2_000).await;
            assert!(world.snapshot().is_deserted());
            continue;
        }
        world.register("a", &list);
        let snapshot = world.snapshot();
        shown.extend(names(&snapshot, ListKind::Tools, cursor.as_deref(), len));
        cursor = next(&snapshot, cursor.as_deref(), len);
        if cursor.is_none() {
            break;
        }
    }
    shown
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// [P-3]: whatever comes, goes and moves between two pages, what was there all the time is
    /// shown once.
    #[test]
    fn no_entry_that_stays_is_skipped_or_shown_twice(
        lists in prop::collection::vec(
            prop::sample::subsequence((0..12).collect::<Vec<_>>(), 1..12).prop_shuffle(), 1..6),
        deserted in 0usize..6,
        len in 1usize..4,
    ) {
        let name = |number: &i32| format!("t{number}");
        let lists: Vec<Vec<String>> = lists.iter().map(|list| list.iter().map(name).collect()).collect();
        let sets = lists.iter().map(|list| list.iter().cloned().collect::<BTreeSet<_>>());
        let stayed = sets.reduce(|a, b| &a & &b).unwrap_or_default();
        let mut lists = lists.clone();
        lists.insert(deserted.clamp(1, lists.len()), Vec::new());
        lists.push(lists[0].clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let shown = runtime.block_on(walk(&lists, len));
        for name in stayed {
            let times = shown.iter().filter(|shown| **shown == name).count();
            prop_assert_eq!(times, 1, "{} in {:?}", name, shown);
        }
    }
}

/// Another catalog has other places for the same entries, as one has after a restart.
#[tokio::test(start_paused = true)]
async fn a_cursor_goes_on_behind_its_entry_whatever_its_place() {
    let before = world();
    before.register("a", &["b", "d"]);
    before.register("a", &["a", "b", "c", "d"]);
    let after = world();
    after.register("a", &["a", "b", "c", "d"]);
    for (len, rest) in [(1, "bcd"), (2, "cd"), (3, "d")] {
        let cursor = next(&before.snapshot(), None, len);
        let names = names(&after.snapshot(), ListKind::Tools, cursor.as_deref(), 9);
        assert_eq!(names.concat(), rest);
    }
}

/// Its place says nothing in another order: what stands there would be skipped.
#[tokio::test(start_paused = true)]
async fn a_cursor_whose_entry_is_gone_skips_nothing() {
    let before = world();
    before.register("a", &["a", "b", "c", "d"]);
    let cursor = next(&before.snapshot(), None, 3);
    let rest = |world: &World| names(&world.snapshot(), ListKind::Tools, cursor.as_deref(), 9);
    let restarted = World::of(Env::seeded(2));
    restarted.register("a", &["d", "b", "a"]);
    assert_eq!(rest(&restarted).concat(), "dba");
    // In the same order its place is known.
    before.register("a", &["d", "b", "a"]);
    assert_eq!(rest(&before).concat(), "d");
}

#[tokio::test(start_paused = true)]
async fn a_new_entry_is_listed_behind_the_one_it_follows() {
    let world = world();
    let check = |offered: &[&str], listed: &[&str]| {
        world.register("a", offered);
        assert_eq!(names(&world.snapshot(), ListKind::Tools, None, 99), listed);
    };
    check(&["b", "d"], &["b", "d"]);
    check(&["a", "b", "c", "d", "e"], &["a", "b", "c", "d", "e"]);
    check(&["e", "b", "x"], &["b", "x", "e"]);
}

#[tokio::test(start_paused = true)]
async fn a_place_without_room_is_shared_in_the_order_of_names() {
    let world = world();
    let mut offered = vec!["z".to_owned(), "a".to_owned()];
    for number in 0..60 {
        offered.insert(1, format!("n{number:02}"));
        let offered: Vec<_> = offered.iter().map(String::as_str).collect();
        world.register("a", &offered);
    }
    let listed = names(&world.snapshot(), ListKind::Tools, None, 99);
    assert_eq!(listed.len(), 62);
    assert_eq!(listed.last().map(String::as_str), Some("a"));
}

fn register(world: &World, offer: Offer) -> Arc<Snapshot> {
    let refusals = world
        .catalogs
        .register(&server("calc"), &worker("a"), offer);
    assert_eq!(refusals, []);
    world.snapshot()
}

#[tokio::test(start_paused = true)]
async fn what_is_unlisted_is_served_and_in_no_list() {
    let world = world();
    let mut offer = offer_of_tools(&["seen", "hidden"]);
    offer.tools[1].declarations.unlisted = true;
    offer.resources = vec![entry(json!({"uri": "ui://page", "name": "page"}))];
    offer.resources[0].declarations.unlisted = true;
    let snapshot = register(&world, offer.clone());
    assert_eq!(names(&snapshot, ListKind::Tools, None, 9), ["seen"]);
    assert!(snapshot.tool("hidden").is_some());
    assert!(snapshot.resource("ui://page").is_some());
    assert!(snapshot.capabilities.resources, "it can be read");
    assert_eq!(
        names(&snapshot, ListKind::Resources, None, 9),
        [] as [&str; 0]
    );
    offer.tools.pop();
    let after = register(&world, offer);
    assert_eq!(
        after.generation, snapshot.generation,
        "no client sees a change"
    );
}

/// Whoever came first: another worker of the Server may have what it does not list either.
#[tokio::test(start_paused = true)]
async fn an_unlisted_template_serves_what_no_listed_one_does() {
    let world = world();
    let template = |uri: &str| entry(json!({"uriTemplate": uri, "name": "n"}));
    let mut relaying = offer_of_tools(&[]);
    relaying.templates = vec![template("{+uri}")];
    relaying.templates[0].declarations.unlisted = true;
    let plain = Offer {
        templates: vec![template("mem://doc/{id}")],
        ..offer_of_tools(&[])
    };
    for (name, offer) in [("a", relaying), ("b", plain)] {
        let refusals = world
            .catalogs
            .register(&server("calc"), &worker(name), offer);
        assert_eq!(refusals, []);
    }
    let snapshot = world.snapshot();
    let served_by = |uri: &str| {
        let target = snapshot.resource(uri)?;
        Some(target.workers()[0].as_str().to_owned())
    };
    assert_eq!(served_by("mem://doc/a").as_deref(), Some("b"));
    assert_eq!(served_by("made://up?on=the&fly").as_deref(), Some("a"));
    assert_eq!(served_by("file:///a/../b"), None);
    assert_eq!(served_by("no-scheme"), None);
    assert_eq!(names(&snapshot, ListKind::Templates, None, 9), ["n"]);
}

#[tokio::test(start_paused = true)]
async fn apps_are_declared_by_whatever_belongs_to_them() {
    let ui = json!({"ui": {"resourceUri": "ui://page"}});
    let schema = json!({"type": "object"});
    let tool = |meta: Value| entry(json!({"name": "t", "inputSchema": schema, "_meta": meta}));
    let page =
        |mime_type: &str| entry(json!({"uri": "ui://p", "name": "p", "mimeType": mime_type}));
    let tools = |tool| Offer {
        tools: vec![tool],
        ..offer_of_tools(&[])
    };
    let resources = |page| Offer {
        resources: vec![page],
        ..offer_of_tools(&[])
    };
    for (offer, expected) in [
        (offer_of_tools(&["t"]), false),
        (tools(tool(json!({"vendor/x": 1}))), false),
        (tools(tool(ui)), true),
        (tools(tool(json!({"ui/resourceUri": "ui://page"}))), true),
        (resources(page("text/html")), false),
        (resources(page("text/html;profile=mcp-app")), true),
    ] {
        assert_eq!(register(&world(), offer).capabilities.apps, expected);
    }
}

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A Server with one skill of these files, each a resource.
fn with_skill(files: &[&str], dynamic: bool) -> Arc<Snapshot> {
    let mut offer = offer_of_tools(&[]);
    let resource = |uri: &&str| entry(json!({"uri": uri, "name": "f", "mimeType": "text/plain"}));
    offer.resources = files.iter().map(resource).collect();
    let file = |uri: &&str| json!({"uri": uri, "digest": DIGEST, "size": 1});
    let files = match dynamic {
        true => json!("dynamic"),
        false => files.iter().map(file).collect(),
    };
    offer.skills = vec![entry(json!({
        "uri": "skill://acme/pdf/SKILL.md",
        "frontmatter": {"name": "pdf", "description": "d"},
        "resources": files,
    }))];
    register(&world(), offer)
}

#[tokio::test(start_paused = true)]
async fn skills_are_found_by_their_uri_and_declared() {
    let snapshot = with_skill(&["skill://acme/pdf/SKILL.md"], false);
    let Capabilities {
        skills,
        skill_directories,
        ..
    } = snapshot.capabilities;
    assert!(skills && skill_directories);
    assert!(snapshot.skill("skill://acme/pdf/SKILL.md").is_some());
    assert!(snapshot.skill("skill://acme/pdf").is_none());
    assert_eq!(
        snapshot
            .page(ListKind::Skills, MODERN, None, 9)
            .entries
            .len(),
        1
    );
    let on_demand = with_skill(&["skill://acme/pdf/SKILL.md"], true);
    assert!(!on_demand.capabilities.skill_directories);
}

/// Of a rolling deploy: whoever has read what one worker says of its files must not be sent to
/// another one, whose files are other ones.
#[tokio::test(start_paused = true)]
async fn workers_whose_files_differ_do_not_stand_in_for_each_other() {
    let world = world();
    let uri = "skill://pdf/SKILL.md";
    let register = |name: &str, digit: &str| {
        let mut offer = offer_of_tools(&[]);
        offer.resources = vec![entry(json!({"uri": uri, "name": "f"}))];
        let digest = format!("sha256:{}", digit.repeat(64));
        offer.skills = vec![entry(json!({
            "uri": uri,
            "frontmatter": {"name": "pdf", "description": "d"},
            "resources": [{"uri": uri, "digest": digest, "size": 1}],
        }))];
        let refusals = world
            .catalogs
            .register(&server("calc"), &worker(name), offer);
        refusals.len()
    };
    let serve = |expected: &[&str]| {
        let snapshot = world.snapshot();
        let skill = snapshot.skill(uri).expect("the skill");
        let file = snapshot.resource(uri).expect("the file");
        for workers in [skill.workers(), file.workers()] {
            let workers: Vec<_> = workers.iter().map(WorkerId::as_str).collect();
            assert_eq!(workers, expected);
        }
    };
    assert_eq!(register("old", "1"), 0);
    assert_eq!(register("new", "2"), 2, "the skill and its file");
    serve(&["old"]);
    assert_eq!(register("other", "1"), 0);
    serve(&["old", "other"]);
    world.remove("old");
    world.remove("other");
    serve(&["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_shown_in_its_directory_as_in_lists() {
    let mut offer = offer_of_tools(&[]);
    let meta = json!({"acme/x": 1, "io.modelcontextprotocol/x": 2});
    offer.resources = vec![entry(json!({
        "uri": "skill://pdf/SKILL.md", "name": "pdf", "title": "PDF", "size": 5, "_meta": meta,
    }))];
    offer.templates = vec![entry(
        json!({"uriTemplate": "skill://pdf/{+path}", "name": "t"}),
    )];
    let files = ["skill://pdf/SKILL.md", "skill://pdf/a.md"];
    let files = files.map(|uri| json!({"uri": uri, "digest": DIGEST, "size": 5}));
    offer.skills = vec![entry(json!({
        "uri": "skill://pdf/SKILL.md",
        "frontmatter": {"name": "pdf", "description": "d"},
        "resources": files,
    }))];
    let snapshot = register(&world(), offer);
    let page = snapshot.directory(MODERN, "skill://pdf", None, 10);
    let children = page.expect("a directory").entries;
    let children: Vec<Value> = children
        .iter()
        .map(|child| child.to().expect("JSON"))
        .collect();
    let file = json!({
        "uri": "skill://pdf/SKILL.md", "name": "pdf", "title": "PDF", "size": 5, "_meta": {"acme/x": 1},
    });
    let of_template = json!({"uri": "skill://pdf/a.md", "name": "a.md"});
    assert_eq!(children, [file, of_template]);
}

#[tokio::test(start_paused = true)]
async fn a_directory_of_a_skill_shows_its_direct_children() {
    let files = ["SKILL.md", "a/x.md", "a/b/y.md", "z.txt"];
    let files = files.map(|file| format!("skill://acme/pdf/{file}"));
    let snapshot = with_skill(&files.each_ref().map(String::as_str), false);
    let shown = |uri: &str| {
        let children = snapshot.directory(MODERN, uri, None, 10)?.entries;
        let child = |raw: &Raw| {
            let text = |name| {
                raw.get(name)
                    .and_then(|value| value.to::<String>().ok())
                    .unwrap()
            };
            let kind = if text("mimeType") == "inode/directory" {
                "/"
            } else {
                ""
            };
            let inside = text("uri").replace("skill://acme/pdf/", "");
            format!("{inside}{kind}")
        };
        Some(children.iter().map(child).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(
        shown("skill://acme/pdf").as_deref(),
        Some("SKILL.md a/ z.txt")
    );
    assert_eq!(
        shown("skill://acme/pdf/").as_deref(),
        Some("SKILL.md a/ z.txt")
    );
    assert_eq!(shown("skill://acme/pdf/a").as_deref(), Some("a/b/ a/x.md"));
    assert_eq!(shown("skill://acme/pdf/a/b").as_deref(), Some("a/b/y.md"));
    // A page at a time, and what stands behind a name that is gone.
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = snapshot.directory(MODERN, "skill://acme/pdf", after.as_deref(), 1);
        let page = page.expect("a directory");
        seen.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all = snapshot.directory(MODERN, "skill://acme/pdf", None, 10);
    assert_eq!(Some(seen), all.map(|page| page.entries));
    let rest = snapshot.directory(MODERN, "skill://acme/pdf", Some("b"), 10);
    assert_eq!(rest.map(|page| page.entries.len()), Some(1));
    for other in [
        "skill://acme/pdf/SKILL.md",
        "skill://acme",
        "skill://acme/pdfx",
        "skill:/",
        "",
    ] {
        assert_eq!(shown(other), None, "{other}");
    }
}
