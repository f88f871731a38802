//! The headers that repeat a part of a modern body, so that proxies can read it (SEP-2243).

use base64::{Engine, engine::general_purpose::STANDARD};
use ostler_protocol::{
    Raw,
    json::Kind,
    schema_rules::{ParamKind, ParamRule},
};

use crate::json;

/// The name of the body member that `Mcp-Name` repeats ([M-4]).
fn named_by(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// `Mcp-Method` and `Mcp-Name`.
pub fn mirrors(method: &str, params: &Raw) -> Vec<(String, String)> {
    let name = named_by(method).and_then(|member| json::text_member(params, member));
    let name = name.map(|name| ("mcp-name".to_owned(), encoded(&name)));
    let method = ("mcp-method".to_owned(), method.to_owned());
    [method].into_iter().chain(name).collect()
}

/// `Mcp-Param-*` for the arguments that are there ([HDR-5]).
pub fn param_mirrors(rules: &[ParamRule], arguments: &Raw) -> Vec<(String, String)> {
    let mirror = |rule: &ParamRule| {
        let value = shown(rule, arguments)?;
        Some((format!("mcp-param-{}", rule.header), encoded(&value)))
    };
    rules.iter().filter_map(mirror).collect()
}

/// The argument as text. One of the wrong type is not mirrored: the server says what is wrong.
fn shown(rule: &ParamRule, arguments: &Raw) -> Option<String> {
    let mut steps = rule.path.iter();
    let value = steps.try_fold(arguments.clone(), |at, name| at.get(name))?;
    match (rule.kind, value.kind()) {
        (ParamKind::String, Kind::String) => value.text().map(|text| text.into_owned()),
        (ParamKind::Boolean, Kind::Bool) => Some(value.to_string()),
        (ParamKind::Integer, Kind::Number) => integer(&value),
        _ => None,
    }
}

/// In decimal, however it is written: `42.0` and `1e3` are integers too, up to where a double
/// would round.
fn integer(value: &Raw) -> Option<String> {
    if let Ok(integer) = value.to::<i64>() {
        return Some(integer.to_string());
    }
    let number = value.to::<f64>().ok()?;
    let is_exact = number.fract() == 0.0 && number.abs() <= (1_u64 << 53) as f64;
    is_exact.then(|| (number as i64).to_string())
}

/// As it is where a header can carry it and nobody would take it for an encoding; else in base64
/// between sentinels ([HDR-3]).
fn encoded(text: &str) -> String {
    let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~'))
        && text.trim_matches(' ') == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    match is_plain {
        true => text.to_owned(),
        false => format!("=?base64?{}?=", STANDARD.encode(text)),
    }
}

#[cfg(test)]
mod tests {
    use ostler_protocol::schema_rules::param_rules;

    use super::*;

    #[test]
    fn what_a_header_cannot_carry_is_encoded() {
        let rows = [
            ("plain", "plain"),
            ("two words", "two words"),
            (" padded", "=?base64?IHBhZGRlZA==?="),
            ("grün", "=?base64?Z3LDvG4=?="),
            ("a\nb", "=?base64?YQpi?="),
            ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(encoded(text), expected);
        }
    }

    #[test]
    fn only_arguments_that_are_there_are_mirrored() {
        let schema = Raw::from_static(
            r#"{"properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
            "dry":{"type":"boolean","x-mcp-header":"Dry"}}}"#,
        );
        let rules = param_rules(&schema).unwrap();
        let check = |arguments: &'static str, expected: &[(&str, &str)]| {
            let mirrors = param_mirrors(&rules, &Raw::from_static(arguments));
            let mirrors: Vec<_> = mirrors
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            assert_eq!(mirrors, expected, "{arguments}");
        };
        check(
            r#"{"region":"eu","deep":{"n":42},"dry":false}"#,
            &[
                ("mcp-param-Region", "eu"),
                ("mcp-param-N", "42"),
                ("mcp-param-Dry", "false"),
            ],
        );
        check(r#"{"deep":{"n":42.0}}"#, &[("mcp-param-N", "42")]);
        check(r#"{"deep":{"n":-1e3}}"#, &[("mcp-param-N", "-1000")]);
        check(r#"{"deep":{"n":1.5}}"#, &[]);
        check(r#"{"region":null,"deep":{"n":"x"}}"#, &[]);
    }

    #[test]
    fn the_name_is_what_the_method_is_about() {
        let params = Raw::from_static(r#"{"name":"a","uri":"b","taskId":"c"}"#);
        let name = |method| {
            mirrors(method, &params)
                .get(1)
                .map(|(_, value)| value.clone())
        };
        assert_eq!(name("tools/call").as_deref(), Some("a"));
        assert_eq!(name("resources/read").as_deref(), Some("b"));
        assert_eq!(name("tasks/get").as_deref(), Some("c"));
        assert_eq!(name("tools/list"), None);
    }
}
