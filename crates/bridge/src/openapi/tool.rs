//! From an operation to the tool that models see.

use ostler_client::Verb;
use serde_json::{Map, Value, json};

use super::{
    Config,
    document::Document,
    operation::{self, BodyForm, Operation, Parameter},
    path::PathTemplate,
    schema::{Direction, Schemas},
};

/// Of a summary and a description together.
const DESCRIPTION_LEN_MAX: usize = 4 << 10;
const TITLE_LEN_MAX: usize = 128;

/// Where an operation stands in its document.
#[derive(Clone, Copy)]
pub(super) struct Site<'d> {
    pub config: &'d Config,
    pub document: &'d Document,
    pub path: &'d str,
    /// `None` for one that is never sent.
    pub verb: Option<Verb>,
    /// `GET /pets`
    pub shown: &'d str,
    pub item: &'d Value,
    pub operation: &'d Value,
}

/// The tool, how to call it, and what its author may not expect; or why there is none.
pub(super) struct Read {
    pub operation: Operation,
    /// Without a name.
    pub definition: Value,
    pub note: Option<String>,
}

pub(super) fn read(site: Site<'_>) -> Result<Read, String> {
    let verb = site.verb.ok_or("its method is never sent")?;
    let path = PathTemplate::parse(site.path)?;
    let parameters = operation::parameters(site)?;
    let is_described = |name: &str| {
        let mut known = parameters.iter();
        known.any(|(known, _)| known.place == operation::Place::Path && known.name == name)
    };
    if let Some(unknown) = path.parameters().find(|name| !is_described(name)) {
        return Err(format!("no parameter describes {{{unknown}}} of its path"));
    }
    let body = operation::body(site.document, site.operation, &parameters)?;
    let media = body.as_ref().map(|(_, media)| *media);
    let body = body.map(|(body, _)| body);
    let input = input_schema(site.document, &parameters, body.as_ref().zip(media))?;
    let (output, note) = match output_schema(site.document, site.operation) {
        Ok(output) => (output, None),
        Err(why) => (None, Some(format!("its results are not described: {why}"))),
    };
    let operation = Operation {
        verb,
        path,
        parameters: parameters
            .into_iter()
            .map(|(parameter, _)| parameter)
            .collect(),
        body,
        is_structured: output.is_some(),
    };
    Ok(Read {
        definition: definition(site, verb, input, output),
        operation,
        note,
    })
}

fn definition(site: Site<'_>, verb: Verb, input: Value, output: Option<Value>) -> Value {
    let mut definition = json!({
        "description": description(site),
        "inputSchema": input,
        "annotations": annotations(verb),
    });
    let summary = site.operation["summary"]
        .as_str()
        .unwrap_or_default()
        .trim();
    if !summary.is_empty() {
        definition["title"] = shortened(summary, TITLE_LEN_MAX).into();
    }
    if let Some(output) = output {
        definition["outputSchema"] = output;
    }
    definition
}

fn description(site: Site<'_>) -> String {
    let text = |value: &Value| value.as_str().map(str::trim).unwrap_or_default().to_owned();
    let texts = ["summary", "description"].map(|name| text(&site.operation[name]));
    let mut parts = Vec::from(texts);
    parts.retain(|text| !text.is_empty());
    // One text is often written twice.
    parts.dedup();
    if parts.is_empty() {
        let shared = text(&site.item["description"]);
        parts.push(if shared.is_empty() {
            site.shown.to_owned()
        } else {
            shared
        });
    }
    if site.operation["deprecated"] == true {
        parts.insert(0, "Deprecated.".to_owned());
    }
    shortened(&parts.join("\n\n"), DESCRIPTION_LEN_MAX)
}

