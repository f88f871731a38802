//! The restricted schema of form elicitations [SP-3]: a flat object of primitive fields. What
//! is richer is refused, because clients build a form from it and know nothing else.

use serde_json::{Map, Number, Value};

/// Fields of one form; nobody fills in more.
const FIELDS_MAX: usize = 256;

/// A form as its schema describes it.
#[derive(Debug)]
pub(super) struct Form {
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    is_required: bool,
    rule: Rule,
}

/// What a value must be.
#[derive(Debug)]
enum Rule {
    Text {
        length_min: u64,
        length_max: u64,
    },
    Number {
        is_integer: bool,
        minimum: Option<Number>,
        maximum: Option<Number>,
    },
    Boolean,
    Choice {
        options: Vec<String>,
    },
    Choices {
        options: Vec<String>,
        count_min: u64,
        count_max: u64,
    },
}

/// Members of a schema besides the [`COMMON`] ones.
const ROOT: [&str; 5] = [
    "$schema",
    "$comment",
    "properties",
    "required",
    "additionalProperties",
];

/// Why a schema or an answer is bad.
type Reason = String;

impl Form {
    /// Reads a `requestedSchema`.
    pub(super) fn parse(schema: Option<&Value>) -> Result<Form, Reason> {
        let schema = schema
            .and_then(Value::as_object)
            .ok_or("`requestedSchema` must be an object")?;
        refuse_others(schema, &ROOT, "requestedSchema")?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("`requestedSchema.type` must be \"object\"".to_owned());
        }
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .ok_or("`requestedSchema.properties` must be an object")?;
        if properties.len() > FIELDS_MAX {
            return Err(format!("more than {FIELDS_MAX} fields"));
        }
        let required = required(schema, properties)?;
        let field = |(name, schema): (&String, &Value)| {
            let rule = Rule::parse(schema).map_err(|reason| format!("field `{name}`: {reason}"))?;
            Ok(Field {
                name: name.clone(),
                is_required: required.contains(name),
                rule,
            })
        };
        let fields = properties
            .iter()
            .map(field)
            .collect::<Result<_, Reason>>()?;
        Ok(Form { fields })
    }

    /// Checks the content of an accepted form. Fields nobody asked for are let pass [MR-7].
    pub(super) fn check(&self, content: &Map<String, Value>) -> Result<(), Reason> {
        for field in &self.fields {
            let name = &field.name;
            match content.get(name) {
                Some(value) => {
                    let fits = field.rule.check(value);
                    fits.map_err(|reason| format!("field `{name}` {reason}"))?;
                }
                None if field.is_required => return Err(format!("field `{name}` is missing")),
                None => {}
            }
        }
        Ok(())
    }
}

/// The names of required fields, all of which are described.
fn required(
    schema: &Map<String, Value>,
    properties: &Map<String, Value>,
) -> Result<Vec<String>, Reason> {
    let Some(required) = schema.get("required") else {
        return Ok(Vec::new());
    };
    let required = strings(required, "`requestedSchema.required`")?;
    match required.iter().find(|name| !properties.contains_key(*name)) {
        Some(unknown) => Err(format!("required field `{unknown}` is not described")),
        None => Ok(required),
    }
}

impl Rule {
    fn parse(schema: &Value) -> Result<Rule, Reason> {
        let schema = schema.as_object().ok_or("must be described by an object")?;
        let rule = match schema.get("type").and_then(Value::as_str) {
            Some("string") if schema.contains_key("enum") || schema.contains_key("oneOf") => {
                Rule::parse_choice(schema)
            }
            Some("string") => Rule::parse_text(schema),
            Some("number") => Rule::parse_number(schema, false),
            Some("integer") => Rule::parse_number(schema, true),
            Some("boolean") => Rule::parse_boolean(schema),
            Some("array") => Rule::parse_choices(schema),
            _ => Err(
                "`type` must be string, number, integer, boolean, or array of an enum".to_owned(),
            ),
        }?;
        match schema.get("default").map(|default| rule.check(default)) {
            Some(Err(reason)) => Err(format!("`default` {reason}")),
            Some(Ok(())) | None => Ok(rule),
        }
    }

