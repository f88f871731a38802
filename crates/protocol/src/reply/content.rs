//! Content blocks, prompt messages and resource contents: read once, copied unless the
//! revision lacks something or a reserved `_meta` key must go.

use std::borrow::Cow;

use super::worker::article;
use crate::{
    annotations,
    json::{
        Kind,
        walk::{self, Walk, kind_of},
    },
    meta,
    revision::Revision,
    write::Writer,
};

/// Why an item is bad, for the author of the worker.
type Reason = String;

/// A text block of the platform's own.
pub(super) fn write_text(writer: &mut Writer, text: &str) {
    writer.open();
    writer.string_member("type", "text");
    writer.string_member("text", text);
    writer.close();
}

/// The members of a content block that matter, as JSON text.
#[derive(Default)]
struct Block<'a> {
    text: Option<&'a str>,
    data: Option<&'a str>,
    mime_type: Option<&'a str>,
    uri: Option<&'a str>,
    name: Option<&'a str>,
    resource: Option<&'a str>,
    annotations: Option<&'a str>,
    icons: Option<&'a str>,
    meta: Option<&'a str>,
    block_type: Option<Cow<'a, str>>,
}

/// What kinds of content there are [T-10].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockType {
    Text,
    Image,
    Audio,
    Resource,
    ResourceLink,
}

impl BlockType {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "text" => Some(BlockType::Text),
            "image" => Some(BlockType::Image),
            "audio" => Some(BlockType::Audio),
            "resource" => Some(BlockType::Resource),
            "resource_link" => Some(BlockType::ResourceLink),
            _ => None,
        }
    }

    /// Typed clients fail on a type they do not know [ERA-8].
    fn is_known_to(self, revision: Revision) -> bool {
        match self {
            BlockType::Text | BlockType::Image | BlockType::Resource => true,
            BlockType::Audio => revision.has_audio(),
            BlockType::ResourceLink => revision.has_resource_links(),
        }
    }
}

impl<'a> Block<'a> {
    fn read(walk: &mut Walk<'a>) -> Self {
        let mut block = Block::default();
        walk.enter();
        while let Some(name) = walk.next_name() {
            let value = walk.skip();
            match name.as_ref() {
                "type" => block.block_type = Some(walk::unquote(value)),
                "text" => block.text = Some(value),
                "data" => block.data = Some(value),
                "mimeType" => block.mime_type = Some(value),
                "uri" => block.uri = Some(value),
                "name" => block.name = Some(value),
                "resource" => block.resource = Some(value),
                "annotations" => block.annotations = Some(value),
                "icons" => block.icons = Some(value),
                "_meta" => block.meta = Some(value),
                _ => {}
            }
        }
        block
    }

    fn check(&self) -> Result<BlockType, Reason> {
        let name = self.block_type.as_deref().ok_or("`type` is missing")?;
        let block_type =
            BlockType::parse(name).ok_or_else(|| format!("unknown content type {name:?}"))?;
        match block_type {
            BlockType::Text => must_be(Kind::String, "text", self.text)?,
            BlockType::Image | BlockType::Audio => {
                must_be(Kind::String, "data", self.data)?;
                must_be(Kind::String, "mimeType", self.mime_type)?;
            }
            BlockType::Resource => {
                must_be(Kind::Object, "resource", self.resource)?;
                check_contents(self.resource.unwrap_or("{}"))?;
            }
            BlockType::ResourceLink => {
                must_be(Kind::String, "uri", self.uri)?;
                must_be(Kind::String, "name", self.name)?;
                may_be(Kind::String, "mimeType", self.mime_type)?;
            }
        }
        self.annotations.map_or(Ok(()), check_annotations)?;
        may_be(Kind::Object, "_meta", self.meta)?;
        Ok(block_type)
    }

    /// Whether something must go: what is not the worker's to write, or what the revision lacks.
    fn needs_strip(&self, revision: Revision) -> bool {
        let annotations = |value| annotations::need_strip(value, revision);
        self.meta.is_some_and(|meta| meta_goes(meta, revision))
            || self.annotations.is_some_and(annotations)
            || self.icons.is_some() && !revision.has_icons()
            || self
                .resource
                .is_some_and(|resource| contents_need_strip(resource, revision))
    }

    /// What stands for a block in a revision that lacks its type [ERA-7].
    fn write_note(&self, writer: &mut Writer, revision: Revision) {
        let plain = |json: Option<&'a str>| json.map_or(Cow::Borrowed(""), walk::unquote);
        let note = match self.uri {
            Some(_) => format!("{}: {}", plain(self.name), plain(self.uri)),
            None => format!("[audio, {}]", plain(self.mime_type)),
        };
        writer.open();
        writer.string_member("type", "text");
        writer.string_member("text", &note);
        if let Some(annotations) = self.annotations {
            annotations::write(writer, annotations, revision);
        }
        writer.close();
    }
}

