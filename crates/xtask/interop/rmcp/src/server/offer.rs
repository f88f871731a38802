//! What is listed, and what resources hold. The suite looks for these names.

use serde_json::{Value, json};

/// One red pixel.
pub const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// One sample of silence.
pub const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA==";

/// Those that take no argument; the first is the one that header scenarios call.
const TOOLS: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_logging",
    "test_logging_tool",
    "test_tool_with_progress",
    "test_reconnection",
    "test_missing_capability",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_streaming_elicitation",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_tampered_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_capabilities",
];

/// The last tool counts the changes, so that each one is real.
pub fn tools(changes: u64) -> Value {
    let tool = |name: &str, description: &str, schema: Value| json!({"name": name, "description": description, "inputSchema": schema});
    let mut tools: Vec<_> = TOOLS
        .iter()
        .map(|name| tool(name, "Part of the suite.", json!({"type": "object"})))
        .collect();
    let header = json!({"type": "string", "x-mcp-header": "Value"});
    let counted = format!("Changed {changes} times.");
    tools.extend([
        tool(
            "test_sampling",
            "Samples.",
            one("prompt", json!({"type": "string"})),
        ),
        tool(
            "test_elicitation",
            "Asks.",
            one("message", json!({"type": "string"})),
        ),
        tool("test_custom_header", "Echoes.", one("value", header)),
        tool(
            "json_schema_2020_12_tool",
            "Has a rich schema.",
            rich_schema(),
        ),
        tool("test_changing_tool", &counted, json!({"type": "object"})),
    ]);
    json!({"resultType": "complete", "tools": tools})
}

fn one(name: &str, schema: Value) -> Value {
    json!({"type": "object", "properties": {name: schema}, "required": [name]})
}

fn rich_schema() -> Value {
    let text = json!({"type": "string"});
    let address = json!({
        "$anchor": "addressDef",
        "type": "object",
        "properties": {"street": text, "city": text},
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": address},
        "properties": {
            "name": text,
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": text,
            "email": text,
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

pub fn prompts(changes: u64) -> Value {
    let prompt = |name: &str, arguments: &[&str]| {
        let argument = |name: &&str| json!({"name": name, "required": true});
        let arguments: Vec<_> = arguments.iter().map(argument).collect();
        let description = format!("Part of the suite, changed {changes} times.");
        json!({"name": name, "description": description, "arguments": arguments})
    };
    let prompts = [
        prompt("test_simple_prompt", &[]),
        prompt("test_prompt_with_arguments", &["arg1", "arg2"]),
        prompt("test_prompt_with_embedded_resource", &["resourceUri"]),
        prompt("test_prompt_with_image", &[]),
        prompt("test_input_required_result_prompt", &[]),
    ];
    json!({"resultType": "complete", "prompts": prompts})
}

pub fn resources() -> Value {
    let resource = |name: &str, kind: &str| {
        let uri = format!("test://{name}");
        json!({"uri": uri, "name": name, "mimeType": kind})
    };
    let resources = [
        resource("static-text", "text/plain"),
        resource("static-binary", "image/png"),
        resource("watched-resource", "text/plain"),
    ];
    json!({"resultType": "complete", "resources": resources})
}

pub fn templates() -> Value {
    let uri = "test://template/{id}/data";
    let template = json!({"uriTemplate": uri, "name": "data", "mimeType": "application/json"});
    json!({"resultType": "complete", "resourceTemplates": [template]})
}

pub fn read(uri: &str) -> Option<Value> {
    let contents = match uri {
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        "test://static-text" | "test://watched-resource" => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "The content of a text resource."})
        }
        other => {
            let id = other
                .strip_prefix("test://template/")?
                .strip_suffix("/data")?;
            let text = json!({"id": id, "templateTest": true}).to_string();
            json!({"uri": uri, "mimeType": "application/json", "text": text})
        }
    };
    Some(json!({"resultType": "complete", "contents": [contents]}))
}
