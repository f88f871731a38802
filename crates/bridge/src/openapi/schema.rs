//! From the schemas of a description to one JSON Schema 2020-12 that stands alone.
//!
//! References stay references: what they lead to becomes an entry of `$defs`, once, so that a
//! recursive schema stays as small as it is written. What the two say differently is translated;
//! what JSON Schema does not know is left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::{Document, Version};

/// What the platform takes of one schema, and what one tool may need of a list: in bytes, roughly.
const SCHEMA_BYTES_MAX: usize = 96 << 10;
/// More subschemas than this are refused by the platform.
const SUBSCHEMAS_MAX: usize = 2_000;
/// Nesting.
const DEPTH_MAX: usize = 32;

/// Who sends what the schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// One schema in the making: the parts that were asked for, and the `$defs` they need.
pub(super) struct Schemas<'d> {
    document: &'d Document,
    direction: Direction,
    /// Pointers that were met, with the names they have in `$defs`.
    names: BTreeMap<String, String>,
    waiting: Vec<(String, String)>,
    defs: Map<String, Value>,
    bytes_left: usize,
    subschemas_left: usize,
}

/// What a keyword holds.
enum Holds {
    Schema,
    List,
    Named,
    Plain,
    /// It is left out.
    Nothing,
}

impl<'d> Schemas<'d> {
    pub fn new(document: &'d Document, direction: Direction) -> Self {
        Self {
            document,
            direction,
            names: BTreeMap::new(),
            waiting: Vec::new(),
            defs: Map::new(),
            bytes_left: SCHEMA_BYTES_MAX,
            subschemas_left: SUBSCHEMAS_MAX,
        }
    }

    /// The schema, whose references lead into the `$defs` to come.
    pub fn convert(&mut self, schema: &Value) -> Result<Value, String> {
        self.schema(schema, 0)
    }

    /// The `$defs` of all that was converted.
    pub fn into_defs(mut self) -> Result<Map<String, Value>, String> {
        while let Some((reference, name)) = self.waiting.pop() {
            let document = self.document;
            let def = self.schema(document.find(&reference)?, 1)?;
            self.defs.insert(name, def);
        }
        Ok(self.defs)
    }

