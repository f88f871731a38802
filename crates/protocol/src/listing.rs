//! Entries of lists in the form of a revision. A definition is written once, in the form of
//! 2026-07-28; what an older client does not know is left out [ERA-7], and what remains is
//! the author's text: schemas above all keep every keyword [T-4].

use crate::{
    annotations,
    inbound::ListKind,
    json::{
        Kind, Raw,
        walk::{self, kind_of},
    },
    meta,
    revision::Revision,
    write::Writer,
};

/// Whether calls of a tool may become tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TaskSupport {
    #[default]
    None,
    Optional,
    Required,
}

impl TaskSupport {
    /// `execution.taskSupport`; forbidden is what its absence means [T-16].
    fn as_execution(self) -> Option<&'static str> {
        match self {
            TaskSupport::None => None,
            TaskSupport::Optional => Some(r#"{"taskSupport":"optional"}"#),
            TaskSupport::Required => Some(r#"{"taskSupport":"required"}"#),
        }
    }
}

/// One entry of a list. `task` matters for tools only.
pub fn entry(revision: Revision, kind: ListKind, definition: &Raw, task: TaskSupport) -> Raw {
    let text = definition.as_str();
    let execution = task
        .as_execution()
        .filter(|_| kind == ListKind::Tools && revision.has_requested_tasks());
    let passes = |name: &str, value| verdict(revision, kind, name, value) == Verdict::Pass;
    if execution.is_none() && walk::members(text).all(|(name, value)| passes(&name, value)) {
        return definition.clone();
    }
    let mut writer = Writer::new(text.len() + 64);
    writer.open();
    for (name, value) in walk::members(text) {
        match verdict(revision, kind, &name, value) {
            Verdict::Pass => writer.raw_member(&name, value),
            Verdict::Strip => write_stripped(&mut writer, revision, &name, value),
            Verdict::Drop => {}
        }
    }
    if let Some(execution) = execution {
        writer.raw_member("execution", execution);
    }
    writer.close();
    writer.into_raw()
}

/// What becomes of one member of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    /// Something in it is not the worker's to write [SEC-6], or unknown to the revision.
    Strip,
    Drop,
}

fn verdict(revision: Revision, kind: ListKind, name: &str, value: &str) -> Verdict {
    let is_tool = kind == ListKind::Tools;
    let is_known = match name {
        "title" => revision.has_titles(),
        "icons" => revision.has_icons(),
        "_meta" => revision.has_entry_meta(),
        "annotations" if is_tool => revision.has_tool_annotations(),
        "outputSchema" if is_tool => carries_output_schema(revision, value),
        "execution" if is_tool => false, // declared beside the definition, never in it
        _ => true,
    };
    let needs_strip = match name {
        "_meta" => meta::needs_strip(value),
        "annotations" if !is_tool => annotations::need_strip(value, revision),
        "arguments" if kind == ListKind::Prompts => {
            !revision.has_titles() && walk::items(value).any(has_title)
        }
        _ => false,
    };
    match (is_known, needs_strip) {
        (false, _) => Verdict::Drop,
        (true, true) => Verdict::Strip,
        (true, false) => Verdict::Pass,
    }
}

fn has_title(argument: &str) -> bool {
    walk::member(argument, "title").is_some()
}

fn write_stripped(writer: &mut Writer, revision: Revision, name: &str, value: &str) {
    match name {
        "_meta" => meta::write(writer, value),
        "annotations" => annotations::write(writer, value, revision),
        _ => {
            writer.name(name);
            writer.open_array();
            walk::items(value).for_each(|argument| write_untitled(writer, argument));
            writer.close_array();
        }
    }
}

/// An argument of a prompt.
fn write_untitled(writer: &mut Writer, argument: &str) {
    writer.open();
    for (name, value) in walk::members(argument).filter(|(name, _)| name != "title") {
        writer.raw_member(&name, value);
    }
    writer.close();
}

/// Up to 2025-11-25 the root of an output schema is an object [T-12].
fn carries_output_schema(revision: Revision, schema: &str) -> bool {
    let root = walk::member(schema, "type");
    let is_object = root.is_some_and(|root| kind_of(root) == Kind::String && root == "\"object\"");
    revision.has_any_structured_content() || revision.has_structured_content() && is_object
}

#[cfg(test)]
mod tests;
