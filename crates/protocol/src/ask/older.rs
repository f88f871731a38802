//! Questions in the words of revisions that know less [SP-2], [SP-3]. What such a revision
//! cannot say fails as a whole: [`gate`](super::gate) refuses it before it gets here.

use crate::{
    json::{
        Kind, Raw,
        walk::{self, kind_of},
    },
    revision::Revision,
    write::Writer,
};

/// Whether the form can be shown to a client that knows plain fields and enums only.
pub(super) fn can_show_form(params: &Raw) -> bool {
    let fields = walk::member(params.as_str(), "requestedSchema")
        .and_then(|schema| walk::member(schema, "properties"))
        .unwrap_or("{}");
    walk::members(fields).all(|(_, field)| !is_of_type(field, "array"))
}

/// A `requestedSchema` for such a client.
pub(super) fn write_form(writer: &mut Writer, schema: &str) {
    for (name, value) in walk::members(schema) {
        match name.as_ref() {
            "properties" => writer.object_member("properties", |writer| {
                for (name, field) in walk::members(value) {
                    writer.object_member(&name, |writer| write_field(writer, field));
                }
            }),
            _ => writer.raw_member(&name, value),
        }
    }
}

/// Titles stand beside the values of an enum, and only a boolean has a default.
fn write_field(writer: &mut Writer, field: &str) {
    let has_default = is_of_type(field, "boolean");
    for (name, value) in walk::members(field) {
        match name.as_ref() {
            "default" if !has_default => {}
            "oneOf" => {
                write_each(writer, "enum", value, "const");
                write_each(writer, "enumNames", value, "title");
            }
            _ => writer.raw_member(&name, value),
        }
    }
}

/// One member of each option, as a list.
fn write_each(writer: &mut Writer, name: &str, options: &str, member: &str) {
    writer.name(name);
    writer.open_array();
    for value in walk::items(options).filter_map(|option| walk::member(option, member)) {
        writer.raw(value);
    }
    writer.close_array();
}

/// Whether each message has one block, of a type that the revision knows.
pub(super) fn can_show_messages(revision: Revision, params: &Raw) -> bool {
    let messages = walk::member(params.as_str(), "messages").unwrap_or("[]");
    walk::items(messages).all(|message| {
        let content = walk::member(message, "content").unwrap_or("{}");
        let block = only_block(content);
        block.is_some_and(|block| revision.has_audio() || !is_of_type(block, "audio"))
    })
}

/// The members of `params` whose content may be a list, with their only blocks out of it.
pub(super) fn write_messages(writer: &mut Writer, messages: &str) {
    writer.open_array();
    for message in walk::items(messages) {
        writer.open();
        for (name, value) in walk::members(message) {
            let value = match name.as_ref() {
                "content" => only_block(value).unwrap_or(value),
                _ => value,
            };
            writer.raw_member(&name, value);
        }
        writer.close();
    }
    writer.close_array();
}

/// The block of a content, if it is one.
fn only_block(content: &str) -> Option<&str> {
    let mut blocks = blocks(content);
    let block = blocks.next()?;
    blocks.next().is_none().then_some(block)
}

/// The blocks of a content, whichever way it is written.
pub(super) fn blocks(content: &str) -> impl Iterator<Item = &str> {
    let alone = (kind_of(content) != Kind::Array).then_some(content);
    alone.into_iter().chain(walk::items(content))
}

pub(super) fn is_of_type(object: &str, name: &str) -> bool {
    let found = walk::member(object, "type").and_then(walk::text);
    found.as_deref() == Some(name)
}

#[cfg(test)]
mod tests;
