//! Several members as one Server: which entries it shows, under which names, and whose they are.
//!
//! Pure. The order is that of the configuration, so a list is the same whoever is down: a member
//! that is down still has its last offer. Where two members offer the same name the first one has
//! it, and the other one is named as a [`Conflict`].

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use ostler_client::{object, text_member};
use ostler_worker::{CallKind, Raw, RawEntry, RawOffer, UriTemplate};

use crate::{
    entry::{self, Terms},
    glob,
    member::{Offer, Presence},
};

/// What of a member is shown, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Goes before the names of tools and prompts, with a `_` between; URIs stay as they are.
    pub prefix: String,
    /// Names of tools and prompts by their name at the member, instead of prefix and name.
    pub rename: BTreeMap<String, String>,
    /// Names and URIs at the member, with `*` for anything; without one, all.
    pub include: Vec<String>,
    /// Those of them that are not shown.
    pub exclude: Vec<String>,
    /// The longest run of a call.
    pub timeout: Option<Duration>,
}

/// One member as it is now.
pub(crate) struct Part<'a> {
    pub name: &'a str,
    pub rules: &'a Rules,
    pub offer: &'a Offer,
}

/// Two members offer the same; the first has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The name or URI.
    pub shown: String,
    pub first: String,
    pub other: String,
}

/// One state of a Server.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub offer: RawOffer,
    pub routes: Routes,
    pub conflicts: Vec<Conflict>,
}

/// Whose entries are whose.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// By the shown name: the member, and the name there.
    tools: HashMap<String, (usize, String)>,
    prompts: HashMap<String, (usize, String)>,
    resources: HashMap<String, (usize, String)>,
    templates: HashMap<String, (usize, String)>,
    /// The templates again, in the order of the list.
    patterns: Vec<Pattern>,
}

/// The URIs under a template that is shown: those that are not excluded themselves.
#[derive(Debug)]
struct Pattern {
    template: UriTemplate,
    member: usize,
    exclude: Arc<[String]>,
}

impl Pattern {
    fn has(&self, uri: &str) -> bool {
        self.template.matches(uri) && self.admits(uri)
    }

    fn may_have(&self, uri: &str) -> bool {
        uri.starts_with(self.template.beginning()) && self.admits(uri)
    }

    fn admits(&self, uri: &str) -> bool {
        !is_in(&self.exclude, uri)
    }
}

/// What a kind of entry is named by.
type Named = (&'static str, fn(&Raw, &str, Terms) -> RawEntry);

const TOOL: Named = ("name", entry::tool);
const PROMPT: Named = ("name", entry::prompt);
const RESOURCE: Named = ("uri", |raw, _, terms| entry::resource(raw, terms));
const TEMPLATE: Named = ("uriTemplate", |raw, _, timeout| {
    entry::resource(raw, timeout)
});

/// All members as one Server, which shows itself as `name` if it has more than one.
pub(crate) fn merge(name: &str, parts: &[Part<'_>]) -> Merged {
    let mut merged = Merged::default();
    for (index, part) in parts.iter().enumerate() {
        merged.add(index, part, parts);
    }
    merged.offer.info = info(name, parts);
    merged.offer.instructions = instructions(parts);
    merged
}

impl Merged {
    fn add(&mut self, index: usize, part: &Part<'_>, parts: &[Part<'_>]) {
        let Merged {
            offer,
            routes,
            conflicts,
        } = self;
        let of = &part.offer;
        let mut shelf = Shelf {
            index,
            part,
            parts,
            conflicts,
        };
        shelf.fill(&of.tools, TOOL, &mut routes.tools, &mut offer.tools);
        shelf.fill(&of.prompts, PROMPT, &mut routes.prompts, &mut offer.prompts);
        let resources = &mut offer.resources;
        shelf.fill(&of.resources, RESOURCE, &mut routes.resources, resources);
        let (before, templates) = (offer.templates.len(), &mut offer.templates);
        shelf.fill(&of.templates, TEMPLATE, &mut routes.templates, templates);
        let exclude: Arc<[String]> = part.rules.exclude.as_slice().into();
        for entry in &templates[before..] {
            let text = text_member(&entry.definition, "uriTemplate").unwrap_or_default();
            routes.patterns.push(Pattern {
                template: UriTemplate::parse(&text),
                member: index,
                exclude: exclude.clone(),
            });
        }
        offer.completions |= of.completions;
        offer.resource_watch |= of.resource_watch;
    }
}

/// One member's entries on their way to the lists.
struct Shelf<'a, 'b> {
    index: usize,
    part: &'a Part<'a>,
    parts: &'a [Part<'a>],
    conflicts: &'b mut Vec<Conflict>,
}

