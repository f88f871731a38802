//! Header lines as `protocol` sees them, and the checks that they mirror the body (SEP-2243).
//!
//! A proxy may have believed these headers, so a body that says otherwise is refused; the headers
//! themselves are never the basis of a decision ([HDR-9]).

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    fault::Fault,
    json::{Kind, Raw},
    schema_rules::{ParamKind, ParamRule},
};

/// The header lines of one request. `edge` implements it for its HTTP library.
pub trait Headers {
    /// The values of all lines of this field.
    fn all(&self, field: Field) -> impl Iterator<Item = &[u8]>;

    /// All `Mcp-Param-*` lines: the rest of the name in any case, and the value.
    fn params(&self) -> impl Iterator<Item = (&str, &[u8])>;
}

/// A field that the protocol reads. Closed, so that an HTTP library can have each name ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    ProtocolVersion,
    SessionId,
    Method,
    Name,
}

impl Field {
    /// As the specification spells it; on the wire the case does not matter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProtocolVersion => "MCP-Protocol-Version",
            Self::SessionId => "Mcp-Session-Id",
            Self::Method => "Mcp-Method",
            Self::Name => "Mcp-Name",
        }
    }
}

/// A header that repeats a part of the body.
#[derive(Clone, Copy)]
pub(crate) struct Mirror {
    field: Field,
    encoding: Encoding,
}

#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    /// `=?base64?…?=` stands for text that a header cannot carry ([HDR-3]).
    Sentinel,
}

pub(crate) const METHOD: Mirror = Mirror {
    field: Field::Method,
    encoding: Encoding::Plain,
};
pub(crate) const NAME: Mirror = Mirror {
    field: Field::Name,
    encoding: Encoding::Sentinel,
};

/// Exactly one line, equal to `body` byte for byte after decoding ([HDR-1]).
pub(crate) fn check_mirror<H: Headers>(
    headers: &H,
    mirror: Mirror,
    body: &str,
) -> Result<(), Fault> {
    let name = mirror.field.name();
    let Some(value) = only(name, headers.all(mirror.field))? else {
        return mismatch(format!("the {name} header is missing"));
    };
    let found = match mirror.encoding {
        Encoding::Plain => plain(name, value)?.into(),
        Encoding::Sentinel => decoded(name, value)?,
    };
    match found == body {
        true => Ok(()),
        false => mismatch(format!(
            "the {name} header {:?} does not match the body, which says {:?}",
            shown(&found),
            shown(body)
        )),
    }
}

/// Compares the `Mcp-Param-*` headers with the arguments, once the tool is known ([HDR-5]).
/// Headers that no rule names are ignored.
pub fn check_param_headers<H: Headers>(
    headers: &H,
    rules: &[ParamRule],
    arguments: &Raw,
) -> Result<(), Fault> {
    rules
        .iter()
        .try_for_each(|rule| check_param(headers, rule, arguments))
}

fn check_param<H: Headers>(headers: &H, rule: &ParamRule, arguments: &Raw) -> Result<(), Fault> {
    let name = format!("Mcp-Param-{}", rule.header);
    let Some(value) = mirrored_value(rule, arguments)? else {
        // The schema says what is wrong with it, in words that the model reads [T-8].
        return Ok(());
    };
    let lines = headers
        .params()
        .filter(|(suffix, _)| suffix.eq_ignore_ascii_case(&rule.header));
    let line = only(&name, lines.map(|(_, value)| value))?;
    match (line, value) {
        (None, None) => Ok(()),
        (None, Some(_)) => mismatch(format!("the {name} header is missing")),
        (Some(_), None) => mismatch(format!(
            "there is a {name} header, but no argument {}",
            rule.path.join(".")
        )),
        (Some(line), Some(value)) => {
            let found = decoded(&name, line)?;
            match value.equals(&found) {
                true => Ok(()),
                false => mismatch(format!(
                    "the {name} header {:?} does not match the argument {}",
                    shown(&found),
                    rule.path.join(".")
                )),
            }
        }
    }
}

/// An argument in the form that it is compared in.
enum Mirrored {
    Text(String),
    Integer(i64),
    Boolean(bool),
}

impl Mirrored {
    fn equals(&self, header: &str) -> bool {
        match self {
            Self::Text(text) => text == header,
            Self::Integer(number) => {
                is_header_integer(header) && safe_integer(header) == Some(*number)
            }
            Self::Boolean(flag) => header == if *flag { "true" } else { "false" },
        }
    }
}

