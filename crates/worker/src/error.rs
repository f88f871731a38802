//! Why a handler gives no result, and why an ask got no answer.

use std::{any::Any, error::Error, fmt};

use ostler_protocol::{call::Failure, facet::Capability, json::Raw};

/// Why a handler gives no result.
///
/// Any error converts with `?`: its text becomes a tool result with `isError`, which the model
/// reads and can act on. The other variants are answered as protocol errors.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolError {
    /// The tool ran and did not succeed. Prompts and resources answer it as internal error.
    Failed(String),
    /// The request makes no sense: -32602.
    InvalidParams(String),
    /// There is no such resource or prompt.
    NotFound(String),
    /// The client lacks what this call needs.
    NeedsCapability(Vec<Capability>),
    /// The caller lacks OAuth scopes.
    NeedsScope(Vec<String>),
    /// A JSON-RPC error of the author's own.
    Protocol {
        code: i32,
        message: String,
        data: Option<serde_json::Value>,
    },
    /// It stopped because it was told to.
    Cancelled,
    TimedOut,
    /// A defect in the worker; the text goes to its log, not to the client.
    Internal(String),
}

impl ToolError {
    /// The tool ran and did not succeed; the model reads `text`.
    pub fn failed(text: impl fmt::Display) -> Self {
        ToolError::Failed(text.to_string())
    }

    /// What any displayable error means: our own errors keep their kind, others are shown.
    pub(crate) fn of<E: fmt::Display + 'static>(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(own) = any.downcast_ref::<ToolError>() {
            return own.clone();
        }
        if let Some(ask) = any.downcast_ref::<AskError>() {
            return ask.clone().into_tool_error();
        }
        // The alternate form shows the whole chain of errors that have one.
        ToolError::Failed(format!("{error:#}"))
    }

    /// As the platform hears it. A tool's `Failed` never gets here: it is a result.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            ToolError::Failed(message) => Failure::Protocol {
                code: INTERNAL_ERROR,
                message,
                data: None,
            },
            ToolError::InvalidParams(message) => Failure::InvalidParams(message),
            ToolError::NotFound(message) => Failure::NotFound { message },
            ToolError::NeedsCapability(capabilities) => Failure::NeedsCapability(capabilities),
            ToolError::NeedsScope(scopes) => Failure::NeedsScope(scopes),
            ToolError::Protocol {
                code,
                message,
                data,
            } => Failure::Protocol {
                code,
                message,
                data: data.as_ref().map(Raw::from_value),
            },
            ToolError::Cancelled => Failure::Cancelled,
            ToolError::TimedOut => Failure::TimedOut,
            ToolError::Internal(message) => Failure::Internal(message),
        }
    }
}

/// JSON-RPC 2.0, section 5.1.
const INTERNAL_ERROR: i32 = -32603;

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToolError::Failed(text)
            | ToolError::InvalidParams(text)
            | ToolError::NotFound(text)
            | ToolError::Internal(text) => f.write_str(text),
            ToolError::NeedsCapability(capabilities) => {
                write!(f, "the client lacks {capabilities:?}")
            }
            ToolError::NeedsScope(scopes) => write!(f, "the caller lacks {scopes:?}"),
            ToolError::Protocol { code, message, .. } => write!(f, "{message} ({code})"),
            ToolError::Cancelled => f.write_str("cancelled"),
            ToolError::TimedOut => f.write_str("timed out"),
        }
    }
}

/// `ToolError` itself is no `Error`, so that every error converts with `?`.
impl<E: Error + 'static> From<E> for ToolError {
    fn from(error: E) -> Self {
        ToolError::of(error)
    }
}

/// Why an ask got no answer. With `?`, `Unsupported` becomes [`ToolError::NeedsCapability`];
/// the rest become the text of a tool result with `isError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It does not declare this, or its revision has no words for the question.
    #[error("the client cannot be asked: {0:?} is not declared, or not in its revision")]
    Unsupported(Capability),
    #[error("the client refused to answer")]
    Refused,
    #[error("nobody answered in time")]
    TimedOut,
    #[error("the answer does not fit the question: {0}")]
    Invalid(String),
    /// The call was cancelled or has ended.
    #[error("the call is cancelled")]
    Cancelled,
    /// The question itself is not allowed; a defect in the worker.
    #[error("this cannot be asked: {0}")]
    BadQuestion(String),
}

impl AskError {
    fn into_tool_error(self) -> ToolError {
        match self {
            AskError::Unsupported(capability) => ToolError::NeedsCapability(vec![capability]),
            AskError::Cancelled => ToolError::Cancelled,
            AskError::Refused
            | AskError::TimedOut
            | AskError::Invalid(_)
            | AskError::BadQuestion(_) => ToolError::Failed(self.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through_question_mark<E: Error + 'static>(error: E) -> ToolError {
        let run = || -> Result<(), ToolError> { Err(error)? };
        run().expect_err("it is an error")
    }

    #[test]
    fn a_foreign_error_becomes_text_for_the_model() {
        let error = through_question_mark(std::fmt::Error);
        assert_eq!(error, ToolError::Failed(std::fmt::Error.to_string()));
    }

    #[test]
    fn a_missing_capability_keeps_its_meaning_on_the_way_up() {
        let error = through_question_mark(AskError::Unsupported(Capability::Sample));
        let wanted = ToolError::NeedsCapability(vec![Capability::Sample]);
        assert_eq!(error, wanted);
    }
}
