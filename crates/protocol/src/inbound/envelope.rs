//! The JSON-RPC envelope, the same in both eras ([RPC-1] to [RPC-6]).

use std::borrow::Cow;

use ostler_types::Limits;

use super::ClientError;
use crate::{
    fault::Fault,
    id::RequestId,
    json::{Kind, Raw},
};

/// One JSON-RPC message.
#[derive(Debug)]
pub(super) struct Envelope {
    pub message: Message,
    /// An object, `{}` when absent or `null`.
    pub params: Raw,
}

#[derive(Debug)]
pub(super) enum Message {
    Request {
        id: RequestId,
        method: String,
    },
    Notification {
        method: String,
    },
    Response {
        id: RequestId,
        result: Result<Raw, ClientError>,
    },
}

impl Envelope {
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
struct Members {
    jsonrpc: Option<Raw>,
    id: Option<Raw>,
    method: Option<Raw>,
    params: Option<Raw>,
    result: Option<Raw>,
    error: Option<Raw>,
}

const RESERVED: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

pub(super) fn read(body: &Raw, limits: &Limits) -> Result<Envelope, BadEnvelope> {
    let no_id = |fault| BadEnvelope { fault, id: None };
    let members = members(body).map_err(no_id)?;
    let id = read_id(members.id.as_ref(), limits).map_err(no_id)?;
    let envelope = read_message(members, id.clone(), limits);
    // The id of a response is an id of ours: it names no request to answer.
    envelope.map_err(|(fault, is_request)| BadEnvelope {
        fault,
        id: id.filter(|_| is_request),
    })
}

fn members(body: &Raw) -> Result<Members, Fault> {
    match body.kind() {
        Kind::Object => {}
        // Batches exist in 2025-03-26 only ([BAT-6]), which is not served.
        Kind::Array => return invalid("batches are not supported: send one message per request"),
        _ => return invalid("the body must be one JSON-RPC message, an object"),
    }
    let mut members = Members::default();
    for (name, value) in body.members() {
        match name.as_ref() {
            "jsonrpc" => members.jsonrpc = Some(value),
            "id" => members.id = Some(value),
            "method" => members.method = Some(value),
            "params" => members.params = Some(value),
            "result" => members.result = Some(value),
            "error" => members.error = Some(value),
            _ => refuse_case_variant(&name)?,
        }
    }
    Ok(members)
}

/// A lenient reader elsewhere might take `Method` for `method` and see another request than we do.
fn refuse_case_variant(name: &str) -> Result<(), Fault> {
    match RESERVED
        .iter()
        .find(|reserved| name.eq_ignore_ascii_case(reserved))
    {
        Some(reserved) => invalid(&format!("member {name:?} must be spelled {reserved:?}")),
        None => Ok(()),
    }
}

fn read_id(id: Option<&Raw>, limits: &Limits) -> Result<Option<RequestId>, Fault> {
    let id = id
        .map(|raw| RequestId::from_raw(raw, limits.id_bytes_max))
        .transpose();
    id.map_err(|bad| Fault::InvalidRequest(bad.to_string()))
}

/// The fault comes with whether a request was meant.
fn read_message(
    members: Members,
    id: Option<RequestId>,
    limits: &Limits,
) -> Result<Envelope, (Fault, bool)> {
    let is_request =
        members.method.is_some() || (members.result.is_none() && members.error.is_none());
    let because = |fault| (fault, is_request);
    let version = members.jsonrpc.as_ref().and_then(Raw::text);
    if version.as_deref() != Some("2.0") {
        return Err(because(Fault::InvalidRequest(
            "\"jsonrpc\" must be \"2.0\"".into(),
        )));
    }
    let message = match (members.method, id, members.result, members.error) {
        (Some(method), id, None, None) => {
            let method = read_method(&method, limits).map_err(because)?;
            match id {
                Some(id) => Message::Request { id, method },
                None => Message::Notification { method },
            }
        }
        (None, Some(id), Some(result), None) => Message::Response {
            id,
            result: Ok(result),
        },
        (None, Some(id), None, Some(error)) => Message::Response {
            id,
            result: Err(client_error(&error)),
        },
        (Some(_), _, _, _) => {
            return Err(because(bad_shape("a request has no result and no error")));
        }
        (None, _, None, None) => return Err(because(bad_shape("\"method\" is missing"))),
        (None, None, _, _) => {
            return Err(because(bad_shape("a response needs the id of a request")));
        }
        (None, Some(_), Some(_), Some(_)) => {
            return Err(because(bad_shape(
                "a response has a result or an error, not both",
            )));
        }
    };
    let params = read_params(members.params, &message).map_err(because)?;
    Ok(Envelope { message, params })
}

fn read_method(method: &Raw, limits: &Limits) -> Result<String, Fault> {
    match method.text() {
        Some(text) if text.len() <= limits.id_bytes_max => Ok(text.into_owned()),
        _ => invalid(&format!(
            "\"method\" must be a string of at most {} bytes",
            limits.id_bytes_max
        )),
    }
}

/// By name only ([RPC-5]). A notification cannot be told of bad params, so its body is refused.
fn read_params(params: Option<Raw>, message: &Message) -> Result<Raw, Fault> {
    let reason = "\"params\" must be an object";
    match (params, message) {
        (None, _) => Ok(Raw::empty_object()),
        (Some(params), _) if params.is_null() => Ok(Raw::empty_object()),
        (Some(params), _) if params.is_object() => Ok(params),
        (Some(_), Message::Request { .. }) => Err(Fault::InvalidParams(reason.into())),
        (Some(_), Message::Notification { .. } | Message::Response { .. }) => invalid(reason),
    }
}

/// What the client made of a request of ours; it is surfaced as "refused", so details may be odd.
fn client_error(error: &Raw) -> ClientError {
    let code = error
        .get("code")
        .and_then(|code| code.as_str().parse().ok());
    let message = error
        .get("message")
        .and_then(|m| m.text().map(Cow::into_owned));
    ClientError {
        code: code.unwrap_or(0),
        message: message.unwrap_or_default(),
    }
}

fn bad_shape(reason: &str) -> Fault {
    Fault::InvalidRequest(reason.to_owned())
}

fn invalid<T>(reason: &str) -> Result<T, Fault> {
    Err(bad_shape(reason))
}
