use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A form of one field.
fn schema(field: Value) -> Value {
    json!({ "type": "object", "properties": { "f": field } })
}

fn check_refused(schema: Value, expected: &str) {
    let reason = Form::parse(Some(&schema)).err().unwrap_or_default();
    assert_eq!(reason, expected, "{schema}");
}

fn check_field(field: Value, good: &[Value], bad: &[Value]) {
    let form = Form::parse(Some(&schema(field.clone()))).expect("a good schema");
    let content = |value: &Value| Map::from_iter([("f".to_owned(), value.clone())]);
    for value in good {
        assert_eq!(form.check(&content(value)), Ok(()), "{field}");
    }
    for value in bad {
        assert!(form.check(&content(value)).is_err(), "{field} took {value}");
    }
}

#[test]
fn each_kind_of_field_takes_its_values_only() {
    let text = json!({ "type": "string", "minLength": 2, "maxLength": 3, "format": "email" });
    check_field(
        text,
        &[json!("äö"), json!("abc")],
        &[json!("ä"), json!("abcd"), json!(12)],
    );
    let number = json!({ "type": "number", "minimum": 0.5, "maximum": 2 });
    check_field(
        number,
        &[json!(0.5), json!(2)],
        &[json!(0.4), json!(2.1), json!("1")],
    );
    let integer = json!({ "type": "integer", "maximum": 9007199254740993u64 });
    let good = [json!(9007199254740993u64), json!(42.0), json!(-1)];
    check_field(
        integer,
        &good,
        &[json!(9007199254740994u64), json!(1.5), json!(true)],
    );
    check_field(
        json!({ "type": "boolean" }),
        &[json!(true)],
        &[json!("true"), json!(0)],
    );
    let choice = json!({ "type": "string", "enum": ["a", "b"], "enumNames": ["A", "B"] });
    check_field(
        choice,
        &[json!("a")],
        &[json!("c"), json!("A"), json!(["a"])],
    );
    let titled = json!({ "type": "string", "oneOf": [{ "const": "a", "title": "A" }] });
    check_field(titled, &[json!("a")], &[json!("A")]);
    let choices = json!({ "type": "array", "items": { "type": "string", "enum": ["a", "b"] }, "minItems": 1, "maxItems": 2 });
    check_field(
        choices,
        &[json!(["a"]), json!(["a", "b"])],
        &[json!([]), json!(["a", "b", "a"]), json!(["c"]), json!("a")],
    );
    let titled = json!({ "type": "array", "items": { "anyOf": [{ "const": "a", "title": "A" }] } });
    check_field(
        titled,
        &[json!([]), json!(["a"])],
        &[json!(["A"]), json!([1])],
    );
}

#[test]
fn richer_fields_are_refused_with_a_reason() {
    for (field, reason) in [
        (
            json!({ "type": "object" }),
            "field `f`: `type` must be string, number, integer, boolean, or array of an enum",
        ),
        (
            json!({ "type": ["string", "null"] }),
            "field `f`: `type` must be string, number, integer, boolean, or array of an enum",
        ),
        (
            json!({ "$ref": "#/$defs/a" }),
            "field `f`: `type` must be string, number, integer, boolean, or array of an enum",
        ),
        (
            json!({ "type": "string", "pattern": "a" }),
            "field `f`: `pattern` is not allowed on a string of a form",
        ),
        (
            json!({ "type": "string", "format": "ipv4" }),
            "field `f`: `format` must be email, uri, date or date-time",
        ),
        (
            json!({ "type": "string", "minLength": -1 }),
            "field `f`: `minLength` must be a non-negative integer",
        ),
        (
            json!({ "type": "number", "multipleOf": 2 }),
            "field `f`: `multipleOf` is not allowed on a number of a form",
        ),
        (
            json!({ "type": "array", "items": { "type": "string" } }),
            "field `f`: `items` must have either `enum` or `anyOf`",
        ),
        (
            json!({ "type": "array", "items": { "type": "string", "enum": [1] } }),
            "field `f`: `items.enum` must be an array of strings",
        ),
        (
            json!({ "type": "string", "enum": [] }),
            "field `f`: an enum needs a value",
        ),
        (
            json!({ "type": "string", "enum": ["a"], "enumNames": [] }),
            "field `f`: `enumNames` must name each value of `enum`",
        ),
        (
            json!({ "type": "string", "oneOf": [{ "const": "a", "title": "A" }], "enumNames": ["A"] }),
            "field `f`: `enumNames` is not allowed on a titled enum of a form",
        ),
        (
            json!({ "type": "string", "oneOf": [{ "const": "a" }] }),
            "field `f`: `oneOf` must be an array of {const, title}",
        ),
        (
            json!({ "type": "integer", "default": "x" }),
            "field `f`: `default` must be a number",
        ),
        (
            json!({ "type": "string", "enum": ["a"], "default": "b" }),
            "field `f`: `default` must be one of a",
        ),
        (json!(true), "field `f`: must be described by an object"),
    ] {
        check_refused(schema(field), reason);
    }
}

