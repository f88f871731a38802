//! A sheet of messages: each is validated when it is added, all are compared at the end.

use std::fmt::Write;

use bytes::Bytes;
use ostler_protocol::{Raw, RequestId, Revision, reply::Shape};
use serde_json::Value;

use crate::schema::Schema;

pub const LEGACY: Revision = Revision::V2025_11_25;
pub const MODERN: Revision = Revision::V2026_07_28;
pub const BOTH: [Revision; 2] = [LEGACY, MODERN];
/// Newest first.
pub const OLDER: [Revision; 3] = [
    Revision::V2025_06_18,
    Revision::V2025_03_26,
    Revision::V2024_11_05,
];

const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// The description of the server in all tests.
pub fn server_info() -> Raw {
    Raw::from_static(r#"{"name":"inn","version":"1.2.3","title":"The Inn"}"#)
}

/// Shapes for one revision, while `run` lasts.
pub fn shaped<T>(revision: Revision, run: impl FnOnce(&Shape<'_>) -> T) -> T {
    let server_info = server_info();
    run(&Shape {
        revision,
        server_info: &server_info,
    })
}

pub fn id() -> RequestId {
    RequestId::from_token("7").expect("an id")
}

/// Messages as they go on the wire, under their names.
#[derive(Default)]
pub struct Sheet {
    text: String,
}

impl Sheet {
    /// A response with a result that is of `definition`. All that is true of every result is
    /// checked here too.
    pub fn result(&mut self, name: &str, revision: Revision, definition: &str, message: &Bytes) {
        let value = self.add(name, revision, message);
        Schema::Mcp(revision).check("JSONRPCResultResponse", &value);
        Schema::Mcp(revision).check(definition, &value["result"]);
        if OLDER.contains(&revision) {
            Schema::Mcp(revision).check_known(definition, &value["result"]);
        }
        check_platform_members(revision, &value["result"]);
    }

    /// A response whose result is of a definition of the tasks extension.
    pub fn task_result(&mut self, name: &str, definition: &str, message: &Bytes) {
        let value = self.add(name, MODERN, message);
        Schema::Mcp(MODERN).check("JSONRPCResultResponse", &value);
        Schema::Tasks.check(definition, &value["result"]);
        check_platform_members(MODERN, &value["result"]);
    }

    /// An array of responses.
    pub fn batch(&mut self, name: &str, revision: Revision, body: &Bytes) {
        let value = self.add(name, revision, body);
        Schema::Mcp(revision).check("JSONRPCBatchResponse", &value);
        Schema::Mcp(revision).check("JSONRPCMessage", &value);
    }

    /// A message that is of `definition` as a whole.
    pub fn message(&mut self, name: &str, revision: Revision, definition: &str, message: &Bytes) {
        let value = self.add(name, revision, message);
        Schema::Mcp(revision).check(definition, &value);
        Schema::Mcp(revision).check("JSONRPCMessage", &value);
    }

    pub fn task_message(&mut self, name: &str, definition: &str, message: &Bytes) {
        let value = self.add(name, MODERN, message);
        Schema::Tasks.check(definition, &value);
        Schema::Mcp(MODERN).check("JSONRPCMessage", &value);
    }

    fn add(&mut self, name: &str, revision: Revision, message: &Bytes) -> Value {
        let raw = Raw::parse(message.clone(), 64).expect("strict JSON");
        assert_eq!(raw.bytes(), message, "on one line, nothing around it");
        let revision = revision.as_str();
        writeln!(self.text, "# {name}, {revision}\n{raw}").expect("text grows");
        raw.to().expect("JSON")
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// [C-1], [C-2], [D-4]
fn check_platform_members(revision: Revision, result: &Value) {
    let is_modern = revision == MODERN;
    assert_eq!(result.get("resultType").is_some(), is_modern, "{result}");
    assert_eq!(
        result["_meta"].get(SERVER_INFO_KEY).is_some(),
        is_modern,
        "{result}"
    );
    if !is_modern {
        assert!(
            result.get("ttlMs").is_none() && result.get("cacheScope").is_none(),
            "{result}"
        );
    }
}
