//! Putting JSON together without touching what is put in.

use std::borrow::Cow;

use bytes::Bytes;
use ostler_protocol::Raw;

use crate::limits::DEPTH_MAX;

/// What is built here wraps values that were parsed with [`DEPTH_MAX`].
const BUILT_DEPTH_MAX: usize = DEPTH_MAX + 32;

/// One JSON value of a person or a file.
pub fn parse(text: &str) -> Result<Raw, String> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Raw::parse(bytes, DEPTH_MAX).map_err(|why| why.to_string())
}

/// An object of these members in this order. Names must be distinct.
pub fn object<N: AsRef<str>>(members: impl IntoIterator<Item = (N, Raw)>) -> Raw {
    let mut text = String::from("{");
    for (name, value) in members {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(Raw::from_text(name.as_ref()).as_str());
        text.push(':');
        text.push_str(value.as_str());
    }
    text.push('}');
    built(text)
}

/// An array of these values.
pub fn array(values: impl IntoIterator<Item = Raw>) -> Raw {
    let values: Vec<_> = values.into_iter().collect();
    let texts: Vec<_> = values.iter().map(Raw::as_str).collect();
    built(format!("[{}]", texts.join(",")))
}

/// `whole` with more members after its own.
pub(crate) fn extended<'a>(whole: &Raw, more: impl IntoIterator<Item = (&'a str, Raw)>) -> Raw {
    let more = more
        .into_iter()
        .map(|(name, value)| (Cow::Borrowed(name), value));
    object(whole.members().chain(more))
}

pub(crate) fn boolean(value: bool) -> Raw {
    Raw::from_static(if value { "true" } else { "false" })
}

fn built(text: String) -> Raw {
    Raw::parse(text.into(), BUILT_DEPTH_MAX)
        .expect("distinct names and sound parts make sound JSON")
}

/// The text member of this name.
pub fn text_member(object: &Raw, name: &str) -> Option<String> {
    let value = object.get(name)?;
    value.text().map(|text| text.into_owned())
}
