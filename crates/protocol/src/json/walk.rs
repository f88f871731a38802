//! Reading JSON that is known to be valid, in one pass and without a tree.
//!
//! [`Raw`] has proven the text valid and free of duplicate names, so nothing is checked here
//! again; text that broke this promise would only be read wrongly, never out of bounds.
//! Values are texts cut out of a `Raw`; [`Raw::slice`] makes a `Raw` of what is worth keeping.

use std::borrow::Cow;

use super::{Kind, Raw, plain_len};

/// A place in a JSON text. Callers must use up a value before they ask for the next one.
#[derive(Debug, Clone)]
pub(crate) struct Walk<'a> {
    text: &'a str,
    at: usize,
}

/// How the inside of a string is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Every byte means itself.
    Plain,
    Escaped,
}

/// What a value is, told from its first byte.
pub(crate) fn kind_of(text: &str) -> Kind {
    kind_of_start(text.as_bytes())
}

/// The same without a look at the rest of the value.
pub(crate) fn kind_of_start(bytes: &[u8]) -> Kind {
    match bytes.first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(raw: &'a Raw) -> Self {
        Walk::of(raw.as_str())
    }

    /// Reads a value cut out of a [`Raw`].
    pub(crate) fn of(text: &'a str) -> Self {
        let mut walk = Walk { text, at: 0 };
        walk.skip_space();
        walk
    }

    /// What the value here is.
    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.text.get(self.at..).unwrap_or(""))
    }

    /// Where the value here begins; [`Walk::since`] later gives its text.
    pub(crate) fn mark(&self) -> usize {
        self.at
    }

    /// The text from a mark to here.
    pub(crate) fn since(&self, mark: usize) -> &'a str {
        self.text.get(mark..self.at).unwrap_or("")
    }

    /// Steps into the object or array here.
    pub(crate) fn enter(&mut self) {
        self.at += 1;
    }

    /// The name of the next member and stands at its value; `None` behind the last.
    pub(crate) fn next_name(&mut self) -> Option<Cow<'a, str>> {
        if !self.next_item() {
            return None;
        }
        let mark = self.at;
        let name = match self.skip_string() {
            Spelling::Plain => {
                Cow::Borrowed(self.text.get(mark + 1..self.at - 1).unwrap_or_default())
            }
            Spelling::Escaped => unquote(self.since(mark)),
        };
        self.skip_space();
        self.at += 1; // the colon
        self.skip_space();
        Some(name)
    }

    /// Stands at the next element of an array; false behind the last.
    pub(crate) fn next_item(&mut self) -> bool {
        self.skip_space();
        if self.byte() == Some(b',') {
            self.at += 1;
            self.skip_space();
        }
        match self.byte() {
            Some(b']' | b'}') => {
                self.at += 1;
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    /// Steps over the value here and gives its text.
    pub(crate) fn skip(&mut self) -> &'a str {
        let mark = self.at;
        match self.kind() {
            Kind::Object | Kind::Array => self.skip_nested(),
            Kind::String => {
                self.skip_string();
            }
            Kind::Number | Kind::Bool | Kind::Null => self.skip_scalar(),
        }
        self.since(mark)
    }

    fn skip_nested(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.byte() {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) -> Spelling {
        self.at += 1;
        let mut spelling = Spelling::Plain;
        while let Some(rest) = self.text.as_bytes().get(self.at..) {
            self.at += plain_len(rest);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    break;
                }
                Some(_) => {
                    spelling = Spelling::Escaped;
                    self.at += 2; // a backslash and what it escapes
                }
                None => break,
            }
        }
        spelling
    }

    fn skip_scalar(&mut self) {
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t');
        let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// The members of an object cut out of a [`Raw`]: names and the texts of their values. None
/// if it is no object.
pub(crate) fn members(object: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let mut walk = entered(object, Kind::Object);
    std::iter::from_fn(move || {
        let name = walk.next_name()?;
        Some((name, walk.skip()))
    })
}

/// The value of one member of an object.
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let found = members(object).find(|(at, _)| at == name);
    found.map(|(_, value)| value)
}

/// The texts of the elements of an array cut out of a [`Raw`]. None if it is no array.
pub(crate) fn items(array: &str) -> impl Iterator<Item = &str> {
    let mut walk = entered(array, Kind::Array);
    std::iter::from_fn(move || walk.next_item().then(|| walk.skip()))
}

/// A walk within a container of this kind, or of nothing.
fn entered(text: &str, kind: Kind) -> Walk<'_> {
    let mut walk = Walk::of(text);
    match walk.kind() == kind {
        true => walk.enter(),
        false => walk.at = text.len(),
    }
    walk
}

/// The characters of a string, of which the quoted text is given.
pub(crate) fn unquote(quoted: &str) -> Cow<'_, str> {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(quoted);
    if plain_len(inner.as_bytes()) == inner.len() {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(quoted).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// The characters of a string value; nothing for any other kind.
pub(crate) fn text(value: &str) -> Option<Cow<'_, str>> {
    (kind_of(value) == Kind::String).then(|| unquote(value))
}

/// What a boolean value says; nothing for any other kind.
pub(crate) fn boolean(value: &str) -> Option<bool> {
    (kind_of(value) == Kind::Bool).then_some(value == "true")
}

/// The same value without white space between tokens.
pub(super) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut walk = Walk { text, at: 0 };
    while let Some(byte) = walk.byte() {
        let mark = walk.at;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => walk.skip_space(),
            b'"' => {
                walk.skip_string();
                out.push_str(walk.since(mark));
            }
            _ => {
                walk.at += 1;
                out.push_str(walk.since(mark));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
