//! How an argument is written into a URL, a header or a form (OpenAPI 3.0.4, section 4.7.12:
//! `style` and `explode`). Whatever comes from an argument is percent-encoded; only the
//! separators that a style puts between values are not.

use serde_json::Value;

/// How the parts of a value are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Simple,
    Form,
    Space,
    Pipe,
    /// `name[member]=value`
    Deep,
    /// JSON, as one text.
    Json,
}

impl Style {
    pub fn parse(name: &str) -> Option<Style> {
        match name {
            "simple" => Some(Style::Simple),
            "form" => Some(Style::Form),
            "spaceDelimited" => Some(Style::Space),
            "pipeDelimited" => Some(Style::Pipe),
            "deepObject" => Some(Style::Deep),
            _ => None,
        }
    }

    fn separator(self) -> &'static str {
        match self {
            Style::Simple | Style::Form | Style::Deep | Style::Json => ",",
            Style::Space => "%20",
            Style::Pipe => "%7C",
        }
    }
}

/// Whether each part gets a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Explode {
    Yes,
    No,
}

/// A value without depth.
enum Flat {
    Scalar(String),
    List(Vec<String>),
    Members(Vec<(String, String)>),
}

/// One text without a name: for a path or, without `encoded`, a header.
pub(super) fn text(
    value: &Value,
    style: Style,
    explode: Explode,
    encoded: fn(&str) -> String,
) -> Result<String, &'static str> {
    if style == Style::Json {
        return Ok(encoded(&value.to_string()));
    }
    let joined = |parts: Vec<String>| parts.join(",");
    Ok(match flat(value)? {
        Flat::Scalar(text) => encoded(&text),
        Flat::List(texts) => joined(texts.iter().map(|text| encoded(text)).collect()),
        Flat::Members(members) => {
            let sign = match explode {
                Explode::Yes => "=",
                Explode::No => ",",
            };
            let members = members.iter();
            joined(
                members
                    .map(|(k, v)| encoded(k) + sign + &encoded(v))
                    .collect(),
            )
        }
    })
}

/// Names with values, all of it encoded: for a query, a form or cookies.
pub(super) fn pairs(
    name: &str,
    value: &Value,
    style: Style,
    explode: Explode,
) -> Result<Vec<(String, String)>, &'static str> {
    let one = |value: String| vec![(encode(name), value)];
    if style == Style::Json {
        return Ok(one(encode(&value.to_string())));
    }
    Ok(match (flat(value)?, style, explode) {
        (Flat::Scalar(text), _, _) => one(encode(&text)),
        (Flat::List(texts), Style::Form | Style::Deep, Explode::Yes) => {
            let texts = texts.iter();
            texts.map(|text| (encode(name), encode(text))).collect()
        }
        (Flat::List(texts), _, _) => {
            let texts: Vec<_> = texts.iter().map(|text| encode(text)).collect();
            one(texts.join(style.separator()))
        }
        (Flat::Members(members), Style::Deep, _) => {
            let members = members.iter();
            members
                .map(|(k, v)| (encode(&format!("{name}[{k}]")), encode(v)))
                .collect()
        }
        (Flat::Members(members), _, Explode::Yes) => {
            let members = members.iter();
            members.map(|(k, v)| (encode(k), encode(v))).collect()
        }
        (Flat::Members(members), _, Explode::No) => {
            let members = members.iter();
            let texts: Vec<_> = members.flat_map(|(k, v)| [encode(k), encode(v)]).collect();
            one(texts.join(style.separator()))
        }
    })
}

fn flat(value: &Value) -> Result<Flat, &'static str> {
    match value {
        Value::Array(items) => {
            let texts = items.iter().map(scalar);
            texts.collect::<Result<_, _>>().map(Flat::List)
        }
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| Ok((name.clone(), scalar(value)?)));
            members.collect::<Result<_, _>>().map(Flat::Members)
        }
        _ => scalar(value).map(Flat::Scalar),
    }
}

fn scalar(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::Null => Ok(String::new()),
        Value::Bool(is) => Ok(is.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) | Value::Object(_) => Err("is nested too deeply to be sent"),
    }
}

/// Everything but the unreserved characters of RFC 3986 (section 2.3): what comes out means
/// nothing in any part of a URL.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("a String takes everything"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The table of examples in the specification, for the styles that are read.
    #[test]
    fn styles_are_written_as_the_specification_says() {
        use {Explode::*, Style::*};
        let query = |value: &Value, style, explode| {
            let pairs = pairs("color", value, style, explode).unwrap();
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
            pairs.join("&")
        };
        let list = json!(["blue", "black", "brown"]);
        let members = json!({"R": 100, "G": 200});
        let check = |value: &Value, style: Style, explode: Explode, expected: &str| {
            assert_eq!(
                query(value, style, explode),
                expected,
                "{style:?} {explode:?}"
            );
        };
        check(&json!(""), Form, Yes, "color=");
        check(&json!("b&w"), Form, No, "color=b%26w");
        check(&list, Form, Yes, "color=blue&color=black&color=brown");
        check(&list, Form, No, "color=blue,black,brown");
        check(&members, Form, Yes, "G=200&R=100");
        check(&members, Form, No, "color=G,200,R,100");
        check(&list, Space, No, "color=blue%20black%20brown");
        check(&members, Space, No, "color=G%20200%20R%20100");
        check(&list, Pipe, No, "color=blue%7Cblack%7Cbrown");
        check(&members, Deep, Yes, "color%5BG%5D=200&color%5BR%5D=100");
        check(
            &json!([1, {"a": 2}]),
            Json,
            No,
            "color=%5B1%2C%7B%22a%22%3A2%7D%5D",
        );
    }

    #[test]
    fn a_path_or_header_takes_one_text() {
        let check = |value: Value, explode, expected: Result<&str, &str>| {
            let found = text(&value, Style::Simple, explode, encode);
            assert_eq!(found.as_deref().map_err(|why| *why), expected);
        };
        check(json!(5), Explode::No, Ok("5"));
        check(json!(["a,b", true]), Explode::No, Ok("a%2Cb,true"));
        check(json!({"R": 100, "G": 200}), Explode::No, Ok("G,200,R,100"));
        check(json!({"R": 100, "G": 200}), Explode::Yes, Ok("G=200,R=100"));
        check(
            json!([[1]]),
            Explode::No,
            Err("is nested too deeply to be sent"),
        );
    }
}
