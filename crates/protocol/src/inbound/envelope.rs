//! The JSON-RPC envelope, the same in both eras ([RPC-1] to [RPC-6]).

use std::borrow::Cow;

use ostler_types::Limits;

use super::{ClientError, params::Params};
use crate::{
    fault::Fault,
    id::RequestId,
    json::{
        Kind,
        walk::{self, Walk},
    },
};

/// One JSON-RPC message. What it borrows are values cut out of the body.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub message: Message<'a>,
    /// Of a request they may be malformed: see [`Params`](super::Params).
    pub params: Params<'a>,
}

#[derive(Debug)]
pub(super) enum Message<'a> {
    Request {
        id: RequestId,
        method: Cow<'a, str>,
    },
    Notification {
        method: Cow<'a, str>,
    },
    Response {
        id: RequestId,
        result: Result<&'a str, ClientError>,
    },
}

impl Envelope<'_> {
    pub(super) fn is_request(&self, wanted: &str) -> bool {
        matches!(&self.message, Message::Request { method, .. } if method == wanted)
    }

    /// The id to answer with.
    pub(super) fn request_id(&self) -> Option<&RequestId> {
        match &self.message {
            Message::Request { id, .. } => Some(id),
            Message::Notification { .. } | Message::Response { .. } => None,
        }
    }
}

/// A body that is no message, with its id if that could be read.
#[derive(Debug)]
pub(super) struct BadEnvelope {
    pub fault: Fault,
    pub id: Option<RequestId>,
}

/// The members that mean something; all others are ignored.
#[derive(Default)]
struct Members<'a> {
    jsonrpc: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    params: Params<'a>,
    result: Option<&'a str>,
    error: Option<&'a str>,
}

const RESERVED: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// Reads one message: a body, or an element of a batch.
pub(super) fn read<'a>(text: &'a str, limits: &Limits) -> Result<Envelope<'a>, BadEnvelope> {
    let no_id = |fault| BadEnvelope { fault, id: None };
    let members = members(text).map_err(no_id)?;
    let id = read_id(members.id, limits).map_err(no_id)?;
    let is_request =
        members.method.is_some() || (members.result.is_none() && members.error.is_none());
    let envelope = read_message(members, id.clone(), limits);
    // The id of a response is an id of ours: it names no request to answer.
    envelope.map_err(|fault| BadEnvelope {
        fault,
        id: id.filter(|_| is_request),
    })
}

fn members(text: &str) -> Result<Members<'_>, Fault> {
    if walk::kind_of(text) != Kind::Object {
        return invalid("a JSON-RPC message must be an object");
    }
    let mut members = Members::default();
    let mut walk = Walk::of(text);
    walk.enter();
    while let Some(name) = walk.next_name() {
        let slot = match name.as_ref() {
            "params" => {
                members.params = Params::read(&mut walk);
                continue;
            }
            "jsonrpc" => &mut members.jsonrpc,
            "id" => &mut members.id,
            "method" => &mut members.method,
            "result" => &mut members.result,
            "error" => &mut members.error,
            _ => {
                refuse_case_variant(&name)?;
                walk.skip();
                continue;
            }
        };
        *slot = Some(walk.skip());
    }
    Ok(members)
}

/// A lenient reader elsewhere might take `Method` for `method` and see another request than we do.
fn refuse_case_variant(name: &str) -> Result<(), Fault> {
    let variant_of = |reserved: &&&str| name.eq_ignore_ascii_case(reserved);
    match RESERVED.iter().find(variant_of) {
        Some(reserved) => invalid(&format!("member {name:?} must be spelled {reserved:?}")),
        None => Ok(()),
    }
}

fn read_id(id: Option<&str>, limits: &Limits) -> Result<Option<RequestId>, Fault> {
    let id = id.map(|value| RequestId::from_value(value, limits.id_bytes_max));
    id.transpose()
        .map_err(|bad| Fault::InvalidRequest(bad.to_string()))
}

fn read_message<'a>(
    members: Members<'a>,
    id: Option<RequestId>,
    limits: &Limits,
) -> Result<Envelope<'a>, Fault> {
    let version = members.jsonrpc.and_then(walk::text);
    if version.as_deref() != Some("2.0") {
        return invalid("\"jsonrpc\" must be \"2.0\"");
    }
    let message = match (members.method, id, members.result, members.error) {
        (Some(method), Some(id), None, None) => Message::Request {
            id,
            method: read_method(method, limits)?,
        },
        (Some(method), None, None, None) => Message::Notification {
            method: read_method(method, limits)?,
        },
        (None, Some(id), Some(result), None) => Message::Response {
            id,
            result: Ok(result),
        },
        (None, Some(id), None, Some(error)) => Message::Response {
            id,
            result: Err(client_error(error)),
        },
        (Some(_), _, _, _) => return invalid("a request has no result and no error"),
        (None, _, None, None) => return invalid("\"method\" is missing"),
        (None, None, _, _) => return invalid("a response needs the id of a request"),
        (None, Some(_), Some(_), Some(_)) => {
            return invalid("a response has a result or an error, not both");
        }
    };
    check_params(&members.params, &message)?;
    let params = members.params;
    Ok(Envelope { message, params })
}

fn read_method<'a>(method: &'a str, limits: &Limits) -> Result<Cow<'a, str>, Fault> {
    match walk::text(method) {
        Some(text) if text.len() <= limits.id_bytes_max => Ok(text),
        _ => invalid(&format!(
            "\"method\" must be a string of at most {} bytes",
            limits.id_bytes_max
        )),
    }
}

/// By name only ([RPC-5]). A notification cannot be told of bad params, so its body is refused.
fn check_params(params: &Params<'_>, message: &Message<'_>) -> Result<(), Fault> {
    match message {
        Message::Notification { .. } | Message::Response { .. }
            if params.check_object().is_err() =>
        {
            invalid("\"params\" must be an object")
        }
        Message::Request { .. } | Message::Notification { .. } | Message::Response { .. } => Ok(()),
    }
}

/// What the client made of a request of ours; it is surfaced as "refused", so details may be odd.
fn client_error(error: &str) -> ClientError {
    let code = walk::member(error, "code").and_then(|code| code.parse().ok());
    let message = walk::member(error, "message").and_then(walk::text);
    ClientError {
        code: code.unwrap_or(0),
        message: message.unwrap_or_default().into_owned(),
    }
}

fn invalid<T>(reason: &str) -> Result<T, Fault> {
    Err(Fault::InvalidRequest(reason.to_owned()))
}
