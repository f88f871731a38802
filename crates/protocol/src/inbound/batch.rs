//! Batches: several messages in one body. One revision has them, within a session ([BAT-2]).

use ostler_types::Limits;

use super::{
    Inbound, LegacyMessage, Post, Posted, envelope,
    era::{self, Decision, Shape, VersionHeader},
    legacy,
};
use crate::{
    fault::Fault,
    headers::{Field, Headers},
    json::{Raw, walk},
};

/// Messages of one batch ([BAT-8]). Each is bounded as any other; together they are one body.
const BATCH_LEN_MAX: usize = 100;

/// A batch whose headers say whose it is. Without a session of its own it is nobody's ([BAT-6]).
pub(super) fn read_on<H: Headers>(
    headers: &H,
    version: &VersionHeader<'_>,
    body: &Raw,
    limits: &Limits,
) -> Result<Inbound, Fault> {
    let shape = Shape {
        version_in_meta: false,
        session: headers.all(Field::SessionId).next().is_some(),
        initialize: false,
    };
    match era::decide(version, shape) {
        Decision::Session => legacy::in_session(headers, version, read(body, limits)?),
        Decision::Modern | Decision::Initialize | Decision::Refuse { .. } => {
            invalid("a batch needs a session of 2025-03-26: send one message per request")
        }
    }
}

/// Requests and notifications, or responses ([BAT-3], [BAT-5]). What cannot be told apart from
/// a mistake in the whole refuses the whole; bad params are their own request's.
pub(super) fn read(body: &Raw, limits: &Limits) -> Result<Posted, Fault> {
    let elements = walk::items(body.as_str()).take(BATCH_LEN_MAX + 1);
    let messages = elements.map(|element| message(body, element, limits));
    let messages: Vec<_> = messages.collect::<Result<_, _>>()?;
    let is_request = |message: &_| matches!(message, LegacyMessage::Request { .. });
    let is_response = |message: &_| matches!(message, LegacyMessage::Response { .. });
    match messages.len() {
        0 => invalid("a batch has at least one message"),
        len if len > BATCH_LEN_MAX => {
            invalid(&format!("a batch has at most {BATCH_LEN_MAX} messages"))
        }
        _ if messages.iter().any(is_request) && messages.iter().any(is_response) => {
            invalid("a batch has requests or responses, not both")
        }
        _ => Ok(Posted::Batch(messages)),
    }
}

fn message(body: &Raw, element: &str, limits: &Limits) -> Result<LegacyMessage, Fault> {
    let envelope = envelope::read(element, limits).map_err(|bad| bad.fault)?;
    if envelope.is_request("initialize") {
        return invalid("initialize cannot be part of a batch");
    }
    let post = Post {
        headers: &(),
        version_header: &VersionHeader::Absent,
        body,
        params: &envelope.params,
        meta: &envelope.params.meta,
        limits,
    };
    Ok(legacy::message(&post, envelope.message))
}

fn invalid<T>(reason: &str) -> Result<T, Fault> {
    Err(Fault::InvalidRequest(reason.to_owned()))
}
