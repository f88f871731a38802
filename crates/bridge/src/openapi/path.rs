//! Paths with parameters. What is put in stays within its segment, and a segment stays a segment:
//! neither host nor prefix nor the number of steps can change (CON-007).

use super::style::encode;

/// A path of a description, in segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathTemplate(Vec<Vec<Piece>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Encoded.
    Text(String),
    Parameter(String),
}

impl PathTemplate {
    pub fn parse(path: &str) -> Result<PathTemplate, String> {
        let bad = |why: &str| format!("its path {why}");
        let steps = path
            .strip_prefix('/')
            .ok_or_else(|| bad("does not begin with a slash"))?;
        if steps.contains(['?', '#', '\\']) {
            return Err(bad("is more than a path"));
        }
        let segments = steps.split('/').map(|step| {
            let segment = segment(step).ok_or_else(|| bad("has a brace without its other"))?;
            match segment.as_slice() {
                [Piece::Text(text)] if is_dots(text) => Err(bad("has a step up or in place")),
                _ => Ok(segment),
            }
        });
        segments.collect::<Result<_, _>>().map(PathTemplate)
    }

    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().filter_map(|piece| match piece {
            Piece::Parameter(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The path with what `value` gives, which is encoded already.
    pub fn fill(&self, value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
        let mut path = String::new();
        for segment in &self.0 {
            let mut filled = String::new();
            for piece in segment {
                match piece {
                    Piece::Text(text) => filled.push_str(text),
                    Piece::Parameter(name) => filled.push_str(&value(name)?),
                }
            }
            // An empty one would be another route, and dots are taken away on the way.
            let has_parameter = segment
                .iter()
                .any(|piece| matches!(piece, Piece::Parameter(_)));
            if has_parameter && (filled.is_empty() || is_dots(&filled)) {
                return Err("a path parameter is empty or consists of dots".into());
            }
            path.push('/');
            path.push_str(&filled);
        }
        Ok(path)
    }
}

/// `None` when a brace has no other.
fn segment(step: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = step;
    while let Some((text, opened)) = rest.split_once('{') {
        let (name, after) = opened.split_once('}')?;
        if text.contains('}') || name.contains('{') || name.is_empty() {
            return None;
        }
        pieces.extend((!text.is_empty()).then(|| Piece::Text(literal(text))));
        pieces.push(Piece::Parameter(name.to_owned()));
        rest = after;
    }
    if rest.contains('}') {
        return None;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal(rest)));
    }
    Some(pieces)
}

/// The description's own text: encoded where its author did not.
fn literal(text: &str) -> String {
    let mut encoded = String::new();
    for c in text.chars() {
        match c {
            '%' | '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' | ':' | '@' => {
                encoded.push(c);
            }
            _ => encoded.push_str(&encode(c.encode_utf8(&mut [0; 4]))),
        }
    }
    encoded
}

fn is_dots(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    plain == "." || plain == ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(path: &str, value: &str) -> Result<String, String> {
        let template = PathTemplate::parse(path)?;
        template.fill(|_| Ok(encode(value)))
    }

    fn check(path: &str, value: &str, expected: &str) {
        assert_eq!(fill(path, value).as_deref(), Ok(expected), "{path} {value}");
    }

    #[test]
    fn what_is_put_in_stays_one_segment() {
        check("/pets/{id}", "7", "/pets/7");
        check("/pets/{id}", "../admin?x=", "/pets/..%2Fadmin%3Fx%3D");
        check("/pets/{id}", "%2e%2e%2f", "/pets/%252e%252e%252f");
        check("/pets/{id}", "%2e%2e", "/pets/%252e%252e");
        check("/pets/{id}", "a#b", "/pets/a%23b");
        check("/pets/{id}", "//evil.example", "/pets/%2F%2Fevil.example");
        check("/pets/{id}", "a\\..\\b\r\n\0", "/pets/a%5C..%5Cb%0D%0A%00");
        check("/pets/{id}", "é", "/pets/%C3%A9");
        check("/{id}.{id}/x", "a", "/a.a/x");
        check("/a b/c%20d:e/", "", "/a%20b/c%20d:e/");
        check("/", "", "/");
    }

    #[test]
    fn a_segment_of_dots_or_of_nothing_is_refused() {
        for value in ["", ".", ".."] {
            fill("/pets/{id}/toys", value).expect_err(value);
        }
        fill("/{a}{b}", ".").expect_err("two make one");
        fill("/.{a}", ".").expect_err("two make one");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in [
            "pets",
            "/a?b",
            "/a#b",
            "/{a",
            "/a}",
            "/{}",
            "/{a{b}}",
            "/a/../b",
            "/%2e%2E/b",
        ] {
            PathTemplate::parse(path).expect_err(path);
        }
        let template = PathTemplate::parse("/{a}/x-{b}").unwrap();
        assert_eq!(template.parameters().collect::<Vec<_>>(), ["a", "b"]);
    }
}
