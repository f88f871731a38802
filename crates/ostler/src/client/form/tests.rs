use super::*;

const SCHEMA: &str = r#"{"type":"object","required":["name","color"],"properties":{
    "name":{"type":"string","minLength":2,"maxLength":5},
    "mail":{"type":"string","format":"email"},
    "day":{"type":"string","format":"date"},
    "age":{"type":"integer","minimum":0,"maximum":150,"default":30},
    "ratio":{"type":"number"},
    "sure":{"type":"boolean"},
    "color":{"type":"string","enum":["r","g"],"enumNames":["Red","Green"]},
    "size":{"type":"string","oneOf":[{"const":"s","title":"Small"},{"const":"l","title":"Large"}]},
    "tags":{"type":"array","minItems":1,"maxItems":2,"items":{"type":"string","enum":["a","b","c"]}}}}"#;

fn form() -> Form {
    Form::read(&Raw::from_static(SCHEMA))
}

fn check(name: &str, typed: &str, expected: Option<&str>) {
    let form = form();
    let field = form
        .fields
        .iter()
        .find(|field| field.name == name)
        .expect("a field");
    let parsed = field
        .parse(typed)
        .map(|value| value.map(|value| value.to_string()));
    match expected {
        Some(expected) => assert_eq!(parsed, Ok(Some(expected.to_owned())), "{name} {typed:?}"),
        None => assert!(parsed.is_err(), "{name} {typed:?}: {parsed:?}"),
    }
}

#[test]
fn each_field_takes_what_its_schema_allows() {
    check("name", "Ada", Some("\"Ada\""));
    check("name", "A", None);
    check("name", "Augusta", None);
    check("name", "", None);
    check("mail", "a@b.example", Some("\"a@b.example\""));
    check("mail", "ab", None);
    check("day", "2026-01-31", Some("\"2026-01-31\""));
    check("day", "31.1.2026", None);
    check("age", "7", Some("7"));
    check("age", "", Some("30"));
    check("age", "7.5", None);
    check("age", "151", None);
    check("ratio", "7.5", Some("7.5"));
    check("sure", "Yes", Some("true"));
    check("sure", "maybe", None);
}

#[test]
fn choices_are_found_by_number_title_and_value() {
    for typed in ["2", "green", "g"] {
        check("color", typed, Some("\"g\""));
    }
    check("color", "3", None);
    check("color", "0", None);
    check("size", "Large", Some("\"l\""));
    check("tags", "a, 3", Some(r#"["a","c"]"#));
    check("tags", r#"["b"]"#, Some(r#"["b"]"#));
    check("tags", "a,b,c", None);
}

#[test]
fn an_open_optional_field_is_left_out() {
    let form = form();
    let sure = form
        .fields
        .iter()
        .find(|field| field.name == "sure")
        .expect("a field");
    assert_eq!(sure.parse(""), Ok(None));
}

#[test]
fn a_form_is_filled_from_what_was_given_in_advance() {
    let given = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        form().fill(&pairs)
    };
    let filled = given(&[("name", "Ada"), ("color", "Red"), ("else", "x")]);
    let expected = r#"{"name":"Ada","age":30,"color":"r"}"#;
    assert_eq!(filled.unwrap().unwrap().as_str(), expected);
    assert_eq!(given(&[("else", "x")]), None);
    assert!(given(&[("name", "Ada")]).unwrap().is_err());
    assert!(given(&[("name", "A"), ("color", "Red")]).unwrap().is_err());
}

#[test]
fn a_default_that_the_form_would_refuse_is_none() {
    let form = Form::read(&Raw::from_static(
        r#"{"required":["age"],"properties":{"name":{"type":"string"},
        "age":{"type":"integer","maximum":150,"default":151},
        "color":{"enum":["r","g"],"default":"b"},
        "tags":{"type":"array","items":{"enum":["a","b"]},"default":["a"]}}}"#,
    ));
    let given = |pairs: &[(&str, &str)]| {
        let pair = |(key, text): &(&str, &str)| (key.to_string(), text.to_string());
        form.fill(&pairs.iter().map(pair).collect::<Vec<_>>())
    };
    let missing = given(&[("name", "Ada")]);
    assert_eq!(missing, Some(Err("age is required".to_owned())));
    let filled = given(&[("age", "7")])
        .expect("it is this form")
        .expect("it is filled");
    assert_eq!(filled.as_str(), r#"{"age":7,"tags":["a"]}"#);
}
