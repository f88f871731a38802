//! What a skill must be to be listed [EX-4]: clients check the same, and reject the whole of it.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    ops::Bound,
    sync::Arc,
};

use serde_json::Value;

use crate::{
    check::{Parts, hash_of, member},
    entry::{Definition, ResourceParts, SkillFile, SkillParts, TemplateParts},
    uri,
};

/// The file that every skill has at its root.
const MANIFEST: &str = "/SKILL.md";
/// Files of one skill, and how long they are together.
const FILES_MAX: usize = 512;
const FILES_BYTES_MAX: u64 = 16 << 20;
/// Longest name of a skill.
const NAME_LEN_MAX: usize = 64;
/// Steps of matching files with templates, for all skills of an offer: some hundredths of a
/// second, as an offer is checked where its link is served. Enough for thousands of files.
const STEPS_MAX: usize = 8 << 20;

type Reason = String;

/// The resources of the same offer: what a skill names must be readable.
pub(crate) struct Served<'a> {
    resources: HashSet<&'a str>,
    templates: &'a [Arc<Definition<TemplateParts>>],
    /// What is left of [`STEPS_MAX`].
    steps: Cell<usize>,
}

impl<'a> Served<'a> {
    pub(crate) fn new(
        resources: &'a [Arc<Definition<ResourceParts>>],
        templates: &'a [Arc<Definition<TemplateParts>>],
    ) -> Self {
        Self {
            resources: resources.iter().map(|entry| entry.name.as_str()).collect(),
            templates,
            steps: Cell::new(STEPS_MAX),
        }
    }

    /// `uri` is a path, so a template may match it.
    fn must_have(&self, uri: &str) -> Result<(), Reason> {
        if self.resources.contains(uri) {
            return Ok(());
        }
        for template in self.templates {
            let pattern = &template.parts.pattern;
            let left = self.steps.get().checked_sub(pattern.cost(uri));
            self.steps.set(left.ok_or_else(|| {
                "the skills of this offer have too many files that only templates serve; \
                 list them as resources, which may be unlisted"
                    .to_owned()
            })?);
            if pattern.matches(uri) {
                return Ok(());
            }
        }
        Err(format!("{uri} is not among the resources"))
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
    check_path(&uri)?;
    let files = match &value["resources"] {
        Value::String(text) if text == "dynamic" => None,
        Value::Array(files) => Some(files_of(&uri, files)?),
        _ => return Err("resources must be an array or \"dynamic\"".to_owned()),
    };
    match &files {
        Some(files) => files
            .iter()
            .try_for_each(|file| served.must_have(&file.uri))?,
        None => served.must_have(&uri)?,
    }
    Ok(Parts {
        name: uri,
        contract: hash_of(&[Some(value)]),
        parts: SkillParts { files },
    })
}

/// A file of a skill is what its digest says, so workers whose files differ do not stand in for
/// each other: a client would find that what it read does not fit, and reject the skill.
pub(crate) fn bind(
    skills: &[Arc<Definition<SkillParts>>],
    resources: &mut [Arc<Definition<ResourceParts>>],
) {
    let mut digests = BTreeMap::<&str, BTreeSet<&str>>::new();
    for file in skills
        .iter()
        .flat_map(|skill| skill.parts.files.iter().flatten())
    {
        digests.entry(&file.uri).or_default().insert(&file.digest);
    }
    for resource in resources {
        if let Some(digests) = digests.get(resource.name.as_str()) {
            let resource = Arc::get_mut(resource).expect("nobody shares it before it is offered");
            let mut hasher = DefaultHasher::new();
            (resource.contract, digests).hash(&mut hasher);
            resource.contract = hasher.finish();
        }
    }
}

/// Clients make paths of these, of directories and files: what could lead elsewhere is refused.
fn check_path(uri: &str) -> Result<(), Reason> {
    match uri::is_safe(uri) && !uri.contains(['?', '#']) {
        true => Ok(()),
        false => Err(format!(
            "{uri} must be a plain path, without dot segments, query and fragment"
        )),
    }
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

/// A complete list of files: each once, inside the skill, SKILL.md among them.
fn files_of(manifest: &str, values: &[Value]) -> Result<Vec<SkillFile>, Reason> {
    if values.len() > FILES_MAX {
        return Err(format!("has more than {FILES_MAX} files"));
    }
    let inside = format!("{}/", directory(manifest));
    let (mut files, mut bytes) = (Vec::with_capacity(values.len()), 0_u64);
    let mut seen = BTreeSet::new();
    for value in values {
        let file = file_of(&inside, value)?;
        let size = value["size"].as_u64();
        let size = size.ok_or_else(|| format!("the size of {} is missing", file.uri))?;
        bytes = bytes.saturating_add(size);
        if !seen.insert(file.uri.clone()) {
            return Err(format!("{} is there twice", file.uri));
        }
        files.push(file);
    }
    if let Some(both) = seen.iter().find(|uri| is_directory(uri, &seen)) {
        return Err(format!("{both} is a file and a directory"));
    }
    match (seen.contains(manifest), bytes <= FILES_BYTES_MAX) {
        (true, true) => Ok(files),
        (false, _) => Err(format!("resources must have {manifest} itself")),
        (true, false) => Err(format!("its files are longer than {FILES_BYTES_MAX} bytes")),
    }
}

fn file_of(inside: &str, value: &Value) -> Result<SkillFile, Reason> {
    let uri = member(value, "uri").map_err(|reason| format!("resources: {reason}"))?;
    let segments = uri.strip_prefix(inside).map(|rest| rest.split('/'));
    if !segments.is_some_and(|mut segments| segments.all(|segment| !segment.is_empty())) {
        return Err(format!("{uri} is not a file of {inside}"));
    }
    check_path(&uri)?;
    match value["digest"].as_str().filter(|digest| is_digest(digest)) {
        Some(digest) => Ok(SkillFile {
            uri,
            digest: digest.to_owned(),
        }),
        None => Err(format!(
            "the digest of {uri} must be sha256: and 64 hex digits"
        )),
    }
}

fn is_directory(uri: &str, files: &BTreeSet<String>) -> bool {
    let below = format!("{uri}/");
    let mut behind = files.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
    behind.next().is_some_and(|file| file.starts_with(&below))
}

fn is_digest(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let hex = text.strip_prefix("sha256:");
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(digit))
}

#[cfg(test)]
mod tests;
