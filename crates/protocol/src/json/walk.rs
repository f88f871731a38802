//! Reading text that `scan` has checked: nothing here looks for errors.

use std::borrow::Cow;

/// Where the value that starts at `at` ends.
fn value_end(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => container_end(bytes, at),
        _ => {
            let ends =
                |b: &u8| matches!(b, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r');
            let rest = bytes[at..].iter().position(ends);
            rest.map_or(bytes.len(), |length| at + length)
        }
    }
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn container_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    at + bytes[at..].iter().take_while(|b| is_space(b)).count()
}

/// The members of an object.
pub(super) struct Members<'a> {
    bytes: &'a [u8],
    /// At a name, or at the closing brace.
    at: usize,
}

impl<'a> Members<'a> {
    /// Yields nothing if the value is not an object.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let at = match bytes.first() {
            Some(b'{') => skip_space(bytes, 1),
            _ => bytes.len(),
        };
        Self { bytes, at }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if *self.bytes.get(self.at)? != b'"' {
            return None;
        }
        let name_end = string_end(self.bytes, self.at);
        let name = unescape(&self.bytes[self.at..name_end]);
        let colon = skip_space(self.bytes, name_end);
        let start = skip_space(self.bytes, colon + 1);
        let end = value_end(self.bytes, start);
        self.at = after_comma(self.bytes, end);
        Some((name, &self.bytes[start..end]))
    }
}

/// The elements of an array.
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    /// At a value, or at the closing bracket.
    at: usize,
}

impl<'a> Elements<'a> {
    /// Yields nothing if the value is not an array.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let at = match bytes.first() {
            Some(b'[') => skip_space(bytes, 1),
            _ => bytes.len(),
        };
        Self { bytes, at }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        if *self.bytes.get(start)? == b']' {
            return None;
        }
        let end = value_end(self.bytes, start);
        self.at = after_comma(self.bytes, end);
        Some(&self.bytes[start..end])
    }
}

/// From the end of one item to the start of the next, or to the closing bracket.
fn after_comma(bytes: &[u8], item_end: usize) -> usize {
    let at = skip_space(bytes, item_end);
    match bytes[at] {
        b',' => skip_space(bytes, at + 1),
        _ => at,
    }
}

/// The content of a string token.
pub(super) fn unescape(token: &[u8]) -> Cow<'_, str> {
    let inner = &token[1..token.len() - 1];
    if inner.contains(&b'\\') {
        let text = serde_json::from_slice(token).expect("a checked string token");
        return Cow::Owned(text);
    }
    Cow::Borrowed(std::str::from_utf8(inner).expect("checked to be UTF-8"))
}

/// The same value without white space between tokens.
pub(super) fn compact(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'"' => string_end(bytes, at),
            _ => at + 1,
        };
        if !bytes[at].is_ascii_whitespace() {
            out.extend_from_slice(&bytes[at..end]);
        }
        at = end;
    }
    out
}
