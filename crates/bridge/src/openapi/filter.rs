//! Which operations become tools.

use crate::glob;

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
            return facts.tags.iter().any(|found| glob::fits(tag, found));
        }
        match self.0.split_once(' ') {
            Some((method, path)) => {
                glob::fits(&method.to_ascii_uppercase(), facts.method)
                    && glob::fits(path.trim(), facts.path)
            }
            None => glob::fits(&self.0, facts.id),
        }
    }
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
}
