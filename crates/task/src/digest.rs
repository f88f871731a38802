//! Digests that bind a token to a request: of text, of arguments.

use std::borrow::Cow;

use ostler_protocol::json::Raw;

/// 256 bits of BLAKE3.
pub(crate) type Digest = [u8; 32];

pub(crate) fn text(text: &str) -> Digest {
    leaf(b't', text.as_bytes())
}

/// A digest of digests, in their order.
pub(crate) fn all(digests: &[&Digest]) -> Digest {
    leaf(
        b'd',
        &digests
            .iter()
            .flat_map(|d| d.iter().copied())
            .collect::<Vec<u8>>(),
    )
}

/// A digest that does not change when members are reordered, white space is added or a string
/// is escaped in another way. Numbers count as they are written: `1` and `1.0` differ, because
/// a worker may see the difference.
pub(crate) fn arguments(arguments: &Raw) -> Digest {
    let mut scanner = Scanner {
        text: arguments.as_str(),
        at: 0,
    };
    scanner.value()
}

fn leaf(kind: u8, bytes: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(bytes);
    *hasher.finalize().as_bytes()
}

/// Reads JSON that is known to be valid, so it only has to find where things end. Recursion is
/// bounded by the depth that [`Raw`] was checked for.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn value(&mut self) -> Digest {
        match self.peek() {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => leaf(b's', self.string().as_bytes()),
            _ => leaf(b'n', self.token().as_bytes()),
        }
    }

    fn object(&mut self) -> Digest {
        let mut members = Vec::new();
        self.at += 1;
        while self.peek() != b'}' {
            self.skip_if(b',');
            self.peek();
            let name = text(&self.string());
            self.skip_if(b':');
            members.push((name, self.value()));
        }
        self.at += 1;
        members.sort_unstable();
        let flat: Vec<u8> = members
            .iter()
            .flat_map(|(k, v)| [*k, *v].concat())
            .collect();
        leaf(b'o', &flat)
    }

    fn array(&mut self) -> Digest {
        let mut items = Vec::new();
        self.at += 1;
        while self.peek() != b']' {
            self.skip_if(b',');
            items.extend_from_slice(&self.value());
        }
        self.at += 1;
        leaf(b'a', &items)
    }

    /// The string that starts here, unescaped.
    fn string(&mut self) -> Cow<'a, str> {
        let start = self.at;
        self.at += 1;
        while self.byte() != b'"' {
            self.at += if self.byte() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        let quoted = &self.text[start..self.at];
        match quoted.contains('\\') {
            false => Cow::Borrowed(&quoted[1..quoted.len() - 1]),
            true => Cow::Owned(serde_json::from_str(quoted).expect("the JSON was checked")),
        }
    }

    /// A number or a literal, as it is written.
    fn token(&mut self) -> &'a str {
        let start = self.at;
        let ends = |b: u8| b",]}".contains(&b) || b.is_ascii_whitespace();
        while self.at < self.text.len() && !ends(self.byte()) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> u8 {
        while self.byte().is_ascii_whitespace() {
            self.at += 1;
        }
        self.byte()
    }

    fn skip_if(&mut self, byte: u8) {
        if self.peek() == byte {
            self.at += 1;
        }
    }

    fn byte(&self) -> u8 {
        self.text.as_bytes()[self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &'static str, b: &'static str, same: bool) {
        let digest = |text| arguments(&Raw::from_static(text));
        assert_eq!(digest(a) == digest(b), same, "{a} and {b}");
    }

    #[test]
    fn the_order_of_members_and_the_way_of_writing_do_not_count() {
        check(
            r#"{"a":1,"b":[2,{"c":3,"d":4}]}"#,
            r#"{"b":[2,{"d":4,"c":3}],"a":1}"#,
            true,
        );
        check(r#"{"a" : [ 1 , 2 ] }"#, r#"{"a":[1,2]}"#, true);
        check(r#"{"a":"é\n"}"#, r#"{"a":"\u00e9\u000a"}"#, true);
        check(r#"{"\u0061":true}"#, r#"{"a":true}"#, true);
        check("{}", "{ }", true);
    }

    #[test]
    fn every_value_counts() {
        check(r#"{"a":1}"#, r#"{"a":1.0}"#, false);
        check(r#"{"a":1}"#, r#"{"a":"1"}"#, false);
        check(r#"{"a":[]}"#, r#"{"a":{}}"#, false);
        check(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false);
        check(r#"{"a":[[1],2]}"#, r#"{"a":[[1,2]]}"#, false);
        check(r#"{"a":"x\"}"}"#, r#"{"a":"x"}"#, false);
        check(r#"{"a":null}"#, "{}", false);
        check(
            r#"{"a":12345678901234567890}"#,
            r#"{"a":12345678901234567891}"#,
            false,
        );
    }
}
