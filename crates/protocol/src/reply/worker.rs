//! What workers return, checked and brought into a revision's form in one pass: members are
//! read and written as they come, and whatever needs no change is copied as it is.

use ostler_types::CallKind;

use super::{
    ResultType, Shape, TTL_MS, close_result,
    content::{BlockType, write_block, write_contents, write_message, write_text},
    open_result,
};
use crate::{
    call::Failure,
    json::{
        Kind, Raw,
        walk::{self, Walk, kind_of},
    },
    revision::Revision,
    write::Writer,
};

/// Items of one result [T-10]; a result is bounded in bytes besides.
const ITEMS_MAX: usize = 10_000;

/// Values of one completion [P-2].
const COMPLETIONS_MAX: usize = 100;

/// A reason may name what the worker wrote, at any length.
const REASON_BYTES_MAX: usize = 512;

/// Why a worker's result is bad, for its author.
type Reason = String;

/// Why a result is not passed on.
pub(super) enum Refusal {
    Bad(Reason),
    TooLong,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal::Bad(reason)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Bad(mut reason) => {
                reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
                Failure::BadResult(reason)
            }
            Refusal::TooLong => Failure::TooLarge,
        }
    }
}

/// Writes the result object of a call.
pub(super) fn write_result(
    writer: &mut Writer,
    shape: &Shape<'_>,
    kind: CallKind,
    result: &Raw,
) -> Result<(), Refusal> {
    if !result.is_object() {
        return Err("the result must be an object".to_owned().into());
    }
    open_result(writer, shape, ResultType::Complete);
    let mut body = Body::new(kind, shape.revision);
    let mut walk = Walk::new(result);
    walk.enter();
    while let Some(name) = walk.next_name() {
        body.member(writer, &name, &mut walk)?;
    }
    body.end(writer)?;
    close_result(writer, shape, body.meta, None);
    Ok(())
}

/// What is remembered of a result while its members pass.
struct Body<'a> {
    kind: CallKind,
    revision: Revision,
    meta: Option<&'a str>,
    /// The member without which the result is none has been seen.
    has_main: bool,
    /// Where `content` ends, and whether the worker put text into it.
    content_end: usize,
    has_text: bool,
    structured: Option<&'a str>,
    ttl_ms: Option<&'a str>,
    cache_scope: Option<&'a str>,
}

impl<'a> Body<'a> {
    fn new(kind: CallKind, revision: Revision) -> Self {
        Body {
            kind,
            revision,
            meta: None,
            has_main: false,
            content_end: 0,
            has_text: false,
            structured: None,
            ttl_ms: None,
            cache_scope: None,
        }
    }

    fn member(
        &mut self,
        writer: &mut Writer,
        name: &str,
        walk: &mut Walk<'a>,
    ) -> Result<(), Refusal> {
        match (self.kind, name) {
            (_, "_meta") => self.meta = Some(take(walk, Kind::Object, name)?),
            (_, "resultType") => complete_only(walk.skip())?,
            (_, "inputRequests" | "requestState") => {
                return Err(format!("`{name}` is the platform's to write").into());
            }
            (CallKind::Tool, "content") => self.content(writer, walk)?,
            (CallKind::Tool, "structuredContent") => self.structured = Some(walk.skip()),
            (CallKind::Tool, "isError") => {
                writer.raw_member(name, take(walk, Kind::Bool, name)?);
            }
            (CallKind::Prompt, "messages") => self.list(writer, walk, name, write_message)?,
            (CallKind::Prompt, "description") => {
                writer.raw_member(name, take(walk, Kind::String, name)?);
            }
            (CallKind::Resource, "contents") => self.list(writer, walk, name, write_contents)?,
            (CallKind::Resource, "ttlMs") => self.ttl_ms = Some(walk.skip()),
            (CallKind::Resource, "cacheScope") => self.cache_scope = Some(walk.skip()),
            (CallKind::Completion, "completion") => {
                self.has_main = true;
                writer.raw_member(name, completion(walk)?);
            }
            _ => writer.raw_member(name, walk.skip()),
        }
        Ok(())
    }

    fn content(&mut self, writer: &mut Writer, walk: &mut Walk<'a>) -> Result<(), Refusal> {
        let mut has_text = false;
        self.list(writer, walk, "content", |writer, walk, revision| {
            has_text |= write_block(writer, walk, revision)? == BlockType::Text;
            Ok(())
        })?;
        self.has_text = has_text;
        self.content_end = writer.end();
        Ok(())
    }

