use serde_json::json;

use super::*;

fn check_refused(schema: &Value, reason: &str) {
    let refused = estimate(schema).unwrap_err();
    assert!(
        refused.contains(reason),
        "{refused:?} should contain {reason:?}"
    );
}

fn check_good(schema: &Value, visits_max: u64) {
    let visits = estimate(schema).unwrap();
    assert!(visits <= visits_max, "{visits} visits for {schema}");
}

fn nested(keyword: &str, levels: usize) -> Value {
    (0..levels).fold(json!(true), |inner, _| json!({ keyword: [inner] }))
}

#[test]
fn ordinary_schemas_are_cheap() {
    check_good(&json!({"type": "object"}), 1);
    let flat = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": true}});
    check_good(&flat, 2);
    let referring = json!({
        "$defs": {"point": {"properties": {"x": {"type": "number"}}}},
        "properties": {"a": {"$ref": "#/$defs/point"}, "b": {"items": {"$ref": "#/$defs/point"}}},
        "if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": false,
        "allOf": [{"anyOf": [{"$anchor": "here"}, {"$ref": "#here"}]}],
        "patternProperties": {"^x-": {}}, "additionalProperties": false,
    });
    check_good(&referring, 30);
}

#[test]
fn a_tree_may_refer_to_itself_once_per_level() {
    let tree = json!({"properties": {"children": {"items": {"$ref": "#"}}, "name": {}}});
    check_good(&tree, 200);
    let list = json!({
        "$defs": {"node": {"properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}},
        "$ref": "#/$defs/node",
    });
    check_good(&list, 400);
}

/// GRPC-014.
#[test]
fn explosive_schemas_are_refused() {
    check_refused(&json!({"$ref": "#"}), "without end");
    check_refused(&json!({"allOf": [{"$ref": "#"}]}), "without end");
    let mutual = json!({
        "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"if": {"$ref": "#/$defs/a"}}},
        "$ref": "#/$defs/a",
    });
    check_refused(&mutual, "without end");
    let dynamic = json!({"$dynamicAnchor": "n", "$dynamicRef": "#n"});
    check_refused(&dynamic, "without end");
    let doubling = json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
    check_refused(&doubling, "too long");
    let branches = json!({"anyOf": vec![json!({}); 10_000]});
    check_refused(&branches, "more than 2000 subschemas");
    check_refused(&nested("allOf", 64), "nested deeper");
}

#[test]
fn shared_definitions_that_multiply_are_refused() {
    let mut definitions = serde_json::Map::new();
    for level in 0..20 {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        definitions.insert(format!("d{level}"), json!({"anyOf": [next.clone(), next]}));
    }
    definitions.insert("d20".to_owned(), json!({}));
    check_refused(
        &json!({"$defs": definitions, "$ref": "#/$defs/d0"}),
        "too long",
    );
}

#[test]
fn long_chains_of_references_are_refused() {
    let mut definitions = serde_json::Map::new();
    for level in 0..1_000 {
        let next = json!({"$ref": format!("#/$defs/d{:04}", level + 1)});
        definitions.insert(format!("d{level:04}"), next);
    }
    definitions.insert("d1000".to_owned(), json!({}));
    check_refused(&json!({"$defs": definitions}), "too many references");
}

/// GRPC-013.
#[test]
fn references_stay_inside() {
    for outside in [
        "http://169.254.169.254/x",
        "https://evil/x",
        "file:///etc/passwd",
        "other.json",
        "//evil/x",
        "",
    ] {
        check_refused(
            &json!({"properties": {"a": {"$ref": outside}}}),
            "leads outside",
        );
        check_refused(&json!({"items": {"$dynamicRef": outside}}), "leads outside");
    }
    check_refused(&json!({"$ref": 1}), "leads outside");
    for nowhere in ["#/$defs/a", "#a", "#/x", "#%zz"] {
        check_refused(&json!({"$ref": nowhere, "x": {}}), "leads to no subschema");
    }
    check_refused(
        &json!({"properties": {"a": {"$id": "http://x"}}}),
        "root only",
    );
    check_refused(&json!({"$recursiveRef": "#"}), "not supported");
}

#[test]
fn pointers_are_decoded() {
    check_good(
        &json!({"$defs": {"a b/c": {}}, "$ref": "#/$defs/a%20b~1c"}),
        2,
    );
}

#[test]
fn a_schema_is_an_object_or_a_boolean() {
    check_refused(
        &json!({"properties": {"a": 1}}),
        "must be an object or a boolean",
    );
    check_refused(&json!([]), "must be an object or a boolean");
    check_good(
        &json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}),
        2,
    );
}
