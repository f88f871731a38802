//! From the arguments of a call to the request, as a pure value.

use bytes::Bytes;
use ostler_client::Verb;
use ostler_protocol::Raw;
use serde_json::Value;

use super::{
    credential::{Credential, KeyPlace},
    operation::{Body, BodyForm, Operation, Parameter, Place},
    style::{self, encode},
};

/// What is sent. The credential is not in it yet: what is shown of a request never shows that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub verb: Verb,
    /// Path and query, behind the base.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub cookies: Vec<String>,
    pub body: Bytes,
}

/// Nesting of arguments.
const DEPTH_MAX: usize = 64;

/// The request that `arguments` ask for. What is wrong with them is the caller's to correct.
pub(super) fn build(
    operation: &Operation,
    arguments: &Bytes,
    credential: Option<&Credential>,
) -> Result<Outgoing, String> {
    let arguments = Arguments::read(operation, arguments)?;
    let mut outgoing = Outgoing {
        verb: operation.verb,
        target: path(operation, &arguments)?,
        headers: vec![(
            "accept".to_owned(),
            "application/json, */*;q=0.5".to_owned(),
        )],
        cookies: Vec::new(),
        body: Bytes::new(),
    };
    let mut query = Vec::new();
    for parameter in &operation.parameters {
        let Some(value) = arguments.value(&parameter.argument)? else {
            continue;
        };
        match parameter.place {
            Place::Path => {}
            Place::Query => query.extend(named(parameter, &value, credential)?),
            Place::Cookie => outgoing
                .cookies
                .extend(named(parameter, &value, credential)?),
            Place::Header => outgoing.headers.push(header(parameter, &value)?),
        }
    }
    if !query.is_empty() {
        outgoing.target = format!("{}?{}", outgoing.target, query.join("&"));
    }
    if let Some(body) = &operation.body
        && let Some(raw) = arguments.raw(&body.argument)
    {
        outgoing
            .headers
            .push(("content-type".to_owned(), body.media_type.clone()));
        outgoing.body = written(body, &raw)?;
    }
    Ok(outgoing)
}

/// Arguments of which each is known and none is missing.
struct Arguments(Raw);

impl Arguments {
    fn read(operation: &Operation, bytes: &Bytes) -> Result<Self, String> {
        let raw = Raw::parse(bytes.clone(), DEPTH_MAX).map_err(|why| why.to_string())?;
        if !raw.is_object() {
            return Err("the arguments are no object".to_owned());
        }
        let arguments = Self(raw);
        let known = || operation.arguments();
        for (name, _) in arguments.0.members() {
            if !known().any(|(known, _)| known == name) {
                return Err(format!("there is no argument {name:?}"));
            }
        }
        match known().find(|(name, is_required)| *is_required && arguments.raw(name).is_none()) {
            Some((name, _)) => Err(format!("the argument {name:?} is missing")),
            None => Ok(arguments),
        }
    }

    /// `null` means the same as nothing, except in a body.
    fn value(&self, name: &str) -> Result<Option<Value>, String> {
        let Some(raw) = self.raw(name).filter(|raw| !raw.is_null()) else {
            return Ok(None);
        };
        raw.to().map(Some).map_err(|why| format!("{name:?}: {why}"))
    }

    fn raw(&self, name: &str) -> Option<Raw> {
        self.0.get(name)
    }
}

impl Operation {
    /// All arguments, and whether they are required.
    fn arguments(&self) -> impl Iterator<Item = (&str, bool)> {
        let parameters = self.parameters.iter();
        let parameters = parameters.map(|known| (known.argument.as_str(), known.is_required));
        let body = self.body.iter();
        parameters.chain(body.map(|body| (body.argument.as_str(), body.is_required)))
    }
}

fn path(operation: &Operation, arguments: &Arguments) -> Result<String, String> {
    let path = |known: &&Parameter| known.place == Place::Path;
    operation.path.fill(|name| {
        let mut known = operation.parameters.iter().filter(path);
        let parameter = known.find(|known| known.name == name);
        let parameter = parameter.expect("each name of the path has its parameter");
        let value = arguments.value(&parameter.argument)?;
        let value = value.ok_or_else(|| wrong(parameter, "is missing"))?;
        style::text(&value, parameter.style, parameter.explode, encode)
            .map_err(|why| wrong(parameter, why))
    })
}

/// An object that explodes brings names of its own; that of the credential is not among them.
fn named(
    parameter: &Parameter,
    value: &Value,
    credential: Option<&Credential>,
) -> Result<Vec<String>, String> {
    let Parameter {
        name,
        style,
        explode,
        ..
    } = parameter;
    let pairs = style::pairs(name, value, *style, *explode).map_err(|why| wrong(parameter, why))?;
    let place = match parameter.place {
        Place::Cookie => KeyPlace::Cookie,
        Place::Query | Place::Path | Place::Header => KeyPlace::Query,
    };
    let is_ours = |name: &str| credential.is_some_and(|ours| ours.is_at(place, name));
    match pairs.iter().any(|(name, _)| is_ours(name)) {
        true => Err(wrong(parameter, "may not set the credential")),
        false => Ok(pairs.iter().map(|(k, v)| format!("{k}={v}")).collect()),
    }
}

fn header(parameter: &Parameter, value: &Value) -> Result<(String, String), String> {
    let text = style::text(value, parameter.style, parameter.explode, str::to_owned)
        .map_err(|why| wrong(parameter, why))?;
    match text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok((parameter.name.clone(), text)),
        false => Err(wrong(parameter, "has characters that no header can have")),
    }
}

fn wrong(parameter: &Parameter, why: &str) -> String {
    format!("the argument {:?} {why}", parameter.argument)
}

/// JSON goes out as it came in: numbers keep every digit.
fn written(body: &Body, raw: &Raw) -> Result<Bytes, String> {
    let wrong = |why: &str| format!("the argument {:?} {why}", body.argument);
    match body.form {
        BodyForm::Json => Ok(raw.bytes().clone()),
        BodyForm::Text => match raw.text() {
            Some(text) => Ok(text.into_owned().into()),
            None => Err(wrong("is no text")),
        },
        BodyForm::Form => {
            if !raw.is_object() {
                return Err(wrong("is no object"));
            }
            let mut fields = Vec::new();
            for (name, value) in raw.members() {
                let value = value.to().map_err(|why| wrong(&why.to_string()))?;
                let pairs = style::pairs(&name, &value, style::Style::Deep, style::Explode::Yes);
                fields.extend(pairs.map_err(wrong)?);
            }
            let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
            Ok(fields.join("&").into())
        }
    }
}

#[cfg(test)]
mod tests;
