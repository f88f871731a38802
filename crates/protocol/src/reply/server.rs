//! How a Server describes itself: `server/discover` and the result of `initialize`.

use bytes::Bytes;

use super::{ResultType, Shape, response, write_cache_hints};
use crate::{
    facet::{SKILLS_EXTENSION, TASKS_EXTENSION, UI_EXTENSION},
    id::RequestId,
    json::{Raw, walk},
    revision::Revision,
    write::Writer,
};

/// What a Server serves, and so must declare: no more and no less [CAP-1], [D-2]. Changes of
/// lists are always told, whoever serves them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerCapabilities {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
    /// Single resources can be watched.
    pub subscribe: bool,
    pub logging: bool,
    pub completions: bool,
    /// Some tool may become a task. Each revision that has tasks declares them in its own way.
    pub tasks: bool,
    /// MCP Apps. In the legacy era only for a client that declares them too [EX-2], and whose
    /// revision can show which tools have one.
    pub apps: bool,
    /// The skills extension [EX-4].
    pub skills: bool,
    /// Directories of skills can be read.
    pub skill_directories: bool,
}

impl ServerCapabilities {
    fn write(self, writer: &mut Writer, revision: Revision) {
        let changes = |writer: &mut Writer| writer.bool_member("listChanged", true);
        if self.tools {
            writer.object_member("tools", changes);
        }
        if self.prompts {
            writer.object_member("prompts", changes);
        }
        if self.resources {
            writer.object_member("resources", |writer| {
                if self.subscribe {
                    writer.bool_member("subscribe", true);
                }
                changes(writer);
            });
        }
        if self.logging {
            writer.raw_member("logging", "{}");
        }
        if self.completions && revision.has_completions_capability() {
            writer.raw_member("completions", "{}");
        }
        // Not `list`: whoever lost a handle gets no other way to it.
        if self.tasks && revision.has_requested_tasks() {
            writer.raw_member("tasks", r#"{"cancel":{},"requests":{"tools":{"call":{}}}}"#);
        }
        let extensions = self.extensions(revision);
        if !extensions.is_empty() {
            writer.object_member("extensions", |writer| {
                for (name, settings) in extensions {
                    writer.raw_member(name, settings);
                }
            });
        }
    }

    /// Names with their settings. Apps are older than the slot for extensions and are negotiated
    /// in it all the same; the others do not exist before it [EX-2].
    fn extensions(self, revision: Revision) -> Vec<(&'static str, &'static str)> {
        let skills = match self.skill_directories {
            true => r#"{"directoryRead":true}"#,
            false => "{}",
        };
        let modern = revision.has_extensions();
        let all = [
            (self.tasks && modern, TASKS_EXTENSION, "{}"),
            (self.apps && revision.has_entry_meta(), UI_EXTENSION, "{}"),
            (self.skills && modern, SKILLS_EXTENSION, skills),
        ];
        let declared = all.into_iter().filter(|(is_declared, ..)| *is_declared);
        declared
            .map(|(_, name, settings)| (name, settings))
            .collect()
    }
}

/// The answer to `server/discover` [D-1] to [D-4]. Modern only.
pub fn discover(
    shape: &Shape<'_>,
    id: &RequestId,
    capabilities: ServerCapabilities,
    instructions: Option<&str>,
) -> Bytes {
    let bytes = 512 + instructions.map_or(0, str::len);
    response(shape, id, ResultType::Complete, bytes, |writer| {
        let versions: Vec<_> = Revision::SERVED.iter().map(|r| r.as_str()).collect();
        writer.strings_member("supportedVersions", &versions);
        describe(writer, shape, capabilities, instructions);
        write_cache_hints(writer, shape);
    })
}

/// The answer to `initialize`; the revision of the shape is the negotiated one [LIF-4]. Legacy
/// only.
pub fn initialize(
    shape: &Shape<'_>,
    id: &RequestId,
    capabilities: ServerCapabilities,
    instructions: Option<&str>,
) -> Bytes {
    let bytes = 512 + shape.server_info.bytes().len() + instructions.map_or(0, str::len);
    response(shape, id, ResultType::Complete, bytes, |writer| {
        writer.string_member("protocolVersion", shape.revision.as_str());
        writer.object_member("serverInfo", |writer| {
            write_implementation(writer, shape.revision, shape.server_info);
        });
        describe(writer, shape, capabilities, instructions);
    })
}

fn describe(
    writer: &mut Writer,
    shape: &Shape<'_>,
    capabilities: ServerCapabilities,
    instructions: Option<&str>,
) {
    writer.object_member("capabilities", |writer| {
        capabilities.write(writer, shape.revision);
    });
    if let Some(instructions) = instructions {
        writer.string_member("instructions", instructions);
    }
}

/// The members of an `Implementation` that the revision knows.
fn write_implementation(writer: &mut Writer, revision: Revision, info: &Raw) {
    let knows = |name: &str| match name {
        "title" => revision.has_titles(),
        "icons" | "description" | "websiteUrl" => revision.has_icons(),
        _ => true,
    };
    for (name, value) in walk::members(info.as_str()).filter(|(name, _)| knows(name)) {
        writer.raw_member(&name, value);
    }
}
