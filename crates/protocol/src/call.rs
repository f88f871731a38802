//! The era-neutral nouns of a call in flight. Workers speak only of these.

use crate::{facet::Capability, json::Raw};

/// One item that comes back from a call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallEvent {
    /// The handler has begun and did not end at once.
    Started,
    /// The worker runs the call on through a lost link from here.
    Kept,
    Progress(Progress),
    Log(Log),
    /// Questions to the client, to be shown together.
    Ask(Vec<Question>),
    /// These questions, by their keys, need no answer from this client any more. Only of a call
    /// that several clients follow; a worker never takes a question back.
    Withdrawn(Vec<String>),
    /// The page that the question of this key sent the user to has done its part [SP-5].
    Visited {
        key: String,
    },
    /// The call wants to be followed by handle from here on.
    BecomeTask,
    /// The end, once.
    Outcome(Outcome),
}

/// How far a call is; a later one must be further ([P-7]).
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub progress: f64,
    pub total: Option<f64>,
    pub message: Option<String>,
}

/// A log entry that a worker wrote for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub logger: Option<String>,
    pub data: Raw,
}

/// Severity, the lowest first ([P-4]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    pub const ALL: [LogLevel; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The level of exactly this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }
}

/// What a worker wants to know from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Chosen by the author of the worker; stable over runs.
    pub key: String,
    pub kind: QuestionKind,
    /// The `params` of the MCP request in the form of 2026-07-28.
    pub params: Raw,
}

/// Which request of MCP a question becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuestionKind {
    ElicitForm,
    ElicitUrl,
    Sample,
    Roots,
}

/// The reply to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub key: String,
    /// The MCP result object.
    pub value: Result<Raw, AnswerFailure>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerFailure {
    /// The client did not declare the capability.
    Unsupported,
    /// The client answered with an error.
    Refused,
    /// Nobody answered in time.
    TimedOut,
    /// The answer did not fit the question.
    Invalid,
}

/// How a call ended: the worker's era-neutral result object, or why there is none.
pub type Outcome = Result<Raw, Failure>;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    // The worker said so.
    #[error("the handler failed: {0}")]
    Internal(String),
    #[error("not found: {message}")]
    NotFound { message: String },
    #[error("invalid params: {0}")]
    InvalidParams(String),
    #[error("needs client capabilities {0:?}")]
    NeedsCapability(Vec<Capability>),
    #[error("needs scopes {0:?}")]
    NeedsScope(Vec<String>),
    /// A JSON-RPC error of the worker's own.
    #[error("error {code} of the worker: {message:?}")]
    Protocol {
        code: i32,
        message: String,
        data: Option<Raw>,
    },
    #[error("cancelled")]
    Cancelled,
    #[error("the handler timed out")]
    TimedOut,
    // The platform says so.
    #[error("worker lost, executed: {}", .executed.as_str())]
    WorkerLost { executed: Executed },
    #[error("deadline passed")]
    Deadline,
    /// The node ended before the call did.
    #[error("the node shut down")]
    Drained,
    #[error("the result is too large")]
    TooLarge,
    /// The result breaks the protocol or the tool's own schema.
    #[error("bad result: {0}")]
    BadResult(String),
}

impl Failure {
    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Internal(text) | Self::InvalidParams(text) | Self::BadResult(text) => text.len(),
            Self::NotFound { message } => message.len(),
            Self::NeedsCapability(capabilities) => size_of_val(capabilities.as_slice()),
            Self::NeedsScope(scopes) => scopes.iter().map(String::len).sum(),
            Self::Protocol { message, data, .. } => {
                message.len() + data.as_ref().map_or(0, |data| data.bytes().len())
            }
            Self::Cancelled
            | Self::TimedOut
            | Self::WorkerLost { .. }
            | Self::Deadline
            | Self::Drained
            | Self::TooLarge => 0,
        }
    }
}

/// Whether a call that got lost had run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Executed {
    No,
    Unknown,
}

impl Executed {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    Caller,
    Platform,
    Worker,
}

/// Whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same request will end the same way.
    Never,
    /// It did not run: any worker may take it.
    AnyWorker,
    /// It may have run: only what is idempotent may be tried again.
    IfIdempotent,
}

impl Failure {
    pub fn fault(&self) -> Party {
        match self {
            Self::InvalidParams(_)
            | Self::NotFound { .. }
            | Self::NeedsCapability(_)
            | Self::NeedsScope(_)
            | Self::Cancelled => Party::Caller,
            Self::WorkerLost { .. } | Self::Deadline | Self::Drained => Party::Platform,
            Self::Internal(_)
            | Self::Protocol { .. }
            | Self::TimedOut
            | Self::TooLarge
            | Self::BadResult(_) => Party::Worker,
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Self::WorkerLost {
                executed: Executed::No,
            } => Retry::AnyWorker,
            Self::WorkerLost {
                executed: Executed::Unknown,
            }
            | Self::Deadline
            | Self::Drained
            | Self::TimedOut => Retry::IfIdempotent,
            Self::Internal(_)
            | Self::NotFound { .. }
            | Self::InvalidParams(_)
            | Self::NeedsCapability(_)
            | Self::NeedsScope(_)
            | Self::Protocol { .. }
            | Self::Cancelled
            | Self::TooLarge
            | Self::BadResult(_) => Retry::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_levels_are_found_by_name_and_ordered_by_severity() {
        for level in LogLevel::ALL {
            assert_eq!(LogLevel::parse(level.as_str()), Some(level));
        }
        assert!(LogLevel::Debug < LogLevel::Info && LogLevel::Alert < LogLevel::Emergency);
        assert_eq!(LogLevel::parse("LOUD"), None);
    }
}
