//! HTTP header fields: the view that `protocol` takes of them, and the checks that need no body.

use http::{HeaderMap, HeaderName, header};
use ostler_protocol::{
    self as protocol,
    headers::{Field, Headers},
};
use ostler_types::TraceContext;

use crate::rejection::Refused;

pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM_PREFIX: &str = "mcp-param-";

/// The header lines of one request.
pub struct Fields<'h>(pub &'h HeaderMap);

impl Headers for Fields<'_> {
    fn all(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let name = match field {
            Field::ProtocolVersion => PROTOCOL_VERSION,
            Field::SessionId => SESSION_ID,
            Field::Method => METHOD,
            Field::Name => NAME,
        };
        self.0.get_all(name).iter().map(|value| value.as_bytes())
    }

    fn params(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().filter_map(|(name, value)| {
            let rest = name.as_str().strip_prefix(PARAM_PREFIX)?;
            Some((rest, value.as_bytes()))
        })
    }
}

/// All lines together fit the bound [HDR-10].
pub fn check_size(headers: &HeaderMap, bytes_max: usize) -> Result<(), Refused> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + 4
    };
    let total: usize = headers.iter().map(line).sum();
    let long_id = |name| headers.get(name).is_some_and(|value| value.len() > 8 << 10);
    match total <= bytes_max && !long_id(SESSION_ID) && !long_id(LAST_EVENT_ID) {
        true => Ok(()),
        false => Err(Refused::HeadersTooLarge),
    }
}

/// The body is JSON in UTF-8 [SH-2].
pub fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    match value.is_some_and(is_json) {
        true => Ok(()),
        false => Err(Refused::NotJson),
    }
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    media.eq_ignore_ascii_case("application/json") && parts.all(is_utf8_parameter)
}

fn is_utf8_parameter(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return parameter.is_empty();
    };
    let charset = name.trim().eq_ignore_ascii_case("charset");
    !charset || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}

/// What a response may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts {
    pub json: bool,
    pub sse: bool,
}

/// Reads `Accept`; absent means anything (RFC 9110 12.5.1). Wildcards count [SH-1].
pub fn accepts(headers: &HeaderMap) -> Accepts {
    let mut found = Accepts {
        json: false,
        sse: false,
    };
    let mut lines = headers.get_all(header::ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return Accepts {
            json: true,
            sse: true,
        };
    }
    for range in lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
    {
        let media = range.split(';').next().unwrap_or_default().trim();
        let is_one_of = |names: [&str; 3]| names.iter().any(|it| media.eq_ignore_ascii_case(it));
        found.json |= is_one_of(["application/json", "application/*", "*/*"]);
        found.sse |= is_one_of(["text/event-stream", "text/*", "*/*"]);
    }
    found
}

/// W3C trace context of the HTTP request, if well-formed [SEC-13].
pub fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    protocol::trace::context(text("traceparent")?, text("tracestate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (
                http::HeaderName::from_static(name),
                value.parse().expect("a header value"),
            )
        };
        lines.iter().map(line).collect()
    }

    /// HTTP-035, HTTP-036.
    #[test]
    fn only_json_in_utf8_is_taken() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(
                check_content_type(&headers(&[("content-type", good)])).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "text/plain",
            "application/json; charset=utf-16",
            "multipart/form-data",
            "application/jsonx",
            "",
        ] {
            assert!(
                check_content_type(&headers(&[("content-type", bad)])).is_err(),
                "{bad}"
            );
        }
        assert!(check_content_type(&HeaderMap::new()).is_err());
    }

    #[test]
    fn wildcards_accept_both_kinds() {
        let read = |value| accepts(&headers(&[("accept", value)]));
        assert_eq!(
            read("*/*"),
            Accepts {
                json: true,
                sse: true
            }
        );
        assert_eq!(
            read("application/json, text/event-stream"),
            Accepts {
                json: true,
                sse: true
            }
        );
        assert_eq!(
            read("application/json;q=0.9"),
            Accepts {
                json: true,
                sse: false
            }
        );
        assert_eq!(
            read("text/html"),
            Accepts {
                json: false,
                sse: false
            }
        );
        assert_eq!(
            accepts(&HeaderMap::new()),
            Accepts {
                json: true,
                sse: true
            }
        );
    }
}
