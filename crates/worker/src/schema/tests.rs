use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::NoArgs;

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Search {
    /// What to look for.
    text: String,
    limit: Option<u32>,
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
}

#[test]
fn arguments_become_an_input_schema() {
    let wanted = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "What to look for."},
            "limit": {"type": ["integer", "null"], "format": "uint32", "minimum": 0},
            "region": {"type": "string", "x-mcp-header": "Region"},
        },
        "required": ["text", "region"],
    });
    assert_eq!(input::<Search>(), wanted);
}

#[test]
fn no_arguments_are_an_empty_closed_object() {
    let wanted = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
    });
    assert_eq!(input::<NoArgs>(), wanted);
}

#[test]
fn any_other_arguments_are_some_object() {
    assert_eq!(input::<Value>(), json!({"type": "object"}));
    assert_eq!(input::<()>(), json!({"type": "object"}));
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

#[test]
fn a_result_becomes_an_output_schema() {
    let wanted = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"sum": {"type": "integer", "format": "int64"}},
        "required": ["sum"],
    });
    assert_eq!(output::<Sum>(), wanted);
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
enum Size {
    /// Small enough to carry.
    Small,
    /// Needs a van.
    Large,
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
enum Color {
    Red,
    Blue,
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Order {
    /// Who gets it.
    name: String,
    count: u8,
    gift: bool,
    color: Color,
    lining: Option<Color>,
    size: Size,
    spare: Option<Size>,
    note: Option<String>,
}

#[test]
fn a_flat_struct_becomes_a_form() {
    let choices = json!([
        {"const": "Small", "title": "Small enough to carry."},
        {"const": "Large", "title": "Needs a van."},
    ]);
    let wanted = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Who gets it."},
            "count": {"type": "integer", "minimum": 0, "maximum": 255},
            "gift": {"type": "boolean"},
            "color": {"type": "string", "enum": ["Red", "Blue"]},
            "lining": {"type": "string", "enum": ["Red", "Blue"]},
            "size": {"type": "string", "oneOf": choices},
            "spare": {"type": "string", "oneOf": choices},
            "note": {"type": "string"},
        },
        "required": ["name", "count", "gift", "color", "size"],
    });
    assert_eq!(form::<Order>(), Ok(wanted));
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Nested {
    order: Order,
}

#[test]
fn a_nested_struct_is_no_form() {
    let why = form::<Nested>().expect_err("it is nested");
    assert!(why.contains("order"), "{why}");
    assert!(form::<String>().is_err());
}

#[test]
fn a_prompt_lists_its_arguments() {
    let wanted = vec![
        json!({"name": "limit", "required": false}),
        json!({"name": "region", "required": true}),
        json!({"name": "text", "required": true, "description": "What to look for."}),
    ];
    let mut arguments = prompt_arguments::<Search>();
    arguments.sort_by_key(|argument| argument["name"].to_string());
    assert_eq!(arguments, wanted);
}

fn one() -> u8 {
    1
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Party {
    #[schemars(length(min = 1, max = 2))]
    colors: Vec<Color>,
    sizes: Option<Vec<Size>>,
    #[serde(default = "one")]
    guests: u8,
    #[serde(default)]
    music: bool,
}

#[test]
fn several_of_an_enum_become_a_multi_select_and_defaults_are_shown() {
    let sizes = json!([
        {"const": "Small", "title": "Small enough to carry."},
        {"const": "Large", "title": "Needs a van."},
    ]);
    let colors = json!({"type": "string", "enum": ["Red", "Blue"]});
    let wanted = json!({
        "type": "object",
        "properties": {
            "colors": {"type": "array", "items": colors, "minItems": 1, "maxItems": 2},
            "sizes": {"type": "array", "items": {"anyOf": sizes}},
            "guests": {"type": "integer", "minimum": 0, "maximum": 255, "default": 1},
            "music": {"type": "boolean", "default": false},
        },
        "required": ["colors"],
    });
    let form = form::<Party>();
    assert_eq!(form, Ok(wanted));
    let ask = crate::Ask::form("k", "m", form.unwrap());
    assert_eq!(ostler_protocol::ask::check_question(&ask.question), Ok(()));
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Words {
    words: Vec<String>,
}

#[test]
fn a_list_of_anything_else_is_no_field() {
    let reason = "the field words of a form is neither text, number, bool nor a choice";
    assert_eq!(form::<Words>(), Err(reason.to_owned()));
}
