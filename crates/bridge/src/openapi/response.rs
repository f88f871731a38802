//! From the service's answer to the tool's result, as a pure value.

use bytes::Bytes;
use ostler_protocol::Raw;
use ostler_worker::{Content, ResourceContents, ToolResult};
use serde::Serialize;

/// Nesting of an answer.
const DEPTH_MAX: usize = 64;
/// How much of an answer that is no success the model reads.
const ERROR_BYTES_MAX: usize = 4 << 10;

/// An answer, read within bounds.
#[derive(Debug, Clone)]
pub(super) struct Incoming<'a> {
    pub status: u16,
    pub content_type: Option<&'a str>,
    pub retry_after: Option<&'a str>,
    pub body: Bytes,
}

/// What a body is, by its media type.
enum Kind {
    Json,
    Text,
    Image,
    Audio,
    Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structured {
    content: [Content; 1],
    structured_content: Raw,
}

/// Whether the tool said in its `outputSchema` what comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    Nothing,
    /// A JSON object.
    Object,
}

/// The result, as JSON, or what the model reads instead. `uri` names a body that is neither text
/// nor media.
pub(super) fn result(
    incoming: &Incoming<'_>,
    promise: Promise,
    uri: &str,
) -> Result<Bytes, String> {
    if !(200..300).contains(&incoming.status) {
        return Err(refusal(incoming));
    }
    let json = match kind(incoming) {
        Kind::Json => Raw::parse(incoming.body.clone(), DEPTH_MAX).ok(),
        Kind::Text | Kind::Image | Kind::Audio | Kind::Bytes => None,
    };
    match (json, promise) {
        (Some(json), Promise::Nothing) => structured(json),
        (Some(json), Promise::Object) if json.is_object() => structured(json),
        // Without structured content its own promise would be broken; the model can read what
        // came all the same.
        (_, Promise::Object) => Err(format!(
            "the service did not answer with the JSON object that its description promises, but with {}",
            excerpt(incoming)
        )),
        (None, Promise::Nothing) => encode(&ToolResult::new().with(content(incoming, uri))),
    }
}

/// The same as text, for clients that read only that [T-11].
fn structured(json: Raw) -> Result<Bytes, String> {
    encode(&Structured {
        content: [Content::text(json.as_str())],
        structured_content: json,
    })
}

fn encode(result: &impl Serialize) -> Result<Bytes, String> {
    let encoded = serde_json::to_vec(result);
    encoded.map(Bytes::from).map_err(|why| why.to_string())
}

fn content(incoming: &Incoming<'_>, uri: &str) -> Content {
    let body = &incoming.body;
    if body.is_empty() {
        return Content::text(format!("done (HTTP {}, no content)", incoming.status));
    }
    match (kind(incoming), std::str::from_utf8(body)) {
        (Kind::Image, _) => Content::image(body, &essence(incoming)),
        (Kind::Audio, _) => Content::audio(body, &essence(incoming)),
        (Kind::Json | Kind::Text, Ok(text)) => Content::text(text),
        (Kind::Json | Kind::Text, Err(_)) => Content::text(String::from_utf8_lossy(body)),
        (Kind::Bytes, _) => {
            let blob = ResourceContents::blob(uri, body);
            Content::resource(blob.mime_type(&essence(incoming)))
        }
    }
}

fn kind(incoming: &Incoming<'_>) -> Kind {
    let essence = essence(incoming);
    let (family, name) = essence.split_once('/').unwrap_or((&essence, ""));
    match (family, name) {
        (_, "json") => Kind::Json,
        _ if name.ends_with("+json") => Kind::Json,
        ("image", _) => Kind::Image,
        ("audio", _) => Kind::Audio,
        ("text", _) | (_, "xml" | "yaml" | "javascript" | "x-www-form-urlencoded") => Kind::Text,
        _ if name.ends_with("+xml") || name.ends_with("+yaml") => Kind::Text,
        ("", _) if std::str::from_utf8(&incoming.body).is_ok() => Kind::Text,
        _ => Kind::Bytes,
    }
}

/// The media type without parameters, in lower case.
fn essence(incoming: &Incoming<'_>) -> String {
    let whole = incoming.content_type.unwrap_or_default();
    let essence = whole.split(';').next().unwrap_or_default().trim();
    essence.to_ascii_lowercase()
}

