//! The strict check: one pass over the bytes, an explicit stack instead of recursion.

use std::{borrow::Cow, ops::Range};

use smallvec::SmallVec;

use super::{JsonError, plain_len, walk};

/// What a check finds.
pub(super) struct Found {
    /// Where the value is, without the white space around it.
    pub span: Range<usize>,
    /// Whether white space inside the value holds CR or LF.
    pub has_line_break: bool,
}

/// Up to here names are compared pair by pair, above they are sorted.
const PAIRWISE_MAX: usize = 12;
/// How much of a name is shown in an error.
const SHOWN_NAME_MAX: usize = 64;

pub(super) fn scan(bytes: &[u8], depth_max: usize) -> Result<Found, JsonError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(syntax("byte order mark", 0));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| syntax("invalid UTF-8", e.valid_up_to()))?;
    let mut scanner = Scanner {
        text,
        bytes,
        at: 0,
        depth_max,
        frames: SmallVec::new(),
        names: SmallVec::new(),
        has_line_break: false,
    };
    scanner.document()
}

fn syntax(reason: &'static str, at: usize) -> JsonError {
    JsonError::Syntax { reason, at }
}

/// An open container.
enum Frame {
    Array,
    /// Its names are `names[first..]`.
    Object {
        first: usize,
    },
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth_max: usize,
    /// The open containers. A usual message needs no heap for them, nor for the names.
    frames: SmallVec<[Frame; 16]>,
    /// The member names of all open objects, unescaped.
    names: SmallVec<[Cow<'a, str>; 24]>,
    has_line_break: bool,
}

impl<'a> Scanner<'a> {
    fn document(&mut self) -> Result<Found, JsonError> {
        self.space();
        self.has_line_break = false;
        let start = self.at;
        // Each round is at the start of a value.
        while self.opens_container()? || self.another_value_follows()? {}
        let span = start..self.at;
        let has_line_break = self.has_line_break;
        self.space();
        match self.at == self.bytes.len() {
            true => Ok(Found {
                span,
                has_line_break,
            }),
            false => Err(syntax("unexpected bytes after the value", self.at)),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.has_line_break |= byte == b'\n' || byte == b'\r';
            self.at += 1;
        }
    }

    /// Takes one value, or the opening of a container that is not empty (then true).
    fn opens_container(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b'{') => self.open(
                Frame::Object {
                    first: self.names.len(),
                },
                b'}',
            ),
            Some(b'[') => self.open(Frame::Array, b']'),
            Some(b'"') => self.string().map(|_| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(_) => Err(syntax("expected a value", self.at)),
            None => Err(syntax("unexpected end", self.at)),
        }
    }

    fn open(&mut self, frame: Frame, close: u8) -> Result<bool, JsonError> {
        if self.frames.len() >= self.depth_max {
            return Err(JsonError::TooDeep {
                depth_max: self.depth_max,
            });
        }
        self.at += 1;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if let Frame::Object { .. } = frame {
            self.name()?;
        }
        self.frames.push(frame);
        Ok(true)
    }

    /// After a value: closes what ends here. True when the next value of a container follows,
    /// false at the end of the document.
    fn another_value_follows(&mut self) -> Result<bool, JsonError> {
        while let Some(frame) = self.frames.last() {
            let first = match frame {
                Frame::Array => None,
                Frame::Object { first } => Some(*first),
            };
            self.space();
            match (self.peek(), first) {
                (Some(b','), Some(_)) => {
                    self.at += 1;
                    self.space();
                    return self.name().map(|()| true);
                }
                (Some(b','), None) => {
                    self.at += 1;
                    self.space();
                    return Ok(true);
                }
                (Some(b'}'), Some(first)) => self.close_object(first)?,
                (Some(b']'), None) => {}
                (Some(_), _) => {
                    return Err(syntax("expected ',' or the end of the container", self.at));
                }
                (None, _) => return Err(syntax("unexpected end", self.at)),
            }
            self.at += 1;
            self.frames.pop();
        }
        Ok(false)
    }

    fn close_object(&mut self, first: usize) -> Result<(), JsonError> {
        match duplicate(&mut self.names[first..]) {
            Some(name) => Err(JsonError::Duplicate { name }),
            None => {
                self.names.truncate(first);
                Ok(())
            }
        }
    }

    /// A member name and its colon.
    fn name(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(syntax("expected a member name", self.at));
        }
        let start = self.at;
        let escaped = self.string()?;
        let token = &self.text[start..self.at];
        self.names.push(match escaped {
            true => walk::unquote(token),
            false => Cow::Borrowed(&token[1..token.len() - 1]),
        });
        self.space();
        if self.peek() != Some(b':') {
            return Err(syntax("expected ':'", self.at));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// A string token; true if it has escapes.
    fn string(&mut self) -> Result<bool, JsonError> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(syntax("control character in a string", self.at)),
                None => return Err(syntax("unexpected end in a string", self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            _ => Err(syntax("invalid escape", self.at)),
        }
    }

    fn unicode_escape(&mut self) -> Result<(), JsonError> {
        let at = self.at;
        match self.code_unit()? {
            0xD800..=0xDBFF => match self.code_unit() {
                Ok(0xDC00..=0xDFFF) => Ok(()),
                _ => Err(syntax("lone surrogate", at)),
            },
            0xDC00..=0xDFFF => Err(syntax("lone surrogate", at)),
            _ => Ok(()),
        }
    }

    /// `\uXXXX`
    fn code_unit(&mut self) -> Result<u16, JsonError> {
        let invalid = syntax("invalid escape", self.at);
        let Some([b'\\', b'u', digits @ ..]) = self.bytes.get(self.at..self.at + 6) else {
            return Err(invalid);
        };
        let digit = |b: &u8| char::from(*b).to_digit(16);
        let unit = digits
            .iter()
            .try_fold(0, |unit, b| Some(unit * 16 + digit(b)? as u16));
        self.at += 6;
        unit.ok_or(invalid)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(syntax("expected a digit", self.at)),
        }
    }

    fn literal(&mut self, literal: &str) -> Result<bool, JsonError> {
        if !self.bytes[self.at..].starts_with(literal.as_bytes()) {
            return Err(syntax("expected a value", self.at));
        }
        self.at += literal.len();
        Ok(false)
    }
}

/// A name that occurs twice. Large objects are sorted: no hashing, so no collisions to aim at.
fn duplicate(names: &mut [Cow<'_, str>]) -> Option<String> {
    let found = if names.len() <= PAIRWISE_MAX {
        let pairs = names.iter().enumerate();
        pairs
            .filter(|(i, name)| names[..*i].contains(name))
            .map(|(_, name)| name)
            .next()
    } else {
        names.sort_unstable();
        names
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| &pair[0])
    };
    found.map(|name| name.chars().take(SHOWN_NAME_MAX).collect())
}
