//! One operation of a description, read: what a call of its tool needs to know.

use ostler_client::Verb;
use ostler_types::Secret;
use serde_json::Value;

use super::{
    credential::KeyPlace,
    document::Document,
    path::PathTemplate,
    style::{Explode, Style, encode},
    tool::Site,
};

/// Parameters of one operation.
const PARAMETERS_MAX: usize = 256;

/// An operation that became a tool.
#[derive(Debug)]
pub(super) struct Operation {
    pub verb: Verb,
    pub path: PathTemplate,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    /// Whether the tool promises structured results.
    pub is_structured: bool,
}

/// What an argument becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    /// Its name in the request.
    pub name: String,
    /// Its name among the arguments.
    pub argument: String,
    pub place: Place,
    pub style: Style,
    pub explode: Explode,
    pub is_required: bool,
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

/// The body of the request: one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub argument: String,
    pub media_type: String,
    pub form: BodyForm,
    pub is_required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyForm {
    Json,
    Form,
    Text,
}

/// The verbs of a path item.
pub(super) const METHODS: [(&str, Option<Verb>); 8] = [
    ("get", Some(Verb::Get)),
    ("head", Some(Verb::Head)),
    ("options", Some(Verb::Options)),
    ("post", Some(Verb::Post)),
    ("put", Some(Verb::Put)),
    ("patch", Some(Verb::Patch)),
    ("delete", Some(Verb::Delete)),
    // It echoes what proxies on the way add, credentials included (RFC 9110, section 9.3.8).
    ("trace", None),
];

/// Parameters with their descriptions; those of the operation go before those of its path.
pub(super) fn parameters(site: Site<'_>) -> Result<Vec<(Parameter, &Value)>, String> {
    let mut found: Vec<(Parameter, &Value)> = Vec::new();
    let own = site.operation["parameters"]
        .as_array()
        .into_iter()
        .flatten();
    let shared = site.item["parameters"].as_array().into_iter().flatten();
    for value in own.chain(shared) {
        let described = site.document.follow(value)?;
        let parameter = parameter(described)?;
        let is_known = |(known, _): &(Parameter, &Value)| {
            (known.place, &known.name) == (parameter.place, &parameter.name)
        };
        let is_free = !is_reserved(&parameter) && !is_configured(&parameter, site);
        if is_free && !found.iter().any(is_known) {
            found.push((parameter, described));
        }
        if found.len() > PARAMETERS_MAX {
            return Err(format!("it has more than {PARAMETERS_MAX} parameters"));
        }
    }
    name_apart(&mut found);
    Ok(found)
}

fn parameter(described: &Value) -> Result<Parameter, String> {
    let name = described["name"]
        .as_str()
        .ok_or("a parameter has no name")?;
    let (place, place_name) = match described["in"].as_str() {
        Some("path") => (Place::Path, "path"),
        Some("query") => (Place::Query, "query"),
        Some("header") => (Place::Header, "header"),
        Some("cookie") => (Place::Cookie, "cookie"),
        _ => return Err(format!("the parameter {name} is in no place that is known")),
    };
    let usual = match place {
        Place::Path | Place::Header => "simple",
        Place::Query | Place::Cookie => "form",
    };
    let style_name = described["style"].as_str().unwrap_or(usual);
    let style = Style::parse(style_name).filter(|style| suits(*style, place));
    let style = style.ok_or_else(|| {
        format!("the style {style_name} of the {place_name} parameter {name} is not supported")
    })?;
    let explode = described["explode"]
        .as_bool()
        .unwrap_or(style == Style::Form);
    Ok(Parameter {
        name: name.to_owned(),
        argument: name.to_owned(),
        place,
        style: if described["content"].is_object() {
            Style::Json
        } else {
            style
        },
        explode: if explode { Explode::Yes } else { Explode::No },
        is_required: place == Place::Path || described["required"] == true,
    })
}