#[test]
fn richer_forms_are_refused_with_a_reason() {
    for (form, reason) in [
        (
            json!({ "type": "array" }),
            "`requestedSchema.type` must be \"object\"",
        ),
        (
            json!({ "type": "object" }),
            "`requestedSchema.properties` must be an object",
        ),
        (
            json!({ "type": "object", "properties": {}, "$defs": {} }),
            "`$defs` is not allowed on requestedSchema of a form",
        ),
        (
            json!({ "type": "object", "properties": {}, "required": ["a"] }),
            "required field `a` is not described",
        ),
        (
            json!({ "type": "object", "properties": {}, "required": "a" }),
            "`requestedSchema.required` must be an array of strings",
        ),
    ] {
        check_refused(form, reason);
    }
}

fn any_field() -> impl Strategy<Value = Value> {
    let options = || prop::collection::vec("[a-c]{1,2}", 1..4);
    let titled = |options: Vec<String>| -> Vec<Value> {
        options
            .iter()
            .map(|option| json!({ "const": option, "title": "t" }))
            .collect()
    };
    prop_oneof![
        (0u64..3, 2u64..5).prop_map(|(min, max)| {
            json!({ "type": "string", "minLength": min, "maxLength": max })
        }),
        (-3i64..3).prop_map(|min| json!({ "type": "integer", "minimum": min })),
        (-3.0f64..3.0).prop_map(|max| json!({ "type": "number", "maximum": max })),
        Just(json!({ "type": "boolean" })),
        options().prop_map(|options| json!({ "type": "string", "enum": options })),
        options().prop_map(|options| json!({
            "type": "array", "items": { "type": "string", "enum": options }, "maxItems": 2,
        })),
        options().prop_map(move |options| json!({
            "type": "array", "items": { "anyOf": titled(options) }, "minItems": 1,
        })),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-c]{0,5}".prop_map(Value::from),
        (-4i64..4).prop_map(Value::from),
        (-4.0f64..4.0).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::collection::vec("[a-c]{1,2}", 0..4).prop_map(Value::from),
        Just(Value::Null),
    ]
}

proptest! {
    /// The oracle is a full validator of JSON Schema.
    #[test]
    fn a_form_agrees_with_json_schema(
        fields in prop::collection::btree_map("[p-s]", any_field(), 0..4),
        content in prop::collection::btree_map("[p-s]", any_value(), 0..4),
        require in any::<bool>(),
    ) {
        let required: Vec<_> = fields.keys().filter(|_| require).collect();
        let schema = json!({ "type": "object", "properties": fields, "required": required });
        let content = json!(content);
        let form = Form::parse(Some(&schema)).expect("a good schema");
        let found = form.check(content.as_object().expect("a map")).is_ok();
        prop_assert_eq!(found, jsonschema::is_valid(&schema, &content), "{} {}", schema, content);
    }
}