impl Shelf<'_, '_> {
    /// Entries without a name cannot be asked for; no member offers any.
    fn fill(
        &mut self,
        entries: &[Raw],
        (member, make): Named,
        routes: &mut HashMap<String, (usize, String)>,
        list: &mut Vec<RawEntry>,
    ) {
        let rules = self.part.rules;
        let terms = Terms {
            timeout: rules.timeout,
            tasks: self.part.offer.tasks,
        };
        for definition in entries {
            let Some(name) = text_member(definition, member).filter(|name| rules.shows(name))
            else {
                continue;
            };
            let shown = match member {
                "name" => rules.shown(&name),
                _ => name.clone(),
            };
            match routes.entry(shown) {
                Entry::Vacant(vacant) => {
                    list.push(make(definition, vacant.key(), terms));
                    vacant.insert((self.index, name));
                }
                Entry::Occupied(taken) => self.conflicts.push(Conflict {
                    shown: taken.key().clone(),
                    first: self.parts[taken.get().0].name.to_owned(),
                    other: self.part.name.to_owned(),
                }),
            }
        }
    }
}

impl Rules {
    fn shows(&self, name: &str) -> bool {
        (self.include.is_empty() || is_in(&self.include, name)) && !is_in(&self.exclude, name)
    }

    fn shown(&self, name: &str) -> String {
        match (self.rename.get(name), self.prefix.as_str()) {
            (Some(renamed), _) => renamed.clone(),
            (None, "") => name.to_owned(),
            (None, prefix) => format!("{prefix}_{name}"),
        }
    }
}

fn is_in(globs: &[String], name: &str) -> bool {
    globs.iter().any(|glob| glob::fits(glob, name))
}

impl Routes {
    /// Whose a call is, and what it asks for there.
    pub fn find(&self, kind: CallKind, target: &str) -> Option<(usize, String)> {
        match kind {
            CallKind::Tool => self.tools.get(target).cloned(),
            CallKind::Prompt => self.prompts.get(target).cloned(),
            CallKind::Resource => self.owner(target).map(|index| (index, target.to_owned())),
            CallKind::Completion => self.completes(target),
        }
    }

    /// Whose a resource is. Nodes have matched the template already; where its expressions are
    /// beyond us, what it begins with must do.
    pub fn owner(&self, uri: &str) -> Option<usize> {
        if let Some((index, _)) = self.resources.get(uri) {
            return Some(*index);
        }
        let mut patterns = self.patterns.iter();
        if let Some(pattern) = patterns.find(|pattern| pattern.has(uri)) {
            return Some(pattern.member);
        }
        let begun = self.patterns.iter().filter(|it| it.may_have(uri));
        let longest = begun.max_by_key(|it| it.template.beginning().len());
        longest.map(|pattern| pattern.member)
    }

    /// The raw `ref` of a completion, under the name that it has at its member.
    fn completes(&self, reference: &str) -> Option<(usize, String)> {
        let reference = ostler_client::parse(reference).ok()?;
        if let Some(uri) = text_member(&reference, "uri") {
            let template = self.templates.get(&uri).map(|(index, _)| *index);
            let index = template.or_else(|| self.owner(&uri))?;
            return Some((index, reference.to_string()));
        }
        let (index, name) = self.prompts.get(&text_member(&reference, "name")?)?;
        let renamed = reference.members().map(|(member, value)| match &*member {
            "name" => (member, Raw::from_text(name)),
            _ => (member, value),
        });
        Some((*index, object(renamed).to_string()))
    }
}

/// A lone member shows itself; several are shown as what they are together.
fn info(name: &str, parts: &[Part<'_>]) -> Option<Raw> {
    let is_whole = |info: &Raw| {
        let has = |member| text_member(info, member).is_some();
        has("name") && has("version")
    };
    match parts {
        [only] => Some(only.offer.info.clone()).filter(is_whole),
        _ => Some(object([
            ("name", Raw::from_text(name)),
            (
                "version",
                Raw::from_static(concat!("\"", env!("CARGO_PKG_VERSION"), "\"")),
            ),
        ])),
    }
}

/// What all members say, and which of them are not there: a model that reads it does not wonder.
fn instructions(parts: &[Part<'_>]) -> String {
    let mut paragraphs = Vec::new();
    for part in parts {
        match (&part.offer.instructions, parts.len()) {
            (None, _) => {}
            (Some(text), 1) => paragraphs.push(text.clone()),
            (Some(text), _) => paragraphs.push(format!("{}: {text}", part.name)),
        }
    }
    for part in parts {
        if let Presence::Down(_) = part.offer.presence {
            paragraphs.push(format!(
                "Not available at the moment: what {} offers. Calls of it fail.",
                part.name
            ));
        }
    }
    paragraphs.join("\n\n")
}

#[cfg(test)]
mod tests {
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
}
