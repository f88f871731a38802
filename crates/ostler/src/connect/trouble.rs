//! What the host is told of a request that the remote did not answer: whose fault it is, what to
//! do, and whether it may have run.

use ostler_client::{
    Error, RpcError,
    code::{INTERNAL_ERROR, METHOD_NOT_FOUND},
};
use ostler_protocol::{Raw, RequestId, code};

use super::message;
use crate::client::exit::{Failure, MAY_BE_DONE};

// The codes with which Ostler itself says the same.
const BUSY: i64 = code::OVERLOADED as i64;
const LOST: i64 = code::WORKER_LOST as i64;
const UNREACHABLE: i64 = code::NO_WORKER as i64;
const FORBIDDEN: i64 = code::FORBIDDEN as i64;

/// The error response for it.
pub fn answer(id: &RequestId, method: &str, error: &Error) -> Raw {
    if let Error::Rpc(RpcError {
        code,
        message,
        data,
    }) = error
    {
        return message::error(Some(id), *code, message, data.clone());
    }
    let (code, data) = code(error, method);
    let text = match code {
        LOST => format!("{error}; {MAY_BE_DONE}"),
        _ => text(error),
    };
    message::error(Some(id), code, &text, data.map(Raw::from_static))
}

/// What went wrong and what to do about it, on one line.
pub fn text(error: &Error) -> String {
    let failure = Failure::from(error.clone());
    match failure.advice {
        Some(advice) => format!("{}; {advice}", failure.message),
        None => failure.message,
    }
}

/// A request that cannot be taken now, and did not run.
pub fn too_many(id: &RequestId) -> Raw {
    let data = Raw::from_static(r#"{"retryAfterMs":1000}"#);
    let text = "too many requests at once; wait for answers";
    message::error(Some(id), BUSY, text, Some(data))
}

fn code(error: &Error, method: &str) -> (i64, Option<&'static str>) {
    let lost = (LOST, Some(r#"{"executed":"unknown"}"#));
    match error {
        // It reached somebody, who failed in whatever they did then.
        Error::Status { status: 500.., .. } | Error::Protocol(_) if !is_harmless(method) => lost,
        Error::Refused { .. } => (FORBIDDEN, None),
        Error::Busy { .. } => (BUSY, Some(r#"{"retryAfterMs":1000}"#)),
        Error::Connect { .. } | Error::NotSent { .. } | Error::SessionGone => (UNREACHABLE, None),
        Error::Broken { .. } => lost,
        // A host that tries the modern era first goes on with `initialize` then.
        Error::NoEndpoint { .. } => (METHOD_NOT_FOUND, None),
        Error::Url { .. }
        | Error::Header { .. }
        | Error::Status { .. }
        | Error::Rpc(_)
        | Error::Protocol(_)
        | Error::NoRevision { .. }
        | Error::NotOffered(_)
        | Error::Unanswered(_)
        | Error::TaskCancelled
        | Error::Stopped => (INTERNAL_ERROR, None),
    }
}

/// Whether sending a request again does no harm. `is_harmless`: even if it ran before.
pub fn may_repeat(error: &Error, is_harmless: bool) -> bool {
    match error {
        Error::Connect { .. } | Error::NotSent { .. } | Error::Busy { .. } => true,
        // It may have run: a 503 of a proxy, too, tells no more. That of a server is `Busy`.
        error => is_harmless && error.may_pass(),
    }
}

/// Whether a request of this method changes nothing, or the same however often it runs.
pub fn is_harmless(method: &str) -> bool {
    matches!(
        method,
        "initialize"
            | "ping"
            | "server/discover"
            | "tools/list"
            | "prompts/list"
            | "prompts/get"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "completion/complete"
            | "logging/setLevel"
            | "subscriptions/listen"
            | "tasks/get"
            | "tasks/list"
            | "tasks/result"
            | "tasks/cancel"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_began_or_does_no_harm_is_sent_again() {
        let broken = Error::Broken {
            reason: String::new(),
        };
        let busy = Error::Busy {
            status: 503,
            message: String::new(),
        };
        let status = |status| Error::Status {
            status,
            message: String::new(),
        };
        let (proxy, away, wrong) = (status(502), status(503), status(400));
        for (error, method, expected) in [
            (&broken, "tools/call", false),
            (&broken, "tools/list", true),
            (&busy, "tools/call", true),
            (&proxy, "tools/call", false),
            (&proxy, "resources/read", true),
            (&away, "tools/call", false),
            (&away, "tools/list", true),
            (&wrong, "tools/list", false),
        ] {
            let repeats = may_repeat(error, is_harmless(method));
            assert_eq!(repeats, expected, "{error:?} {method}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        let refused = Error::Refused {
            status: 401,
            challenge: None,
            message: String::new(),
        };
        let answer = |method, error| answer(&RequestId::number(1), method, error).to_string();
        let refused = answer("tools/call", &refused);
        assert!(refused.contains("OSTLER_TOKEN"), "{refused}");
        let away = Error::Status {
            status: 503,
            message: String::new(),
        };
        let wrong = Error::Protocol(String::new());
        for error in [&away, &wrong] {
            let lost = answer("tools/call", error);
            assert!(lost.contains(r#""code":-31003"#), "{lost}");
            assert!(lost.contains(r#""executed":"unknown""#), "{lost}");
            assert!(lost.contains(MAY_BE_DONE), "{lost}");
            let listed = answer("tools/list", error);
            assert!(listed.contains(r#""code":-32603"#), "{listed}");
        }
    }
}
