//! Reading JSON that is known to be valid, in one pass and without a tree.
//!
//! [`Raw`] has proven the text valid and free of duplicate names, so nothing is checked here
//! again; text that broke this promise would only be read wrongly, never out of bounds.

use std::borrow::Cow;

use crate::json::{Kind, Raw};

/// A place in a JSON text. Callers must use up a value before they ask for the next one.
#[derive(Debug, Clone)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// What a value is, told from its first byte.
pub(crate) fn kind_of(text: &str) -> Kind {
    match text.as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

impl<'a> Scan<'a> {
    pub(crate) fn new(raw: &'a Raw) -> Self {
        Scan::of(raw.as_str())
    }

    /// Reads a value cut out of a [`Raw`].
    pub(crate) fn of(text: &'a str) -> Self {
        let mut scan = Scan { text, at: 0 };
        scan.skip_space();
        scan
    }

    /// What the value here is.
    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.text.get(self.at..).unwrap_or(""))
    }

    /// Where the value here begins; [`Scan::since`] later gives its text.
    pub(crate) fn mark(&self) -> usize {
        self.at
    }

    /// The text from a mark to here.
    pub(crate) fn since(&self, mark: usize) -> &'a str {
        self.text.get(mark..self.at).unwrap_or("")
    }

    /// Whether the array here has elements; stays where it is.
    pub(crate) fn has_items(&self) -> bool {
        let mut ahead = self.clone();
        ahead.enter();
        ahead.next_item()
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
        let name = self.skip();
        self.skip_space();
        self.at += 1; // the colon
        self.skip_space();
        Some(unquote(name))
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
            Kind::String => self.skip_string(),
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

    fn skip_string(&mut self) {
        self.at += 1;
        let bytes = self.text.as_bytes();
        while let Some(rest) = bytes.get(self.at..) {
            let Some(end) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) else {
                self.at = bytes.len();
                return;
            };
            self.at += end + 1;
            if rest[end] == b'"' {
                return;
            }
            self.at += 1; // what the backslash escapes
        }
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
    let mut scan = entered(object, Kind::Object);
    std::iter::from_fn(move || {
        let name = scan.next_name()?;
        Some((name, scan.skip()))
    })
}

/// The value of one member of an object.
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let found = members(object).find(|(at, _)| at == name);
    found.map(|(_, value)| value)
}

/// The texts of the elements of an array cut out of a [`Raw`]. None if it is no array.
pub(crate) fn items(array: &str) -> impl Iterator<Item = &str> {
    let mut scan = entered(array, Kind::Array);
    std::iter::from_fn(move || scan.next_item().then(|| scan.skip()))
}

/// A scan within a container of this kind, or of nothing.
fn entered(text: &str, kind: Kind) -> Scan<'_> {
    let mut scan = Scan::of(text);
    match scan.kind() == kind {
        true => scan.enter(),
        false => scan.at = text.len(),
    }
    scan
}

/// The characters of a string, of which the quoted text is given.
pub(crate) fn unquote(quoted: &str) -> Cow<'_, str> {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(quoted);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(quoted).map_or(Cow::Borrowed(inner), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Rebuilds a tree by scanning, to compare with the one of serde_json.
    fn tree(text: &str) -> Value {
        match kind_of(text) {
            Kind::Object => {
                let members = members(text).map(|(name, value)| (name.into_owned(), tree(value)));
                Value::Object(members.collect())
            }
            Kind::Array => Value::Array(items(text).map(tree).collect()),
            Kind::String => Value::String(unquote(text).into_owned()),
            Kind::Number | Kind::Bool | Kind::Null => serde_json::from_str(text).expect("a scalar"),
        }
    }

    fn check(text: &str) {
        let expected: Value = serde_json::from_str(text).expect("valid JSON");
        assert_eq!(tree(text.trim()), expected, "{text}");
    }

    #[test]
    fn a_scan_reads_what_a_parser_reads() {
        for text in [
            "{}",
            "[]",
            "{ }",
            r#"{"a":1,"b":[1,2,{"c":"}]\"\\"}],"d":null}"#,
            r#" { "a" : [ ] , "b" : { } , "\u0063" : "\ud83d\ude00" } "#,
            r#"[1.0e5,true,false,null,"",[[]],{"":{}}]"#,
        ] {
            check(text);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_scan_agrees_with_a_parser_on_any_json(value in any_json()) {
            check(&value.to_string());
        }

        #[test]
        fn a_scan_of_anything_ends(text in ".{0,80}") {
            let mut scan = Scan::of(&text);
            scan.enter();
            for _ in 0..200 {
                let _ = scan.next_name();
                let _ = scan.skip();
            }
        }
    }
}
