//! The names a node answers to, in the one form in which they are compared.

use toml::de::DeValue;

use super::reader::Value;

/// Values of Host: `host` or `host:port`.
pub fn hosts(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let rule = "must be host or host:port such as mcp.example.com";
    checked(value, rule, is_host)
}

/// Values of Origin: `scheme://host[:port]`, as browsers send them [OR-1].
pub fn origins(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let rule = "must be scheme://host or scheme://host:port, without a path or a slash at the end";
    checked(value, rule, is_origin)
}

fn checked(
    value: &DeValue<'_>,
    rule: &str,
    is_good: fn(&str) -> bool,
) -> Result<Vec<String>, String> {
    let names = Vec::<String>::read(value)?;
    match names.iter().find(|name| !is_good(name)) {
        None => Ok(names),
        Some(bad) => Err(format!("{rule}, not {bad:?}")),
    }
}

fn is_origin(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    text.split_once("://")
        .is_some_and(|(scheme, host)| is_scheme(scheme) && is_host(host))
}

fn is_host(text: &str) -> bool {
    // The colons of an IPv6 address stand in brackets.
    let after_v6 = text.find(']').map_or(0, |end| end + 1);
    let (name, port) = match text[after_v6..].find(':') {
        Some(colon) => text.split_at(after_v6 + colon),
        None => (text, ":0"),
    };
    let is_name = match name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    !name.is_empty() && is_name && port[1..].parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for good in [
            "https://a.example",
            "http://[::1]:80",
            "vscode-webview://a",
            "http://A:8080",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "a.example",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a:",
            "https://a:x",
            "https://a:70000",
            "https://u@a",
            "https://a?b",
            "https://*.a",
            "://a",
            "https://a b",
            "https://[::1",
            "https://::1",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn a_host_has_no_scheme() {
        for good in [
            "localhost",
            "a.example:8080",
            "127.0.0.1",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", ":80", "https://a", "a/", "*", "a:b:1"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
