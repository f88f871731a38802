//! `KEY=VALUE` into JSON, by the schema of what it is for.

use ostler_client::{object, parse};
use ostler_protocol::{Raw, json::Kind};

use super::exit::Failure;

/// The arguments of a tool from its input schema and what was typed.
pub fn arguments(schema: &Raw, typed: &[(String, String)]) -> Result<Raw, Failure> {
    let properties = schema.get("properties").unwrap_or_default();
    let mut members: Vec<(&str, Raw)> = Vec::new();
    for (key, text) in typed {
        if members.iter().any(|(known, _)| known == key) {
            return Err(Failure::wrong_use(format!(
                "the argument {key} is given twice"
            )));
        }
        let property = properties.get(key).unwrap_or_default();
        let value = value(&property, text)
            .map_err(|wanted| Failure::wrong_use(format!("the argument {key} must be {wanted}")))?;
        members.push((key, value));
    }
    let given = |name: &str| members.iter().any(|(known, _)| *known == name);
    let missing: Vec<_> = required(schema)
        .into_iter()
        .filter(|name| !given(name))
        .collect();
    match missing.is_empty() {
        true => Ok(object(members)),
        false => {
            let failure = Failure::wrong_use(format!("missing: {}", missing.join(", ")));
            Err(failure.with_advice(format!("it takes: {}", signature(schema))))
        }
    }
}

/// What an object schema requires.
pub fn required(schema: &Raw) -> Vec<String> {
    let names = schema.get("required").unwrap_or_default();
    names
        .elements()
        .filter_map(|name| Some(name.text()?.into_owned()))
        .collect()
}

/// The arguments in a few words, those that must be given first: `sql, [limit: integer]`.
pub fn signature(schema: &Raw) -> String {
    let required = required(schema);
    let properties = schema.get("properties").unwrap_or_default();
    let is_required = |name: &str| required.iter().any(|known| known == name);
    let (first, rest): (Vec<_>, Vec<_>) = properties
        .members()
        .partition(|(name, _)| is_required(name));
    let shown = first.into_iter().chain(rest).map(|(name, property)| {
        let types = types(&property);
        let shown = match types.as_slice() {
            [] => name.to_string(),
            [one] if one == "string" => name.to_string(),
            types => format!("{name}: {}", types.join("|")),
        };
        if is_required(&name) {
            shown
        } else {
            format!("[{shown}]")
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// One value. Text is taken as it is where text is allowed and nothing else fits better.
fn value(schema: &Raw, text: &str) -> Result<Raw, String> {
    let types = types(schema);
    let allows = |name: &str| types.iter().any(|known| known == name);
    let parsed = parse(text).ok();
    if types.is_empty() {
        return Ok(parsed.unwrap_or_else(|| Raw::from_text(text)));
    }
    // With text alone allowed, 1 is "1" and true is "true".
    if types == ["string"] {
        return Ok(Raw::from_text(text));
    }
    match parsed {
        Some(parsed) if types.iter().any(|name| fits(&parsed, name)) => Ok(parsed),
        Some(_) | None if allows("string") => Ok(Raw::from_text(text)),
        Some(_) | None => Err(types.join(" or ")),
    }
}

/// The types a schema names, in it or in the alternatives right below it.
fn types(schema: &Raw) -> Vec<String> {
    let named = schema.get("type").unwrap_or_default();
    let one = named.text().map(|name| name.into_owned());
    let many = named
        .elements()
        .filter_map(|name| Some(name.text()?.into_owned()));
    let mut types: Vec<String> = one.into_iter().chain(many).collect();
    for key in ["anyOf", "oneOf"] {
        let alternatives = schema.get(key).unwrap_or_default();
        for alternative in alternatives.elements() {
            let named = alternative.get("type").unwrap_or_default();
            types.extend(named.text().map(|name| name.into_owned()));
        }
    }
    types.retain(|name| name != "null");
    types
}

fn fits(value: &Raw, name: &str) -> bool {
    match value.kind() {
        Kind::Object => name == "object",
        Kind::Array => name == "array",
        Kind::String => name == "string",
        Kind::Bool => name == "boolean",
        Kind::Null => name == "null",
        Kind::Number => name == "number" || (name == "integer" && value.to::<i64>().is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","required":["name"],"properties":{
        "name":{"type":"string"},"count":{"type":"integer"},"ratio":{"type":"number"},
        "deep":{"type":"object"},"list":{"type":["array","null"]},"dry":{"type":"boolean"},
        "either":{"anyOf":[{"type":"integer"},{"type":"string"}]},"any":{}}}"#;

    fn check(typed: &[&str], expected: Result<&str, &str>) {
        let pairs = typed
            .iter()
            .map(|pair| pair.split_once('=').expect("a pair"));
        let pairs: Vec<_> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let found = arguments(&Raw::from_static(SCHEMA), &pairs);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_str(), expected),
            (Err(found), Err(expected)) => assert!(found.message.contains(expected), "{found}"),
            (found, expected) => panic!("{typed:?}: {found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn values_are_typed_by_the_schema() {
        check(&["name=1", "count=2"], Ok(r#"{"name":"1","count":2}"#));
        check(
            &["name=a=b", "ratio=1.5"],
            Ok(r#"{"name":"a=b","ratio":1.5}"#),
        );
        check(
            &["name=", r#"deep={"a":[1]}"#],
            Ok(r#"{"name":"","deep":{"a":[1]}}"#),
        );
        check(&["name=x", "either=1"], Ok(r#"{"name":"x","either":1}"#));
        check(
            &["name=x", "either=one"],
            Ok(r#"{"name":"x","either":"one"}"#),
        );
        check(
            &["name=x", "any=true", "new=word"],
            Ok(r#"{"name":"x","any":true,"new":"word"}"#),
        );
        // No number is touched on its way.
        check(
            &["name=x", "count=9007199254740993"],
            Ok(r#"{"name":"x","count":9007199254740993}"#),
        );
    }

    #[test]
    fn what_cannot_be_right_is_said_before_it_is_sent() {
        check(&["name=x", "count=1.5"], Err("count must be integer"));
        check(&["name=x", "dry=yes"], Err("dry must be boolean"));
        check(&["name=x", "list=1"], Err("list must be array"));
        check(&["count=1"], Err("missing: name"));
        check(&["name=x", "name=y"], Err("twice"));
    }

    #[test]
    fn a_signature_names_what_may_be_left_out() {
        let shown = signature(&Raw::from_static(SCHEMA));
        assert!(shown.starts_with("name, [count: integer], "), "{shown}");
    }
}
