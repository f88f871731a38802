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

static V2024_11_05: LazyLock<Value> =
    LazyLock::new(|| read(include_str!("../schema/mcp-2024-11-05.json")));
static V2025_03_26: LazyLock<Value> =
    LazyLock::new(|| read(include_str!("../schema/mcp-2025-03-26.json")));
static V2025_06_18: LazyLock<Value> =
    LazyLock::new(|| read(include_str!("../schema/mcp-2025-06-18.json")));
static V2025_11_25: LazyLock<Value> =
    LazyLock::new(|| read(include_str!("../schema/mcp-2025-11-25.json")));
static V2026_07_28: LazyLock<Value> =
    LazyLock::new(|| read(include_str!("../schema/mcp-2026-07-28.json")));
static TASKS: LazyLock<Value> = LazyLock::new(|| read(include_str!("../schema/ext-tasks.json")));

/// What becomes of members that a definition does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Extra {
    Ignored,
    Refused,
}

type Validators = HashMap<(Schema, String, Extra), Arc<Validator>>;

static VALIDATORS: LazyLock<Mutex<Validators>> = LazyLock::new(Mutex::default);

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a published schema is JSON")
}

/// Closes every object of a schema that says which members it has and not that others may be.
/// Schemas of arguments are the worker's own.
fn refuse_unknown(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    if members.contains_key("properties") && !members.contains_key("additionalProperties") {
        members.insert("additionalProperties".to_owned(), false.into());
    }
    let foreign = ["inputSchema", "outputSchema", "enum", "required"];
    let own = members
        .iter_mut()
        .filter(|(name, _)| !foreign.contains(&name.as_str()));
    own.for_each(|(_, inner)| match inner {
        Value::Array(all) => all.iter_mut().for_each(refuse_unknown),
        inner => refuse_unknown(inner),
    });
}

impl Schema {
    fn document(self) -> &'static Value {
        match self {
            Schema::Mcp(Revision::V2024_11_05) => &V2024_11_05,
            Schema::Mcp(Revision::V2025_03_26) => &V2025_03_26,
            Schema::Mcp(Revision::V2025_06_18) => &V2025_06_18,
            Schema::Mcp(Revision::V2025_11_25) => &V2025_11_25,
            Schema::Mcp(Revision::V2026_07_28) => &V2026_07_28,
            Schema::Tasks => &TASKS,
        }
    }

    /// Where a schema keeps its definitions. Up to 2025-06-18 they are of draft 7.
    fn keeps(self) -> &'static str {
        match self.document().get("$defs") {
            Some(_) => "$defs",
            None => "definitions",
        }
    }

    /// The schema's own name for a definition.
    fn name(self, definition: &str) -> &str {
        match definition {
            "JSONRPCResultResponse" if self.keeps() == "definitions" => "JSONRPCResponse",
            "JSONRPCErrorResponse" if self.keeps() == "definitions" => "JSONRPCError",
            definition => definition,
        }
    }

    /// Compiled once per test run.
    fn validator(self, definition: &str, extra: Extra) -> Arc<Validator> {
        let mut known = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self, definition.to_owned(), extra);
        let validator = known.entry(key);
        validator
            .or_insert_with(|| Arc::new(self.compile(definition, extra)))
            .clone()
    }

    fn compile(self, definition: &str, extra: Extra) -> Validator {
        let (keeps, definition) = (self.keeps(), self.name(definition));
        let mut definitions = self.document()[keeps].clone();
        assert!(
            definitions.get(definition).is_some(),
            "{self:?} has no {definition}"
        );
        if extra == Extra::Refused {
            refuse_unknown(&mut definitions);
        }
        let schema = json!({
            "$schema": self.document()["$schema"],
            "$ref": format!("#/{keeps}/{definition}"),
            keeps: definitions,
        });
        jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .expect("a published schema compiles")
    }

    /// What is wrong with a value, by a definition's name; empty if nothing is.
    pub fn errors(self, definition: &str, value: &Value) -> Vec<String> {
        self.found(definition, value, Extra::Ignored)
    }

    fn found(self, definition: &str, value: &Value, extra: Extra) -> Vec<String> {
        let validator = self.validator(definition, extra);
        let text =
            |error: jsonschema::ValidationError| format!("{}: {error}", error.instance_path());
        validator.iter_errors(value).map(text).collect()
    }

    /// Besides, no member that the definition does not name: what its client cannot know [ERA-8].
    pub fn check_known(self, definition: &str, value: &Value) {
        let errors = self.found(definition, value, Extra::Refused);
        assert!(
            errors.is_empty(),
            "{self:?} {definition}: {errors:#?}\n{value}"
        );
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
            Schema::Mcp(Revision::V2025_06_18),
            "ElicitRequest",
            json!({ "method": "elicitation/create", "params": { "message": "m" } }),
        ),
        (
            Schema::Mcp(Revision::V2025_03_26),
            "JSONRPCErrorResponse",
            json!({ "jsonrpc": "2.0", "error": { "code": 1, "message": "" } }),
        ),
        (
            Schema::Mcp(Revision::V2024_11_05),
            "CallToolResult",
            json!({ "content": [{ "type": "audio", "data": "aGk=", "mimeType": "audio/wav" }] }),
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

/// The same for what an older client cannot know.
#[test]
fn the_strict_validators_reject_what_is_newer() {
    let newer = json!({ "content": [{ "type": "text", "text": "x", "_meta": {} }] });
    for revision in [Revision::V2024_11_05, Revision::V2025_03_26] {
        let schema = Schema::Mcp(revision);
        schema.check("CallToolResult", &newer);
        let errors = schema.found("CallToolResult", &newer, Extra::Refused);
        assert!(!errors.is_empty(), "{revision:?}");
    }
    Schema::Mcp(Revision::V2025_06_18).check_known("CallToolResult", &newer);
}