fn suits(style: Style, place: Place) -> bool {
    match place {
        Place::Path | Place::Header => style == Style::Simple,
        Place::Query => style != Style::Simple,
        Place::Cookie => style == Style::Form,
    }
}

/// Headers that are not the caller's to set: the description's own rule for three of them (3.0.4,
/// section 4.7.12.2), and what decides how the request is framed, who sends it and where it goes.
fn is_reserved(parameter: &Parameter) -> bool {
    const RESERVED: [&str; 16] = [
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    let name = parameter.name.to_ascii_lowercase();
    parameter.place == Place::Header
        && (RESERVED.contains(&name.as_str())
            || name.starts_with("proxy-")
            || name.starts_with("x-forwarded-"))
}

/// What the configuration gives is not the model's to give.
fn is_configured(parameter: &Parameter, site: Site<'_>) -> bool {
    let place = match parameter.place {
        Place::Path => return false,
        Place::Query => KeyPlace::Query,
        Place::Header => KeyPlace::Header,
        Place::Cookie => KeyPlace::Cookie,
    };
    let mut headers = site.config.headers.iter();
    let is_header = |(name, _): &(String, Secret)| name.eq_ignore_ascii_case(&parameter.name);
    let credential = site.config.credential.as_ref();
    credential.is_some_and(|ours| ours.is_at(place, &encode(&parameter.name)))
        || place == KeyPlace::Header && headers.any(is_header)
}

/// Parameters of one name in two places become arguments of two names.
fn name_apart(parameters: &mut [(Parameter, &Value)]) {
    for at in 1..parameters.len() {
        let (before, rest) = parameters.split_at_mut(at);
        let (parameter, described) = &mut rest[0];
        let is_taken = |argument: &str| before.iter().any(|(known, _)| known.argument == argument);
        if is_taken(&parameter.argument) {
            let place = described["in"].as_str().unwrap_or_default();
            parameter.argument = format!("{}_{place}", parameter.name);
        }
        let mut number = 2;
        while is_taken(&parameter.argument) {
            parameter.argument = format!("{}_{number}", parameter.name);
            number += 1;
        }
    }
}

/// The request's body and its media type object, if it has one.
pub(super) fn body<'d>(
    document: &'d Document,
    operation: &'d Value,
    parameters: &[(Parameter, &Value)],
) -> Result<Option<(Body, &'d Value)>, String> {
    let Some(value) = operation.get("requestBody") else {
        return Ok(None);
    };
    let described = document.follow(value)?;
    let Some(content) = described["content"].as_object() else {
        return Ok(None);
    };
    let forms = content
        .iter()
        .map(|(media_type, media)| (form_of(media_type), media_type, media));
    let best = forms.min_by_key(|(form, _, _)| form.map_or(u8::MAX, |form| form as u8));
    let Some((form, media_type, media)) = best else {
        return Ok(None);
    };
    let form = form.ok_or_else(|| format!("a body of {media_type} cannot be sent"))?;
    let is_taken = |name: &str| parameters.iter().any(|(known, _)| known.argument == name);
    let mut argument = "body".to_owned();
    while is_taken(&argument) {
        argument.push('_');
    }
    let body = Body {
        argument,
        media_type: match media_type.contains('*') {
            true => "application/json".to_owned(),
            false => media_type.clone(),
        },
        form,
        is_required: described["required"] == true,
    };
    Ok(Some((body, media)))
}

/// How a body of this media type is written; the better ones are declared first.
fn form_of(media_type: &str) -> Option<BodyForm> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    match essence.as_str() {
        "application/json" | "*/*" | "application/*" => Some(BodyForm::Json),
        "application/x-www-form-urlencoded" => Some(BodyForm::Form),
        _ if essence.ends_with("+json") => Some(BodyForm::Json),
        _ if essence.starts_with("text/") && !essence.contains('*') => Some(BodyForm::Text),
        _ => None,
    }
}
