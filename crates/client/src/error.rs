//! What can go wrong, by whose fault it is.

use crate::{dial::Step, message::RpcError};

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's fault: fix the URL.
    #[error("{url:?} is no URL to connect to: {reason}")]
    Url { url: String, reason: &'static str },
    /// The caller's fault: fix the header.
    #[error("the header {name:?} cannot be sent")]
    Header { name: String },
    /// Nothing was sent; trying again is safe.
    #[error("cannot reach {target} ({step}): {reason}")]
    Connect {
        step: Step,
        target: String,
        reason: String,
    },
    /// Nothing was sent, and this client can send no more: connect anew.
    #[error("nothing was sent: {reason}")]
    NotSent { reason: String },
    /// The server may have begun to work; trying again may do it twice. Whatever happens to a
    /// request after it began is this.
    #[error("the connection broke: {reason}")]
    Broken { reason: String },
    /// The caller's credential does not do. Trying again does not help.
    #[error("refused with HTTP {status}{}", shown(message))]
    Refused {
        status: u16,
        /// What `WWW-Authenticate` says.
        challenge: Option<String>,
        message: String,
    },
    /// The server wants less and did not begin: try again after a while.
    #[error("the server is busy (HTTP {status}){}", shown(message))]
    Busy { status: u16, message: String },
    /// There is no MCP server at this URL.
    #[error("no MCP server answers at this URL (HTTP {status})")]
    NoEndpoint { status: u16 },
    /// The session ended at the server before it began; a new one can be opened.
    #[error("the session has ended at the server")]
    SessionGone,
    #[error("the server answered HTTP {status}{}", shown(message))]
    Status { status: u16, message: String },
    /// The server's own answer.
    #[error("{0}")]
    Rpc(RpcError),
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// No revision is spoken by both.
    #[error("no revision in common; the server speaks {}", server.join(", "))]
    NoRevision { server: Vec<String> },
    /// The server cannot do that.
    #[error("the server does not offer {0}")]
    NotOffered(&'static str),
    /// The server asked something that the host would not answer, and cannot go on without.
    #[error("the server asked for {0}, which was not answered")]
    Unanswered(&'static str),
    /// A task ended without a result.
    #[error("the task was cancelled at the server")]
    TaskCancelled,
    /// Ended by [`Stopper::stop`](crate::Stopper::stop).
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// Whether this is how a server is not even reached, or turns away what it did not begin.
    fn is_at_the_door(&self) -> bool {
        matches!(
            self,
            Error::Connect { .. }
                | Error::NotSent { .. }
                | Error::Refused { .. }
                | Error::Busy { .. }
                | Error::SessionGone
        )
    }

    /// The same for a request that had begun before it failed so: the door is shut on the rest of
    /// it alone, and what stood behind it may have run.
    pub(crate) fn begun(self) -> Error {
        match self.is_at_the_door() {
            true => Error::Broken {
                reason: self.to_string(),
            },
            false => self,
        }
    }

    /// Whether a server that ended a request of ours so is at work for it no more.
    pub(crate) fn is_over(&self) -> bool {
        let is_answer = matches!(
            self,
            Error::Rpc(_)
                | Error::TaskCancelled
                | Error::Status {
                    status: 400..=499,
                    ..
                }
        );
        is_answer || self.is_at_the_door()
    }

    /// Whether what changes nothing may simply be tried again. A proxy says 500, 502, 503 or 504
    /// while the server behind it starts anew.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Error::Broken { .. }
                | Error::Connect { .. }
                | Error::Busy { .. }
                | Error::Status {
                    status: 500 | 502..=504,
                    ..
                }
        )
    }
}

fn shown(message: &str) -> String {
    match message.is_empty() {
        true => String::new(),
        false => format!(": {message}"),
    }
}

pub(crate) fn protocol<T>(reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::Protocol(reason.into()))
}
