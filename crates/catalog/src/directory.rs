//! Directories of skills [EX-4]: nobody serves them, they follow from the files that skills name.

use std::collections::BTreeMap;

use ostler_protocol::Raw;
use serde_json::{Value, json};

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
    uri: &str,
) -> Option<Vec<Raw>> {
    let uri = uri.strip_suffix('/').unwrap_or(uri);
    let inside = format!("{uri}/");
    let mut children = BTreeMap::new();
    for skill in skills.entries().iter().filter(|skill| is_of(skill, uri)) {
        let files = skill.parts.files.iter().flatten();
        for rest in files.filter_map(|file| file.strip_prefix(&inside)) {
            let child = match rest.split_once('/') {
                Some((name, _)) => directory(&inside, name),
                None => file(resources, &inside, rest),
            };
            children.insert(rest.split('/').next().unwrap_or(rest), child);
        }
    }
    let children: Vec<_> = children.values().map(Raw::from_value).collect();
    (!children.is_empty()).then_some(children)
}

/// Whether `uri` is the directory of the skill or inside it. What is around skills is nobody's.
fn is_of(skill: &Skill, uri: &str) -> bool {
    let rest = uri.strip_prefix(skill::directory(&skill.name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn directory(inside: &str, name: &str) -> Value {
    json!({"uri": format!("{inside}{name}"), "name": name, "mimeType": DIRECTORY_TYPE})
}

/// With the type of the resource, if it is one of its own and says so.
fn file(resources: &List<Resource>, inside: &str, name: &str) -> Value {
    let uri = format!("{inside}{name}");
    let mime_type = resources
        .find(&uri)
        .and_then(|entry| entry.raw.get("mimeType"));
    let mut file = json!({"uri": uri, "name": name});
    if let Some(mime_type) = mime_type {
        file["mimeType"] = json!(mime_type.text());
    }
    file
}
