use serde_json::{Value, json};

use super::super::*;
use crate::{
    json::Raw,
    revision::Revision::{V2024_11_05, V2025_03_26, V2025_06_18, V2025_11_25},
};

fn question(kind: QuestionKind, params: &Value) -> Question {
    Question {
        key: "k".into(),
        kind,
        params: Raw::from_value(params),
    }
}

fn form(field: Value) -> Question {
    let schema = json!({ "type": "object", "properties": { "f": field }, "required": ["f"] });
    question(
        QuestionKind::ElicitForm,
        &json!({ "message": "m", "requestedSchema": schema }),
    )
}

fn sample(content: Value) -> Question {
    let messages = json!([{ "role": "user", "content": content }]);
    question(
        QuestionKind::Sample,
        &json!({ "messages": messages, "maxTokens": 1 }),
    )
}

fn gated(revision: Revision, question: &Question) -> Result<(), Capability> {
    let all = [Capability::ElicitForm, Capability::Sample];
    gate(revision, &ClientFacet::with(&all), question)
}

/// The params as they go out, if they do.
fn shown(revision: Revision, question: &Question) -> Option<Value> {
    gated(revision, question).ok()?;
    let message = to_request(revision, "s", String::new, question);
    let message: Value = serde_json::from_slice(&message).expect("JSON");
    if revision == V2025_06_18 {
        check_schema(&message);
    }
    Some(message["params"].clone())
}

/// A request by the published schema of 2025-06-18.
fn check_schema(message: &Value) {
    let schema = include_str!("../../../tests/schema/mcp-2025-06-18.json");
    let schema: Value = serde_json::from_str(schema).expect("a published schema");
    let schema = json!({
        "definitions": schema["definitions"],
        "$ref": "#/definitions/ServerRequest",
    });
    let errors: Vec<_> = jsonschema::validator_for(&schema)
        .expect("a published schema")
        .iter_errors(message)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?} {message}");
}

/// How a field goes out to a client of 2025-06-18.
fn check_field(field: Value, expected: Option<Value>) {
    let question = form(field.clone());
    let found = shown(V2025_06_18, &question);
    let found = found.map(|params| params["requestedSchema"]["properties"]["f"].clone());
    assert_eq!(found, expected, "{field}");
    let untouched = shown(V2025_11_25, &question).expect("it knows all");
    assert_eq!(untouched["requestedSchema"]["properties"]["f"], field);
}

/// [SP-3]
#[test]
fn a_form_loses_the_defaults_that_an_older_client_does_not_know() {
    let text = json!({ "type": "string", "title": "T", "maxLength": 3 });
    let with_default = |mut field: Value, default: Value| {
        field["default"] = default;
        field
    };
    check_field(with_default(text.clone(), json!("a")), Some(text));
    let number = json!({ "type": "integer", "minimum": 1 });
    check_field(with_default(number.clone(), json!(2)), Some(number));
    let choice = json!({ "type": "string", "enum": ["a"], "enumNames": ["A"] });
    check_field(with_default(choice.clone(), json!("a")), Some(choice));
    let boolean = json!({ "type": "boolean", "default": true });
    check_field(boolean.clone(), Some(boolean));
}

#[test]
fn titled_options_become_an_enum_with_names() {
    let titled = json!({
        "type": "string",
        "description": "d",
        "oneOf": [{ "const": "a", "title": "A \"1\"" }, { "title": "B", "const": "b" }],
        "default": "b",
    });
    let names = json!(["A \"1\"", "B"]);
    let plain =
        json!({ "type": "string", "description": "d", "enum": ["a", "b"], "enumNames": names });
    check_field(titled, Some(plain));
}

#[test]
fn what_an_older_client_cannot_be_asked_is_refused_whole() {
    let plain = json!({ "type": "array", "items": { "type": "string", "enum": ["a"] } });
    let titled = json!({ "type": "array", "items": { "anyOf": [{ "const": "a", "title": "A" }] } });
    for field in [plain, titled] {
        check_field(field.clone(), None);
        let refused = gated(V2025_06_18, &form(field));
        assert_eq!(refused, Err(Capability::ElicitForm));
    }
    let text = form(json!({ "type": "string" }));
    for revision in [V2024_11_05, V2025_03_26] {
        assert_eq!(gated(revision, &text), Err(Capability::ElicitForm));
    }
}

#[test]
fn fields_keep_their_order() {
    let schema = r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}}"#;
    let params = format!(r#"{{"message":"m","requestedSchema":{schema}}}"#);
    let question = Question {
        params: Raw::parse(params.into(), 16).expect("JSON"),
        ..form(json!({}))
    };
    let message = to_request(V2025_06_18, "s", String::new, &question);
    let message = String::from_utf8(message.to_vec()).expect("text");
    assert!(message.contains(schema), "{message}");
}

/// [SP-2]
#[test]
fn a_single_block_is_taken_out_of_its_list_and_several_are_refused() {
    let text = json!({ "type": "text", "text": "x" });
    let audio = json!({ "type": "audio", "data": "", "mimeType": "audio/wav" });
    let content = |revision, content: Value| {
        let params = shown(revision, &sample(content));
        params.map(|params| params["messages"][0]["content"].clone())
    };
    for revision in [V2024_11_05, V2025_03_26, V2025_06_18] {
        assert_eq!(content(revision, text.clone()), Some(text.clone()));
        assert_eq!(content(revision, json!([text])), Some(text.clone()));
        assert_eq!(content(revision, json!([text, text])), None);
        assert_eq!(content(revision, json!([])), None);
    }
    assert_eq!(
        content(V2025_11_25, json!([text, text])),
        Some(json!([text, text]))
    );
    assert_eq!(content(V2025_03_26, audio.clone()), Some(audio.clone()));
    assert_eq!(content(V2024_11_05, audio), None, "there was no audio yet");
}
