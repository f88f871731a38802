//! JSON Schemas derived from Rust types.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The `inputSchema` of arguments: an object at its root, whatever `T` is [T-4].
pub(crate) fn input<T: JsonSchema>() -> Value {
    let schema = derive::<T>(SchemaSettings::draft2020_12());
    match schema.get("type") {
        Some(kind) if kind == "object" => schema,
        _ => json!({"type": "object"}),
    }
}

/// The `outputSchema` of a structured result.
pub(crate) fn output<T: JsonSchema>() -> Value {
    derive::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn derive<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    // The name of a Rust type says nothing to a client.
    schema.remove("title");
    schema.to_value()
}

/// The `requestedSchema` of a form: a flat object of primitives [SP-3]. What schemars says
/// beyond the restricted subset is translated or left out.
pub(crate) fn form<T: JsonSchema>() -> Result<Value, String> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
    });
    let mut schema = derive::<T>(settings);
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    let fields = fields.ok_or("a form is a struct with named fields")?;
    let mut properties = Map::new();
    for (name, field) in std::mem::take(fields) {
        let primitive = primitive(field).ok_or_else(|| {
            format!("the field {name} of a form is neither text, number, bool nor a choice")
        })?;
        properties.insert(name, primitive);
    }
    let mut form = json!({"type": "object", "properties": properties});
    if let Some(required) = schema.get("required") {
        form["required"] = required.clone();
    }
    Ok(form)
}

/// One field of a form, in the restricted subset; `None` when it does not fit.
fn primitive(field: Value) -> Option<Value> {
    let Value::Object(mut field) = field else {
        return None;
    };
    if let Some(choices) = titled_choices(&field) {
        field.insert("oneOf".into(), choices);
        field.insert("type".into(), "string".into());
    }
    let kind = plain_type(field.get("type")?)?;
    field.insert("type".into(), kind.into());
    if let Some(items) = field.get_mut("items") {
        *items = choice_of_items(items)?;
    }
    if let Some(Value::Array(values)) = field.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    // An absent answer is absent, not null.
    if field.get("default").is_some_and(Value::is_null) {
        field.remove("default");
    }
    field.retain(|key, value| is_allowed(kind, key, value));
    Some(Value::Object(field))
}

/// The one type of `"string"` and of `["string", "null"]`, which is how an option looks.
fn plain_type(kind: &Value) -> Option<&'static str> {
    let name = match kind {
        Value::String(name) => name.as_str(),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|n| *n != "null")?,
        _ => return None,
    };
    const PRIMITIVES: [&str; 5] = ["string", "number", "integer", "boolean", "array"];
    PRIMITIVES.into_iter().find(|primitive| *primitive == name)
}

fn is_allowed(kind: &str, key: &str, value: &Value) -> bool {
    const FORMATS: [&str; 4] = ["email", "uri", "date", "date-time"];
    match key {
        "type" | "title" | "description" | "default" => true,
        "format" => kind == "string" && value.as_str().is_some_and(|f| FORMATS.contains(&f)),
        "minLength" | "maxLength" | "enum" | "oneOf" => kind == "string",
        "minimum" | "maximum" => kind == "number" || kind == "integer",
        "items" | "minItems" | "maxItems" => kind == "array",
        _ => false,
    }
}

/// An enum with documented variants: schemars says `oneOf` of constants with descriptions, a
/// form wants titles. An optional one is wrapped in `anyOf` with null.
fn titled_choices(field: &Map<String, Value>) -> Option<Value> {
    let any_of = field.get("anyOf").and_then(Value::as_array);
    let inner = any_of.and_then(|parts| parts.iter().find_map(|part| part.get("oneOf")));
    let choices = field.get("oneOf").or(inner)?.as_array()?;
    choices.iter().map(titled_choice).collect()
}

/// What a multi-select chooses from: an enum, whose variants may have titles.
fn choice_of_items(items: &Value) -> Option<Value> {
    let items = items.as_object()?;
    match (titled_choices(items), items.get("enum")) {
        (Some(choices), _) => Some(json!({"anyOf": choices})),
        (None, Some(values)) => Some(json!({"type": "string", "enum": values})),
        (None, None) => None,
    }
}

fn titled_choice(choice: &Value) -> Option<Value> {
    let value = choice.get("const")?.as_str()?;
    let label = choice.get("title").or(choice.get("description"));
    let label = label.and_then(Value::as_str);
    Some(json!({"const": value, "title": label.unwrap_or(value)}))
}

/// The arguments of a prompt, from the schema of its typed form.
pub(crate) fn prompt_arguments<T: JsonSchema>() -> Vec<Value> {
    let schema = input::<T>();
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|r| r.iter().any(|v| v == name));
    let fields = schema.get("properties").and_then(Value::as_object);
    let fields = fields.into_iter().flatten();
    fields
        .map(|(name, field)| {
            let mut argument = json!({"name": name, "required": is_required(name)});
            if let Some(description) = field.get("description") {
                argument["description"] = description.clone();
            }
            argument
        })
        .collect()
}

#[cfg(test)]
mod tests;
