//! Everything a client can be refused with: JSON-RPC code, message and data.
//!
//! HTTP statuses are not here, they are `edge::rejection`'s. `Display` is for logs and may name
//! internals; [`Fault::message`] is for the client and never does ([T-15]).

use std::time::Duration;

use ostler_types::CallKind;
use serde_json::json;

use crate::{
    call::{Executed, Failure},
    code,
    facet::{Capability, required_capabilities},
    json::{JsonError, Raw},
    revision::{Era, Revision},
};

/// Methods of older revisions that the modern era removed.
const REMOVED_METHODS: &[&str] = &[
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/list",
    "tasks/result",
];

/// Why a request gets an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("unparsable JSON: {0}")]
    Parse(String),
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    #[error("method not found: {method:?}")]
    MethodNotFound { method: String },
    #[error("invalid params: {0}")]
    InvalidParams(String),
    #[error("unknown resource {uri:?}")]
    UnknownResource { uri: String },
    #[error("header mismatch: {0}")]
    HeaderMismatch(String),
    #[error("unsupported protocol version {requested:?}")]
    UnsupportedVersion {
        requested: String,
        /// What to show as supported.
        supported: &'static [Revision],
    },
    #[error("missing client capabilities {0:?}")]
    MissingCapability(Vec<Capability>),
    #[error("no session named")]
    SessionRequired,
    #[error("unknown session")]
    UnknownSession,
    #[error("resume gap")]
    ResumeGap { oldest: Option<String> },
    #[error("rate limited")]
    RateLimited { retry_after: Duration },
    #[error("overloaded")]
    Overloaded { retry_after: Duration },
    /// The node takes nothing new: this did not run.
    #[error("draining")]
    Draining,
    /// A call that a worker may have run already ended for want of this ([`Fault::begun`]).
    #[error("{0}, and the call had begun")]
    Begun(Box<Fault>),
    #[error("no worker")]
    NoWorker,
    #[error("storage unavailable")]
    Storage,
    /// Names what there is too much of.
    #[error("quota reached: {0}")]
    Quota(&'static str),
    #[error("worker lost, executed: {}", .executed.as_str())]
    WorkerLost { executed: Executed },
    #[error("deadline passed")]
    Deadline,
    #[error("result too large")]
    TooLarge,
    #[error("bad worker result: {0}")]
    BadResult(String),
    #[error("forbidden, needs scopes {scopes:?}")]
    Forbidden { scopes: Vec<String> },
    #[error("cancelled")]
    Cancelled,
    /// A JSON-RPC error of the worker's own.
    #[error("error {code} of the worker: {message:?}")]
    Protocol {
        code: i32,
        message: String,
        data: Option<Raw>,
    },
    #[error("internal: {0}")]
    Internal(String),
}

impl Fault {
    /// The JSON-RPC code ([RPC-6], [RPC-7]; platform codes lie outside the reserved range).
    pub fn code(&self, revision: Revision) -> i32 {
        let era = revision.era();
        match self {
            Self::Parse(_) => -32700,
            Self::InvalidRequest(_) | Self::SessionRequired | Self::UnknownSession => -32600,
            Self::MethodNotFound { .. } => -32601,
            Self::InvalidParams(_) => -32602,
            Self::UnknownResource { .. } => modern_or(era, -32602, -32002),
            // The legacy era never sees -3202x, or its client would take us for modern ([ERA-3]).
            Self::HeaderMismatch(_) => modern_or(era, -32020, -32600),
            Self::MissingCapability(_) => modern_or(era, -32021, -32600),
            Self::UnsupportedVersion { .. } => modern_or(era, -32022, -32600),
            Self::RateLimited { .. } => code::RATE_LIMITED,
            Self::Overloaded { .. } => code::OVERLOADED,
            Self::WorkerLost { .. } => code::WORKER_LOST,
            Self::Deadline => code::DEADLINE,
            Self::TooLarge => code::TOO_LARGE,
            Self::BadResult(_) => code::BAD_RESULT,
            Self::Draining => code::DRAINING,
            Self::Begun(want) => want.code(revision),
            Self::NoWorker => code::NO_WORKER,
            Self::Forbidden { .. } => code::FORBIDDEN,
            Self::ResumeGap { .. } => code::RESUME_GAP,
            Self::Storage => code::STORAGE,
            Self::Quota(_) => code::QUOTA,
            Self::Protocol { code, .. } => worker_code(*code, revision),
            Self::Cancelled | Self::Internal(_) => -32603,
        }
    }

