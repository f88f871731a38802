//! Reads TOML tables key by key and collects every problem instead of stopping at the first.

use std::{collections::BTreeSet, fmt, ops::Range, time::Duration};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

/// One thing that is wrong with a configuration, said so that it can be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// `section.key`, or the section alone.
    pub key: String,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.key, self.what)
    }
}

/// The text being read and what was wrong so far.
pub struct Reader<'t> {
    text: &'t str,
    pub problems: Vec<Problem>,
    /// The path of every key that was looked for, whether it was there or not.
    pub known: BTreeSet<String>,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    /// The document's top level; syntax errors become problems.
    pub fn document(&mut self) -> Section<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().unwrap_or(0..0);
            self.problem(&at, "syntax", error.message().to_string());
        }
        let span = table.span();
        Section::new(String::new(), span, table.into_inner())
    }

    pub fn problem(&mut self, at: &Range<usize>, key: &str, what: String) {
        let before = &self.text[..at.start.min(self.text.len())];
        self.problems.push(Problem {
            line: before.matches('\n').count() + 1,
            key: key.to_string(),
            what,
        });
    }
}

/// One table, from which keys are taken until none may be left.
pub struct Section<'t> {
    name: String,
    span: Range<usize>,
    table: DeTable<'t>,
}

impl<'t> Section<'t> {
    fn new(name: String, span: Range<usize>, table: DeTable<'t>) -> Self {
        Self { name, span, table }
    }

    fn path(&self, key: &str) -> String {
        match self.name.is_empty() {
            true => key.to_string(),
            false => format!("{}.{key}", self.name),
        }
    }

    fn remove(
        &mut self,
        reader: &mut Reader<'t>,
        key: &'static str,
    ) -> Option<Spanned<DeValue<'t>>> {
        reader.known.insert(self.path(key));
        self.table.remove(key)
    }

    /// Sets `value` from `key` if it is there and reads well.
    pub fn set<T: Value>(&mut self, reader: &mut Reader<'t>, key: &'static str, value: &mut T) {
        self.set_with(reader, key, value, T::read);
    }

    /// The same with a reader of its own; what it refuses becomes a problem.
    pub fn set_with<T>(
        &mut self,
        reader: &mut Reader<'t>,
        key: &'static str,
        value: &mut T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) {
        let Some(found) = self.remove(reader, key) else {
            return;
        };
        match read(found.get_ref()) {
            Ok(good) => *value = good,
            Err(what) => reader.problem(&found.span(), &self.path(key), what),
        }
    }

    /// The same for a key that must be there.
    pub fn require<T>(
        &mut self,
        reader: &mut Reader<'t>,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let mut value = None;
        let present = self.table.contains_key(key);
        self.set_with(reader, key, &mut value, |found| read(found).map(Some));
        if !present {
            reader.problem(&self.span, &self.path(key), "is required".to_string());
        }
        value
    }

    /// Where `key` is true, for what is allowed in some places only.
    pub fn flag(&mut self, reader: &mut Reader<'t>, key: &'static str) -> Option<Range<usize>> {
        let at = self.table.get(key).map(Spanned::span);
        let mut value = false;
        self.set(reader, key, &mut value);
        at.filter(|_| value)
    }

    /// A table below this one; empty if it is not there.
    pub fn section(&mut self, reader: &mut Reader<'t>, key: &'static str) -> Section<'t> {
        let (name, here) = (self.path(key), self.span.clone());
        let Some(found) = self.remove(reader, key) else {
            return Section::new(name, here, DeTable::new());
        };
        let span = found.span();
        match found.into_inner() {
            DeValue::Table(table) => Section::new(name, span, table),
            other => {
                reader.problem(
                    &span,
                    &name,
                    format!("must be a table [{name}], not {}", other.type_str()),
                );
                Section::new(name, span, DeTable::new())
            }
        }
    }

    /// The tables `[[key]]` below this one.
    pub fn sections(&mut self, reader: &mut Reader<'t>, key: &'static str) -> Vec<Section<'t>> {
        let name = self.path(key);
        let Some(found) = self.remove(reader, key) else {
            return Vec::new();
        };
        let span = found.span();
        let items: DeArray<'t> = match found.into_inner() {
            DeValue::Array(items) => items,
            _ => {
                reader.problem(&span, &name, format!("must be tables [[{name}]]"));
                return Vec::new();
            }
        };
        let tables = items.into_iter().filter_map(|item| {
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => Some(Section::new(name.clone(), span, table)),
                other => {
                    let what = format!("must be tables [[{name}]], not {}", other.type_str());
                    reader.problem(&span, &name, what);
                    None
                }
            }
        });
        tables.collect()
    }

    /// Whatever was not taken is unknown.
    pub fn finish(self, reader: &mut Reader<'t>) {
        let here = self.path("");
        let below = reader
            .known
            .iter()
            .filter_map(|path| path.strip_prefix(&here));
        let known: Vec<&str> = below.filter(|key| !key.contains('.')).collect();
        let unknown = format!("unknown key; known here: {}", known.join(", "));
        for key in self.table.keys() {
            reader.problem(&key.span(), &self.path(key.get_ref()), unknown.clone());
        }
    }

    /// Where the section stands, for problems that concern all of it.
    pub fn at(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A type that can be read from a TOML value.
pub trait Value: Sized {
    /// The error says what is allowed.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;
}

fn expected(what: &str, found: &DeValue<'_>) -> String {
    format!("must be {what}, not {}", found.type_str())
}

impl Value for String {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let text = value.as_str().map(str::to_string);
        text.ok_or_else(|| expected("a string", value))
    }
}

impl Value for bool {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value
            .as_bool()
            .ok_or_else(|| expected("true or false", value))
    }
}

/// Reads an integer of at least 1: a bound of 0 would refuse everything.
fn positive(value: &DeValue<'_>) -> Result<u64, String> {
    let number = value
        .as_integer()
        .ok_or_else(|| expected("a whole number", value))?;
    let parsed = u64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
    parsed
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| "must be a whole number of at least 1".to_string())
}

impl Value for usize {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        usize::try_from(positive(value)?).map_err(|_| "is too large".to_string())
    }
}

impl Value for u32 {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        u32::try_from(positive(value)?).map_err(|_| "is too large".to_string())
    }
}

impl Value for Vec<String> {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let items = value
            .as_array()
            .ok_or_else(|| expected("a list of strings", value))?;
        items
            .iter()
            .map(|item| String::read(item.get_ref()))
            .collect()
    }
}

impl Value for std::net::SocketAddr {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let text = String::read(value)?;
        text.parse()
            .map_err(|_| format!("must be ADDRESS:PORT such as 127.0.0.1:8080, not {text:?}"))
    }
}

/// Durations are written in milliseconds under keys that end in `_ms`.
pub fn millis(value: &DeValue<'_>) -> Result<Duration, String> {
    positive(value).map(Duration::from_millis)
}

/// Durations are written in seconds under keys that end in `_s`.
pub fn seconds(value: &DeValue<'_>) -> Result<Duration, String> {
    positive(value).map(Duration::from_secs)
}
