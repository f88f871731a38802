//! What a worker says it serves, before anything of it is believed.

use std::time::Duration;

use ostler_protocol::{facet::Capability, json::Raw, listing::TaskSupport};

/// Everything one worker offers for one Server.
#[derive(Debug, Clone)]
pub struct Offer {
    /// An MCP `Implementation` object.
    pub server_info: Raw,
    pub instructions: Option<String>,
    pub tools: Vec<OfferedEntry>,
    pub prompts: Vec<OfferedEntry>,
    pub resources: Vec<OfferedEntry>,
    pub templates: Vec<OfferedEntry>,
    pub skills: Vec<OfferedEntry>,
    /// The worker answers `completion/complete`.
    pub completions: bool,
    /// The worker emits logs.
    pub logging: bool,
    /// Resources can be watched.
    pub resource_watch: bool,
}

/// One tool, prompt, resource, template or skill.
#[derive(Debug, Clone)]
pub struct OfferedEntry {
    /// The MCP object in the form of 2026-07-28, byte for byte as the worker wrote it [T-4].
    pub definition: Raw,
    pub declarations: Declarations,
}

/// What must be known before a call, so that it can be refused with the right status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Declarations {
    /// Client capabilities without which the call is refused.
    pub requires: Vec<Capability>,
    /// OAuth scopes without which the call is refused.
    pub scopes: Vec<String>,
    /// Running it twice is harmless: a call of a lost worker is retried once.
    pub idempotent: bool,
    /// A parked call whose worker is gone may run again from the start.
    pub replay_safe: bool,
    /// Longest run; the node's own limit when absent.
    pub timeout: Option<Duration>,
    pub task: TaskSupport,
    /// Served, but in no list: what is found through something else [EX-3].
    pub unlisted: bool,
}

/// What kind of thing was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    Server,
    Tool,
    Prompt,
    Resource,
    Template,
    Skill,
}

impl EntryKind {
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Server => "server",
            EntryKind::Tool => "tool",
            EntryKind::Prompt => "prompt",
            EntryKind::Resource => "resource",
            EntryKind::Template => "template",
            EntryKind::Skill => "skill",
        }
    }
}

/// One thing of an offer that was not taken, and why, for the author of the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRefusal {
    pub kind: EntryKind,
    pub name: String,
    pub reason: String,
}
