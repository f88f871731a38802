//! What can go wrong with a session, and whose fault it is.

use std::time::Duration;

use ostler_protocol::fault::Fault;

/// Why a session did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Unknown, foreign, ended and expired look the same [SES-2], [SES-7].
    #[error("no such session")]
    Unknown,
    /// The client's fault: this id is in flight already [RPC-2].
    #[error("a request with this id is in flight")]
    DuplicateId,
    /// The principal or its tenant has as many sessions as it may have [SES-6].
    #[error("too many sessions")]
    TooManySessions,
    /// The session has as many requests or streams in work as it may have.
    #[error("the session is busy")]
    Busy { retry_after: Duration },
    /// The session may not subscribe to more resources.
    #[error("too many subscriptions")]
    TooManySubscriptions,
    /// The cursor names nothing that can be resumed without a gap [SSE-6].
    #[error("the stream cannot be resumed from there")]
    ResumeGap { oldest: Option<String> },
    /// The platform's fault: nothing can be stored right now.
    #[error("the session store is unavailable")]
    Storage,
    /// This node is shutting down.
    #[error("the node is draining")]
    Draining,
    /// `dispatch` said no.
    #[error("refused")]
    Refused(Fault),
}

impl From<SessionError> for Fault {
    fn from(error: SessionError) -> Fault {
        match error {
            SessionError::Unknown => Fault::UnknownSession,
            SessionError::DuplicateId => {
                Fault::InvalidRequest("a request with this id is already in flight".into())
            }
            SessionError::TooManySessions => Fault::Quota("sessions"),
            SessionError::TooManySubscriptions => Fault::Quota("subscriptions"),
            SessionError::Busy { retry_after } => Fault::Overloaded { retry_after },
            SessionError::ResumeGap { oldest } => Fault::ResumeGap { oldest },
            SessionError::Storage => Fault::Storage,
            SessionError::Draining => Fault::Draining,
            SessionError::Refused(fault) => fault,
        }
    }
}
