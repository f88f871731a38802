//! Patterns in which `*` stands for anything.

/// Whether a text fits a pattern. Each `*` takes as little as it can, so the time is that of one look
/// at the text for each.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether any URI fits a pattern: one has a scheme, which has a colon behind it and no `_` in it.
pub(crate) fn fits_some_uri(pattern: &str) -> bool {
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    match pattern.split_once('*') {
        Some((first, _)) => first.contains(':') || first.bytes().all(of_scheme),
        None => pattern.contains(':'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_for_names_fit_no_uri() {
        for (pattern, wanted) in [
            ("*", true),
            ("*_secret", true),
            ("file:*", true),
            ("file*", true),
            ("a://{id}", true),
            ("delete_*", false),
            ("echo", false),
            ("", false),
        ] {
            assert_eq!(fits_some_uri(pattern), wanted, "{pattern}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "axc", false),
            ("abc", "abcd", false),
        ] {
            assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_more_than_a_moment() {
        let pattern = "*a".repeat(2_000) + "b";
        assert!(!fits(&pattern, &"a".repeat(4_000)));
    }
}
