//! The description as a whole: its text within bounds, and what its references lead to.

use std::borrow::Cow;

use serde_json::Value;

use super::{Error, yaml};

/// Bytes of a description: the largest that are published have about 12 MiB.
pub const DESCRIPTION_BYTES_MAX: usize = 16 << 20;
/// What it may become with its aliases put in, each value counted with what it takes.
const VALUES_BYTES_MAX: usize = 128 << 20;
/// References that lead to references.
const HOPS_MAX: usize = 16;

/// A description of OpenAPI 3.0 or 3.1.
#[derive(Debug)]
pub(super) struct Document {
    root: Value,
    pub version: Version,
}

/// The versions differ in what a schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Schemas of its own dialect.
    V30,
    /// JSON Schema 2020-12.
    V31,
}

impl Document {
    pub fn parse(text: &str) -> Result<Document, Error> {
        if text.len() > DESCRIPTION_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let text = text.trim_start_matches('\u{feff}');
        let root: Value = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|why| why.to_string()),
            false => yaml::read(text, VALUES_BYTES_MAX),
        }
        .map_err(Error::Syntax)?;
        let version = version(&root)?;
        Ok(Document { root, version })
    }

    pub fn get(&self, name: &str) -> &Value {
        &self.root[name]
    }

    /// What `value` is in the end, if it is a reference: an object that is none.
    pub fn follow<'d>(&'d self, value: &'d Value) -> Result<&'d Value, String> {
        let mut at = value;
        for _ in 0..HOPS_MAX {
            match at.get("$ref").and_then(Value::as_str) {
                Some(reference) => at = self.find(reference)?,
                None => return Ok(at),
            }
        }
        let reference = value["$ref"].as_str().unwrap_or_default();
        Err(format!(
            "{reference} leads from reference to reference without an end"
        ))
    }

    /// What a reference leads to. Only this document is looked at: a reference to another would
    /// make whoever reads a description fetch what its author names [T-7].
    pub fn find(&self, reference: &str) -> Result<&Value, String> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(format!(
                "{reference} refers to another document, which is not fetched"
            ));
        };
        let found = decoded(pointer).and_then(|pointer| self.root.pointer(&pointer));
        found.ok_or_else(|| format!("{reference} refers to nothing"))
    }
}

fn version(root: &Value) -> Result<Version, Error> {
    let text = match &root["openapi"] {
        Value::String(text) => text.clone(),
        // Unquoted in YAML, `3.1` is a number.
        Value::Number(number) => number.to_string(),
        _ => root["swagger"].as_str().unwrap_or_default().to_owned(),
    };
    let is = |minor: &str| text == minor || text.starts_with(&format!("{minor}."));
    match (is("3.0"), is("3.1")) {
        (true, _) => Ok(Version::V30),
        (_, true) => Ok(Version::V31),
        (false, false) => Err(Error::Version(text.chars().take(20).collect())),
    }
}

/// The fragment of a URI, decoded: a JSON pointer (RFC 6901, section 6).
fn decoded(fragment: &str) -> Option<Cow<'_, str>> {
    if !fragment.contains('%') {
        return Some(fragment.into());
    }
    let mut parts = fragment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(mut root: Value) -> Document {
        root["openapi"] = json!("3.1.0");
        Document::parse(&root.to_string()).unwrap()
    }

    #[test]
    fn only_3_0_and_3_1_are_read() {
        let check = |text: &str, expected| {
            let version = Document::parse(text).ok().map(|document| document.version);
            assert_eq!(version, expected, "{text}");
        };
        check("openapi: 3.0.4", Some(Version::V30));
        check("openapi: 3.1", Some(Version::V31));
        check("\u{feff}{\"openapi\": \"3.1.1\"}", Some(Version::V31));
        check("swagger: '2.0'", None);
        check("openapi: 3.2.0", None);
        check("[]", None);
        check("{", None);
        check(
            &format!("openapi: 3.1.0\na: {}", "x".repeat(DESCRIPTION_BYTES_MAX)),
            None,
        );
    }

    #[test]
    fn references_are_followed_within_the_document() {
        let document = document(json!({
            "paths": {"/a{b}": 1, "c~d": {"$ref": "#/end"}},
            "end": 2,
            "loop": {"$ref": "#/pool"}, "pool": {"$ref": "#/loop"},
        }));
        let check = |reference: &str, expected: Result<i32, &str>| {
            let value = json!({"$ref": reference});
            match (document.follow(&value), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(*found, json!(expected)),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (found, _) => panic!("{reference}: {found:?}"),
            }
        };
        check("#/paths/~1a%7Bb%7D", Ok(1));
        check("#/paths/c~0d", Ok(2));
        check("#/nowhere", Err("nothing"));
        check("#/%zz", Err("nothing"));
        check("#anchor", Err("nothing"));
        check("#/loop", Err("without an end"));
        check("http://169.254.169.254/x.yaml#/a", Err("not fetched"));
        check("other.yaml", Err("not fetched"));
    }
}
