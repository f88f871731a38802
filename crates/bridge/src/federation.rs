//! Several members as one Server: which entries it shows, under which names, and whose they are.
//!
//! Pure. The order is that of the configuration, so a list is the same whoever is down: a member
//! that is down still has its last offer. Where two members offer the same name the first one has
//! it, and the other one is named as a [`Conflict`].

mod routes;
mod skills;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use ostler_client::{object, text_member};
use ostler_worker::{Raw, RawEntry, RawOffer, UriTemplate};

pub(crate) use self::routes::Routes;
use self::routes::{Pattern, Unlisted};
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

impl Part<'_> {
    fn terms(&self) -> Terms {
        Terms {
            timeout: self.rules.timeout,
            tasks: self.offer.tasks,
        }
    }
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
        merged.add_skills(index, parts);
    }
    merged.add_unlisted(parts);
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
        if of.unlisted && part.rules.show_unlisted() {
            routes.unlisted.push(Unlisted {
                member: index,
                include: part.rules.include.as_slice().into(),
            });
        }
        offer.completions |= of.completions;
        offer.resource_watch |= of.resource_watch;
    }

    /// One entry for whatever members do not list, which runs as long as any of them may. The first:
    /// nodes take so many entries only.
    fn add_unlisted(&mut self, parts: &[Part<'_>]) {
        let members = self.routes.unlisted.iter();
        let timeouts = members.map(|it| parts[it.member].rules.timeout);
        let longest = timeouts.reduce(|one, other| Some(one?.max(other?)));
        if let Some(timeout) = longest {
            let terms = Terms {
                timeout,
                ..Terms::default()
            };
            self.offer
                .templates
                .insert(0, entry::unlisted("{+uri}", terms));
        }
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
        let (rules, terms) = (self.part.rules, self.part.terms());
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

    /// Not where URIs are excluded, which a server may know by other spellings; nor where none is
    /// included.
    fn show_unlisted(&self) -> bool {
        let names_uris = |globs: &[String]| globs.iter().any(|glob| glob::fits_some_uri(glob));
        (self.include.is_empty() || names_uris(&self.include)) && !names_uris(&self.exclude)
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
mod tests;
