//! JSON-RPC messages, written and read.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use ostler_env::Env;
use ostler_protocol::{Raw, RequestId, json::Kind};

use crate::{
    error::{Error, protocol},
    json,
    limits::DEPTH_MAX,
};

/// The ids of our requests, counted up. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ids(Arc<AtomicU64>);

impl Ids {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Of whatever a server names, which is remembered.
pub(crate) const ID_BYTES_MAX: usize = 1 << 10;

/// A message from the server.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Response {
        id: Option<RequestId>,
        result: Result<Raw, RpcError>,
    },
    Request {
        id: RequestId,
        method: String,
        params: Raw,
    },
    Notification {
        method: String,
        params: Raw,
    },
}

impl Message {
    /// About what it takes to keep it.
    pub(crate) fn bytes(&self) -> usize {
        let held = match self {
            Message::Response {
                result: Ok(held), ..
            }
            | Message::Request { params: held, .. }
            | Message::Notification { params: held, .. } => held.as_str().len(),
            Message::Response {
                result: Err(error), ..
            } => {
                let data = error.data.as_ref().map_or(0, |data| data.as_str().len());
                error.message.len() + data
            }
        };
        held + size_of::<Message>()
    }
}

/// The error of a JSON-RPC response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    pub code: i64,
    pub message: String,
    pub data: Option<Raw>,
}

pub(crate) fn request(id: &RequestId, method: &str, params: Raw) -> Bytes {
    let members = [
        ("jsonrpc", Raw::from_static("\"2.0\"")),
        ("id", id.to_raw()),
        ("method", Raw::from_text(method)),
        ("params", params),
    ];
    json::object(members).into_bytes()
}

/// A `ping` of whose response nothing but its coming counts.
pub fn ping(env: &Env) -> Bytes {
    // Of no request that anybody waits for, and exact in languages whose numbers are floats.
    let id = RequestId::number(env.random_u64() >> 12);
    request(&id, "ping", Raw::empty_object())
}

pub(crate) fn notification(method: &str, params: Option<Raw>) -> Bytes {
    let head = [
        ("jsonrpc", Raw::from_static("\"2.0\"")),
        ("method", Raw::from_text(method)),
    ];
    let params = params.map(|params| ("params", params));
    json::object(head.into_iter().chain(params)).into_bytes()
}

pub(crate) fn response(id: &RequestId, result: Result<Raw, (i64, &str)>) -> Bytes {
    let body = match result {
        Ok(result) => ("result", result),
        Err((code, message)) => {
            let code = Raw::from_value(&code.into());
            let members = [("code", code), ("message", Raw::from_text(message))];
            ("error", json::object(members))
        }
    };
    let head = [
        ("jsonrpc", Raw::from_static("\"2.0\"")),
        ("id", id.to_raw()),
    ];
    json::object(head.into_iter().chain([body])).into_bytes()
}

/// One message, or all of a batch: 2025-03-26 lets servers send them ([BAT-2]).
pub(crate) fn read(bytes: Bytes) -> Result<Vec<Message>, Error> {
    let raw =
        Raw::parse(bytes, DEPTH_MAX).map_err(|why| Error::Protocol(format!("not JSON: {why}")))?;
    match raw.kind() {
        Kind::Array => raw.elements().map(|one| read_one(&one)).collect(),
        _ => Ok(vec![read_one(&raw)?]),
    }
}

fn read_one(raw: &Raw) -> Result<Message, Error> {
    let id = match raw.get("id").filter(|id| !id.is_null()) {
        None => None,
        Some(id) => match RequestId::from_raw(&id, ID_BYTES_MAX) {
            Ok(id) => Some(id),
            Err(why) => return protocol(why.to_string()),
        },
    };
    let params = || raw.get("params").unwrap_or_default();
    match (json::text_member(raw, "method"), id) {
        (Some(method), Some(id)) => Ok(Message::Request {
            id,
            method,
            params: params(),
        }),
        (Some(method), None) => Ok(Message::Notification {
            method,
            params: params(),
        }),
        (None, id) => match (raw.get("result"), raw.get("error")) {
            (Some(result), None) => Ok(Message::Response {
                id,
                result: Ok(result),
            }),
            (None, Some(error)) => Ok(Message::Response {
                id,
                result: Err(read_error(&error)?),
            }),
            _ => protocol("a message that is neither request nor response"),
        },
    }
}

pub(crate) fn read_error(error: &Raw) -> Result<RpcError, Error> {
    let code = error.get("code").and_then(|code| code.to::<i64>().ok());
    let (Some(code), Some(message)) = (code, json::text_member(error, "message")) else {
        return protocol("an error without code or message");
    };
    Ok(RpcError {
        code,
        message,
        data: error.get("data"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &'static str) -> Result<Vec<&'static str>, Error> {
        let messages = read(Bytes::from_static(text.as_bytes()))?;
        let kind = |message: &Message| match message {
            Message::Response { result: Ok(_), .. } => "result",
            Message::Response { .. } => "error",
            Message::Request { .. } => "request",
            Message::Notification { .. } => "notification",
        };
        Ok(messages.iter().map(kind).collect())
    }

    #[test]
    fn messages_are_told_apart_by_their_members() {
        let rows = [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "result"),
            (r#"{"id":null,"error":{"code":-1,"message":"no"}}"#, "error"),
            (r#"{"id":"a","method":"ping"}"#, "request"),
            (
                r#"{"method":"notifications/progress","params":{}}"#,
                "notification",
            ),
        ];
        for (text, kind) in rows {
            assert_eq!(kinds(text), Ok(vec![kind]), "{text}");
        }
    }

    #[test]
    fn a_batch_is_all_of_its_messages() {
        let batch = r#"[{"id":1,"result":{}},{"method":"x"}]"#;
        assert_eq!(kinds(batch), Ok(vec!["result", "notification"]));
    }

    #[test]
    fn what_is_no_message_is_the_servers_fault() {
        for text in [
            "",
            "{}",
            "[1]",
            r#"{"id":1.5,"result":{}}"#,
            r#"{"error":{}}"#,
        ] {
            assert!(matches!(kinds(text), Err(Error::Protocol(_))), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let id = RequestId::number(7);
        let params = Raw::from_static(r#"{"n":12345678901234567890123}"#);
        let sent = request(&id, "tools/call", params.clone());
        let [Message::Request { params: read, .. }] = &read(sent).unwrap()[..] else {
            panic!("it is one request");
        };
        assert_eq!(*read, params);
        let sent = response(&id, Err((-1, "no")));
        assert_eq!(
            sent,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}"#
        );
    }
}