    /// A list of items, each checked and written by `write_item`.
    fn list(
        &mut self,
        writer: &mut Writer,
        walk: &mut Walk<'a>,
        name: &str,
        mut write_item: impl FnMut(&mut Writer, &mut Walk<'a>, Revision) -> Result<(), Reason>,
    ) -> Result<(), Refusal> {
        if walk.kind() != Kind::Array {
            return Err(format!("`{name}` must be an array").into());
        }
        self.has_main = true;
        writer.name(name);
        writer.open_array();
        walk.enter();
        let mut count = 0;
        while walk.next_item() {
            if count == ITEMS_MAX {
                return Err(Refusal::TooLong);
            }
            write_item(writer, walk, self.revision)
                .map_err(|reason| format!("{name}[{count}]: {reason}"))?;
            count += 1;
        }
        writer.close_array();
        Ok(())
    }

    /// What can only be written when all members have been seen.
    fn end(&self, writer: &mut Writer) -> Result<(), Reason> {
        if !self.has_main {
            let main = main_member(self.kind);
            return Err(format!("`{main}` is missing"));
        }
        match self.kind {
            CallKind::Tool => self.end_tool(writer),
            CallKind::Resource => self.end_resource(writer)?,
            CallKind::Prompt | CallKind::Completion => {}
        }
        Ok(())
    }

    /// Structured content goes where the revision can carry it [T-11]. Where it cannot, the
    /// worker's text blocks beside it stand for it, and if there is none its JSON becomes one
    /// [ERA-7]. A note on a block that the revision lacks says nothing of it.
    fn end_tool(&self, writer: &mut Writer) {
        match self.structured {
            Some(json) if self.carries(json) => writer.raw_member("structuredContent", json),
            Some(json) if !self.has_text => {
                writer.reopen(self.content_end, |writer| write_text(writer, json));
            }
            Some(_) | None => {}
        }
    }

    fn carries(&self, structured: &str) -> bool {
        let is_object = kind_of(structured) == Kind::Object;
        self.revision.has_any_structured_content()
            || self.revision.has_structured_content() && is_object
    }

    /// The worker's cache hints if it gives any, else the default [C-3].
    fn end_resource(&self, writer: &mut Writer) -> Result<(), Reason> {
        if self.ttl_ms.is_some_and(|ttl| ttl.parse::<u64>().is_err()) {
            return Err("`ttlMs` must be a non-negative integer".to_owned());
        }
        let scope = self.cache_scope.map(walk::unquote);
        let scope = scope.as_deref().unwrap_or("private");
        if !matches!(scope, "private" | "public") {
            return Err("`cacheScope` must be \"private\" or \"public\"".to_owned());
        }
        if self.revision.has_result_types() {
            writer.name("ttlMs");
            match self.ttl_ms {
                Some(ttl) => writer.raw(ttl),
                None => writer.int(TTL_MS),
            }
            writer.string_member("cacheScope", scope);
        }
        Ok(())
    }
}

fn main_member(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Tool => "content",
        CallKind::Prompt => "messages",
        CallKind::Resource => "contents",
        CallKind::Completion => "completion",
    }
}

/// Workers may write in the form of the newest revision, but what a result is, is the
/// platform's to say.
fn complete_only(result_type: &str) -> Result<(), Reason> {
    match walk::unquote(result_type).as_ref() {
        "complete" => Ok(()),
        other => Err(format!("`resultType` {other:?} is the platform's to write")),
    }
}

/// The value here, if it is of this kind.
fn take<'a>(walk: &mut Walk<'a>, kind: Kind, name: &str) -> Result<&'a str, Reason> {
    match walk.kind() == kind {
        true => Ok(walk.skip()),
        false => Err(format!("`{name}` must be {}", article(kind))),
    }
}

pub(super) fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "an object",
        Kind::Array => "an array",
        Kind::String => "a string",
        Kind::Number => "a number",
        Kind::Bool => "a boolean",
        Kind::Null => "null",
    }
}

/// A `completion` object [P-2].
fn completion<'a>(walk: &mut Walk<'a>) -> Result<&'a str, Reason> {
    let text = take(walk, Kind::Object, "completion")?;
    let mut has_values = false;
    for (name, value) in walk::members(text) {
        let kind = kind_of(value);
        match name.as_ref() {
            "values" if kind == Kind::Array => {
                has_values = true;
                if walk::items(value).any(|item| kind_of(item) != Kind::String) {
                    return Err("completion.values must be strings".to_owned());
                }
                if walk::items(value).count() > COMPLETIONS_MAX {
                    return Err(format!("more than {COMPLETIONS_MAX} completion.values"));
                }
            }
            "total" if value.parse::<i64>().is_err() => {
                return Err("completion.total must be an integer".to_owned());
            }
            "hasMore" if kind != Kind::Bool => {
                return Err("completion.hasMore must be a boolean".to_owned());
            }
            _ => {}
        }
    }
    match has_values {
        true => Ok(text),
        false => Err("completion.values must be an array".to_owned()),
    }
}
