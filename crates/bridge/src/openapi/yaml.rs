//! YAML as far as descriptions use it: one document of the core schema (YAML 1.2.2, section
//! 10.3), read into JSON. Events come from the parser; what they may add up to is bounded here,
//! because an alias is a few bytes that stand for any number of them.

use std::{collections::HashMap, mem};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Nesting.
const DEPTH_MAX: usize = 64;
/// What a value costs besides its text.
const VALUE_BYTES: usize = 32;

/// Reads `text`, whose aliases may blow it up to `bytes_max`. Says why it cannot be read.
pub(super) fn read(text: &str, bytes_max: usize) -> Result<Value, String> {
    let mut builder = Builder {
        bytes_left: bytes_max,
        ..Builder::default()
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|why| why.to_string())?;
        builder
            .take(event)
            .map_err(|why| format!("{why}, line {}", span.start.line()))?;
    }
    builder.whole.ok_or_else(|| "it is empty".to_owned())
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Value, usize)>,
    whole: Option<Value>,
    bytes_left: usize,
}

/// A collection that has begun.
struct Open {
    anchor: usize,
    /// What was left when it began: so much it has cost.
    bytes_left: usize,
    inside: Inside,
}

enum Inside {
    Sequence(Vec<Value>),
    /// The members so far, and the key whose value comes next.
    Mapping(Map<String, Value>, Option<String>),
}

impl Builder {
    fn take(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let left = self.bytes_left;
                self.charge(text.len() + VALUE_BYTES)?;
                let is_text = style != ScalarStyle::Plain || tag.is_some();
                if self.is_key_next() {
                    return self.key(&text, anchor);
                }
                let value = match is_text {
                    true => Value::String(text.into_owned()),
                    false => plain(&text),
                };
                self.finish(value, anchor, left)
            }
            Event::SequenceStart(anchor, _) => self.open(anchor, Inside::Sequence(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(anchor, Inside::Mapping(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor),
            Event::DocumentStart(_) if self.whole.is_some() => {
                Err("it holds more than one document".to_owned())
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or("it is too large with its aliases put in")?;
        Ok(())
    }

    fn is_key_next(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                inside: Inside::Mapping(_, None),
                ..
            })
        )
    }

    fn key(&mut self, text: &str, anchor: usize) -> Result<(), String> {
        if anchor != 0 || text == "<<" {
            return Err("anchors at keys and merge keys are not read".to_owned());
        }
        let Some(Open {
            inside: Inside::Mapping(members, key),
            ..
        }) = self.open.last_mut()
        else {
            return Ok(());
        };
        if members.contains_key(text) {
            return Err(format!("the key {text:?} occurs twice"));
        }
        *key = Some(text.to_owned());
        Ok(())
    }

    fn open(&mut self, anchor: usize, inside: Inside) -> Result<(), String> {
        if self.is_key_next() {
            return Err("a key is not a text".to_owned());
        }
        if self.open.len() == DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX}"));
        }
        self.open.push(Open {
            anchor,
            bytes_left: self.bytes_left,
            inside,
        });
        self.charge(VALUE_BYTES)
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.inside {
            Inside::Sequence(items) => Value::Array(items),
            Inside::Mapping(members, _) => Value::Object(members),
        };
        self.finish(value, open.anchor, open.bytes_left)
    }

    /// An alias inside of what it stands for finds nothing: that is not finished yet.
    fn alias(&mut self, anchor: usize) -> Result<(), String> {
        let found = self.anchors.get(&anchor);
        let (value, bytes) = found.ok_or("an alias stands for nothing that came before")?;
        let (bytes, left) = (*bytes, self.bytes_left);
        // Charged before it is copied.
        let left_then = left.checked_sub(bytes);
        self.bytes_left = left_then.ok_or("it is too large with its aliases put in")?;
        let value = value.clone();
        if self.is_key_next() {
            return Err("an alias is no key".to_owned());
        }
        self.finish(value, 0, left)
    }

    fn finish(&mut self, value: Value, anchor: usize, left_before: usize) -> Result<(), String> {
        if anchor != 0 {
            let bytes = left_before - self.bytes_left;
            // The copy that is kept.
            self.charge(bytes)?;
            self.anchors.insert(anchor, (value.clone(), bytes));
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.whole = Some(value),
            Some(Inside::Sequence(items)) => items.push(value),
            Some(Inside::Mapping(members, key)) => {
                let key = mem::take(key).ok_or("a value without a key")?;
                members.insert(key, value);
            }
        }
        Ok(())
    }
}

/// A plain scalar of the core schema.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// What is no number of JSON, such as `.inf` or one with leading zeros, stays text.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return None;
    }
    let radix = |prefix, radix| {
        let digits = text.strip_prefix(prefix)?;
        u64::from_str_radix(digits, radix).ok()
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(number.into());
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let has_leading_zero =
        digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    if has_leading_zero || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: Value) {
        assert_eq!(read(text, 1 << 16), Ok(expected), "{text}");
    }

    fn check_refused(text: &str, why: &str) {
        let refused = read(text, 1 << 16).expect_err(text);
        assert!(refused.contains(why), "{refused}");
    }

    #[test]
    fn scalars_are_those_of_the_core_schema() {
        check(
            "[~, null, '', true, \"true\"]",
            json!([null, null, "", true, "true"]),
        );
        check("[1, -2, +3, 0x10, 0o10]", json!([1, -2, 3, 16, 8]));
        check(
            "[1.5, -1e3, .5, 3.0.1]",
            json!([1.5, -1000.0, 0.5, "3.0.1"]),
        );
        check(
            "[no, on, 007, .inf, 2026-07-28]",
            json!(["no", "on", "007", ".inf", "2026-07-28"]),
        );
        check("[0, -0, !!str 5, +-1]", json!([0, 0, "5", "+-1"]));
    }

    #[test]
    fn keys_are_texts_whatever_they_look_like() {
        check(
            "200: ok\ntrue: 1\n'3': [a]",
            json!({"200": "ok", "true": 1, "3": ["a"]}),
        );
        check_refused("a: 1\na: 2", "occurs twice");
        check_refused("[a]: 1", "not a text");
        check_refused("a: &x {}\n<<: *x", "merge keys");
    }

    #[test]
    fn blocks_and_aliases_are_put_in() {
        check(
            "a: |\n  b\n  c\nd: >\n  e\n  f\n",
            json!({"a": "b\nc\n", "d": "e f\n"}),
        );
        check(
            "a: &x {b: 1}\nc: [*x, *x]",
            json!({"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}),
        );
        check_refused("a: &x [*x]", "stands for nothing");
    }

    #[test]
    fn an_alias_bomb_is_refused_before_it_goes_off() {
        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (one, next) in ["ab", "bc", "cd", "de", "ef", "fg", "gh"].map(|pair| pair.split_at(1)) {
            let aliases = vec![format!("*{one}"); 10].join(", ");
            bomb.push_str(&format!("{next}: &{next} [{aliases}]\n"));
        }
        check_refused(&bomb, "too large");
    }

    #[test]
    fn depth_and_documents_are_bounded() {
        check_refused(&"[".repeat(100), "nested deeper");
        let steps: String = (0..100).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        check_refused(&steps, "nested deeper");
        check_refused("a: 1\n---\nb: 2", "more than one");
        check_refused("", "empty");
        check_refused("a: [", "");
    }
}
