//! One POST in, one verdict out. [`Post`] builds bodies and headers, cases are data.

mod batch;
mod hostile;
mod legacy;
mod matrix;
mod modern;

use serde_json::{Value, json};

use super::*;
use crate::headers::tests::Lines;

pub(super) const V: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPS: &str = "io.modelcontextprotocol/clientCapabilities";

/// A POST that can be changed piece by piece.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub headers: Lines,
    pub body: Value,
}

impl Post {
    /// M-OK of the hostile corpus for any method: a good request of the modern era.
    pub(super) fn modern(method: &str, params: Value) -> Self {
        let mut body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        body["params"]["_meta"] = json!({ V: "2026-07-28", CAPS: {} });
        let named = ["name", "uri", "taskId"].map(|member| body["params"][member].clone());
        let name = named.iter().find_map(Value::as_str).map(ToOwned::to_owned);
        let headers = Lines::default()
            .set("MCP-Protocol-Version", Some("2026-07-28"))
            .set("Mcp-Method", Some(method))
            .set("Mcp-Name", name.as_deref());
        Self { headers, body }
    }

    /// M-OK itself.
    pub(super) fn echo() -> Self {
        let mut post = Self::modern(
            "tools/call",
            json!({ "name": "echo", "arguments": { "text": "hi" } }),
        );
        post.body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] =
            json!({ "name": "t", "version": "1" });
        post
    }

    /// L-OK of the hostile corpus for any method: a good request in a legacy session.
    pub(super) fn legacy(method: &str, params: Value) -> Self {
        let headers = Lines::default()
            .set("MCP-Protocol-Version", Some("2025-11-25"))
            .set("MCP-Session-Id", Some("SID_A1"));
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        Self { headers, body }
    }

    pub(super) fn initialize(params: Value) -> Self {
        Self::legacy("initialize", params).header("MCP-Session-Id", None)
    }

    pub(super) fn header(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.headers = self.headers.set(name, value);
        self
    }

    /// Sets a member of the message by JSON pointer; `null` stays `null`.
    pub(super) fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        self.body.pointer_mut(parent).unwrap()[name] = value;
        self
    }

    pub(super) fn without(mut self, pointer: &str) -> Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = self.body.pointer_mut(parent).unwrap();
        parent.as_object_mut().unwrap().remove(name);
        self
    }

    pub(super) fn meta(mut self, name: &str, value: Value) -> Self {
        self.body["params"]["_meta"][name] = value;
        self
    }

    pub(super) fn parse(&self) -> Result<Inbound, Rejected> {
        self.parse_text(&self.body.to_string())
    }

    pub(super) fn parse_text(&self, body: &str) -> Result<Inbound, Rejected> {
        self.parse_bytes(body.as_bytes())
    }

    pub(super) fn parse_bytes(&self, body: &[u8]) -> Result<Inbound, Rejected> {
        parse(
            &self.headers,
            Bytes::copy_from_slice(body),
            &Limits::default(),
        )
    }

    pub(super) fn rejected(&self) -> Rejected {
        self.parse().expect_err(&self.body.to_string())
    }

    /// The JSON-RPC code, 0 when accepted.
    pub(super) fn code(&self) -> i32 {
        code(&self.parse())
    }

    pub(super) fn request(&self) -> ModernRequest {
        match self.parse() {
            Ok(Inbound::Modern(request)) => request,
            other => panic!("{} gave {other:?}", self.body),
        }
    }

    pub(super) fn in_session(&self) -> InSession {
        match self.parse() {
            Ok(Inbound::InSession(message)) => message,
            other => panic!("{} gave {other:?}", self.body),
        }
    }

    pub(super) fn legacy_message(&self) -> LegacyMessage {
        match self.in_session().posted {
            Posted::Message(message) => message,
            other => panic!("{} gave {other:?}", self.body),
        }
    }

    pub(super) fn legacy_method(&self) -> LegacyMethod {
        match self.legacy_message() {
            LegacyMessage::Request { method, .. } => method,
            other => panic!("{} gave {other:?}", self.body),
        }
    }
}

pub(super) fn code(parsed: &Result<Inbound, Rejected>) -> i32 {
    match parsed {
        Ok(Inbound::InSession(InSession { posted, .. })) => match posted {
            Posted::Message(LegacyMessage::Request {
                method: LegacyMethod::Refused(fault),
                ..
            }) => fault.code(Revision::LATEST_LEGACY),
            Posted::Message(_) | Posted::Batch(_) => 0,
        },
        Ok(_) => 0,
        Err(rejected) => rejected.fault.code(match rejected.era {
            Some(Era::Legacy) => Revision::LATEST_LEGACY,
            Some(Era::Modern) | None => Revision::LATEST_MODERN,
        }),
    }
}
