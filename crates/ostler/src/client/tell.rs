//! News of a request, for people and for scripts.

use ostler_client::{ListKind, Notice};
use ostler_protocol::{Raw, json::Kind};

use super::output::{Output, flat, indented};

/// Everything but progress, in words.
pub fn text(output: Output, notice: &Notice) {
    match notice {
        Notice::Progress { .. } => {}
        Notice::Log {
            level,
            logger,
            data,
        } => {
            let said = match data.kind() {
                Kind::String => data.text().unwrap_or_default().into_owned(),
                _ => data.to_string(),
            };
            let who = logger
                .as_deref()
                .map(|who| format!(" {who}:"))
                .unwrap_or_default();
            output.tell(&indented(&format!("[{level}]{who} {said}")));
        }
        Notice::Task {
            id,
            status,
            message,
        } => {
            let message = message
                .as_deref()
                .map(|m| format!(": {m}"))
                .unwrap_or_default();
            output.tell(&indented(&format!("[task {id}] {status}{message}")));
        }
        Notice::Dropped { tool, reason } => {
            let said = format!("the tool {tool:?} breaks the rules and is left out: {reason}");
            output.tell(&flat(&format!("careful: {said}")));
        }
        Notice::Changed(kind) => output.out(&format!("changed: the list of {}", word(*kind))),
        Notice::Updated { uri } => output.out(&format!("updated: {}", flat(uri))),
        Notice::Visited { id } => output.tell(&flat(&format!("[page {id}] done"))),
        Notice::Refused { ask, reason } => {
            output.tell(&flat(&format!("the server asked {ask}: {reason}")));
        }
        Notice::Unwatched { uri, reason } => {
            output.tell(&flat(&format!("careful: {uri} is not watched: {reason}")));
        }
        Notice::Listening => output.tell("listening; Ctrl-C ends it"),
        Notice::Resumed => output.tell("[the connection broke off and was taken up again]"),
    }
}

/// All of it, one line each.
pub fn json(output: Output, notice: &Notice) {
    let text = |value: &str| Raw::from_text(value);
    let null = || Raw::from_static("null");
    let optional = |value: &Option<String>| value.as_deref().map_or_else(null, text);
    let number = |value: f64| Raw::from_value(&value.into());
    match notice {
        Notice::Progress {
            progress,
            total,
            message,
        } => output.event(
            "progress",
            [
                ("progress", number(*progress)),
                ("total", total.map_or_else(null, number)),
                ("message", optional(message)),
            ],
        ),
        Notice::Log {
            level,
            logger,
            data,
        } => output.event(
            "log",
            [
                ("level", text(level)),
                ("logger", optional(logger)),
                ("data", data.clone()),
            ],
        ),
        Notice::Task {
            id,
            status,
            message,
        } => output.event(
            "task",
            [
                ("id", text(id)),
                ("status", text(status)),
                ("message", optional(message)),
            ],
        ),
        Notice::Dropped { tool, reason } => {
            output.event("dropped", [("tool", text(tool)), ("reason", text(reason))]);
        }
        Notice::Changed(kind) => output.event("changed", [("list", text(word(*kind)))]),
        Notice::Updated { uri } => output.event("updated", [("uri", text(uri))]),
        Notice::Visited { id } => output.event("visited", [("id", text(id))]),
        Notice::Refused { ask, reason } => {
            output.event("refused", [("ask", text(ask)), ("reason", text(reason))]);
        }
        Notice::Unwatched { uri, reason } => {
            output.event("unwatched", [("uri", text(uri)), ("reason", text(reason))]);
        }
        Notice::Listening => output.event("listening", []),
        Notice::Resumed => output.event("resumed", []),
    }
}

/// How a list is called.
pub fn word(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources => "resources",
        ListKind::Templates => "templates",
        ListKind::Skills => "skills",
    }
}
