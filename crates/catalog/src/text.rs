//! Text that people and models read: what may not be in it.

/// Longest description or title, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 16 << 10;

/// Refuses what can hide instructions from the eye of a reviewer: control characters other than
/// line breaks and tabs, Unicode tag characters, bidirectional overrides and isolates.
pub(crate) fn check(text: &str) -> Result<(), String> {
    match text.chars().find(|c| is_hostile(*c)) {
        None => Ok(()),
        Some(c) => Err(format!("holds the character U+{:04X}", u32::from(c))),
    }
}

fn is_hostile(c: char) -> bool {
    let control = c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    let tag = matches!(c, '\u{E0000}'..='\u{E007F}');
    let bidi = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    control || tag || bidi
}

/// The rule for tool names [T-2].
pub(crate) fn is_tool_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=128).contains(&name.len()) && name.bytes().all(inner)
}

/// Shortens a text for a message, at a character boundary.
pub(crate) fn shorten(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max);
    format!("{}…", &text[..end])
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

    #[test]
    fn a_tool_name_follows_the_rule() {
        let longest = "x".repeat(128);
        for good in ["a", "get_weather", "A.b-c_1", &longest] {
            assert!(is_tool_name(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "ä", "a\n", &format!("{longest}x")] {
            assert!(!is_tool_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_long_text_is_shortened_between_characters() {
        assert_eq!(shorten("äöü", 3), "ä…");
        assert_eq!(shorten("abc", 3), "abc");
    }
}
