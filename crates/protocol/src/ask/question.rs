//! Whether a question can be put to a client at all. A worker's author gets the reason.

use serde_json::{Map, Value};

use super::{form::Form, sampling};
use crate::{
    call::{Question, QuestionKind},
    text,
};

/// Longest key of a question, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// Longest address of a page, in bytes: what every browser and every screen takes.
const URL_BYTES_MAX: usize = 4 << 10;

/// Checks a question, whoever it may be shown to [SP-1] to [SP-4]. People decide by what they
/// read in elicitations, so nothing may be hidden there; messages to a model are data, such as
/// the results of tools, in which anything may stand.
pub fn check_question(question: &Question) -> Result<(), String> {
    if question.key.is_empty() || question.key.len() > KEY_BYTES_MAX {
        return Err(format!("the key must have 1 to {KEY_BYTES_MAX} bytes"));
    }
    let params: Map<String, Value> = question
        .params
        .to()
        .map_err(|_| "the params must be an object".to_owned())?;
    match question.kind {
        QuestionKind::ElicitForm => {
            message(&params)?;
            let schema = params.get("requestedSchema");
            Form::parse(schema)?;
            let texts = schema.map_or(Ok(()), text::check_all);
            texts.map_err(|reason| format!("`requestedSchema`: {reason}"))
        }
        QuestionKind::ElicitUrl => {
            message(&params)?;
            url(&params)
        }
        QuestionKind::Sample => sampling::check_request(&params),
        QuestionKind::Roots => Ok(()),
    }
}

fn message(params: &Map<String, Value>) -> Result<(), String> {
    match params.get("message") {
        Some(Value::String(message)) => {
            text::check_shown(message).map_err(|reason| format!("`message` {reason}"))
        }
        _ => Err("`message` must be a string".to_owned()),
    }
}

/// An absolute web address. It is only ever opened by the user's own browser, never by us, so
/// whatever browsers read differently is refused: a person is shown it before they go [SP-4].
fn url(params: &Map<String, Value>) -> Result<(), String> {
    let url = params.get("url").and_then(Value::as_str).unwrap_or("");
    if url.len() > URL_BYTES_MAX {
        return Err(format!("`url` is longer than {URL_BYTES_MAX} bytes"));
    }
    if !url.bytes().all(is_of_urls) {
        return Err("`url` must have no characters but those of RFC 3986; encode them".to_owned());
    }
    let (is_secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err("`url` must be an absolute https URL".to_owned()),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("`url` must not carry credentials".to_owned());
    }
    let host = host_of(authority).ok_or("`url` must name a host")?;
    match is_secure || matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        true => Ok(()),
        false => Err("`url` must be https, except on this machine".to_owned()),
    }
}

/// Unreserved and reserved characters, and the sign of encoded ones (RFC 3986, section 2).
fn is_of_urls(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let v6 = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_host = match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_inner),
    };
    let is_port = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    (is_host && is_port).then_some(host)
}
