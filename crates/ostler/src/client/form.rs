//! Forms of elicitations: what may be typed into each field.

use ostler_client::{object, parse, text_member};
use ostler_protocol::{Raw, json::Kind as JsonKind};

use super::typed;

/// A flat form, in the order of its schema.
#[derive(Debug)]
pub struct Form {
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub default: Option<Raw>,
    pub is_required: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text {
        length_min: u64,
        length_max: u64,
        format: Option<String>,
    },
    Number {
        is_whole: bool,
        min: f64,
        max: f64,
    },
    YesNo,
    One(Vec<Choice>),
    Many {
        choices: Vec<Choice>,
        count_min: u64,
        count_max: u64,
    },
    /// Nothing the specification knows: JSON is taken as it is.
    Other,
}

/// One of several values, and how it is shown.
#[derive(Debug)]
struct Choice {
    value: String,
    title: String,
}

impl Form {
    pub fn read(schema: &Raw) -> Form {
        let required = typed::required(schema);
        let properties = schema.get("properties").unwrap_or_default();
        let fields = properties.members().map(|(name, property)| Field {
            is_required: required.iter().any(|known| *known == name),
            title: text_member(&property, "title"),
            description: text_member(&property, "description"),
            // One that the form itself would refuse is none.
            default: (property.get("default"))
                .and_then(|default| Kind::read(&property).parse(&as_typed(&default))),
            kind: Kind::read(&property),
            name: name.into_owned(),
        });
        Form {
            fields: fields.collect(),
        }
    }

    /// Filled in without a person: what was given, the defaults for the rest. `None` if nothing
    /// was given for this form, or a required field is left open.
    pub fn fill(&self, given: &[(String, String)]) -> Option<Result<Raw, String>> {
        let find = |name: &str| given.iter().find(|(known, _)| known == name);
        self.fields
            .iter()
            .find(|field| find(&field.name).is_some())?;
        let mut content = Vec::new();
        for field in &self.fields {
            let value = match find(&field.name) {
                Some((_, text)) => match field.parse(text) {
                    Ok(value) => value,
                    Err(wanted) => return Some(Err(format!("{} must be {wanted}", field.name))),
                },
                None => field.default.clone(),
            };
            match value {
                Some(value) => content.push((field.name.as_str(), value)),
                None if field.is_required => {
                    return Some(Err(format!("{} is required", field.name)));
                }
                None => {}
            }
        }
        Some(Ok(object(content)))
    }
}

impl Field {
    /// What was typed, as JSON; nothing for an empty line. The error says what it must be.
    pub fn parse(&self, typed: &str) -> Result<Option<Raw>, String> {
        let typed = typed.trim();
        if typed.is_empty() {
            return match (&self.default, self.is_required, &self.kind) {
                (Some(default), _, _) => Ok(Some(default.clone())),
                (None, true, _) => Err(format!("filled in: {}", self.wanted())),
                (None, false, _) => Ok(None),
            };
        }
        let value = self.kind.parse(typed).ok_or_else(|| self.wanted())?;
        Ok(Some(value))
    }

    /// What it must be, in words.
    pub fn wanted(&self) -> String {
        match &self.kind {
            Kind::Text {
                length_min,
                length_max,
                format,
            } => {
                let what = match format.as_deref() {
                    Some("email") => "an email address",
                    Some("uri") => "a URI",
                    Some("date") => "a date (2026-01-31)",
                    Some("date-time") => "a date and time (2026-01-31T12:00:00Z)",
                    Some(_) | None => "text",
                };
                let range = range(*length_min as f64, *length_max as f64, " characters");
                format!("{what}{range}")
            }
            Kind::Number { is_whole, min, max } => {
                let what = if *is_whole {
                    "a whole number"
                } else {
                    "a number"
                };
                format!("{what}{}", range(*min, *max, ""))
            }
            Kind::YesNo => "y or n".to_owned(),
            Kind::One(choices) => format!("one of {}", titles(choices)),
            Kind::Many {
                choices,
                count_min,
                count_max,
            } => {
                let range = range(*count_min as f64, *count_max as f64, " of them");
                format!("several of {}, with commas{range}", titles(choices))
            }
            Kind::Other => "JSON".to_owned(),
        }
    }