    fn parse_text(schema: &Map<String, Value>) -> Result<Rule, Reason> {
        refuse_others(schema, &["minLength", "maxLength", "format"], "a string")?;
        match schema.get("format").map(Value::as_str) {
            None | Some(Some("email" | "uri" | "date" | "date-time")) => {}
            Some(_) => return Err("`format` must be email, uri, date or date-time".to_owned()),
        }
        Ok(Rule::Text {
            length_min: count(schema, "minLength")?.unwrap_or(0),
            length_max: count(schema, "maxLength")?.unwrap_or(u64::MAX),
        })
    }

    /// `format` (of generated schemas: "int64") only annotates a number, so it may stay.
    fn parse_number(schema: &Map<String, Value>, is_integer: bool) -> Result<Rule, Reason> {
        refuse_others(schema, &["minimum", "maximum", "format"], "a number")?;
        Ok(Rule::Number {
            is_integer,
            minimum: number(schema, "minimum")?,
            maximum: number(schema, "maximum")?,
        })
    }

    fn parse_boolean(schema: &Map<String, Value>) -> Result<Rule, Reason> {
        refuse_others(schema, &[], "a boolean").map(|()| Rule::Boolean)
    }

    fn parse_choice(schema: &Map<String, Value>) -> Result<Rule, Reason> {
        let options = match (schema.get("enum"), schema.get("oneOf")) {
            (Some(options), None) => {
                refuse_others(schema, &["enum", "enumNames"], "an enum")?;
                strings(options, "`enum`")?
            }
            (None, Some(options)) => {
                refuse_others(schema, &["oneOf"], "a titled enum")?;
                titled(options, "`oneOf`")?
            }
            _ => return Err("an enum has either `enum` or `oneOf`".to_owned()),
        };
        if let Some(names) = schema.get("enumNames")
            && strings(names, "`enumNames`")?.len() != options.len()
        {
            return Err("`enumNames` must name each value of `enum`".to_owned());
        }
        some(options).map(|options| Rule::Choice { options })
    }

    fn parse_choices(schema: &Map<String, Value>) -> Result<Rule, Reason> {
        refuse_others(schema, &["items", "minItems", "maxItems"], "a multi-select")?;
        let items = schema
            .get("items")
            .and_then(Value::as_object)
            .ok_or("`items` must be an object")?;
        let options = match (items.get("enum"), items.get("anyOf")) {
            (Some(options), None) => {
                refuse_others(items, &["enum"], "`items`")?;
                if items.get("type").and_then(Value::as_str) != Some("string") {
                    return Err("`items.type` must be \"string\"".to_owned());
                }
                strings(options, "`items.enum`")?
            }
            (None, Some(options)) => {
                refuse_others(items, &["anyOf"], "`items`")?;
                titled(options, "`items.anyOf`")?
            }
            _ => return Err("`items` must have either `enum` or `anyOf`".to_owned()),
        };
        Ok(Rule::Choices {
            options: some(options)?,
            count_min: count(schema, "minItems")?.unwrap_or(0),
            count_max: count(schema, "maxItems")?.unwrap_or(u64::MAX),
        })
    }

    fn check(&self, value: &Value) -> Result<(), Reason> {
        match self {
            Rule::Text {
                length_min,
                length_max,
            } => {
                let text = value.as_str().ok_or("must be a string")?;
                within(text.chars().count(), *length_min, *length_max, "characters")
            }
            Rule::Number {
                is_integer,
                minimum,
                maximum,
            } => check_number(value, *is_integer, minimum.as_ref(), maximum.as_ref()),
            Rule::Boolean => match value.is_boolean() {
                true => Ok(()),
                false => Err("must be true or false".to_owned()),
            },
            Rule::Choice { options } => check_option(value, options),
            Rule::Choices {
                options,
                count_min,
                count_max,
            } => {
                let chosen = value.as_array().ok_or("must be an array")?;
                within(chosen.len(), *count_min, *count_max, "items")?;
                chosen
                    .iter()
                    .try_for_each(|item| check_option(item, options))
            }
        }
    }
}

