//! Why a request about a parked call or a task was refused.

use std::time::Duration;

use ostler_protocol::{facet::Capability, fault::Fault, task::TaskStatus};

/// What the client is told. It never says whose task it was: unknown, foreign and expired
/// look the same [TK-2].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    #[error("unknown task")]
    Unknown,
    /// It cannot be cancelled any more.
    #[error("cannot cancel task: already in terminal status '{}'", .0.as_str())]
    Ended(TaskStatus),
    /// The reason is in the log and the metrics only [MR-5].
    #[error("requestState is not valid for this request: call again without it")]
    State,
    /// An answer to a question that was asked does not fit it [MR-7].
    #[error("{0}")]
    BadAnswer(String),
    /// The client's calls became a task, and this request cannot follow one.
    #[error("this call continues as a task")]
    NeedsTasks,
    /// The target needs scopes that this credential lacks.
    #[error("a scope is missing, needs {scopes:?}")]
    Forbidden { scopes: Vec<String> },
    #[error("too many unfinished tasks")]
    Quota,
    #[error("too many requests wait for this call")]
    Overloaded,
    #[error("the store refused")]
    Storage,
    #[error("the node is draining")]
    Draining,
}

impl From<TaskError> for Fault {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Unknown
            | TaskError::Ended(_)
            | TaskError::State
            | TaskError::BadAnswer(_) => Fault::InvalidParams(error.to_string()),
            TaskError::NeedsTasks => Fault::MissingCapability(vec![Capability::Tasks]),
            TaskError::Forbidden { scopes } => Fault::Forbidden { scopes },
            TaskError::Quota => Fault::Quota("unfinished tasks"),
            TaskError::Overloaded => Fault::Overloaded {
                retry_after: Duration::from_secs(1),
            },
            TaskError::Storage => Fault::Storage,
            TaskError::Draining => Fault::Draining,
        }
    }
}
