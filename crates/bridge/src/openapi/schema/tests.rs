use super::*;

fn document(openapi: &str, schemas: Value) -> Document {
    let root = json!({"openapi": openapi, "components": {"schemas": schemas}});
    Document::parse(&root.to_string()).unwrap()
}

fn convert(document: &Document, direction: Direction, schema: &Value) -> Result<Value, String> {
    let mut schemas = Schemas::new(document, direction);
    let mut converted = schemas.convert(schema)?;
    let defs = schemas.into_defs()?;
    if !defs.is_empty() {
        converted["$defs"] = Value::Object(defs);
    }
    Ok(converted)
}

fn check(openapi: &str, schemas: Value, schema: Value, expected: Value) {
    let document = document(openapi, schemas);
    let converted = convert(&document, Direction::Request, &schema);
    assert_eq!(converted, Ok(expected), "{schema}");
}

fn check_refused(schemas: Value, schema: Value, why: &str) {
    let document = document("3.1.0", schemas);
    let refused = convert(&document, Direction::Request, &schema);
    let refused = refused.expect_err("it is refused");
    assert!(refused.contains(why), "{refused}");
}

#[test]
fn the_dialect_of_3_0_is_translated() {
    let old = |schema, expected| check("3.0.3", json!({"A": {"type": "object"}}), schema, expected);
    old(
        json!({"type": "string", "nullable": true, "enum": ["a"]}),
        json!({"type": ["string", "null"], "enum": ["a", null]}),
    );
    old(
        json!({"nullable": true, "allOf": [{"type": "string"}]}),
        json!({"anyOf": [{"allOf": [{"type": "string"}]}, {"type": "null"}]}),
    );
    old(
        json!({"type": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 9,
               "exclusiveMaximum": false}),
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": 9}),
    );
    old(
        json!({"$ref": "#/components/schemas/A", "description": "not read", "nullable": true}),
        json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}),
    );
    old(
        json!({"type": "string", "example": "a", "xml": {}, "required": true, "x-mcp-header": "h"}),
        json!({"type": "string", "examples": ["a"]}),
    );
}

#[test]
fn the_dialect_of_3_1_stays_as_it_is() {
    let new = |schema, expected| check("3.1.0", json!({"A": true}), schema, expected);
    let plain = json!({"type": ["string", "null"], "const": null, "exclusiveMinimum": 1,
                       "if": {"minLength": 1}, "then": false, "prefixItems": [{"type": "null"}],
                       "contentMediaType": "a/b", "pattern": "^a$", "format": "x",
                       "dependentRequired": {"a": ["b"]}});
    new(plain.clone(), plain);
    new(
        json!({"$ref": "#/components/schemas/A", "description": "read"}),
        json!({"$ref": "#/$defs/A", "description": "read", "$defs": {"A": true}}),
    );
    new(json!(false), json!(false));
}

#[test]
fn what_only_the_other_side_sends_is_left_out() {
    let schema = json!({"type": "object", "required": ["id", "password", "name"], "properties": {
        "id": {"type": "integer", "readOnly": true},
        "password": {"type": "string", "writeOnly": true},
        "name": {"type": "string"}}});
    let document = document("3.1.0", json!({}));
    for (direction, left, kept) in [
        (Direction::Request, "id", "password"),
        (Direction::Response, "password", "id"),
    ] {
        let converted = convert(&document, direction, &schema).unwrap();
        assert_eq!(converted["properties"].get(left), None);
        assert!(converted["properties"].get(kept).is_some());
        let required = converted["required"].as_array().unwrap();
        assert!(!required.contains(&json!(left)) && required.len() == 2);
    }
}

#[test]
fn recursive_schemas_stay_as_small_as_they_are_written() {
    let schemas = json!({"Tree": {"type": "object", "properties": {
        "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
        "leaf": {"$ref": "#/components/schemas/Leaf"}}}, "Leaf": {"type": "string"}});
    check(
        "3.0.0",
        schemas,
        json!({"$ref": "#/components/schemas/Tree"}),
        json!({"$ref": "#/$defs/Tree", "$defs": {
            "Leaf": {"type": "string"},
            "Tree": {"type": "object", "properties": {
                "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                "leaf": {"$ref": "#/$defs/Leaf"}}}}}),
    );
}

#[test]
fn two_schemas_of_one_name_get_two_names() {
    let schemas = json!({"A": {"properties": {"A": {"type": "null"}}}, "~/": {}, "%": {}});
    check(
        "3.1.0",
        schemas,
        json!({"anyOf": [{"$ref": "#/components/schemas/A"},
                         {"$ref": "#/components/schemas/A/properties/A"},
                         {"$ref": "#/components/schemas/~0~1"}]}),
        json!({"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A_2"}, {"$ref": "#/$defs/01"}],
               "$defs": {"01": {}, "A": {"properties": {"A": {"type": "null"}}},
                         "A_2": {"type": "null"}}}),
    );
}

/// GRPC-014: schemas whose work grows beyond all bounds.
#[test]
fn explosive_schemas_are_refused() {
    check_refused(
        json!({}),
        json!({"anyOf": vec![json!({}); 10_000]}),
        "too many parts",
    );
    let mut nested = json!({});
    for _ in 0..64 {
        nested = json!({"allOf": [nested]});
    }
    check_refused(json!({}), nested, "nested deeper");
    check_refused(json!({}), json!({"$dynamicRef": "#a"}), "$dynamicRef");
    check_refused(json!({}), json!({"enum": ["x".repeat(1 << 20)]}), "bytes");
    let looped = json!({"A": {"$ref": "#/components/schemas/B"},
                        "B": {"$ref": "#/components/schemas/A"}});
    check_refused(
        looped,
        json!({"$ref": "#/components/schemas/A"}),
        "without an end",
    );
    let many: Map<_, _> = (0..3_000)
        .map(|n| {
            (
                format!("S{n}"),
                json!({"$ref": format!("#/components/schemas/S{}", n + 1)}),
            )
        })
        .chain([("S3000".to_owned(), json!({}))])
        .collect();
    check_refused(
        many.into(),
        json!({"$ref": "#/components/schemas/S0"}),
        "without an end",
    );
}

#[test]
fn what_is_no_schema_is_refused() {
    check_refused(
        json!({}),
        json!({"$ref": "https://a.example/s.json"}),
        "not fetched",
    );
    check_refused(json!({}), json!({"$ref": 1}), "no text");
    check_refused(json!({}), json!({"type": "file"}), "no type");
    check_refused(json!({}), json!({"properties": []}), "wrong form");
    check_refused(json!({}), json!({"items": [{}]}), "neither an object");
    check_refused(json!({}), json!({"$id": "http://a"}), "$id");
}
