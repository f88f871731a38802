//! Directories of skills [EX-4]: nobody serves them, they follow from the files that skills name.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use ostler_protocol::{Raw, Revision, inbound::ListKind};
use serde_json::json;

use crate::{
    entry::{Resource, Skill},
    skill,
    snapshot::List,
};

/// How a directory is told from a file.
const DIRECTORY_TYPE: &str = "inode/directory";

/// A part of a directory.
#[derive(Debug, PartialEq, Eq)]
pub struct DirectoryPage {
    /// MCP `Resource` objects, in order of their names.
    pub entries: Vec<Raw>,
    /// The name to go on after, if there is more.
    pub next: Option<String>,
}

/// What a skill has under a name.
#[derive(Debug, Clone, Copy)]
enum Child {
    File,
    Directory,
}

/// At most `len_max` of the direct children of the directory `uri`, behind the name `after`; `None` if
/// no skill has it.
pub(crate) fn read(
    skills: &List<Skill>,
    resources: &List<Resource>,
    revision: Revision,
    uri: &str,
    after: Option<&str>,
    len_max: usize,
) -> Option<DirectoryPage> {
    let inside = format!("{}/", without_slash(uri));
    let children = children(skills, &inside);
    let shown = |(name, child): (&&str, &Child)| match child {
        Child::File => file(resources, revision, &inside, name),
        Child::Directory => directory(&inside, name),
    };
    let behind = (after.map_or(Unbounded, Excluded), Unbounded);
    let names: Vec<_> = children.range::<str, _>(behind).collect();
    let page = &names[..len_max.max(1).min(names.len())];
    let last = page.last().filter(|_| page.len() < names.len());
    (!children.is_empty()).then(|| DirectoryPage {
        entries: page.iter().copied().map(shown).collect(),
        next: last.map(|(name, _)| (**name).to_owned()),
    })
}

/// The same directory with and without a slash at its end.
pub fn without_slash(uri: &str) -> &str {
    uri.strip_suffix('/').unwrap_or(uri)
}

fn children<'s>(skills: &'s List<Skill>, inside: &str) -> BTreeMap<&'s str, Child> {
    let uri = without_slash(inside);
    let skills = skills.entries().iter().filter(|skill| is_of(skill, uri));
    let files = skills.flat_map(|skill| skill.parts.files.iter().flatten());
    let rests = files.filter_map(|file| file.uri.strip_prefix(inside));
    let child = |rest: &'s str| match rest.split_once('/') {
        Some((name, _)) => (name, Child::Directory),
        None => (rest, Child::File),
    };
    rests.map(child).collect()
}

/// Whether `uri` is the directory of the skill or inside it. What is around skills is nobody's.
fn is_of(skill: &Skill, uri: &str) -> bool {
    let rest = uri.strip_prefix(skill::directory(&skill.name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn directory(inside: &str, name: &str) -> Raw {
    let uri = format!("{inside}{name}");
    Raw::from_value(&json!({"uri": uri, "name": name, "mimeType": DIRECTORY_TYPE}))
}

/// The resource itself, or what is known of a file that a template serves.
fn file(resources: &List<Resource>, revision: Revision, inside: &str, name: &str) -> Raw {
    let uri = format!("{inside}{name}");
    match resources.find(&uri) {
        Some(resource) => resource.shown(revision, ListKind::Resources),
        None => Raw::from_value(&json!({"uri": uri, "name": name})),
    }
}