fn check_option(value: &Value, options: &[String]) -> Result<(), Reason> {
    match value
        .as_str()
        .is_some_and(|text| options.iter().any(|option| option == text))
    {
        true => Ok(()),
        false => Err(format!("must be one of {}", options.join(", "))),
    }
}

fn check_number(
    value: &Value,
    is_integer: bool,
    minimum: Option<&Number>,
    maximum: Option<&Number>,
) -> Result<(), Reason> {
    let number = value.as_number().ok_or("must be a number")?;
    let size = number.as_f64().ok_or("must be a finite number")?;
    // 42.0 is an integer to JSON Schema.
    if is_integer && size.fract() != 0.0 {
        return Err("must be an integer".to_owned());
    }
    if let Some(minimum) = minimum.filter(|minimum| is_less(number, minimum)) {
        return Err(format!("must be at least {minimum}"));
    }
    if let Some(maximum) = maximum.filter(|maximum| is_less(maximum, number)) {
        return Err(format!("must be at most {maximum}"));
    }
    Ok(())
}

/// Exact for integers; floats round.
fn is_less(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a < b,
        _ => a.as_f64() < b.as_f64(),
    }
}

fn within(count: usize, min: u64, max: u64, of_what: &str) -> Result<(), Reason> {
    let count = count as u64;
    if count < min {
        return Err(format!("must have at least {min} {of_what}"));
    }
    if count > max {
        return Err(format!("must have at most {max} {of_what}"));
    }
    Ok(())
}

/// Members that every field may have.
const COMMON: [&str; 4] = ["type", "title", "description", "default"];

/// A keyword that is not understood could change what an answer must be, so it is refused.
fn refuse_others(schema: &Map<String, Value>, known: &[&str], of_what: &str) -> Result<(), Reason> {
    let is_known = |name: &str| known.contains(&name) || COMMON.contains(&name);
    match schema.keys().find(|name| !is_known(name)) {
        Some(other) => Err(format!("`{other}` is not allowed on {of_what} of a form")),
        None => Ok(()),
    }
}

fn strings(value: &Value, name: &str) -> Result<Vec<String>, Reason> {
    let bad = || format!("{name} must be an array of strings");
    let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(bad);
    value.as_array().ok_or_else(bad)?.iter().map(text).collect()
}

/// The values of `[{const, title}]`.
fn titled(value: &Value, name: &str) -> Result<Vec<String>, Reason> {
    let bad = || format!("{name} must be an array of {{const, title}}");
    let option = |item: &Value| {
        let title = item.get("title").and_then(Value::as_str);
        let value = item.get("const").and_then(Value::as_str);
        title.and(value).map(str::to_owned).ok_or_else(bad)
    };
    value
        .as_array()
        .ok_or_else(bad)?
        .iter()
        .map(option)
        .collect()
}

fn some(options: Vec<String>) -> Result<Vec<String>, Reason> {
    match options.is_empty() {
        true => Err("an enum needs a value".to_owned()),
        false => Ok(options),
    }
}

fn count(schema: &Map<String, Value>, name: &str) -> Result<Option<u64>, Reason> {
    let bad = || format!("`{name}` must be a non-negative integer");
    let count = |value: &Value| value.as_u64().ok_or_else(bad);
    schema.get(name).map(count).transpose()
}

fn number(schema: &Map<String, Value>, name: &str) -> Result<Option<Number>, Reason> {
    let bad = || format!("`{name}` must be a number");
    let number = |value: &Value| value.as_number().cloned().ok_or_else(bad);
    schema.get(name).map(number).transpose()
}

#[cfg(test)]
mod tests;