    /// What the client is told: what is wrong and, where it can do something, what.
    pub fn message(&self, era: Era) -> String {
        match self {
            Self::Parse(reason) => format!("the body is not valid JSON: {reason}"),
            Self::InvalidRequest(reason)
            | Self::InvalidParams(reason)
            | Self::HeaderMismatch(reason) => reason.clone(),
            Self::MethodNotFound { method } => unknown_method(method, era),
            Self::UnknownResource { .. } => "resource not found".to_owned(),
            Self::UnsupportedVersion { requested, .. } => unsupported_version(requested),
            Self::MissingCapability(lacking) => {
                let required = required_capabilities(lacking);
                format!(
                    "this request needs client capabilities that were not declared, \
                     or not in its revision: {required}"
                )
            }
            Self::Forbidden { scopes } if !scopes.is_empty() => {
                format!("forbidden: needs the scopes {}", scopes.join(" "))
            }
            Self::Quota(what) => format!("quota reached: too many {what}"),
            Self::WorkerLost {
                executed: Executed::No,
            } => "the worker was lost before the call ran; try again".to_owned(),
            Self::Begun(want) => format!("{}; it may have run", want.during_call()),
            Self::Protocol { message, .. } => message.clone(),
            plain => plain.fixed_message().to_owned(),
        }
    }

    /// Messages without a variable part.
    fn fixed_message(&self) -> &'static str {
        match self {
            Self::SessionRequired => {
                "no session: send the Mcp-Session-Id header, or open a session with initialize"
            }
            Self::UnknownSession => "session not found; open a new one with initialize",
            Self::ResumeGap { .. } => "the events after this Last-Event-ID are no longer kept",
            Self::RateLimited { .. } => "rate limited; try again later",
            Self::Overloaded { .. } => "overloaded; try again later",
            Self::Draining => "this node is shutting down; try again",
            Self::NoWorker => "no worker serves this at the moment; try again later",
            Self::Storage => "storage is unavailable; try again later",
            Self::WorkerLost { .. } => "the worker was lost during the call; it may have run",
            Self::Deadline => "the call took too long",
            Self::TooLarge => "the result is too large",
            Self::BadResult(_) => "the worker gave a result that breaks the protocol",
            Self::Forbidden { .. } => "forbidden",
            Self::Cancelled => "the call was cancelled",
            _ => "internal error",
        }
    }

    /// What a call that had begun ended for.
    fn during_call(&self) -> String {
        match self {
            Self::Draining => "the node shut down during the call".to_owned(),
            Self::Storage => "the call could not be stored".to_owned(),
            Self::UnknownSession => "the session ended during the call".to_owned(),
            Self::Quota(what) => format!("the call was one of too many {what}"),
            _ => "there was no room to keep the call".to_owned(),
        }
    }

    pub fn data(&self) -> Option<Raw> {
        let data = match self {
            Self::UnknownResource { uri } => json!({ "uri": uri }),
            Self::UnsupportedVersion {
                requested,
                supported,
            } => {
                let supported: Vec<_> = supported.iter().map(|r| r.as_str()).collect();
                json!({ "supported": supported, "requested": requested })
            }
            Self::MissingCapability(lacking) => {
                let required = required_capabilities(lacking);
                return Some(Raw::from_checked(
                    format!(r#"{{"requiredCapabilities":{required}}}"#).into(),
                ));
            }
            Self::ResumeGap {
                oldest: Some(oldest),
            } => json!({ "oldest": oldest }),
            Self::WorkerLost { executed } => json!({ "executed": executed.as_str() }),
            Self::Begun(_) => json!({ "executed": Executed::Unknown.as_str() }),
            Self::RateLimited { retry_after } | Self::Overloaded { retry_after } => {
                json!({ "retryAfterMs": u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX) })
            }
            Self::Forbidden { scopes } if !scopes.is_empty() => json!({ "scopes": scopes }),
            Self::Protocol { data, .. } => return data.clone(),
            _ => return None,
        };
        Some(Raw::from_value(&data))
    }

    /// The same of a call that a worker may have run already: nothing in it invites to send the
    /// call again. What is no want of means says enough as it is.
    pub fn begun(self) -> Self {
        match self {
            Self::Overloaded { .. }
            | Self::Draining
            | Self::Storage
            | Self::Quota(_)
            | Self::UnknownSession => Self::Begun(Box::new(self)),
            told => told,
        }
    }

    /// The same as the end of a call that a legacy client follows.
    pub fn to_failure(&self) -> Failure {
        Failure::Protocol {
            code: self.code(Revision::LATEST_LEGACY),
            message: self.message(Era::Legacy),
            data: self.data(),
        }
    }

    /// A failed call as its client sees it. A missing resource is named by what was asked for.
    pub fn of_call(failure: Failure, kind: CallKind, target: &str) -> Fault {
        match (failure, kind) {
            (Failure::NotFound { .. }, CallKind::Resource) => Fault::UnknownResource {
                uri: target.to_owned(),
            },
            (failure, _) => failure.into(),
        }
    }
}

