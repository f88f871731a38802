//! Where a URL of a server leads, as strictly as only what is sure can be shown to a person.
//!
//! Browsers repair what is no URL, each in its own way: whoever shows the host of such a text
//! shows another one than will be opened. So there is no host of what has anything to repair.

use super::output::is_hidden;

/// A web address taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// The scheme with its slashes.
    pub before: &'a str,
    /// The host and its port: what decides whom one visits.
    pub host: &'a str,
    pub after: &'a str,
}

impl Address<'_> {
    /// The error says why it cannot be trusted.
    pub fn parse(url: &str) -> Result<Address<'_>, &'static str> {
        if url.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control() || is_joint(c)) {
            return Err("it holds characters that no address has");
        }
        let schemes = ["https://", "http://"];
        let Some(scheme) = schemes.into_iter().find(|scheme| url.starts_with(scheme)) else {
            return Err("it is no web address");
        };
        let (before, rest) = url.split_at(scheme.len());
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, after) = rest.split_at(end);
        if host.contains('@') {
            return Err("it names a user before its host, to look like another");
        }
        match is_host(host) {
            true => Ok(Address {
                before,
                host,
                after,
            }),
            false => Err("it has no sound host"),
        }
    }
}

/// Letters, digits, dots and hyphens, or an IPv6 address in brackets; then perhaps a port.
fn is_host(text: &str) -> bool {
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            let port = port.strip_prefix(':').map_or(port.is_empty(), digits);
            port && address.parse::<std::net::Ipv6Addr>().is_ok()
        });
    }
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let is_good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    name.starts_with(char::is_alphanumeric) && name.chars().all(is_good) && digits(port)
}

/// What cannot be seen; in an address even what some scripts need between letters.
fn is_joint(c: char) -> bool {
    is_hidden(c) || matches!(c, '\u{200c}' | '\u{200d}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_stands_there() {
        let rows = [
            ("https://a.example/x?y#z", "a.example"),
            ("http://a.example:8080", "a.example:8080"),
            ("https://[::1]:1/x", "[::1]:1"),
            ("https://a.example?u=https://b.example/", "a.example"),
            ("https://a.example/@b.example", "a.example"),
            ("https://bücher.example/", "bücher.example"),
        ];
        for (url, host) in rows {
            let address = Address::parse(url).expect(url);
            assert_eq!(address.host, host);
            let whole = [address.before, address.host, address.after].concat();
            assert_eq!(whole, url);
        }
    }

    #[test]
    fn what_a_browser_would_repair_has_no_host() {
        for url in [
            "https://bank.example\\@evil.example/",
            "https://evil.example\\.bank.example/",
            "https:///evil.example/",
            "https://\tevil.example/",
            "https://evil.example\n.bank.example/",
            "https://bank.example@evil.example/x?y",
            "https://bank.example%40evil.example/",
            "https://bank.example\u{200d}.evil.example/",
            "https://\u{202e}elpmaxe.knab/",
            "https://",
            "https://?x",
            "https://:80/",
            "https://a.example:80b/",
            "https://[::1/",
            "HTTPS://a.example",
            "file:///etc",
            "javascript:alert(1)",
            "",
        ] {
            assert!(Address::parse(url).is_err(), "{url:?}");
        }
    }
}
