//! Validators for single definitions of the official schemas.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use jsonschema::Validator;
use ostler_protocol::Revision;
use serde_json::{Value, json};

/// A published schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schema {
    Mcp(Revision),
    /// The extension `io.modelcontextprotocol/tasks`.
    Tasks,
}

static V2025_11_25: LazyLock<Value> =
    LazyLock::new(|| read(include_str!("../schema/mcp-2025-11-25.json")));
static V2026_07_28: LazyLock<Value> =
    LazyLock::new(|| read(include_str!("../schema/mcp-2026-07-28.json")));
static TASKS: LazyLock<Value> = LazyLock::new(|| read(include_str!("../schema/ext-tasks.json")));

type Validators = HashMap<(Schema, String), Arc<Validator>>;

static VALIDATORS: LazyLock<Mutex<Validators>> = LazyLock::new(Mutex::default);

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a published schema is JSON")
}

impl Schema {
    fn definitions(self) -> &'static Value {
        let schema = match self {
            Schema::Mcp(Revision::V2025_11_25) => &V2025_11_25,
            Schema::Mcp(Revision::V2026_07_28) => &V2026_07_28,
            Schema::Mcp(other) => panic!("{other:?} is not served yet"),
            Schema::Tasks => &TASKS,
        };
        &schema["$defs"]
    }

    /// Compiled once per test run.
    fn validator(self, definition: &str) -> Arc<Validator> {
        let mut known = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self, definition.to_owned());
        let validator = known.entry(key);
        validator
            .or_insert_with(|| Arc::new(self.compile(definition)))
            .clone()
    }

    fn compile(self, definition: &str) -> Validator {
        let definitions = self.definitions();
        assert!(
            definitions.get(definition).is_some(),
            "{self:?} has no {definition}"
        );
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/$defs/{definition}"),
            "$defs": definitions,
        });
        jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .expect("a published schema compiles")
    }

    /// What is wrong with a value, by a definition's name; empty if nothing is.
    pub fn errors(self, definition: &str, value: &Value) -> Vec<String> {
        let validator = self.validator(definition);
        let text =
            |error: jsonschema::ValidationError| format!("{}: {error}", error.instance_path());
        validator.iter_errors(value).map(text).collect()
    }

    pub fn check(self, definition: &str, value: &Value) {
        let errors = self.errors(definition, value);
        assert!(
            errors.is_empty(),
            "{self:?} {definition}: {errors:#?}\n{value}"
        );
    }
}

/// Without this, a validator that accepts everything would make every other test pass.
#[test]
fn the_validators_reject_broken_messages() {
    let (legacy, modern) = (
        Schema::Mcp(Revision::V2025_11_25),
        Schema::Mcp(Revision::V2026_07_28),
    );
    let text = json!([{ "type": "text", "text": "x" }]);
    for (schema, definition, broken) in [
        (modern, "CallToolResult", json!({ "content": text })),
        (
            modern,
            "CallToolResult",
            json!({ "resultType": "complete" }),
        ),
        (
            legacy,
            "CallToolResult",
            json!({ "content": [{ "type": "video" }] }),
        ),
        (
            legacy,
            "CallToolResult",
            json!({ "content": text, "structuredContent": [] }),
        ),
        (
            modern,
            "ListToolsResult",
            json!({ "resultType": "complete", "tools": [] }),
        ),
        (
            modern,
            "JSONRPCErrorResponse",
            json!({ "jsonrpc": "2.0", "id": null, "error": { "code": 1, "message": "" } }),
        ),
        (
            legacy,
            "ProgressNotification",
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} }),
        ),
        (
            legacy,
            "ElicitRequestURLParams",
            json!({ "mode": "url", "message": "m", "url": "https://x.example/" }),
        ),
        (
            Schema::Tasks,
            "CreateTaskResult",
            json!({ "resultType": "task" }),
        ),
    ] {
        let errors = schema.errors(definition, &broken);
        assert!(!errors.is_empty(), "{schema:?} {definition} took {broken}");
    }
}