    fn schema(&mut self, schema: &Value, depth: usize) -> Result<Value, String> {
        let left = self.subschemas_left.checked_sub(1);
        self.subschemas_left = left.ok_or("a schema has too many parts")?;
        if depth > DEPTH_MAX {
            return Err(format!("a schema is nested deeper than {DEPTH_MAX}"));
        }
        match schema {
            Value::Bool(_) => Ok(schema.clone()),
            Value::Object(members) => self.object(members, depth),
            _ => Err("a schema is neither an object nor a boolean".to_owned()),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, depth: usize) -> Result<Value, String> {
        let is_old = self.document.version == Version::V30;
        let mut out = Map::new();
        if let Some(reference) = members.get("$ref") {
            out.insert("$ref".to_owned(), self.reference(reference)?);
            if is_old {
                // What stands beside a reference is not read (3.0.4, section 4.7.23).
                return Ok(Value::Object(out));
            }
        }
        for (keyword, value) in members.iter().filter(|(keyword, _)| *keyword != "$ref") {
            self.keyword(keyword, value, depth, &mut out)?;
        }
        self.drop_foreign_members(members, &mut out);
        match is_old {
            true => Ok(modern(out, members)),
            false => Ok(Value::Object(out)),
        }
    }

    fn keyword(
        &mut self,
        keyword: &str,
        value: &Value,
        depth: usize,
        out: &mut Map<String, Value>,
    ) -> Result<(), String> {
        self.charge(keyword.len() + 4)?;
        let converted = match holds(keyword, value)? {
            Holds::Nothing => return Ok(()),
            Holds::Plain if keyword == "example" => {
                return self.copy(value, depth).map(|example| {
                    out.entry("examples").or_insert_with(|| json!([example]));
                });
            }
            Holds::Plain => self.copy(value, depth)?,
            Holds::Schema => self.schema(value, depth + 1)?,
            Holds::List => {
                let items = value.as_array().into_iter().flatten();
                let items = items.map(|item| self.schema(item, depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Holds::Named => {
                let mut named = Map::new();
                for (name, part) in value.as_object().into_iter().flatten() {
                    self.charge(name.len() + 4)?;
                    named.insert(name.clone(), self.schema(part, depth + 1)?);
                }
                Value::Object(named)
            }
        };
        out.insert(keyword.to_owned(), converted);
        Ok(())
    }

    /// A property that only the other side sends is none here, whatever `required` says.
    fn drop_foreign_members(&self, members: &Map<String, Value>, out: &mut Map<String, Value>) {
        let mark = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        let properties = members.get("properties").and_then(Value::as_object);
        let properties = properties.into_iter().flatten();
        for (name, _) in properties.filter(|(_, property)| property[mark] == true) {
            if let Some(Value::Object(properties)) = out.get_mut("properties") {
                properties.remove(name);
            }
            if let Some(Value::Array(required)) = out.get_mut("required") {
                required.retain(|required| required != name);
            }
        }
    }

    fn reference(&mut self, reference: &Value) -> Result<Value, String> {
        let pointer = reference.as_str().ok_or("a $ref is no text")?;
        // One that leads from reference to reference for ever is found here.
        self.document.follow(self.document.find(pointer)?)?;
        self.charge(pointer.len() + 16)?;
        if let Some(name) = self.names.get(pointer) {
            return Ok(format!("#/$defs/{name}").into());
        }
        let name = self.free_name(pointer);
        self.names.insert(pointer.to_owned(), name.clone());
        self.waiting.push((pointer.to_owned(), name.clone()));
        Ok(format!("#/$defs/{name}").into())
    }

    /// The last step of the pointer, without what would have to be escaped in one.
    fn free_name(&self, pointer: &str) -> String {
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let base: String = last.chars().filter(is_plain).take(64).collect();
        let taken = |name: &String| self.names.values().any(|taken| taken == name);
        let mut name = base.clone();
        let mut number = 2;
        while taken(&name) || name.is_empty() {
            name = format!("{base}_{number}");
            number += 1;
        }
        name
    }

    fn copy(&mut self, value: &Value, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(format!(
                "a value in a schema is nested deeper than {DEPTH_MAX}"
            ));
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.charge(8)?,
            Value::String(text) => self.charge(text.len() + 2)?,
            Value::Array(items) => {
                let items = items.iter().map(|item| self.copy(item, depth + 1));
                return Ok(Value::Array(items.collect::<Result<_, _>>()?));
            }
            Value::Object(members) => {
                let mut copy = Map::new();
                for (name, value) in members {
                    self.charge(name.len() + 4)?;
                    copy.insert(name.clone(), self.copy(value, depth + 1)?);
                }
                return Ok(Value::Object(copy));
            }
        }
        Ok(value.clone())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.bytes_left.checked_sub(bytes);
        let too_large = || format!("its schemas have more than {SCHEMA_BYTES_MAX} bytes");
        self.bytes_left = left.ok_or_else(too_large)?;
        Ok(())
    }
}

fn holds(keyword: &str, value: &Value) -> Result<Holds, String> {
    let holds = match keyword {
        "not"
        | "if"
        | "then"
        | "else"
        | "items"
        | "contains"
        | "propertyNames"
        | "additionalProperties"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Holds::Schema,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::List,
        "properties" | "patternProperties" | "dependentSchemas" => Holds::Named,
        // A name that is looked up where the schema is used, not where it stands, and one that
        // changes what references mean: nobody needs them in a description, and what they lead to
        // cannot be told from here.
        "$dynamicRef" | "$recursiveRef" | "$id" => return Err(format!("it uses {keyword}")),
        // Of OpenAPI alone, or of no meaning once the schema stands alone. `x-mcp-header` would
        // have clients send arguments to places that the description's author names.
        "discriminator" | "xml" | "externalDocs" | "nullable" | "$schema" | "$anchor" | "$defs"
        | "definitions" | "$dynamicAnchor" | "$recursiveAnchor" | "$vocabulary" | "$comment" => {
            Holds::Nothing
        }
        // The form of draft 3, often seen: whether the property itself is required.
        "required" if value.is_boolean() => Holds::Nothing,
        "type" if !is_type(value) => return Err(format!("there is no type {value}")),
        _ if keyword.starts_with("x-") => Holds::Nothing,
        _ => Holds::Plain,
    };
    let fits = match holds {
        Holds::List => value.is_array(),
        Holds::Named => value.is_object(),
        Holds::Schema | Holds::Plain | Holds::Nothing => true,
    };
    match fits {
        true => Ok(holds),
        false => Err(format!("its {keyword} has the wrong form")),
    }
}

fn is_type(value: &Value) -> bool {
    const TYPES: [&str; 7] = [
        "string", "number", "integer", "boolean", "array", "object", "null",
    ];
    let is_name = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    match value {
        Value::Array(names) => names.iter().all(is_name),
        _ => is_name(value),
    }
}

/// The words of 3.0 that mean something else, or nothing, in JSON Schema 2020-12.
fn modern(mut out: Map<String, Value>, members: &Map<String, Value>) -> Value {
    for (exclusive, limit) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        match out.get(exclusive) {
            Some(Value::Bool(true)) => match out.remove(limit) {
                Some(bound) => out.insert(exclusive.to_owned(), bound),
                None => out.remove(exclusive),
            },
            Some(Value::Bool(false)) => out.remove(exclusive),
            _ => None,
        };
    }
    if members.get("nullable") != Some(&Value::Bool(true)) {
        return Value::Object(out);
    }
    if let Some(Value::Array(values)) = out.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    match out.get("type").cloned() {
        Some(kind) => {
            out.insert("type".to_owned(), json!([kind, "null"]));
            Value::Object(out)
        }
        // Beside `allOf` and the like, as it is often written.
        None => json!({"anyOf": [out, {"type": "null"}]}),
    }
}

#[cfg(test)]
mod tests;
