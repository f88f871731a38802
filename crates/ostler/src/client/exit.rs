//! What the exit status of a client command means.

use std::process::ExitCode;

use ostler_client::{Error, code};
use ostler_protocol::Raw;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    ToolFailed = 1,
    WrongUse = 2,
    Refused = 3,
    NotFound = 4,
    ServerFailed = 5,
    NoConnection = 6,
    Unanswered = 7,
    Late = 8,
    Interrupted = 130,
}

impl Exit {
    pub fn code(self) -> ExitCode {
        ExitCode::from(self as u8)
    }

    /// A word for scripts.
    pub fn word(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::ToolFailed => "tool_failed",
            Exit::WrongUse => "wrong_use",
            Exit::Refused => "refused",
            Exit::NotFound => "not_found",
            Exit::ServerFailed => "server_failed",
            Exit::NoConnection => "no_connection",
            Exit::Unanswered => "unanswered",
            Exit::Late => "late",
            Exit::Interrupted => "interrupted",
        }
    }
}

/// What to do about a request whose end is not known.
pub const MAY_BE_DONE: &str = "it may have been done; look before you do it again";

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
            advice: None,
        }
    }

    pub fn with_advice(self, advice: impl Into<String>) -> Failure {
        Failure {
            advice: Some(advice.into()),
            ..self
        }
    }

    pub fn wrong_use(message: impl Into<String>) -> Failure {
        Failure::new(Exit::WrongUse, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let failure = Failure::new(exit_of(&error), error.to_string());
        match advice(&error) {
            Some(advice) => failure.with_advice(advice),
            None => failure,
        }
    }
}

fn exit_of(error: &Error) -> Exit {
    match error {
        Error::Url { .. } | Error::Header { .. } => Exit::WrongUse,
        Error::Connect { .. } | Error::NotSent { .. } | Error::Broken { .. } => Exit::NoConnection,
        Error::Refused { .. } => Exit::Refused,
        Error::NoEndpoint { .. } | Error::NotOffered(_) => Exit::NotFound,
        Error::Rpc(rpc) => match rpc.code {
            code::RESOURCE_NOT_FOUND => Exit::NotFound,
            code::INVALID_PARAMS if names_uri(rpc.data.as_ref()) => Exit::NotFound,
            code::MISSING_CAPABILITY | code::URL_NEEDED => Exit::Unanswered,
            _ => Exit::ServerFailed,
        },
        Error::Unanswered(_) => Exit::Unanswered,
        Error::Stopped => Exit::Interrupted,
        Error::Busy { .. }
        | Error::SessionGone
        | Error::Status { .. }
        | Error::Protocol(_)
        | Error::NoRevision { .. }
        | Error::TaskCancelled => Exit::ServerFailed,
    }
}

fn names_uri(data: Option<&Raw>) -> bool {
    data.is_some_and(|data| data.get("uri").is_some())
}

/// What the person can do about it.
fn advice(error: &Error) -> Option<&'static str> {
    match error {
        Error::Refused { status: 401, .. } => {
            Some("put a bearer token into OSTLER_TOKEN, or into a file for --token-file")
        }
        Error::Refused { .. } => {
            Some("this credential may not do that; ask whoever runs the server")
        }
        Error::NoEndpoint { .. } => Some("check the path of the URL; many servers use /mcp"),
        Error::Connect { .. } => Some("ostler doctor --url URL looks at every step"),
        Error::Broken { .. } => Some(MAY_BE_DONE),
        Error::SessionGone => Some("run it again; that opens a new session"),
        Error::Busy { .. } => Some("try again in a while"),
        Error::Rpc(rpc) if matches!(rpc.code, code::MISSING_CAPABILITY | code::URL_NEEDED) => Some(
            "it needs to ask: run it at a terminal, or answer in advance with --answer and --root",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ostler_client::RpcError;

    use super::*;

    fn rpc(code: i64, data: Option<&'static str>) -> Error {
        Error::Rpc(RpcError {
            code,
            message: "no".to_owned(),
            data: data.map(Raw::from_static),
        })
    }

    #[test]
    fn every_kind_of_failure_has_its_status() {
        let refused = Error::Refused {
            status: 401,
            challenge: None,
            message: String::new(),
        };
        let rows = [
            (refused, Exit::Refused),
            (Error::NoEndpoint { status: 404 }, Exit::NotFound),
            (rpc(-32002, None), Exit::NotFound),
            (rpc(-32602, Some(r#"{"uri":"a:b"}"#)), Exit::NotFound),
            (rpc(-32602, None), Exit::ServerFailed),
            (rpc(-32021, None), Exit::Unanswered),
            (rpc(-32042, None), Exit::Unanswered),
            (Error::Stopped, Exit::Interrupted),
            (Error::SessionGone, Exit::ServerFailed),
        ];
        for (error, exit) in rows {
            assert_eq!(Failure::from(error.clone()).exit, exit, "{error:?}");
        }
    }

    #[test]
    fn what_ended_in_between_says_whether_to_do_it_again() {
        let advice = |error: Error| Failure::from(error).advice.unwrap_or_default();
        let reason = String::new();
        assert_eq!(advice(Error::Broken { reason }), MAY_BE_DONE);
        assert!(advice(Error::SessionGone).contains("again"));
    }
}