/// Whose fault it is, whether to try again, and what the service says.
fn refusal(incoming: &Incoming<'_>) -> String {
    let status = incoming.status;
    let meaning = match status {
        300..400 => "it redirects, which is not followed",
        401 | 403 => "the service refused the credential of this bridge, or what it may do",
        408 | 429 | 503 => "the service is busy: try again later",
        400..500 => "the service refused the request",
        _ => "the service failed",
    };
    let after = match incoming.retry_after {
        Some(after) if after.len() <= 64 => format!(" (retry after {after})"),
        Some(_) | None => String::new(),
    };
    format!("HTTP {status}: {meaning}{after}\n{}", excerpt(incoming))
        .trim_end()
        .to_owned()
}

fn excerpt(incoming: &Incoming<'_>) -> String {
    match kind(incoming) {
        Kind::Json | Kind::Text => {
            let start = &incoming.body[..incoming.body.len().min(ERROR_BYTES_MAX)];
            let text = String::from_utf8_lossy(start).into_owned();
            match start.len() < incoming.body.len() {
                true => text + "…",
                false => text,
            }
        }
        Kind::Image | Kind::Audio | Kind::Bytes if incoming.body.is_empty() => String::new(),
        Kind::Image | Kind::Audio | Kind::Bytes => {
            format!("{} bytes of {}", incoming.body.len(), essence(incoming))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn incoming<'a>(status: u16, content_type: &'a str, body: &'a str) -> Incoming<'a> {
        Incoming {
            status,
            content_type: (!content_type.is_empty()).then_some(content_type),
            retry_after: None,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn check(content_type: &str, body: &str, expected: Value) {
        let incoming = incoming(200, content_type, body);
        let found = result(&incoming, Promise::Nothing, "http://a.example/x").unwrap();
        let found: Value = serde_json::from_slice(&found).unwrap();
        assert_eq!(found, expected, "{content_type} {body}");
    }

    #[test]
    fn a_body_becomes_the_content_that_fits_it() {
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        check("text/plain; charset=utf-8", "hello", text("hello"));
        check("", "hello", text("hello"));
        check("application/atom+xml", "<a/>", text("<a/>"));
        check("application/json", "", text("done (HTTP 200, no content)"));
        check("application/json", "{oops", text("{oops"));
        check(
            "application/problem+json",
            "{\n\"a\": 1}",
            json!({"content": [{"type": "text", "text": "{\"a\":1}"}], "structuredContent": {"a": 1}}),
        );
        check(
            "application/json",
            "[1]",
            json!({"content": [{"type": "text", "text": "[1]"}], "structuredContent": [1]}),
        );
        check(
            "image/png",
            "png",
            json!({"content": [{"type": "image", "data": "cG5n", "mimeType": "image/png"}]}),
        );
        check(
            "application/pdf",
            "pdf",
            json!({"content": [{"type": "resource", "resource": {"uri": "http://a.example/x",
                    "mimeType": "application/pdf", "blob": "cGRm"}}]}),
        );
    }

    fn check_failed(incoming: &Incoming<'_>, promise: Promise, why: &str) {
        let text = result(incoming, promise, "").expect_err(why);
        assert!(text.contains(why), "{text}");
    }

    #[test]
    fn a_refusal_says_whose_fault_it_is() {
        let check = |status, why| {
            let incoming = incoming(status, "application/json", r#"{"error":"no such pet"}"#);
            check_failed(&incoming, Promise::Object, why);
            check_failed(&incoming, Promise::Nothing, "no such pet");
        };
        check(302, "not followed");
        check(401, "credential of this bridge");
        check(404, "HTTP 404: the service refused the request");
        check(429, "try again later");
        check(500, "the service failed");
        let mut busy = incoming(503, "", "");
        busy.retry_after = Some("7");
        check_failed(&busy, Promise::Nothing, "(retry after 7)");
    }

    #[test]
    fn of_a_long_refusal_the_start_is_shown() {
        let long = "x".repeat(1 << 20);
        let failed = result(&incoming(500, "text/plain", &long), Promise::Nothing, "");
        assert!(failed.unwrap_err().len() < ERROR_BYTES_MAX + 100);
    }

    #[test]
    fn a_service_that_breaks_its_own_description_is_told_on() {
        let other = [
            ("application/json", "[1]"),
            ("text/plain", "hi"),
            ("application/json", ""),
        ];
        for (content_type, body) in other {
            check_failed(
                &incoming(200, content_type, body),
                Promise::Object,
                "promises",
            );
        }
        let good = incoming(200, "application/json", "{}");
        assert!(result(&good, Promise::Object, "").is_ok());
    }
}