    /// What may be chosen, each with its number.
    pub fn choices(&self) -> Vec<String> {
        match &self.kind {
            Kind::One(choices) | Kind::Many { choices, .. } => {
                let numbered =
                    |(at, choice): (usize, &Choice)| format!("{}) {}", at + 1, choice.title);
                choices.iter().enumerate().map(numbered).collect()
            }
            Kind::Text { .. } | Kind::Number { .. } | Kind::YesNo | Kind::Other => Vec::new(),
        }
    }

    /// What to type, in few words; the choices are shown beside it.
    pub fn hint(&self) -> String {
        match &self.kind {
            Kind::One(_) => "number or name".to_owned(),
            Kind::Many {
                count_min,
                count_max,
                ..
            } => {
                let range = range(*count_min as f64, *count_max as f64, " of them");
                format!("numbers or names, with commas{range}")
            }
            Kind::Text { .. } | Kind::Number { .. } | Kind::YesNo | Kind::Other => self.wanted(),
        }
    }

    /// The default, as a person would type it.
    pub fn default_shown(&self) -> Option<String> {
        let default = self.default.as_ref()?;
        match (default.boolean(), default.text(), default.kind()) {
            (Some(yes), _, _) => Some(if yes { "y" } else { "n" }.to_owned()),
            (_, Some(text), _) => Some(text.into_owned()),
            (_, _, JsonKind::Array) => {
                let texts = default
                    .elements()
                    .filter_map(|value| Some(value.text()?.into_owned()));
                Some(texts.collect::<Vec<_>>().join(", "))
            }
            _ => Some(default.to_string()),
        }
    }
}

impl Kind {
    fn read(property: &Raw) -> Kind {
        let number = |name: &str| property.get(name)?.to::<f64>().ok();
        let count = |name: &str| property.get(name)?.to::<u64>().ok();
        let kind = text_member(property, "type");
        match (kind.as_deref(), choices(property)) {
            (Some("array"), _) => {
                let items = property.get("items").unwrap_or_default();
                match choices(&items) {
                    Some(choices) => Kind::Many {
                        choices,
                        count_min: count("minItems").unwrap_or(0),
                        count_max: count("maxItems").unwrap_or(u64::MAX),
                    },
                    None => Kind::Other,
                }
            }
            (_, Some(choices)) => Kind::One(choices),
            (Some("string"), None) => Kind::Text {
                length_min: count("minLength").unwrap_or(0),
                length_max: count("maxLength").unwrap_or(u64::MAX),
                format: text_member(property, "format"),
            },
            (Some(kind @ ("number" | "integer")), None) => Kind::Number {
                is_whole: kind == "integer",
                min: number("minimum").unwrap_or(f64::NEG_INFINITY),
                max: number("maximum").unwrap_or(f64::INFINITY),
            },
            (Some("boolean"), None) => Kind::YesNo,
            _ => Kind::Other,
        }
    }

    fn parse(&self, typed: &str) -> Option<Raw> {
        match self {
            Kind::Text {
                length_min,
                length_max,
                format,
            } => {
                let length = typed.chars().count() as u64;
                let fits = (*length_min..=*length_max).contains(&length);
                let is_good = fits && has_format(typed, format.as_deref());
                is_good.then(|| Raw::from_text(typed))
            }
            Kind::Number { is_whole, min, max } => {
                let value = parse(typed).ok().filter(|v| v.kind() == JsonKind::Number)?;
                let number = value.to::<f64>().ok()?;
                let is_good =
                    (*min..=*max).contains(&number) && (!is_whole || number.fract() == 0.0);
                is_good.then_some(value)
            }
            Kind::YesNo => match typed.to_lowercase().as_str() {
                "y" | "yes" | "true" => Some(Raw::from_static("true")),
                "n" | "no" | "false" => Some(Raw::from_static("false")),
                _ => None,
            },
            Kind::One(choices) => find(choices, typed).map(Raw::from_text),
            Kind::Many {
                choices,
                count_min,
                count_max,
            } => many(choices, typed).filter(|values| {
                let count = values.elements().count() as u64;
                (*count_min..=*count_max).contains(&count)
            }),
            Kind::Other => parse(typed).ok(),
        }
    }
}

