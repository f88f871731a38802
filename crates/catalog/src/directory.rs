//! Directories of skills [EX-4]: nobody serves them, they follow from the files that skills name.

use std::collections::BTreeMap;

use ostler_protocol::{Raw, Revision, inbound::ListKind};
use serde_json::json;

use crate::{
    entry::{Resource, Skill},
    skill,
    snapshot::List,
};

/// How a directory is told from a file.
const DIRECTORY_TYPE: &str = "inode/directory";

/// The direct children of the directory `uri`; `None` if no skill has it.
pub(crate) fn read(
    skills: &List<Skill>,
    resources: &List<Resource>,
    revision: Revision,
    uri: &str,
) -> Option<Vec<Raw>> {
    let uri = uri.strip_suffix('/').unwrap_or(uri);
    let inside = format!("{uri}/");
    let mut children = BTreeMap::new();
    for skill in skills.entries().iter().filter(|skill| is_of(skill, uri)) {
        let files = skill.parts.files.iter().flatten();
        for rest in files.filter_map(|file| file.uri.strip_prefix(&inside)) {
            match rest.split_once('/') {
                Some((name, _)) => children
                    .entry(name)
                    .or_insert_with(|| directory(&inside, name)),
                None => children
                    .entry(rest)
                    .or_insert_with(|| file(resources, revision, &inside, rest)),
            };
        }
    }
    (!children.is_empty()).then(|| children.into_values().collect())
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