fn modern_or(era: Era, modern: i32, legacy: i32) -> i32 {
    match era {
        Era::Modern => modern,
        Era::Legacy => legacy,
    }
}

/// A worker may choose any code that is not spoken for: the specification's own codes would tell
/// the client something about the protocol that is not so ([RPC-7]).
fn worker_code(code: i32, revision: Revision) -> i32 {
    match (code, revision.era()) {
        (-32700 | -32600..=-32600 | -32603..=-32601, _) => code,
        (-32002, Era::Modern) => -32602,
        (-32002, Era::Legacy) => code,
        (-32042, _) if revision.has_error_for_visits() => code,
        (-32768..=-32000, _) => -32603,
        (code, _) => code,
    }
}

fn served() -> String {
    let served: Vec<_> = Revision::SERVED.iter().map(|r| r.as_str()).collect();
    served.join(", ")
}

/// Row 7 of [ERA-2]: a client that mixes eras is told which versions there are.
fn unknown_method(method: &str, era: Era) -> String {
    let shown: String = method.chars().take(64).collect();
    match era {
        Era::Modern if REMOVED_METHODS.contains(&method) => format!(
            "method not found: {shown} does not exist in this protocol version; supported versions: {}",
            served()
        ),
        Era::Modern | Era::Legacy => format!("method not found: {shown}"),
    }
}

/// Row 12 of [ERA-2]: legacy versions are served, but not by naming them in `_meta`.
fn unsupported_version(requested: &str) -> String {
    let shown: String = requested.chars().take(64).collect();
    match Revision::parse(requested).map(Revision::era) {
        Some(Era::Legacy) => format!(
            "protocol version {shown} is not served by request: open a session with initialize"
        ),
        Some(Era::Modern) | None => {
            format!(
                "unsupported protocol version {shown}; supported versions: {}",
                served()
            )
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        match failure {
            Failure::Internal(reason) => Fault::Internal(reason),
            Failure::NotFound { message } | Failure::InvalidParams(message) => {
                Fault::InvalidParams(message)
            }
            Failure::NeedsCapability(lacking) => Fault::MissingCapability(lacking),
            Failure::NeedsScope(scopes) => Fault::Forbidden { scopes },
            Failure::Protocol {
                code,
                message,
                data,
            } => Fault::Protocol {
                code,
                message,
                data,
            },
            Failure::Cancelled => Fault::Cancelled,
            Failure::TimedOut | Failure::Deadline => Fault::Deadline,
            Failure::Drained => Fault::Draining.begun(),
            Failure::WorkerLost { executed } => Fault::WorkerLost { executed },
            Failure::TooLarge => Fault::TooLarge,
            Failure::BadResult(reason) => Fault::BadResult(reason),
        }
    }
}

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Fault {
        match error {
            JsonError::Syntax { .. } | JsonError::TooDeep { .. } => Fault::Parse(error.to_string()),
            JsonError::Duplicate { .. } | JsonError::Shape(_) => {
                Fault::InvalidRequest(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests;
