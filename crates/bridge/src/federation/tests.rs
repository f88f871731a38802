use ostler_worker::{CallKind, Declarations};

use super::*;

fn raws(texts: &[&str]) -> Vec<Raw> {
    let raw = |text: &&str| Raw::parse((*text).to_owned().into(), 8).expect("it is JSON");
    texts.iter().map(raw).collect()
}

fn offer(tools: &[&str]) -> Offer {
    let tools: Vec<_> = tools
        .iter()
        .map(|name| format!(r#"{{"name":"{name}"}}"#))
        .collect();
    let tools: Vec<_> = tools.iter().map(String::as_str).collect();
    Offer {
        info: Raw::from_static(r#"{"name":"up","version":"3"}"#),
        tools: raws(&tools),
        presence: Presence::Up,
        ..Offer::default()
    }
}

fn prefixed(prefix: &str) -> Rules {
    Rules {
        prefix: prefix.to_owned(),
        ..Rules::default()
    }
}

fn of(parts: &[(&str, &Rules, &Offer)]) -> Merged {
    let parts: Vec<_> = parts
        .iter()
        .map(|(name, rules, offer)| Part { name, rules, offer })
        .collect();
    merge("all", &parts)
}

fn names(merged: &Merged) -> Vec<String> {
    let name = |entry: &RawEntry| text_member(&entry.definition, "name").unwrap_or_default();
    merged.offer.tools.iter().map(name).collect()
}

#[test]
fn a_lone_member_is_shown_as_it_is() {
    let merged = of(&[("a", &Rules::default(), &offer(&["x", "y"]))]);
    assert_eq!(names(&merged), ["x", "y"]);
    let info = merged.offer.info.expect("it has one");
    assert_eq!(info.as_str(), r#"{"name":"up","version":"3"}"#);
}

#[test]
fn of_two_with_the_same_name_the_first_has_it_and_the_other_is_named() {
    let rules = Rules::default();
    let (first, other) = (offer(&["x"]), offer(&["x", "y"]));
    let merged = of(&[("a", &rules, &first), ("b", &rules, &other)]);
    assert_eq!(names(&merged), ["x", "y"]);
    let conflict = Conflict {
        shown: "x".to_owned(),
        first: "a".to_owned(),
        other: "b".to_owned(),
    };
    assert_eq!(merged.conflicts, [conflict]);
    let found = merged.routes.find(CallKind::Tool, "x");
    assert_eq!(found, [(0, "x".to_owned())]);
}

#[test]
fn prefixes_and_renames_lead_back_to_the_names_at_the_member() {
    let mut rules = prefixed("b");
    rules.rename.insert("y".to_owned(), "why".to_owned());
    let (first, other) = (offer(&["x"]), offer(&["x", "y"]));
    let merged = of(&[("a", &Rules::default(), &first), ("b", &rules, &other)]);
    assert_eq!(names(&merged), ["x", "b_x", "why"]);
    let find = |name| merged.routes.find(CallKind::Tool, name);
    assert_eq!(find("b_x"), [(1, "x".to_owned())]);
    assert_eq!(find("why"), [(1, "y".to_owned())]);
    assert_eq!(find("y"), []);
}

#[test]
fn only_what_is_included_and_not_excluded_is_shown() {
    let rules = Rules {
        include: vec!["get_*".to_owned(), "list".to_owned()],
        exclude: vec!["*_secret".to_owned()],
        ..Rules::default()
    };
    let offer = offer(&["get_a", "get_secret", "list", "lists", "set_a"]);
    let merged = of(&[("a", &rules, &offer)]);
    assert_eq!(names(&merged), ["get_a", "list"]);
}

#[test]
fn resources_and_completions_find_their_member() {
    let rules = prefixed("b");
    let first = Offer {
        templates: raws(&[r#"{"uriTemplate":"a://{id}","name":"n"}"#]),
        ..Offer::default()
    };
    let other = Offer {
        resources: raws(&[r#"{"uri":"a://fixed","name":"n"}"#]),
        templates: raws(&[r#"{"uriTemplate":"b://q{?x,y}","name":"n"}"#]),
        prompts: raws(&[r#"{"name":"p"}"#]),
        completions: true,
        ..Offer::default()
    };
    let merged = of(&[("a", &Rules::default(), &first), ("b", &rules, &other)]);
    let owners = |uri| merged.routes.owners(uri);
    assert_eq!(owners("a://7"), [0]);
    assert_eq!(owners("a://fixed"), [1]);
    assert_eq!(owners("b://q?x=1&y=2"), [1]);
    assert!(owners("c://").is_empty());
    let find = |reference| merged.routes.find(CallKind::Completion, reference);
    let prompt = r#"{"type":"ref/prompt","name":"b_p"}"#;
    let there = r#"{"type":"ref/prompt","name":"p"}"#;
    assert_eq!(find(prompt), [(1, there.to_owned())]);
    let template = r#"{"type":"ref/resource","uri":"a://{id}"}"#;
    assert_eq!(find(template), [(0, template.to_owned())]);
    assert!(merged.offer.completions);
}

/// The URIs that three members are asked for, each of which may have what it does not list.
fn asked_for(uri: &str, [one, two, three]: [&Rules; 3]) -> Vec<usize> {
    let plain = Offer {
        unlisted: true,
        ..Offer::default()
    };
    let listing = Offer {
        resources: raws(&[r#"{"uri":"a://listed","name":"n"}"#]),
        templates: raws(&[r#"{"uriTemplate":"a://t/{id}","name":"n"}"#]),
        ..plain.clone()
    };
    let merged = of(&[
        ("1", one, &plain),
        ("2", two, &listing),
        ("3", three, &plain),
    ]);
    let completion = format!(r#"{{"type":"ref/resource","uri":"{uri}"}}"#);
    let find = |kind, target: &str| merged.routes.find(kind, target);
    let read = find(CallKind::Resource, uri);
    let completed = find(CallKind::Completion, &completion);
    let members = |found: Vec<(usize, String)>| found.into_iter().map(|(index, _)| index);
    assert!(members(read).eq(members(completed)), "{uri}");
    merged.routes.owners(uri)
}

#[test]
fn what_nobody_lists_is_asked_for_in_order_of_all_who_may_have_it() {
    let all = Rules::default();
    let check = |uri, wanted: &[usize]| assert_eq!(asked_for(uri, [&all; 3]), wanted, "{uri}");
    check("a://listed", &[1]);
    check("a://t/7", &[1]);
    // Under a template for all we know of it, so its member is the first.
    check("a://t/7/8", &[1, 0, 2]);
    check("b://", &[0, 1, 2]);
}

#[test]
fn what_a_filter_hides_is_not_asked_for_under_another_spelling() {
    let all = Rules::default();
    let rules = |include: &[&str], exclude: &[&str]| Rules {
        include: include.iter().map(|glob| glob.to_string()).collect(),
        exclude: exclude.iter().map(|glob| glob.to_string()).collect(),
        ..Rules::default()
    };
    let check = |rules: Rules, uri, wanted: &[usize]| {
        assert_eq!(asked_for(uri, [&all, &all, &rules]), wanted, "{rules:?}");
    };
    check(rules(&[], &["c://secret"]), "c://%73ecret", &[0, 1]);
    check(rules(&[], &["delete_*"]), "c://open", &[0, 1, 2]);
    check(rules(&["c://*"], &[]), "c://open", &[0, 1, 2]);
    check(rules(&["c://*"], &[]), "d://open", &[0, 1]);
    check(rules(&["echo"], &[]), "c://open", &[0, 1]);
}

#[test]
fn what_is_not_listed_has_an_entry_in_no_list_if_anybody_may_have_it() {
    let minutes = |minutes: u64| Rules {
        timeout: Some(Duration::from_mins(minutes)),
        ..Rules::default()
    };
    let none = Rules {
        include: vec!["echo".to_owned()],
        ..Rules::default()
    };
    let unlisted = Offer {
        unlisted: true,
        ..Offer::default()
    };
    let declared = |rules: [&Rules; 2]| {
        let merged = of(&[("a", rules[0], &unlisted), ("b", rules[1], &unlisted)]);
        let templates = merged.offer.templates.into_iter();
        templates
            .map(|entry| entry.declarations)
            .collect::<Vec<_>>()
    };
    let plain = Declarations::new().idempotent().unlisted();
    let longest = plain.clone().timeout(Duration::from_mins(5));
    assert_eq!(declared([&none, &none]), []);
    assert_eq!(declared([&minutes(5), &minutes(1)]), [longest]);
    assert_eq!(declared([&minutes(1), &Rules::default()]), [plain]);
}

#[test]
fn what_is_excluded_is_not_reached_through_a_template() {
    let rules = Rules {
        exclude: vec!["a://secret*".to_owned()],
        ..Rules::default()
    };
    let offer = Offer {
        resources: raws(&[r#"{"uri":"a://secret","name":"s"}"#]),
        templates: raws(&[r#"{"uriTemplate":"a://{+path}","name":"t"}"#]),
        unlisted: true,
        completions: true,
        ..Offer::default()
    };
    let merged = of(&[("a", &rules, &offer)]);
    let owners = |uri| merged.routes.owners(uri);
    assert_eq!(owners("a://open"), [0]);
    assert!(owners("a://secret").is_empty());
    assert!(owners("a://secret/7").is_empty());
    let reference = r#"{"type":"ref/resource","uri":"a://secret"}"#;
    assert_eq!(merged.routes.find(CallKind::Completion, reference), []);
}

/// Of a member between two that list a file below it, and have a template for all.
#[test]
fn a_skill_is_shown_if_all_its_files_are_its_members() {
    let skill = |files: &str| format!(r#"{{"uri":"s://a/b/SKILL.md","resources":{files}}}"#);
    let listing = |uri: &str| Offer {
        resources: raws(&[&format!(r#"{{"uri":"{uri}","name":"n"}}"#)]),
        templates: raws(&[r#"{"uriTemplate":"s://{+path}","name":"n"}"#]),
        ..Offer::default()
    };
    let (first, last) = (listing("s://a/b/theirs"), listing("s://a/b/c/d"));
    let rules = Rules {
        exclude: vec!["*hidden".to_owned()],
        ..Rules::default()
    };
    let check = |files: &str, shown: usize, conflicts: &[&str], owner: usize| {
        let of_files = Offer {
            skills: raws(&[&skill(files)]),
            ..Offer::default()
        };
        let all = Rules::default();
        let merged = of(&[
            ("1", &all, &first),
            ("2", &rules, &of_files),
            ("3", &all, &last),
        ]);
        assert_eq!(merged.offer.skills.len(), shown, "{files}");
        let contested = merged.conflicts.iter().map(|it| &*it.shown);
        let contested = contested.filter(|shown| !shown.contains('{'));
        assert!(contested.eq(conflicts.iter().copied()), "{files}");
        assert_eq!(merged.routes.owners("s://a/b/c/d"), [owner], "{files}");
    };
    let (manifest, file) = (r#"{"uri":"s://a/b/SKILL.md"}"#, r#"{"uri":"s://a/b/c/d"}"#);
    check(&format!("[{manifest},{file}]"), 1, &["s://a/b/c/d"], 1);
    check(r#""dynamic""#, 1, &[], 2);
    check(r#"[{"uri":"s://a/b/theirs"}]"#, 0, &["s://a/b/SKILL.md"], 2);
    check(r#"[{"uri":"s://a/b/hidden"}]"#, 0, &[], 2);
}

#[test]
fn who_is_down_is_still_listed_and_said_to_be_down() {
    let rules = Rules::default();
    let (up, mut down) = (offer(&["x"]), offer(&["y"]));
    let before = names(&of(&[("a", &rules, &up), ("b", &rules, &down)]));
    down.presence = Presence::Down("it ended".to_owned());
    let merged = of(&[("a", &rules, &up), ("b", &rules, &down)]);
    assert_eq!(names(&merged), before);
    let said = &merged.offer.instructions;
    assert!(
        said.contains("what b offers") && !said.contains("it ended"),
        "{said}"
    );
}