/// A content block. Tells what it is.
pub(super) fn write_block(
    writer: &mut Writer,
    walk: &mut Walk<'_>,
    revision: Revision,
) -> Result<BlockType, Reason> {
    must_be_object(walk)?;
    let mark = walk.mark();
    let block = Block::read(walk);
    let block_type = block.check()?;
    if !block_type.is_known_to(revision) {
        block.write_note(writer, revision);
    } else if block.needs_strip(revision) {
        write_stripped(writer, walk.since(mark), revision);
    } else {
        writer.raw(walk.since(mark));
    }
    Ok(block_type)
}

/// A message of a prompt [P-1].
pub(super) fn write_message(
    writer: &mut Writer,
    walk: &mut Walk<'_>,
    revision: Revision,
) -> Result<(), Reason> {
    must_be_object(walk)?;
    let (mut has_role, mut has_content) = (false, false);
    writer.open();
    walk.enter();
    while let Some(name) = walk.next_name() {
        match name.as_ref() {
            "role" => {
                let role = walk.skip();
                if !matches!(walk::unquote(role).as_ref(), "user" | "assistant") {
                    return Err("`role` must be \"user\" or \"assistant\"".to_owned());
                }
                writer.raw_member(&name, role);
                has_role = true;
            }
            "content" => {
                writer.name(&name);
                write_block(writer, walk, revision)
                    .map_err(|reason| format!("content: {reason}"))?;
                has_content = true;
            }
            _ => writer.raw_member(&name, walk.skip()),
        }
    }
    writer.close();
    match (has_role, has_content) {
        (true, true) => Ok(()),
        (false, _) => Err("`role` is missing".to_owned()),
        (true, false) => Err("`content` is missing".to_owned()),
    }
}

/// One part of a read resource.
pub(super) fn write_contents(
    writer: &mut Writer,
    walk: &mut Walk<'_>,
    revision: Revision,
) -> Result<(), Reason> {
    must_be_object(walk)?;
    let text = walk.skip();
    check_contents(text)?;
    match contents_need_strip(text, revision) {
        true => write_stripped(writer, text, revision),
        false => writer.raw(text),
    }
    Ok(())
}

/// Whom a block is for and how much it matters. Typed clients refuse what is not so.
fn check_annotations(annotations: &str) -> Result<(), Reason> {
    must_be(Kind::Object, "annotations", Some(annotations))?;
    for (name, value) in walk::members(annotations) {
        let is_good = match name.as_ref() {
            "audience" => {
                kind_of(value) == Kind::Array
                    && walk::items(value)
                        .all(|role| matches!(walk::unquote(role).as_ref(), "user" | "assistant"))
            }
            "priority" => value
                .parse()
                .is_ok_and(|part: f64| (0.0..=1.0).contains(&part)),
            "lastModified" => kind_of(value) == Kind::String,
            _ => true,
        };
        if !is_good {
            return Err(format!("`annotations.{name}` is not what it must be"));
        }
    }
    Ok(())
}

/// A URI, and text or a blob.
fn check_contents(contents: &str) -> Result<(), Reason> {
    let (mut uri, mut body) = (None, None);
    for (name, value) in walk::members(contents) {
        match name.as_ref() {
            "uri" => uri = Some(value),
            "text" | "blob" => {
                must_be(Kind::String, &name, Some(value))?;
                body = Some(value);
            }
            "mimeType" => may_be(Kind::String, "mimeType", Some(value))?,
            "_meta" => may_be(Kind::Object, "_meta", Some(value))?,
            _ => {}
        }
    }
    must_be(Kind::String, "uri", uri)?;
    must_be(Kind::String, "text` or `blob", body)
}

fn contents_need_strip(contents: &str, revision: Revision) -> bool {
    walk::member(contents, "_meta").is_some_and(|meta| meta_goes(meta, revision))
}

/// Whether a `_meta` of an item goes, or some of it.
fn meta_goes(meta: &str, revision: Revision) -> bool {
    !revision.has_entry_meta() || meta::needs_strip(meta)
}

/// An item, and the resource embedded in it, without reserved `_meta` keys and what the revision
/// lacks.
fn write_stripped(writer: &mut Writer, item: &str, revision: Revision) {
    writer.open();
    for (name, value) in walk::members(item) {
        match name.as_ref() {
            "_meta" if revision.has_entry_meta() => meta::write(writer, value),
            "_meta" => {}
            "icons" if !revision.has_icons() => {}
            "annotations" => annotations::write(writer, value, revision),
            "resource" => {
                writer.name("resource");
                write_stripped(writer, value, revision);
            }
            _ => writer.raw_member(&name, value),
        }
    }
    writer.close();
}

fn must_be_object(walk: &Walk<'_>) -> Result<(), Reason> {
    match walk.kind() {
        Kind::Object => Ok(()),
        _ => Err("must be an object".to_owned()),
    }
}

fn must_be(kind: Kind, name: &str, value: Option<&str>) -> Result<(), Reason> {
    match value {
        Some(value) if kind_of(value) == kind => Ok(()),
        Some(_) => Err(format!("`{name}` must be {}", article(kind))),
        None => Err(format!("`{name}` is missing")),
    }
}

fn may_be(kind: Kind, name: &str, value: Option<&str>) -> Result<(), Reason> {
    value.map_or(Ok(()), |value| must_be(kind, name, Some(value)))
}