/// At most so many characters, and a sign that there were more.
pub(super) fn shortened(text: &str, len_max: usize) -> String {
    match text.char_indices().nth(len_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What HTTP says of its methods (RFC 9110, section 9.2), as hints [T-13]. A POST may do anything,
/// and what is not said counts as the worse.
fn annotations(verb: Verb) -> Value {
    match verb {
        Verb::Get | Verb::Head | Verb::Options => {
            json!({"readOnlyHint": true, "idempotentHint": true, "openWorldHint": true})
        }
        Verb::Put => json!({"readOnlyHint": false, "idempotentHint": true, "openWorldHint": true}),
        Verb::Delete => json!({"readOnlyHint": false, "destructiveHint": true,
                               "idempotentHint": true, "openWorldHint": true}),
        Verb::Post | Verb::Patch => json!({"readOnlyHint": false, "openWorldHint": true}),
    }
}

/// One object of all arguments; the body is one of them.
fn input_schema(
    document: &Document,
    parameters: &[(Parameter, &Value)],
    body: Option<(&operation::Body, &Value)>,
) -> Result<Value, String> {
    let mut schemas = Schemas::new(document, Direction::Request);
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (parameter, described) in parameters {
        let schema = schemas.convert(schema_of_parameter(described))?;
        let schema = with_description(schema, described["description"].as_str());
        properties.insert(parameter.argument.clone(), schema);
        required.extend(parameter.is_required.then(|| parameter.argument.clone()));
    }
    if let Some((body, media)) = body {
        let schema = match body.form {
            BodyForm::Text => json!({"type": "string"}),
            BodyForm::Json | BodyForm::Form => {
                schemas.convert(media.get("schema").unwrap_or(&Value::Bool(true)))?
            }
        };
        properties.insert(body.argument.clone(), schema);
        required.extend(body.is_required.then(|| body.argument.clone()));
    }
    let mut input = json!({"type": "object", "properties": properties,
                           "additionalProperties": false});
    if !required.is_empty() {
        input["required"] = required.into();
    }
    Ok(with_defs(input, schemas.into_defs()?))
}

/// Under `schema`, or under the one media type of `content`.
fn schema_of_parameter(described: &Value) -> &Value {
    let content = described["content"].as_object();
    let media = content.and_then(|content| content.values().next());
    let media = media.unwrap_or(described);
    media.get("schema").unwrap_or(&Value::Bool(true))
}

fn with_description(mut schema: Value, description: Option<&str>) -> Value {
    let Some(description) = description.map(str::trim).filter(|text| !text.is_empty()) else {
        return schema;
    };
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    if let Value::Object(members) = &mut schema {
        let description = shortened(description, DESCRIPTION_LEN_MAX);
        // The parameter's own says more than that of a schema that many share.
        members.insert("description".to_owned(), description.into());
    }
    schema
}

fn with_defs(mut schema: Value, defs: Map<String, Value>) -> Value {
    if !defs.is_empty() {
        schema["$defs"] = Value::Object(defs);
    }
    schema
}

/// The schema of the one successful answer that is described, if that is a JSON object. With
/// several of them, any may come: then nothing is promised [T-11].
fn output_schema(document: &Document, operation: &Value) -> Result<Option<Value>, String> {
    let responses = operation["responses"].as_object().into_iter().flatten();
    let mut good = responses.filter(|(status, _)| status.starts_with('2'));
    let (Some((_, response)), None) = (good.next(), good.next()) else {
        return Ok(None);
    };
    let content = document.follow(response)?["content"].as_object();
    let Some(media) = content.and_then(only_json) else {
        return Ok(None);
    };
    let schema = media.get("schema").unwrap_or(&Value::Null);
    if document.follow(schema)?["type"] != "object" {
        return Ok(None);
    }
    let mut schemas = Schemas::new(document, Direction::Response);
    let mut output = schemas.convert(schema)?;
    if output["type"] == json!(["object", "null"]) {
        return Ok(None);
    }
    // A reference alone is no root for revisions before 2026-07-28 [T-12].
    output["type"] = "object".into();
    Ok(Some(with_defs(output, schemas.into_defs()?)))
}

/// The media type object, if an answer is JSON and can be nothing else.
fn only_json(content: &Map<String, Value>) -> Option<&Value> {
    let mut all = content.iter();
    match (all.next(), all.next()) {
        (Some((media_type, media)), None) => {
            let essence = media_type.split(';').next().unwrap_or_default().trim();
            let is_json = essence == "application/json" || essence.ends_with("+json");
            is_json.then_some(media)
        }
        _ => None,
    }
}
