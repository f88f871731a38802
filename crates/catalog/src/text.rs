//! Names and messages: the rule for one, and the length of the other.

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
