//! A client with a session: of 2025-11-25, or of an older revision.

use serde_json::{Value, json};

use crate::http::{Door, Live, Request, Response};

const NEWEST: &str = "2025-11-25";

/// An initialized session and the door it is used through.
#[derive(Debug, Clone)]
pub struct Session {
    pub door: Door,
    pub id: String,
    pub initialized: Value,
    /// The revision that was asked for.
    pub version: &'static str,
}

impl Session {
    /// `initialize` as HTTP, before there is a session.
    pub fn initialize(door: &Door, capabilities: Value) -> Request {
        Self::initialize_as(NEWEST, door, capabilities)
    }

    /// The same as a client of another revision.
    pub fn initialize_as(version: &str, door: &Door, capabilities: Value) -> Request {
        post(door).body(initialize(version, capabilities).to_string())
    }

    /// Opens one and says that it is initialized.
    pub async fn open(door: &Door, capabilities: Value) -> Self {
        Self::open_as(NEWEST, door, capabilities).await
    }

    /// The same as a client of another revision.
    pub async fn open_as(version: &'static str, door: &Door, capabilities: Value) -> Self {
        let session = Self::start_as(version, door, capabilities).await;
        let told = session.notify("notifications/initialized", json!({})).await;
        assert_eq!(told.status, 202, "{told:?}");
        session
    }

    /// Opens one and says nothing more.
    pub async fn start(door: &Door, capabilities: Value) -> Self {
        Self::start_as(NEWEST, door, capabilities).await
    }

    async fn start_as(version: &'static str, door: &Door, capabilities: Value) -> Self {
        let request = Self::initialize_as(version, door, capabilities);
        let response = door.send(&request).await;
        assert_eq!(response.status, 200, "{response:?}");
        let id = response.header("mcp-session-id");
        Self {
            door: door.clone(),
            id: id.expect("initialize gives a session id").to_owned(),
            initialized: response.json()["result"].clone(),
            version,
        }
    }

    /// A message of this session as HTTP.
    pub fn post(&self, message: &Value) -> Request {
        self.with_session(post(&self.door))
            .body(message.to_string())
    }

    fn with_session(&self, request: Request) -> Request {
        let request = request.also("Mcp-Session-Id", &self.id);
        match self.version {
            // The header is of 2025-06-18.
            "2025-03-26" | "2024-11-05" => request,
            version => request.also("MCP-Protocol-Version", version),
        }
    }

    /// Several messages in one POST.
    pub fn batch(&self, messages: &[Value]) -> Request {
        self.post(&Value::from(messages))
    }

    pub fn request(&self, id: impl Into<Value>, method: &str, params: Value) -> Request {
        let id: Value = id.into();
        self.post(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    /// `tools/call`; the arguments may carry a `_progress` token for `_meta`.
    pub fn call(&self, id: impl Into<Value>, tool: &str, arguments: Value) -> Request {
        self.request(
            id,
            "tools/call",
            json!({"name": tool, "arguments": arguments}),
        )
    }

    pub async fn ask(&self, id: impl Into<Value>, method: &str, params: Value) -> Response {
        self.door.send(&self.request(id, method, params)).await
    }

    /// The result; anything else is a failure of the test.
    pub async fn result(&self, id: impl Into<Value>, method: &str, params: Value) -> Value {
        let response = self.ask(id, method, params).await;
        let message = response.json();
        assert_eq!(response.status, 200, "{message}");
        assert!(message["result"].is_object(), "{message}");
        message["result"].clone()
    }

    pub async fn notify(&self, method: &str, params: Value) -> Response {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.door.send(&self.post(&message)).await
    }

    /// Answers a request of the server.
    pub async fn answer(&self, request: &Value, result: Value) -> Response {
        let message = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
        self.door.send(&self.post(&message)).await
    }

    /// A GET as HTTP.
    pub fn get(&self) -> Request {
        self.with_session(self.door.request("GET"))
            .also("Accept", "text/event-stream")
    }

    /// The stream for what belongs to no request.
    pub async fn listen(&self) -> Live {
        self.door.open(&self.get()).await
    }

    /// The rest of a stream.
    pub async fn resume(&self, last_event_id: &str) -> Live {
        let request = self.get().also("Last-Event-ID", last_event_id);
        self.door.open(&request).await
    }

    /// A DELETE as HTTP.
    pub fn end(&self) -> Request {
        self.with_session(self.door.request("DELETE"))
    }

    pub async fn delete(&self) -> Response {
        self.door.send(&self.end()).await
    }
}

pub(crate) fn initialize(version: &str, capabilities: Value) -> Value {
    let params = json!({
        "protocolVersion": version,
        "capabilities": capabilities,
        "clientInfo": {"name": "t", "version": "1"},
    });
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

fn post(door: &Door) -> Request {
    door.request("POST")
        .also("Content-Type", "application/json")
        .also("Accept", "application/json, text/event-stream")
}