/// The argument a rule is about; absent and `null` are the same. `None` for one of the wrong type. An
/// integer that no header could mirror is the body's fault, not the header's: -32602.
fn mirrored_value(rule: &ParamRule, arguments: &Raw) -> Result<Option<Option<Mirrored>>, Fault> {
    let mut steps = rule.path.iter();
    let value = steps.try_fold(arguments.clone(), |at, name| at.get(name));
    let Some(value) = value.filter(|raw| raw.kind() != Kind::Null) else {
        return Ok(Some(None));
    };
    let mirrored = match rule.kind {
        ParamKind::String => value.text().map(|text| Mirrored::Text(text.into_owned())),
        ParamKind::Boolean => value.boolean().map(Mirrored::Boolean),
        ParamKind::Integer if value.kind() != Kind::Number => None,
        ParamKind::Integer => match safe_integer(value.as_str()) {
            Some(integer) => Some(Mirrored::Integer(integer)),
            None => {
                let path = rule.path.join(".");
                return Err(Fault::InvalidParams(format!(
                    "argument {path} must be an integer within ±(2^53-1)"
                )));
            }
        },
    };
    Ok(mirrored.map(Some))
}

/// What a client may write for an integer: decimal, no leading zeros, at most zeros after a point.
fn is_header_integer(text: &str) -> bool {
    let number = text.strip_prefix('-').unwrap_or(text);
    let (whole, zeros) = number.split_once('.').unwrap_or((number, "0"));
    let is_whole = whole == "0" || (!whole.starts_with('0') && is_digits(whole));
    is_whole && !zeros.is_empty() && zeros.bytes().all(|b| b == b'0')
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The exact value of a JSON number token, if it is an integer that no reader rounds ([HDR-6]).
fn safe_integer(token: &str) -> Option<i64> {
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !is_digits(whole) || !(fraction.is_empty() || is_digits(fraction)) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some(0);
    }
    // An exponent too long for i64 is far out of range in either direction.
    let exponent: i64 = exponent.parse().ok()?;
    let dropped = significant.len() - trimmed.len();
    let zeros = exponent
        .checked_add(dropped as i64)?
        .checked_sub(fraction.len() as i64)?;
    let zeros = u32::try_from(zeros).ok()?;
    let magnitude: i64 = trimmed.parse().ok()?;
    let value = magnitude.checked_mul(10_i64.checked_pow(zeros)?)?;
    (value < (1 << 53)).then_some(sign * value)
}

/// The only line of its name. Repeated lines are how one reader is shown another value than the
/// next ([HDR-7]).
fn only<'a>(
    name: &str,
    mut lines: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<&'a [u8]>, Fault> {
    let first = lines.next();
    match lines.next() {
        None => Ok(first),
        Some(_) => mismatch(format!("there is more than one {name} header")),
    }
}

/// Without optional white space around it ([HDR-2]).
pub(crate) fn trimmed(value: &[u8]) -> &[u8] {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value
        .iter()
        .position(|b| !is_space(b))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|b| !is_space(b))
        .map_or(start, |last| last + 1);
    &value[start..end]
}

/// Visible ASCII, space and tab only ([HDR-4]).
fn plain<'a>(name: &str, value: &'a [u8]) -> Result<&'a str, Fault> {
    let value = trimmed(value);
    let good = value.iter().all(|b| matches!(b, b' '..=b'~' | b'\t'));
    match std::str::from_utf8(value) {
        Ok(text) if good => Ok(text),
        Ok(_) | Err(_) => mismatch(format!(
            "the {name} header has characters that must be sent as =?base64?…?="
        )),
    }
}

/// The text of a header, out of its sentinel if it has one ([HDR-3]).
fn decoded<'a>(name: &str, value: &'a [u8]) -> Result<Cow<'a, str>, Fault> {
    let text = plain(name, value)?;
    let encoded = text
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(encoded) = encoded else {
        return Ok(text.into());
    };
    // Strict about alphabet, padding and trailing bits: one text has one spelling.
    let bytes = STANDARD.decode(encoded).ok();
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Ok(text.into()),
        None => mismatch(format!("the {name} header is not base64 of UTF-8 text")),
    }
}

/// As much of a client's text as belongs in a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

fn mismatch<T>(reason: String) -> Result<T, Fault> {
    Err(Fault::HeaderMismatch(reason))
}

#[cfg(test)]
pub(crate) mod tests;
