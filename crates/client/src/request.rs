//! What can be asked of a Server.

use ostler_protocol::{Raw, schema_rules};
use tokio::sync::watch;

use crate::{headers, json};

/// A request that may take its time, ask, and tell of its progress.
#[derive(Debug, Clone)]
pub enum Request {
    /// `tools/call`. The tool is its entry in the list, as far as it is known.
    Call {
        name: String,
        arguments: Raw,
        tool: Option<Raw>,
    },
    /// `resources/read`
    Read { uri: String },
    /// `prompts/get`
    Get { name: String, arguments: Raw },
    /// `completion/complete`; `reference` is a `ref/prompt` or `ref/resource`.
    Complete {
        reference: Raw,
        argument: String,
        value: String,
        /// Values of other arguments that are settled already.
        settled: Raw,
    },
}

/// A list that servers offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    Tools,
    Prompts,
    Resources,
    Templates,
    /// Of the extension for them [EX-4].
    Skills,
}

/// What a listen wants to hear of. Lists that the server does not announce are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub uris: Vec<String>,
}

/// Waits until a filter is another one; for ever if nobody can change it any more.
// Cancel safe: it only looks.
pub(crate) async fn changed(wanted: &mut watch::Receiver<Filter>) {
    if wanted.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Request {
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Request::Call { .. } => "tools/call",
            Request::Read { .. } => "resources/read",
            Request::Get { .. } => "prompts/get",
            Request::Complete { .. } => "completion/complete",
        }
    }

    pub(crate) fn params(&self) -> Raw {
        let text = Raw::from_text;
        match self {
            Request::Call {
                name, arguments, ..
            }
            | Request::Get { name, arguments } => {
                json::object([("name", text(name)), ("arguments", arguments.clone())])
            }
            Request::Read { uri } => json::object([("uri", text(uri))]),
            Request::Complete {
                reference,
                argument,
                value,
                settled,
            } => {
                let argument = [("name", text(argument)), ("value", text(value))];
                let context = json::object([("arguments", settled.clone())]);
                let context = (settled.members().next().is_some()).then_some(("context", context));
                let members = [
                    ("ref", reference.clone()),
                    ("argument", json::object(argument)),
                ];
                json::object(members.into_iter().chain(context))
            }
        }
    }

    /// Whether progress and logs may come before its result.
    pub(crate) fn has_news(&self) -> bool {
        match self {
            Request::Call { .. } | Request::Read { .. } | Request::Get { .. } => true,
            Request::Complete { .. } => false,
        }
    }

    /// The `Mcp-Param-*` headers of a call. A tool whose schema breaks their rules is in no list of
    /// ours ([XH-4]); whoever calls it all the same sends none.
    pub(crate) fn param_mirrors(&self) -> Vec<(String, String)> {
        let Request::Call {
            arguments,
            tool: Some(tool),
            ..
        } = self
        else {
            return Vec::new();
        };
        let schema = tool.get("inputSchema").unwrap_or_default();
        let rules = schema_rules::param_rules(&schema).unwrap_or_default();
        headers::param_mirrors(&rules, arguments)
    }

    /// Whether it can be called as a task only, in the dialect of 2025-11-25 ([T-16]).
    pub(crate) fn needs_task(&self) -> bool {
        let Request::Call {
            tool: Some(tool), ..
        } = self
        else {
            return false;
        };
        let execution = tool.get("execution").unwrap_or_default();
        json::text_member(&execution, "taskSupport").as_deref() == Some("required")
    }
}

impl ListKind {
    pub const ALL: [ListKind; 5] = [
        Self::Tools,
        Self::Prompts,
        Self::Resources,
        Self::Templates,
        Self::Skills,
    ];

    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Skills => "skills/list",
        }
    }

    /// The member of the result that holds the entries.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Skills => "skills",
        }
    }

    /// The capability that it needs.
    pub(crate) fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates | Self::Skills => "resources",
        }
    }
}
