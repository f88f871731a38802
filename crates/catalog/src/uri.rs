//! Resource URIs: what may reach a worker.

use ostler_protocol::text;

/// Longest URI that is looked at, in bytes.
pub(crate) const URI_BYTES_MAX: usize = 8 << 10;

/// Rounds of percent-decoding that are looked into: a worker may decode once more than it should.
const DECODES_MAX: usize = 3;

/// Whether `uri` can be the name of a resource: a scheme, and no blank or hidden characters.
pub(crate) fn check_name(uri: &str) -> Result<(), String> {
    check_text(uri)?;
    match has_scheme(uri) {
        true => Ok(()),
        false => Err("does not start with a scheme such as \"file:\"".to_owned()),
    }
}

/// The same for a template, whose scheme may be what a client fills in: a URI must have one before
/// it is matched.
pub(crate) fn check_template(template: &str) -> Result<(), String> {
    match template.starts_with('{') {
        true => check_text(template),
        false => check_name(template),
    }
}

fn check_text(uri: &str) -> Result<(), String> {
    if uri.len() > URI_BYTES_MAX {
        return Err(format!("is longer than {URI_BYTES_MAX} bytes"));
    }
    if uri.chars().any(|c| c.is_whitespace()) {
        return Err("holds white space".to_owned());
    }
    text::check(uri)
}

fn has_scheme(uri: &str) -> bool {
    let Some((scheme, _)) = uri.split_once(':') else {
        return false;
    };
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(inner)
}

/// Whether a URI that a client made up may be matched with a template: no traversal, no hidden
/// separators, however they are encoded (RPC-046).
pub(crate) fn is_safe(uri: &str) -> bool {
    if check_name(uri).is_err() {
        return false;
    }
    let Some(mut decoded) = decode(uri) else {
        return false;
    };
    if climbs(uri.as_bytes()) || hides_separator(uri.as_bytes()) {
        return false;
    }
    for _ in 0..DECODES_MAX {
        if climbs(&decoded) || hides_separator(&decoded) || decoded.iter().any(u8::is_ascii_control)
        {
            return false;
        }
        match std::str::from_utf8(&decoded).ok().and_then(decode) {
            Some(again) if again != decoded => decoded = again,
            _ => return true,
        }
    }
    // Still not at its end after three rounds: nobody encodes that often for a good reason.
    false
}

/// A `..` or `.` segment.
fn climbs(bytes: &[u8]) -> bool {
    let up = |segment: &[u8]| segment == b"..";
    let wide = |b: &u8| matches!(b, b'/' | b'\\' | b'?' | b'#' | b'&' | b'=' | b';' | b',');
    let slash = |b: &u8| matches!(b, b'/' | b'\\');
    bytes.split(wide).any(up) || bytes.split(slash).any(|segment| segment == b".")
}

/// An encoded `/`, `\` or NUL.
fn hides_separator(bytes: &[u8]) -> bool {
    let hidden = |w: &[u8]| {
        let digits = [w[1].to_ascii_lowercase(), w[2].to_ascii_lowercase()];
        w[0] == b'%' && matches!(&digits, b"2f" | b"5c" | b"00")
    };
    bytes.windows(3).any(hidden)
}

/// Percent-decodes; nothing if a `%` is not followed by two hex digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                decoded.push(u8::try_from(high * 16 + low).ok()?);
            }
            other => decoded.push(other),
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traversal_is_refused_however_it_is_written() {
        for bad in [
            "file:///../../etc/passwd",
            "file:///a/..",
            "file:///a/./b",
            "mem://doc/..%2f..%2fx",
            "mem://doc/..%2F",
            "mem://doc/%2e%2e/x",
            "mem://doc/%2E./x",
            "mem://doc/%252e%252e/x",
            "mem://doc/%252fx",
            "mem://doc/%25252fx",
            "mem://doc/%00",
            "mem://doc/%5c..",
            "mem://doc/..\\x",
            "mem://doc?path=../x",
            "mem://doc/%0a",
            "mem://doc/%1",
            "mem://doc/%zz",
            "mem://doc/a b",
            "no-scheme",
            "",
        ] {
            assert!(!is_safe(bad), "{bad:?}");
        }
    }

    #[test]
    fn ordinary_uris_pass() {
        for good in [
            "file:///a/b.txt",
            "file:///a/...",
            "mem://doc/..x",
            "mem://doc/100%25",
            "mem://doc/a%20b",
            "https://example.com/a?b=c&d=.e#f",
            "urn:isbn:0451450523",
            "mem://größe/日本",
            "test://template/123/data",
        ] {
            assert!(is_safe(good), "{good:?}");
        }
    }

    #[test]
    fn a_long_uri_is_refused() {
        assert!(!is_safe(&format!("mem://{}", "x".repeat(URI_BYTES_MAX))));
    }
}
