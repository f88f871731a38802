//! What is read of a message: what it is, and whose.

use bytes::Bytes;
use ostler_client::{object, text_member};
use ostler_protocol::{Era, Raw, RequestId, json::Kind as JsonKind};

use super::pipe::Heard;

const DEPTH_MAX: usize = 64;
pub const ID_BYTES_MAX: usize = 1 << 10;
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";

const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Message {
    pub raw: Raw,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Request {
        id: RequestId,
        method: String,
    },
    Notification {
        method: String,
    },
    /// An error may leave its id out ([RPC-3]).
    Response {
        id: Option<RequestId>,
    },
}

/// The messages of a line, in order; an `Err` is what to answer instead. Each message of a batch
/// is one for itself: JSON-RPC lets its answers come one by one, and what is taken apart here needs
/// no revision that has batches.
pub fn read_line(line: Heard) -> Vec<Result<Message, Raw>> {
    let bytes = match line {
        Heard::Whole(bytes) if bytes.trim_ascii().is_empty() => return Vec::new(),
        Heard::Whole(bytes) => bytes,
        Heard::TooLong => return vec![Err(error(None, PARSE_ERROR, "the line is too long", None))],
    };
    match read(bytes) {
        Ok(read) if read.is_empty() => vec![Err(invalid(None, "an empty batch"))],
        Ok(read) => read,
        Err(why) => vec![Err(error(None, PARSE_ERROR, &why, None))],
    }
}

/// The messages of a body or an event.
pub fn read(bytes: Bytes) -> Result<Vec<Result<Message, Raw>>, String> {
    let raw = Raw::parse(bytes, DEPTH_MAX).map_err(|why| format!("not JSON: {why}"))?;
    match raw.kind() {
        JsonKind::Array => Ok(raw.elements().map(read_one).collect()),
        _ => Ok(vec![read_one(raw)]),
    }
}

fn read_one(raw: Raw) -> Result<Message, Raw> {
    let id = match raw.get("id").filter(|id| !id.is_null()) {
        None => None,
        Some(id) => match RequestId::from_raw(&id, ID_BYTES_MAX) {
            Ok(id) => Some(id),
            Err(why) => return Err(invalid(None, &why.to_string())),
        },
    };
    let is_answer = raw.get("result").is_some() || raw.get("error").is_some();
    let has_null_id = raw.get("id").is_some() && id.is_none();
    let kind = match (text_member(&raw, "method"), id) {
        (Some(_), None) if has_null_id => return Err(invalid(None, "the id of a request is null")),
        (Some(method), Some(id)) => Kind::Request { id, method },
        (Some(method), None) => Kind::Notification { method },
        (None, id) if is_answer => Kind::Response { id },
        (None, id) => {
            let why = "neither a request nor a notification nor a response";
            return Err(invalid(id.as_ref(), why));
        }
    };
    Ok(Message { raw, kind })
}

impl Message {
    pub fn params(&self) -> Raw {
        self.raw.get("params").unwrap_or_default()
    }

    pub fn era(&self) -> Era {
        match self.revision() {
            Some(_) => Era::Modern,
            None => Era::Legacy,
        }
    }

    /// The revision of a modern message, which says it itself ([ERA-2]).
    pub fn revision(&self) -> Option<String> {
        text_member(&self.params().get("_meta")?, REVISION)
    }
}

/// A request of our own with this id.
pub fn request(id: &RequestId, method: &str, params: Raw) -> Raw {
    object([
        ("jsonrpc", Raw::from_static("\"2.0\"")),
        ("id", id.to_raw()),
        ("method", Raw::from_text(method)),
        ("params", params),
    ])
}

pub fn notification(method: &str, params: Raw) -> Raw {
    object([
        ("jsonrpc", Raw::from_static("\"2.0\"")),
        ("method", Raw::from_text(method)),
        ("params", params),
    ])
}

/// An error response; to nothing that could be named without an id.
pub fn error(id: Option<&RequestId>, code: i64, message: &str, data: Option<Raw>) -> Raw {
    let code = Raw::from_value(&code.into());
    let members = [("code", code), ("message", Raw::from_text(message))];
    let members = members.into_iter().chain(data.map(|data| ("data", data)));
    let id = id.map_or(Raw::from_static("null"), RequestId::to_raw);
    object([
        ("jsonrpc", Raw::from_static("\"2.0\"")),
        ("id", id),
        ("error", object(members)),
    ])
}

/// The same with another id.
pub fn with_id(message: &Raw, id: Raw) -> Raw {
    let rest = message.members().filter(|(name, _)| name != "id");
    object(rest.chain([("id".into(), id)]))
}

fn invalid(id: Option<&RequestId>, why: &str) -> Raw {
    error(id, INVALID_REQUEST, why, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &'static str, expected: &[&str]) {
        let read = read_line(Heard::Whole(Bytes::from_static(line.as_bytes())));
        let shown = read.into_iter().map(|one| match one {
            Ok(message) => match message.kind {
                Kind::Request { id, method } => format!("request {id} {method}"),
                Kind::Notification { method } => format!("notification {method}"),
                Kind::Response { id } => format!("response {id:?}"),
            },
            Err(answer) => {
                let code = answer.get("error").and_then(|error| error.get("code"));
                format!("{} {}", answer.get("id").unwrap(), code.unwrap())
            }
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{line}");
    }

    #[test]
    fn a_line_is_a_message_or_has_an_answer() {
        check(
            r#"{"jsonrpc":"2.0","id":"1","method":"ping"}"#,
            &[r#"request "1" ping"#],
        );
        check(
            r#"{"method":"notifications/x"}"#,
            &["notification notifications/x"],
        );
        check(r#"{"id":7,"result":{}}"#, &["response Some(7)"]);
        check(r#"{"error":{"code":1,"message":"no"}}"#, &["response None"]);
        check(" \n", &[]);
        check("garbage", &["null -32700"]);
        check("[]", &["null -32600"]);
        check("7", &["null -32600"]);
        check(r#"{"id":null,"method":"ping"}"#, &["null -32600"]);
        check(r#"{"id":1.5,"method":"ping"}"#, &["null -32600"]);
        check(r#"{"id":3}"#, &["3 -32600"]);
        check(
            r#"[{"id":1,"method":"ping"},3,{"method":"n"}]"#,
            &["request 1 ping", "null -32600", "notification n"],
        );
    }

    #[test]
    fn a_line_that_is_too_long_has_an_answer() {
        let [Err(answer)] = &read_line(Heard::TooLong)[..] else {
            panic!("it is one answer");
        };
        assert!(answer.as_str().contains("-32700"), "{answer}");
    }

    #[test]
    fn only_a_modern_message_names_its_revision() {
        let of = |text: &'static str| {
            let read = read(Bytes::from_static(text.as_bytes())).unwrap();
            read[0].as_ref().unwrap().revision()
        };
        let modern = r#"{"id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert_eq!(of(modern).as_deref(), Some("2026-07-28"));
        assert_eq!(of(r#"{"id":1,"method":"initialize","params":{}}"#), None);
    }
}
