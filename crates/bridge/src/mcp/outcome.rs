//! What the end of a request at an upstream is to the call.
//!
//! An error of the upstream's own is passed on as it is; a code that the specification keeps for its
//! own errors becomes -32603 at the node, as any worker's does. For everything else the codes are those
//! that the platform itself uses for a worker: to a client the upstream is a part of it.

use ostler_client::{Error, RpcError, code as spec};
use ostler_protocol::{Revision, code};
use ostler_worker::{AskError, CallKind, Capability, ClientFacet, Raw, ToolError};
use serde_json::{Value, json};

use crate::{member::Asked, pool::Refusal};

/// JSON-RPC 2.0, section 5.1.
const METHOD_NOT_FOUND: i32 = -32601;

/// Why a call has no result. `unanswered` is why the client behind it did not answer what the
/// upstream asked.
pub(super) fn failure(
    member: &str,
    (asked, client): (&Asked, &ClientFacet),
    error: Error,
    unanswered: Option<AskError>,
) -> ToolError {
    match (error, unanswered) {
        (Error::Unanswered(_), Some(why)) => why.into(),
        (Error::Rpc(error), unanswered) if error.code == spec::URL_NEEDED => {
            not_visited(member, client, &error, unanswered)
        }
        (Error::Unanswered(what), None) => {
            ToolError::failed(format!("{member} asked for {what}, which was not answered"))
        }
        (Error::Rpc(error), _) => of_upstream(asked, error),
        (Error::Stopped, _) => ToolError::Cancelled,
        (Error::TaskCancelled, _) => ToolError::failed(format!("{member} cancelled its task")),
        (error, _) => of_transport(member, &error),
    }
}

/// The upstream wants a page visited first [SP-5]. What it says of that is for a client that is
/// asked by it, which is us.
fn not_visited(
    member: &str,
    client: &ClientFacet,
    error: &RpcError,
    unanswered: Option<AskError>,
) -> ToolError {
    match unanswered {
        Some(why) => why.into(),
        None if !client.elicit_url => ToolError::NeedsCapability(vec![Capability::ElicitUrl]),
        None => ToolError::failed(format!(
            "{member} needs a page visited first, which was not done: {}",
            error.message
        )),
    }
}

/// The upstream's own error.
fn of_upstream(asked: &Asked, error: RpcError) -> ToolError {
    let RpcError {
        code,
        message,
        data,
    } = error;
    match code {
        // The latter is what many servers of old say, too: a reading has no other parameter that it
        // could mean.
        spec::RESOURCE_NOT_FOUND | spec::INVALID_PARAMS if asked.kind == CallKind::Resource => {
            return ToolError::NotFound(message);
        }
        spec::MISSING_CAPABILITY => return ToolError::NeedsCapability(required(data)),
        _ => {}
    }
    ToolError::Protocol {
        // No JSON-RPC code is that large.
        code: i32::try_from(code).unwrap_or(-32603),
        message,
        data: data.and_then(|data| data.to::<Value>().ok()),
    }
}

/// The capabilities that an upstream misses, which are those of the client behind the call.
fn required(data: Option<Raw>) -> Vec<Capability> {
    let required = data.unwrap_or_default().get("requiredCapabilities");
    let required = required.unwrap_or_default();
    let facet = ClientFacet::from_capabilities(&required, Revision::LATEST_MODERN);
    let facet = facet.unwrap_or_default();
    let all = Capability::ALL.into_iter();
    all.filter(|capability| facet.has(*capability)).collect()
}

/// The upstream could not be asked, or what it said is no answer.
fn of_transport(member: &str, error: &Error) -> ToolError {
    let (code, text, executed) = match error {
        Error::Connect { .. } | Error::NotSent { .. } | Error::SessionGone => {
            (code::NO_WORKER, "cannot be reached; try again later", "no")
        }
        Error::Busy { .. } => (code::OVERLOADED, "is busy; try again later", "no"),
        Error::Broken { .. } => (
            code::WORKER_LOST,
            "was lost during the call; it may have run",
            "unknown",
        ),
        Error::Status { .. } => (
            code::WORKER_LOST,
            "failed during the call; it may have run",
            "unknown",
        ),
        Error::NotOffered(_) => (METHOD_NOT_FOUND, "does not offer this", "no"),
        Error::Refused { .. } => (
            code::NO_WORKER,
            "refused the bridge; ask its operator",
            "no",
        ),
        _ => (
            code::BAD_RESULT,
            "gave an answer that breaks the protocol",
            "unknown",
        ),
    };
    protocol(code, member, text, executed)
}

/// The call got no connection. Why is for the log: it may name files and addresses.
pub(super) fn down(member: &str, why: &Refusal) -> ToolError {
    tracing::debug!(member, %why, "a call got no connection");
    let (code, text) = match why {
        Refusal::TenantFull | Refusal::BridgeFull => (code::OVERLOADED, "is busy; try again later"),
        Refusal::Failed { .. } | Refusal::Resting { .. } | Refusal::Closing => {
            (code::NO_WORKER, "is not available; try again later")
        }
    };
    let mut data = json!({"executed": "no"});
    if let Some(wait) = why.retry_after() {
        data["retryAfterMs"] = json!(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    ToolError::Protocol {
        code,
        message: format!("{member} {text}"),
        data: Some(data),
    }
}

fn protocol(code: i32, member: &str, text: &str, executed: &str) -> ToolError {
    ToolError::Protocol {
        code,
        message: format!("{member} {text}"),
        data: Some(json!({"executed": executed})),
    }
}

/// Whether this connection does for nobody any more. One that could not be made, or broke under one
/// request, may do for others.
pub(super) fn is_over(error: &Error) -> bool {
    matches!(error, Error::NotSent { .. } | Error::SessionGone)
}

/// Whether the upstream may be lost, which a ping will tell.
pub(super) fn is_odd(error: &Error) -> bool {
    matches!(
        error,
        Error::Connect { .. }
            | Error::Broken { .. }
            | Error::Status { .. }
            | Error::NoEndpoint { .. }
    )
}

/// Whether somebody is there who says so, whatever they think of the request.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(
        error,
        Error::Rpc(_)
            | Error::Refused { .. }
            | Error::Busy { .. }
            | Error::Status {
                status: 400..=499,
                ..
            }
    )
}

/// Whether the upstream cannot have begun with the request.
pub(super) fn was_not_sent(error: &Error) -> bool {
    matches!(
        error,
        Error::Connect { .. } | Error::NotSent { .. } | Error::SessionGone
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_turns_a_ping_away_is_there() {
        let message = String::new;
        let status = |status| Error::Status {
            status,
            message: message(),
        };
        let refused = Error::Refused {
            status: 401,
            challenge: None,
            message: message(),
        };
        let busy = Error::Busy {
            status: 429,
            message: message(),
        };
        let broken = Error::Broken { reason: message() };
        let rows = [
            (refused, true),
            (busy, true),
            (status(400), true),
            (status(405), true),
            (status(502), false),
            (broken, false),
            // It is there, but this connection is over.
            (Error::SessionGone, false),
        ];
        for (error, expected) in rows {
            assert_eq!(is_answer(&error), expected, "{error:?}");
        }
    }
}
