//! What a skill must be to be listed [EX-4]: clients check the same, and reject the whole of it.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;

use crate::{
    check::{Parts, member},
    entry::{Definition, ResourceParts, SkillParts, TemplateParts},
    uri,
};

/// The file that every skill has at its root.
const MANIFEST: &str = "/SKILL.md";
/// Files of one skill, and how long they are together.
const FILES_MAX: usize = 512;
const FILES_BYTES_MAX: u64 = 16 << 20;
/// Longest name of a skill.
const NAME_LEN_MAX: usize = 64;

type Reason = String;

/// The resources of the same offer: what a skill names must be readable.
pub(crate) struct Served<'a> {
    resources: HashSet<&'a str>,
    templates: &'a [Arc<Definition<TemplateParts>>],
}

impl<'a> Served<'a> {
    pub(crate) fn new(
        resources: &'a [Arc<Definition<ResourceParts>>],
        templates: &'a [Arc<Definition<TemplateParts>>],
    ) -> Self {
        Self {
            resources: resources.iter().map(|entry| entry.name.as_str()).collect(),
            templates,
        }
    }

    fn has(&self, uri: &str) -> bool {
        let matches = |template: &Arc<Definition<TemplateParts>>| {
            uri::is_safe(uri) && template.parts.pattern.matches(uri)
        };
        self.resources.contains(uri) || self.templates.iter().any(matches)
    }
}

/// The directory of the skill with this SKILL.md, without a slash at its end.
pub(crate) fn directory(manifest: &str) -> &str {
    manifest.strip_suffix(MANIFEST).unwrap_or(manifest)
}

/// Checks an entry of `skills/list`: `{uri, frontmatter, resources}`.
pub(crate) fn parts(value: &Value, served: &Served<'_>) -> Result<Parts<SkillParts>, Reason> {
    let uri = member(value, "uri")?;
    uri::check_name(&uri).map_err(|reason| format!("uri {reason}"))?;
    check_frontmatter(&uri, &value["frontmatter"])?;
    let files = match &value["resources"] {
        Value::String(text) if text == "dynamic" => None,
        Value::Array(files) => Some(files_of(&uri, files)?),
        _ => return Err("resources must be an array or \"dynamic\"".to_owned()),
    };
    let all = files.iter().flatten().chain([&uri]);
    if let Some(missing) = all.into_iter().find(|file| !served.has(file)) {
        return Err(format!("{missing} is not among the resources"));
    }
    Ok(Parts {
        name: uri,
        contract: 0,
        parts: SkillParts { files },
    })
}

fn check_frontmatter(uri: &str, frontmatter: &Value) -> Result<(), Reason> {
    let text = |name: &str| frontmatter[name].as_str().filter(|text| !text.is_empty());
    let (Some(name), Some(_)) = (text("name"), text("description")) else {
        return Err("frontmatter must have a name and a description".to_owned());
    };
    if !is_skill_name(name) {
        return Err(format!(
            "frontmatter.name must have 1 to {NAME_LEN_MAX} of a-z, 0-9 and single '-' inside"
        ));
    }
    let directory = uri.strip_suffix(MANIFEST);
    let last = directory.and_then(|directory| directory.rsplit('/').next());
    match last == Some(name) {
        true => Ok(()),
        false => Err(format!("uri must end with /{name}{MANIFEST}")),
    }
}

/// The rule of the Agent Skills specification.
fn is_skill_name(name: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= NAME_LEN_MAX
        && name.bytes().all(is_known)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// The URIs of a complete list of files: each once, inside the skill, SKILL.md among them.
fn files_of(manifest: &str, files: &[Value]) -> Result<Vec<String>, Reason> {
    if files.len() > FILES_MAX {
        return Err(format!("has more than {FILES_MAX} files"));
    }
    let inside = format!("{}/", directory(manifest));
    let (mut uris, mut bytes) = (Vec::with_capacity(files.len()), 0_u64);
    let mut seen = HashSet::new();
    for file in files {
        let uri = member(file, "uri").map_err(|reason| format!("resources: {reason}"))?;
        if !uri.starts_with(&inside) || uri == inside {
            return Err(format!("{uri} is not a file of {inside}"));
        }
        if !file["digest"].as_str().is_some_and(is_digest) {
            return Err(format!(
                "the digest of {uri} must be sha256: and 64 hex digits"
            ));
        }
        let size = file["size"].as_u64();
        bytes = bytes.saturating_add(size.ok_or_else(|| format!("the size of {uri} is missing"))?);
        if !seen.insert(uri.clone()) {
            return Err(format!("{uri} is there twice"));
        }
        uris.push(uri);
    }
    match (seen.contains(manifest), bytes <= FILES_BYTES_MAX) {
        (true, true) => Ok(uris),
        (false, _) => Err(format!("resources must have {manifest} itself")),
        (true, false) => Err(format!("its files are longer than {FILES_BYTES_MAX} bytes")),
    }
}

fn is_digest(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let hex = text.strip_prefix("sha256:");
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(digit))
}

#[cfg(test)]
mod tests;
