//! A client of HTTP+SSE: one stream, and POSTs to the URI that it names.

use serde_json::{Value, json};

use crate::{
    http::{Door, Live, Request, Response},
    legacy::initialize,
};

/// An open stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct Pair {
    pub door: Door,
    pub live: Live,
    /// Where messages go.
    pub uri: String,
    pub initialized: Value,
}

impl Pair {
    /// The path of the stream of this door's Server.
    pub fn path(door: &Door) -> String {
        let server = door.path.strip_suffix("mcp").expect("a door to a Server");
        format!("{server}sse")
    }

    /// The GET that opens a stream, as HTTP.
    pub fn get(door: &Door) -> Request {
        let mut request = door.request("GET").also("Accept", "text/event-stream");
        request.target = Self::path(door);
        request
    }

    /// Opens a stream and says nothing yet.
    pub async fn connect(door: &Door) -> Self {
        let mut live = door.open(&Self::get(door)).await;
        assert_eq!(live.head().status, 200, "{:?}", live.head());
        let endpoint = live.event().await.expect("a first event");
        assert_eq!(endpoint.name.as_deref(), Some("endpoint"), "{endpoint:?}");
        Self {
            door: door.clone(),
            live,
            uri: endpoint.data,
            initialized: Value::Null,
        }
    }

    /// Opens a session as a client of this revision.
    pub async fn open(version: &str, door: &Door, capabilities: Value) -> Self {
        let mut pair = Self::connect(door).await;
        pair.take(&initialize(version, capabilities)).await;
        pair.initialized = pair.message().await["result"].clone();
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        pair.take(&note).await;
        pair
    }

    /// A message as HTTP.
    pub fn post(&self, message: &Value) -> Request {
        let mut request = self.door.request("POST");
        request.target = self.uri.clone();
        request
            .also("Content-Type", "application/json")
            .body(message.to_string())
    }

    pub async fn send(&self, message: &Value) -> Response {
        self.door.send(&self.post(message)).await
    }

    /// Sends what must be taken.
    pub async fn take(&self, message: &Value) {
        let taken = self.send(message).await;
        assert_eq!(taken.status, 202, "{message}: {}", taken.text());
    }

    pub async fn request(&self, id: impl Into<Value>, method: &str, params: Value) {
        let id: Value = id.into();
        self.take(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
    }

    pub async fn call(&self, id: impl Into<Value>, tool: &str, arguments: Value) {
        let params = json!({"name": tool, "arguments": arguments});
        self.request(id, "tools/call", params).await;
    }

    pub async fn notify(&self, method: &str, params: Value) {
        self.take(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await;
    }

    pub async fn answer(&self, request: &Value, result: Value) {
        self.take(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
            .await;
    }

    /// The next message of the stream: named so, and with nothing to come back to.
    pub async fn message(&mut self) -> Value {
        let event = self.live.event().await.expect("the stream goes on");
        assert_eq!(event.name.as_deref(), Some("message"), "{event:?}");
        assert_eq!(event.id, None, "{event:?}");
        event.json()
    }

    /// Asks and reads the answer, which is the next message.
    pub async fn result(&mut self, id: impl Into<Value>, method: &str, params: Value) -> Value {
        let id: Value = id.into();
        self.request(id.clone(), method, params).await;
        let message = self.message().await;
        assert_eq!(message["id"], id, "{message}");
        assert!(message["result"].is_object(), "{message}");
        message["result"].clone()
    }
}
