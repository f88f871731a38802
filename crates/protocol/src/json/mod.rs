//! Strict JSON, kept as text: numbers, key order and spelling are never touched ([RPC-9], [RPC-10]).
//!
//! [`Raw::parse`] checks once; from then on a [`Raw`] is the proof, and its parts are slices of
//! the same bytes. `scan` checks, `walk` reads what is known to be good.

mod scan;
pub(crate) mod walk;

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// One JSON value: UTF-8, no duplicate member names at any depth, no lone surrogates, bounded
/// depth, and no CR or LF byte, so that it fits one line of an event stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(Bytes);

/// What kind of value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// Why bytes are not a [`Raw`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("{reason} at byte {at}")]
    Syntax { reason: &'static str, at: usize },
    #[error("member name {name:?} occurs twice in one object")]
    Duplicate { name: String },
    #[error("nested deeper than {depth_max}")]
    TooDeep { depth_max: usize },
    /// Good JSON of another shape than asked for, from [`Raw::to`].
    #[error("{0}")]
    Shape(String),
}

impl Raw {
    /// Checks `bytes`. Copies nothing, unless white space holds a line break: that is compacted.
    pub fn parse(bytes: Bytes, depth_max: usize) -> Result<Raw, JsonError> {
        let found = scan::scan(&bytes, depth_max)?;
        let value = Raw(bytes.slice(found.span));
        match found.has_line_break {
            true => Ok(Raw(walk::compact(value.as_str()).into())),
            false => Ok(value),
        }
    }

    /// A value written in our own source. Panics if it is not one.
    pub fn from_static(text: &'static str) -> Raw {
        Raw::parse(Bytes::from_static(text.as_bytes()), 64)
            .expect("a literal of our own is good JSON")
    }

    pub fn from_value(value: &serde_json::Value) -> Raw {
        Raw(value.to_string().into())
    }

    /// A string value with this content.
    pub fn from_text(text: &str) -> Raw {
        Raw(serde_json::to_string(text)
            .expect("a string can always be written")
            .into())
    }

    /// Bytes that were built from parts that are `Raw` already. The caller vouches for them.
    pub(crate) fn from_checked(bytes: Bytes) -> Raw {
        Raw(bytes)
    }

    pub fn empty_object() -> Raw {
        Raw(Bytes::from_static(b"{}"))
    }

    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked by parse")
    }

    /// A part of this value's own text, sharing its bytes.
    pub(crate) fn slice(&self, part: &str) -> Raw {
        Raw(self.0.slice_ref(part.as_bytes()))
    }

    pub fn kind(&self) -> Kind {
        walk::kind_of_start(&self.0)
    }

    pub fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The members of an object in order, names unescaped; nothing for any other kind.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, Raw)> {
        walk::members(self.as_str()).map(|(name, value)| (name, self.slice(value)))
    }

    /// The elements of an array in order; nothing for any other kind.
    pub fn elements(&self) -> impl Iterator<Item = Raw> {
        walk::items(self.as_str()).map(|value| self.slice(value))
    }

    /// The member of this name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<Raw> {
        walk::member(self.as_str(), name).map(|value| self.slice(value))
    }

    /// The content of a string value.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        walk::text(self.as_str())
    }

    pub fn boolean(&self) -> Option<bool> {
        walk::boolean(self.as_str())
    }

    /// Reads it into a type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        serde_json::from_slice(&self.0).map_err(|e| JsonError::Shape(e.to_string()))
    }

    /// The same value in bytes of its own, for keeping it longer than the body it was part of.
    pub fn detached(&self) -> Raw {
        Raw(Bytes::copy_from_slice(&self.0))
    }
}

impl Default for Raw {
    /// `{}`
    fn default() -> Self {
        Self::empty_object()
    }
}

/// As it is, number tokens included; only through `serde_json`.
impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many bytes of a string's inside mean themselves: up to a quote, a backslash or a control
/// character. Eight bytes at a time, because every string of every message passes here.
fn plain_len(bytes: &[u8]) -> usize {
    let mut plain = 0;
    while let Some(block) = bytes[plain..].first_chunk::<8>() {
        match special_bytes(u64::from_le_bytes(*block)) {
            0 => plain += 8,
            found => return plain + found.trailing_zeros() as usize / 8,
        }
    }
    let is_special = |b: &u8| matches!(b, b'"' | b'\\' | 0..=0x1F);
    let rest = bytes[plain..].iter().position(is_special);
    rest.map_or(bytes.len(), |length| plain + length)
}

/// The high bit of each byte that is special. A subtraction may borrow from the next byte up, so
/// only the lowest bit found is certain, and that is the one that is used.
fn special_bytes(block: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let below = |block: u64, limit: u64| block.wrapping_sub(ONES * limit) & !block & HIGH;
    let equal = |byte: u8| below(block ^ (ONES * u64::from(byte)), 1);
    below(block, 0x20) | equal(b'"') | equal(b'\\')
}

#[cfg(test)]
mod tests;
