//! Templates of resource URIs: the part of RFC 6570 that can be matched backwards.

use std::collections::BTreeMap;

/// Literals and variables in turn. `{name}` matches one path segment, `{+name}` any rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable { name: String, reserved: bool },
}

impl UriTemplate {
    /// An unclosed brace is a literal; other operators of RFC 6570 are taken as `{name}`.
    pub fn parse(template: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((expression, tail)) = after.split_once('}') else {
                break;
            };
            if !before.is_empty() {
                parts.push(Part::Literal(before.to_owned()));
            }
            parts.push(variable(expression));
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Self(parts)
    }

    /// What every URI of it begins with.
    pub fn beginning(&self) -> &str {
        match self.0.first() {
            Some(Part::Literal(text)) => text,
            Some(Part::Variable { .. }) | None => "",
        }
    }

    /// Whether `uri` follows this template.
    pub fn matches(&self, uri: &str) -> bool {
        self.variables(uri).is_some()
    }

    /// The variables of `uri`, decoded, if it follows this template.
    pub(crate) fn variables(&self, uri: &str) -> Option<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        let mut rest = uri;
        let mut parts = self.0.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Variable { name, reserved } => {
                    let end = match parts.peek() {
                        Some(Part::Literal(next)) => rest.find(next.as_str())?,
                        Some(Part::Variable { .. }) | None => rest.len(),
                    };
                    let value = decode(&rest[..end], *reserved)?;
                    variables.insert(name.clone(), value);
                    rest = &rest[end..];
                }
            }
        }
        rest.is_empty().then_some(variables)
    }
}

fn variable(expression: &str) -> Part {
    let name = expression.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
    let reserved = expression.starts_with('+');
    Part::Variable {
        name: name.to_owned(),
        reserved,
    }
}

/// Percent-decoding. `None` when a plain variable is empty or spans segments, or when the
/// bytes are no text.
fn decode(value: &str, reserved: bool) -> Option<String> {
    if value.is_empty() || (!reserved && value.contains(['/', '?', '#'])) {
        return None;
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, uri: &str, wanted: Option<&[(&str, &str)]>) {
        let found = UriTemplate::parse(template).variables(uri);
        let wanted = wanted.map(|pairs| {
            let owned = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
            owned.collect::<BTreeMap<_, _>>()
        });
        assert_eq!(found, wanted, "{template} {uri}");
    }

    #[test]
    fn a_uri_gives_its_variables_back() {
        let template = "test://template/{id}/data";
        check(template, "test://template/123/data", Some(&[("id", "123")]));
        check(
            template,
            "test://template/a%20b/data",
            Some(&[("id", "a b")]),
        );
        check("x:{a}-{b}", "x:1-2", Some(&[("a", "1"), ("b", "2")]));
        check("file:///{+path}", "file:///a/b", Some(&[("path", "a/b")]));
    }

    #[test]
    fn what_does_not_follow_the_template_does_not_match() {
        let template = "test://template/{id}/data";
        check(template, "test://template//data", None);
        check(template, "test://template/1/2/data", None);
        check(template, "test://template/1/data/more", None);
        check(template, "test://template/%f/data", None);
        check(template, "test://template/%ff/data", None);
        check(template, "other://template/1/data", None);
    }
}