/// A value as a script would type it.
fn as_typed(value: &Raw) -> String {
    match value.text() {
        Some(text) => text.into_owned(),
        None => value.to_string(),
    }
}

/// Plain, titled and old-style titled enums.
fn choices(schema: &Raw) -> Option<Vec<Choice>> {
    let titled = schema.get("oneOf").or_else(|| schema.get("anyOf"));
    if let Some(titled) = titled {
        let choice = |one: Raw| {
            let value = text_member(&one, "const")?;
            let title = text_member(&one, "title").unwrap_or_else(|| value.clone());
            Some(Choice { value, title })
        };
        return titled.elements().map(choice).collect();
    }
    let names = schema.get("enumNames").unwrap_or_default();
    let mut names = names.elements();
    let choice = |value: Raw| {
        let value = value.text()?.into_owned();
        let name = names
            .next()
            .and_then(|name| Some(name.text()?.into_owned()));
        let title = name.unwrap_or_else(|| value.clone());
        Some(Choice { value, title })
    };
    schema.get("enum")?.elements().map(choice).collect()
}

/// By its number in the list, its title or its value.
fn find<'a>(choices: &'a [Choice], typed: &str) -> Option<&'a str> {
    let same = |text: &str| text.eq_ignore_ascii_case(typed);
    let named = choices
        .iter()
        .find(|choice| same(&choice.value) || same(&choice.title));
    let numbered = || choices.get(typed.parse::<usize>().ok()?.checked_sub(1)?);
    named.or_else(numbered).map(|choice| choice.value.as_str())
}

/// A JSON array, as a script writes it, or names with commas.
fn many(choices: &[Choice], typed: &str) -> Option<Raw> {
    let listed = parse(typed)
        .ok()
        .filter(|value| value.kind() == JsonKind::Array);
    let names: Vec<String> = match listed {
        Some(array) => array
            .elements()
            .map(|v| Some(v.text()?.into_owned()))
            .collect::<Option<_>>()?,
        None => typed
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
    };
    let found: Option<Vec<&str>> = names.iter().map(|name| find(choices, name)).collect();
    let texts: Vec<_> = found?
        .into_iter()
        .map(|value| Raw::from_text(value).to_string())
        .collect();
    parse(&format!("[{}]", texts.join(","))).ok()
}

fn has_format(typed: &str, format: Option<&str>) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_date = |text: &str| {
        let parts: Vec<_> = text.split('-').collect();
        matches!(parts[..], [y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2
            && digits(y) && digits(m) && digits(d))
    };
    match format {
        Some("email") => typed.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !host.contains('@')
        }),
        Some("uri") => typed
            .split_once(':')
            .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()),
        Some("date") => is_date(typed),
        Some("date-time") => typed
            .split_once(['T', 't'])
            .is_some_and(|(date, time)| is_date(date) && time.contains(':')),
        Some(_) | None => true,
    }
}

fn titles(choices: &[Choice]) -> String {
    let titles: Vec<_> = choices.iter().map(|choice| choice.title.as_str()).collect();
    titles.join(", ")
}

fn range(min: f64, max: f64, what: &str) -> String {
    match (
        min > 0.0 || (min.is_finite() && min < 0.0),
        max.is_finite() && max < u64::MAX as f64,
    ) {
        (true, true) => format!(", {min} to {max}{what}"),
        (true, false) => format!(", at least {min}{what}"),
        (false, true) => format!(", at most {max}{what}"),
        (false, false) => String::new(),
    }
}

#[cfg(test)]
mod tests;
