//! Why a request did not become a call.

use std::time::Duration;

use ostler_auth::Denied;
use ostler_protocol::fault::Fault;
use ostler_types::CallKind;

/// The reasons, in the order in which they are looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not exist, or not for this caller: nobody can tell which.
    #[error("no such server")]
    UnknownServer,
    /// This node takes no new calls.
    #[error("draining")]
    Draining,
    /// The Server has nothing of this kind, so it does not declare it either [CAP-3].
    #[error("the server offers no {}", plural(*.0))]
    NotOffered(CallKind),
    #[error("unknown {} {target:?}", singular(*.kind))]
    UnknownTarget { kind: CallKind, target: String },
    #[error("a scope is missing, needs {scopes:?}")]
    Forbidden { scopes: Vec<String> },
    /// The tenant has as many calls in flight as it may.
    #[error("the tenant has too many calls in flight")]
    RateLimited { retry_after: Duration },
    /// The node, or every worker of the target, has as many calls in flight as it can.
    #[error("too many calls in flight")]
    Overloaded { retry_after: Duration },
    /// Nobody serves the target now.
    #[error("no worker serves this now")]
    NoWorker,
}

impl Refusal {
    /// What it means for a Server that is known to exist, because a session or a token of it
    /// is at hand: after a restart of the node its workers need a moment to come back.
    pub fn of_known_server(self) -> Self {
        match self {
            Self::UnknownServer => Self::NoWorker,
            other => other,
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Foreign => Self::UnknownServer,
            Denied::Scopes(scopes) => Self::Forbidden { scopes },
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::UnknownServer => Fault::InvalidRequest(text),
            Refusal::Draining => Fault::Draining,
            Refusal::NotOffered(kind) => Fault::MethodNotFound {
                method: method(kind).to_owned(),
            },
            Refusal::UnknownTarget { kind, target } => match kind {
                CallKind::Resource => Fault::UnknownResource { uri: target },
                CallKind::Tool | CallKind::Prompt | CallKind::Completion => {
                    Fault::InvalidParams(text)
                }
            },
            Refusal::Forbidden { scopes } => Fault::Forbidden { scopes },
            Refusal::RateLimited { retry_after } => Fault::RateLimited { retry_after },
            Refusal::Overloaded { retry_after } => Fault::Overloaded { retry_after },
            Refusal::NoWorker => Fault::NoWorker,
        }
    }
}

fn method(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Tool => "tools/call",
        CallKind::Prompt => "prompts/get",
        CallKind::Resource => "resources/read",
        CallKind::Completion => "completion/complete",
    }
}

fn singular(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Tool => "tool",
        CallKind::Prompt => "prompt",
        CallKind::Resource => "resource",
        CallKind::Completion => "completion reference",
    }
}

fn plural(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Tool => "tools",
        CallKind::Prompt => "prompts",
        CallKind::Resource => "resources",
        CallKind::Completion => "completions",
    }
}

#[cfg(test)]
mod tests {
    use ostler_protocol::Revision;

    use super::*;

    fn check(refusal: Refusal, legacy: i32, modern: i32) {
        let fault = Fault::from(refusal.clone());
        let codes = [Revision::LATEST_LEGACY, Revision::LATEST_MODERN];
        let codes = codes.map(|revision| fault.code(revision));
        assert_eq!(codes, [legacy, modern], "{refusal:?}");
    }

    #[test]
    fn a_known_server_cannot_be_unknown() {
        assert_eq!(Refusal::UnknownServer.of_known_server(), Refusal::NoWorker);
        assert_eq!(Refusal::Draining.of_known_server(), Refusal::Draining);
    }

    #[test]
    fn refusals_have_the_codes_of_the_specification() {
        let unknown = |kind| Refusal::UnknownTarget {
            kind,
            target: "x".to_owned(),
        };
        check(unknown(CallKind::Tool), -32602, -32602);
        check(unknown(CallKind::Prompt), -32602, -32602);
        check(unknown(CallKind::Completion), -32602, -32602);
        check(unknown(CallKind::Resource), -32002, -32602);
        check(Refusal::NotOffered(CallKind::Tool), -32601, -32601);
    }
}
