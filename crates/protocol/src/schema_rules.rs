//! `x-mcp-header` annotations of tool schemas ([XH-1] to [XH-3]), read once at registration.

use crate::json::Raw;

const ANNOTATION: &str = "x-mcp-header";

/// One argument that a client mirrors into a `Mcp-Param-*` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamRule {
    /// The name after `Mcp-Param-`, as the schema spells it.
    pub header: String,
    /// Where the value is in the arguments: member names from the root.
    pub path: Vec<String>,
    pub kind: ParamKind,
}

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    String,
    Integer,
    Boolean,
}

/// A schema that breaks a rule for annotations. Such a tool must not be listed ([XH-4]).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x-mcp-header at {at}: {reason}")]
pub struct BadSchema {
    pub at: String,
    pub reason: &'static str,
}

/// The rules of one tool, in the order of its schema.
pub fn param_rules(input_schema: &Raw) -> Result<Vec<ParamRule>, BadSchema> {
    let mut rules = Vec::new();
    // Most schemas have no annotation: one look over the text spares them the walk.
    if input_schema.as_str().contains("x-mcp-") || input_schema.as_str().contains('\\') {
        let root = Place {
            path: Vec::new(),
            shown: "#".to_owned(),
            reachable: true,
        };
        visit(input_schema, &root, &mut rules)?;
    }
    Ok(rules)
}

/// Where a subschema stands.
struct Place {
    /// The property chain from the root, while there is one.
    path: Vec<String>,
    /// For the author of the schema.
    shown: String,
    /// Every step from the root was a `properties` key, so that the value can be found in the
    /// arguments without evaluating the schema ([XH-3]).
    reachable: bool,
}

impl Place {
    fn property(&self, name: &str) -> Place {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Place {
            path,
            ..self.below(&format!("properties/{name}"), self.reachable)
        }
    }

    fn below(&self, step: &str, reachable: bool) -> Place {
        Place {
            path: Vec::new(),
            shown: format!("{}/{step}", self.shown),
            reachable,
        }
    }
}

/// Recursion is bounded by the depth that `Raw` was parsed with.
fn visit(schema: &Raw, place: &Place, rules: &mut Vec<ParamRule>) -> Result<(), BadSchema> {
    for (name, value) in schema.members() {
        match name.as_ref() {
            ANNOTATION => {
                let rule = rule(schema, &value, place, rules)?;
                rules.push(rule);
            }
            "properties" => {
                for (property, subschema) in value.members() {
                    visit(&subschema, &place.property(&property), rules)?;
                }
            }
            // Data, not schemas.
            "const" | "enum" | "default" | "examples" => {}
            // Maps of schemas: their keys are names.
            "$defs" | "definitions" | "patternProperties" | "dependentSchemas" => {
                for (key, subschema) in value.members() {
                    visit(
                        &subschema,
                        &place.below(&format!("{name}/{key}"), false),
                        rules,
                    )?;
                }
            }
            keyword => visit_keyword(&value, &place.below(keyword, false), rules)?,
        }
    }
    Ok(())
}

/// The schemas of any other keyword, one or a list.
fn visit_keyword(value: &Raw, place: &Place, rules: &mut Vec<ParamRule>) -> Result<(), BadSchema> {
    visit(value, place, rules)?;
    for element in value.elements() {
        visit(&element, place, rules)?;
    }
    Ok(())
}

fn rule(
    schema: &Raw,
    annotation: &Raw,
    place: &Place,
    rules: &[ParamRule],
) -> Result<ParamRule, BadSchema> {
    let bad = |reason| BadSchema {
        at: place.shown.clone(),
        reason,
    };
    if !place.reachable || place.path.is_empty() {
        return Err(bad(
            "allowed only on properties reached through `properties` alone",
        ));
    }
    let header = match annotation.text() {
        Some(text) if is_token(&text) => text.into_owned(),
        _ => {
            return Err(bad(
                "must be a header name: letters, digits and !#$%&'*+-.^_`|~",
            ));
        }
    };
    if rules
        .iter()
        .any(|rule| rule.header.eq_ignore_ascii_case(&header))
    {
        return Err(bad(
            "the same header name is used twice (case does not count)",
        ));
    }
    let Some(kind) = schema.get("type").and_then(|kind| param_kind(&kind)) else {
        return Err(bad(
            "the type must be \"string\", \"integer\" or \"boolean\"",
        ));
    };
    Ok(ParamRule {
        header,
        path: place.path.clone(),
        kind,
    })
}

fn param_kind(kind: &Raw) -> Option<ParamKind> {
    match kind.text()?.as_ref() {
        "string" => Some(ParamKind::String),
        "integer" => Some(ParamKind::Integer),
        "boolean" => Some(ParamKind::Boolean),
        _ => None,
    }
}

/// A field name of RFC 9110, section 5.1.
fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &'static str) -> Result<Vec<(String, String, ParamKind)>, String> {
        let rules = param_rules(&Raw::from_static(schema)).map_err(|bad| bad.to_string())?;
        Ok(rules
            .into_iter()
            .map(|r| (r.header, r.path.join("."), r.kind))
            .collect())
    }

    #[test]
    fn annotations_on_property_chains_become_rules() {
        let schema = r#"{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "plain":{"type":"number"},
            "deep":{"type":"object","properties":{
                "count":{"x-mcp-header":"Count","type":"integer"},
                "x-mcp-header":{"type":"boolean","x-mcp-header":"Method"}}}}}"#;
        let expected = [
            ("Region", "region", ParamKind::String),
            ("Count", "deep.count", ParamKind::Integer),
            ("Method", "deep.x-mcp-header", ParamKind::Boolean),
        ];
        let expected = expected.map(|(h, p, k)| (h.to_owned(), p.to_owned(), k));
        assert_eq!(check(schema), Ok(expected.to_vec()));
    }

    #[test]
    fn data_that_looks_like_an_annotation_is_none() {
        for schema in [
            r#"{"type":"object","properties":{"a":{"default":{"x-mcp-header":"A"}}}}"#,
            r#"{"properties":{"a":{"enum":[{"x-mcp-header":"A"}]},"b":true}}"#,
            r#"{"properties":{}}"#,
            "true",
        ] {
            assert_eq!(check(schema), Ok(Vec::new()), "{schema}");
        }
    }

    #[test]
    fn an_annotation_out_of_reach_spoils_the_tool() {
        for schema in [
            r#"{"x-mcp-header":"A","type":"string"}"#,
            r#"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"properties":{"a":{"items":{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}}}}"#,
            r#"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
            r#"{"oneOf":[{"type":"string","x-mcp-header":"A"}]}"#,
            r#"{"not":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"if":{},"then":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#,
            r##"{"$defs":{"a":{"type":"string","x-mcp-header":"A"}},"$ref":"#/$defs/a"}"##,
            r#"{"additionalProperties":{"type":"string","x-mcp-header":"A"}}"#,
            r#"{"properties":{"a":{"allOf":[{"type":"string","x-mcp-header":"A"}]}}}"#,
            r#"{"properties":{"a":{"allOf":[{"type":"string","x\u002dmcp-header":"A"}]}}}"#,
        ] {
            assert!(check(schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn names_and_types_follow_the_rules() {
        for schema in [
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A:"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A\r\nB"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"é"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":7}}}"#,
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":["string","null"],"x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
        ] {
            assert!(check(schema).is_err(), "{schema}");
        }
        let refused = check(r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#);
        assert_eq!(
            refused.unwrap_err(),
            "x-mcp-header at #/properties/a: the type must be \"string\", \"integer\" or \"boolean\""
        );
    }
}
