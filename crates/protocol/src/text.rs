//! Text that people and models read: what may not be in it.

use serde_json::Value;

/// Longest description, title or message, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Refuses what can hide instructions from the eye of a reviewer: control characters other than
/// line breaks and tabs, Unicode tag characters, bidirectional overrides and isolates.
pub fn check(text: &str) -> Result<(), String> {
    match text.chars().find(|c| is_hostile(*c)) {
        None => Ok(()),
        Some(c) => Err(format!("holds the character U+{:04X}", u32::from(c))),
    }
}

/// The same for a text of which people read the whole.
pub fn check_shown(text: &str) -> Result<(), String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("is longer than {TEXT_BYTES_MAX} bytes"));
    }
    check(text)
}

/// Every text in a definition may be shown to a person or a model, schemas included.
pub fn check_all(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => check(text),
        Value::Array(list) => list.iter().try_for_each(check_all),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            check(name)?;
            check_length(name, value)?;
            check_all(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn check_length(name: &str, value: &Value) -> Result<(), String> {
    let read_by_people = matches!(name, "description" | "title" | "name");
    match value.as_str() {
        Some(text) if read_by_people => check_shown(text).map_err(|e| format!("{name} {e}")),
        _ => Ok(()),
    }
}

fn is_hostile(c: char) -> bool {
    let control = c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    let tag = matches!(c, '\u{E0000}'..='\u{E007F}');
    let bidi = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    control || tag || bidi
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_found() {
        for bad in [
            "\u{1b}[31m",
            "a\u{0}",
            "\u{E0041}",
            "\u{202E}",
            "\u{2067}",
            "\u{7f}",
            "\u{85}",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in [
            "",
            "two\nlines\tand a tab",
            "Größe, 日本語, 👩‍🚀",
            "<!-- shown as is -->",
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }
}
