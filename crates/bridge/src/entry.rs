//! Entries of an upstream in the form of 2026-07-28, and what they declare about their calls.
//!
//! Only what that revision says otherwise is changed; whether an entry is any good is for the
//! node to judge, which tells of every one that it does not take.

use std::time::Duration;

use ostler_client::{object, text_member};
use ostler_worker::{Declarations, Raw, RawEntry, TaskSupport};

/// What holds for all entries of a member.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    pub timeout: Option<Duration>,
    /// Any tool may become a task.
    pub tasks: bool,
}

/// A tool under the name it is shown by.
pub(crate) fn tool(definition: &Raw, shown: &str, terms: Terms) -> RawEntry {
    let mut declarations = terms.declarations();
    if is_harmless(definition) {
        declarations = declarations.idempotent();
    }
    if terms.tasks || may_be_task(definition) {
        declarations = declarations.task(TaskSupport::Optional);
    }
    let schema = input_schema(definition.get("inputSchema"));
    let more = [("name", Raw::from_text(shown)), ("inputSchema", schema)];
    RawEntry {
        definition: rewritten(definition, more),
        declarations,
    }
}

pub(crate) fn prompt(definition: &Raw, shown: &str, terms: Terms) -> RawEntry {
    RawEntry {
        definition: rewritten(definition, [("name", Raw::from_text(shown))]),
        declarations: terms.declarations(),
    }
}

/// A resource or a template. Reading changes nothing.
pub(crate) fn resource(definition: &Raw, terms: Terms) -> RawEntry {
    RawEntry {
        definition: rewritten(definition, []),
        declarations: terms.declarations().idempotent(),
    }
}

/// What a member may have under a template that it does not list.
pub(crate) fn unlisted(template: &str, terms: Terms) -> RawEntry {
    let members = [("uriTemplate", template), ("name", "unlisted")];
    RawEntry {
        definition: object(members.map(|(name, text)| (name, Raw::from_text(text)))),
        declarations: terms.declarations().idempotent().unlisted(),
    }
}

pub(crate) fn skill(definition: &Raw) -> RawEntry {
    RawEntry {
        definition: rewritten(definition, []),
        declarations: Declarations::new(),
    }
}

impl Terms {
    fn declarations(self) -> Declarations {
        match self.timeout {
            Some(timeout) => Declarations::new().timeout(timeout),
            None => Declarations::new(),
        }
    }
}

/// Whether a lost call may be made again. The hints come from the server that runs it, so it
/// harms nobody but itself if they lie.
fn is_harmless(definition: &Raw) -> bool {
    let annotations = definition.get("annotations").unwrap_or_default();
    let hint = |name: &str| annotations.get(name).and_then(|hint| hint.boolean()) == Some(true);
    hint("readOnlyHint") || hint("idempotentHint")
}

/// A tool that the upstream runs as a task. Where it must be one ([T-16]), the bridge follows that
/// task itself, so its callers need not be able to.
fn may_be_task(definition: &Raw) -> bool {
    let execution = definition.get("execution").unwrap_or_default();
    let support = text_member(&execution, "taskSupport");
    matches!(support.as_deref(), Some("optional" | "required"))
}

/// A schema that says of what type arguments are; servers of old leave that out.
fn input_schema(schema: Option<Raw>) -> Raw {
    let object_type = || ("type".into(), Raw::from_static("\"object\""));
    match schema {
        Some(schema) if schema.is_object() && schema.get("type").is_none() => {
            object([object_type()].into_iter().chain(schema.members()))
        }
        Some(schema) if !schema.is_null() => schema,
        Some(_) | None => Raw::from_static(r#"{"type":"object"}"#),
    }
}

/// The same members without what no revision after 2025-11-25 has, and without nulls, by which
/// some servers say that a member is not there; `more` goes before what was there.
fn rewritten<'a>(definition: &Raw, more: impl IntoIterator<Item = (&'a str, Raw)>) -> Raw {
    let more: Vec<_> = more.into_iter().collect();
    let is_kept = |name: &str| name != "execution" && more.iter().all(|(new, _)| *new != name);
    let kept = definition
        .members()
        .filter(|(name, value)| is_kept(name) && !value.is_null());
    let new = more
        .iter()
        .map(|(name, value)| ((*name).into(), value.clone()));
    object(new.chain(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(definition: &'static str, wanted: &str, declared: Declarations) {
        let entry = tool(&Raw::from_static(definition), "shown", Terms::default());
        assert_eq!(entry.definition.as_str(), wanted);
        assert_eq!(entry.declarations, declared, "{definition}");
    }

    #[test]
    fn a_tool_keeps_what_its_author_wrote() {
        check(
            r#"{"name":"n","title":"T","inputSchema":{"type":"object","x":1.00},"_meta":{"a":1}}"#,
            r#"{"name":"shown","inputSchema":{"type":"object","x":1.00},"title":"T","_meta":{"a":1}}"#,
            Declarations::new(),
        );
    }

    #[test]
    fn what_older_revisions_say_otherwise_is_said_anew() {
        let plain = r#"{"name":"shown","inputSchema":{"type":"object"}}"#;
        check(r#"{"name":"n"}"#, plain, Declarations::new());
        check(
            r#"{"name":"n","inputSchema":{},"title":null}"#,
            plain,
            Declarations::new(),
        );
        let as_task = Declarations::new().task(TaskSupport::Optional);
        check(
            r#"{"name":"n","execution":{"taskSupport":"required"}}"#,
            plain,
            as_task,
        );
    }

    #[test]
    fn only_what_says_so_may_run_twice() {
        for (hints, is_idempotent) in [
            (r#"{"name":"n","annotations":{"readOnlyHint":true}}"#, true),
            (
                r#"{"name":"n","annotations":{"idempotentHint":true}}"#,
                true,
            ),
            (
                r#"{"name":"n","annotations":{"idempotentHint":false}}"#,
                false,
            ),
            (
                r#"{"name":"n","annotations":{"readOnlyHint":"true"}}"#,
                false,
            ),
        ] {
            let entry = tool(&Raw::from_static(hints), "shown", Terms::default());
            let wanted = match is_idempotent {
                true => Declarations::new().idempotent(),
                false => Declarations::new(),
            };
            assert_eq!(entry.declarations, wanted, "{hints}");
        }
    }
}
