//! Which operations become tools.

/// One rule of a filter, written in one of these ways; `*` stands for any characters:
/// `listPets` or `list*` (the operation's id), `tag:pets`, `GET /pets/*`, `* /admin/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// What a rule looks at.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub id: &'a str,
    pub tags: Vec<&'a str>,
    /// In upper case.
    pub method: &'a str,
    pub path: &'a str,
}

impl Pattern {
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn fits(&self, facts: &Facts<'_>) -> bool {
        if let Some(tag) = self.0.strip_prefix("tag:") {
            return facts.tags.iter().any(|found| glob(tag, found));
        }
        match self.0.split_once(' ') {
            Some((method, path)) => {
                glob(&method.to_ascii_uppercase(), facts.method) && glob(path.trim(), facts.path)
            }
            None => glob(&self.0, facts.id),
        }
    }
}

/// Whether `text` is `pattern`, whose every `*` stands for any characters. The last star takes
/// one more whenever the rest does not fit, so it takes at most their product of steps.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(byte), _) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            (_, Some((star_p, star_t))) => {
                star = Some((star_p, star_t + 1));
                (p, t) = (star_p + 1, star_t + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, expected: bool) {
        let facts = Facts {
            id: "listPets",
            tags: vec!["pets", "read only"],
            method: "GET",
            path: "/pets/{id}/toys",
        };
        assert_eq!(Pattern::new(pattern).fits(&facts), expected, "{pattern}");
    }

    #[test]
    fn a_rule_looks_at_id_tag_or_method_and_path() {
        for fits in ["listPets", "list*", "*", "*Pets*", "tag:pets", "tag:read *"] {
            check(fits, true);
        }
        for fits in [
            "GET /pets/*",
            "get /pets/{id}/toys",
            "* */toys",
            "G*  /pets*",
        ] {
            check(fits, true);
        }
        for fits_not in [
            "list",
            "listpets",
            "",
            "tag:pet",
            "tag:",
            "POST /pets/*",
            "GET /pets",
        ] {
            check(fits_not, false);
        }
    }

    #[test]
    fn many_stars_take_no_more_than_a_moment() {
        let pattern = "*a".repeat(2_000) + "b";
        assert!(!glob(&pattern, &"a".repeat(4_000)));
    }
}
