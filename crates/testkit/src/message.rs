//! Messages of the modern era: everything is said in every request (protocol.md 5.1).

use serde_json::{Map, Value, json};

use crate::http::{Door, Live, Request, Response};

const VERSION: &str = "2026-07-28";
/// The extension by which clients follow calls.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A modern request under construction: right, until a test bends it.
#[derive(Debug, Clone)]
pub struct Modern {
    pub id: Value,
    pub method: String,
    pub params: Map<String, Value>,
    pub meta: Map<String, Value>,
    /// Header lines besides those that mirror the body.
    pub headers: Vec<(String, String)>,
}

/// `tools/call` of `echo`, right in everything (promises.md 5, M-OK).
pub fn m_ok() -> Modern {
    Modern::call("echo", json!({"text": "hi"}))
}

impl Modern {
    pub fn new(method: &str, params: Value) -> Self {
        let Value::Object(params) = params else {
            panic!("params are an object");
        };
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let Value::Object(meta) = meta else {
            unreachable!("a literal object");
        };
        Self {
            id: json!(1),
            method: method.to_owned(),
            params,
            meta,
            headers: Vec::new(),
        }
    }

    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::new("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    pub fn id(mut self, id: impl Into<Value>) -> Self {
        self.id = id.into();
        self
    }

    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    pub fn meta(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.meta.insert(name.to_owned(), value.into());
        self
    }

    pub fn without_meta(mut self, name: &str) -> Self {
        self.meta.remove(name);
        self
    }

    pub fn can(self, capabilities: Value) -> Self {
        self.meta("io.modelcontextprotocol/clientCapabilities", capabilities)
    }

    /// Can follow tasks, besides what `capabilities` says.
    pub fn can_follow(self, mut capabilities: Value) -> Self {
        capabilities["extensions"][TASKS] = json!({});
        self.can(capabilities)
    }

    pub fn also(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body as JSON.
    pub fn message(&self) -> Value {
        let mut params = self.params.clone();
        params.insert("_meta".to_owned(), Value::Object(self.meta.clone()));
        json!({"jsonrpc": "2.0", "id": self.id, "method": self.method, "params": params})
    }

    /// The same request with other answers, for the next round [MR-4].
    pub fn retry(&self, result: &Value, answers: Value) -> Self {
        let again = self.clone().id(2).param("inputResponses", answers);
        match &result["requestState"] {
            Value::Null => again,
            state => again.param("requestState", state.clone()),
        }
    }

    fn name(&self) -> Option<&str> {
        let source = match self.method.as_str() {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
            _ => return None,
        };
        self.params.get(source).and_then(Value::as_str)
    }

    /// As HTTP, with the headers that mirror the body [M-4].
    pub fn to(&self, door: &Door) -> Request {
        let mut request = door
            .request("POST")
            .also("Content-Type", "application/json")
            .also("Accept", "application/json, text/event-stream")
            .also("MCP-Protocol-Version", VERSION)
            .also("Mcp-Method", &self.method);
        if let Some(name) = self.name() {
            request = request.also("Mcp-Name", name);
        }
        for (name, value) in &self.headers {
            request = request.also(name, value);
        }
        request.body(self.message().to_string())
    }

    pub async fn send(&self, door: &Door) -> Response {
        door.send(&self.to(door)).await
    }

    pub async fn open(&self, door: &Door) -> Live {
        door.open(&self.to(door)).await
    }

    /// The result; anything else is a failure of the test.
    pub async fn result(&self, door: &Door) -> Value {
        let response = self.send(door).await;
        let message = response.json();
        assert_eq!(response.status, 200, "{message}");
        assert!(message["result"].is_object(), "{message}");
        message["result"].clone()
    }
}
