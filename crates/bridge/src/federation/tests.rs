use ostler_worker::CallKind;

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
    assert_eq!(found, Some((0, "x".to_owned())));
}

#[test]
fn prefixes_and_renames_lead_back_to_the_names_at_the_member() {
    let mut rules = prefixed("b");
    rules.rename.insert("y".to_owned(), "why".to_owned());
    let (first, other) = (offer(&["x"]), offer(&["x", "y"]));
    let merged = of(&[("a", &Rules::default(), &first), ("b", &rules, &other)]);
    assert_eq!(names(&merged), ["x", "b_x", "why"]);
    let find = |name| merged.routes.find(CallKind::Tool, name);
    assert_eq!(find("b_x"), Some((1, "x".to_owned())));
    assert_eq!(find("why"), Some((1, "y".to_owned())));
    assert_eq!(find("y"), None);
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
    let owner = |uri| merged.routes.owner(uri);
    assert_eq!(owner("a://7"), Some(0));
    assert_eq!(owner("a://fixed"), Some(1));
    assert_eq!(owner("b://q?x=1&y=2"), Some(1));
    assert_eq!(owner("c://"), None);
    let find = |reference| merged.routes.find(CallKind::Completion, reference);
    let prompt = r#"{"type":"ref/prompt","name":"b_p"}"#;
    let there = r#"{"type":"ref/prompt","name":"p"}"#;
    assert_eq!(find(prompt), Some((1, there.to_owned())));
    let template = r#"{"type":"ref/resource","uri":"a://{id}"}"#;
    assert_eq!(find(template), Some((0, template.to_owned())));
    assert!(merged.offer.completions);
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
        completions: true,
        ..Offer::default()
    };
    let merged = of(&[("a", &rules, &offer)]);
    let owner = |uri| merged.routes.owner(uri);
    assert_eq!(owner("a://open"), Some(0));
    assert_eq!(owner("a://secret"), None);
    assert_eq!(owner("a://secret/7"), None);
    let reference = r#"{"type":"ref/resource","uri":"a://secret"}"#;
    assert_eq!(merged.routes.find(CallKind::Completion, reference), None);
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
