//! Host and Origin, each checked on its own: a page of another site that reaches us through DNS
//! rebinding has a foreign Host, one that reaches us directly has a foreign Origin.
//! protocol.md section 10; GHSA-89xv-2j6f-qhc8 and its kin.

use std::{borrow::Cow, collections::HashSet, net::SocketAddr};

use http::{HeaderMap, Uri, Version, header};

use crate::{config::Config, rejection::Refused};

/// The names and origins this edge answers to.
#[derive(Debug)]
pub struct Gate {
    hosts: HashSet<String>,
    origins: HashSet<String>,
    /// Listening on loopback: its names are good with any port, as are origins of them.
    loopback: bool,
}

impl Gate {
    pub fn new(config: &Config, bound: SocketAddr) -> Self {
        let lower = |names: &[String]| names.iter().map(|n| n.to_ascii_lowercase()).collect();
        Self {
            hosts: lower(&config.hosts),
            origins: lower(&config.origins),
            loopback: bound.ip().is_loopback(),
        }
    }

    /// The request's Host is one of ours [OR-3]. HTTP/2 carries it in `:authority`.
    pub fn check_host(
        &self,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refused> {
        let mut lines = headers.get_all(header::HOST).iter();
        let line = lines.next();
        if lines.next().is_some() {
            return Err(Refused::BadHost("Host was sent twice"));
        }
        let authority = uri.authority().map(|a| a.as_str());
        let host = match (version, authority, line) {
            (Version::HTTP_2, Some(authority), None) => authority,
            (Version::HTTP_2, Some(authority), Some(line))
                if line.as_bytes() == authority.as_bytes() =>
            {
                authority
            }
            (Version::HTTP_2, _, _) => {
                return Err(Refused::BadHost(
                    "Host differs from :authority or is missing",
                ));
            }
            (_, _, Some(line)) => line
                .to_str()
                .map_err(|_| Refused::BadHost("Host is not plain text"))?,
            (_, _, None) => return Err(Refused::BadHost("Host is missing")),
        };
        self.knows_host(host)
            .then_some(())
            .ok_or(Refused::ForeignHost)
    }

    fn knows_host(&self, host: &str) -> bool {
        let host = lower_case(host);
        self.hosts.contains(&*host)
            || self.hosts.contains(name_of(&host))
            || (self.loopback && is_loopback_name(name_of(&host)))
    }

    /// The request's Origin, if it has one, may call us [OR-1]. Gives the origin to echo.
    pub fn check_origin<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, Refused> {
        let mut lines = headers.get_all(header::ORIGIN).iter();
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        let origin = line.to_str().ok().filter(|_| lines.next().is_none());
        let origin = origin.ok_or(Refused::ForeignOrigin)?;
        self.knows_origin(origin)
            .then_some(Some(origin))
            .ok_or(Refused::ForeignOrigin)
    }

    fn knows_origin(&self, origin: &str) -> bool {
        let origin = lower_case(origin);
        if self.origins.contains(&*origin) {
            return true;
        }
        let host = origin
            .strip_prefix("http://")
            .or(origin.strip_prefix("https://"));
        self.loopback && host.is_some_and(|host| is_loopback_name(name_of(host)))
    }
}

/// Nearly every client writes it so already.
fn lower_case(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// The name in `name`, `name:port`, `[v6]` or `[v6]:port`.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_loopback_name(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(listen: &str, hosts: &[&str], origins: &[&str]) -> Gate {
        let config = Config {
            hosts: hosts.iter().map(|h| h.to_string()).collect(),
            origins: origins.iter().map(|o| o.to_string()).collect(),
            ..Config::default()
        };
        Gate::new(&config, listen.parse().expect("an address"))
    }

    #[test]
    fn loopback_names_are_good_only_on_loopback() {
        for host in ["localhost", "127.0.0.1:8080", "[::1]:1", "LocalHost:9"] {
            assert!(gate("127.0.0.1:1", &[], &[]).knows_host(host), "{host}");
            assert!(!gate("10.0.0.1:1", &[], &[]).knows_host(host), "{host}");
        }
    }

    #[test]
    fn only_named_hosts_are_good_elsewhere() {
        let gate = gate("0.0.0.0:80", &["mcp.test", "x.test:8443"], &[]);
        for good in ["mcp.test", "MCP.test:443", "x.test:8443"] {
            assert!(gate.knows_host(good), "{good}");
        }
        for bad in ["evil.test", "mcp.test.evil.test", "x.test", "x.test:1", ""] {
            assert!(!gate.knows_host(bad), "{bad}");
        }
    }

    #[test]
    fn origins_are_compared_whole() {
        let gate = gate("127.0.0.1:1", &[], &["https://app.test"]);
        for good in ["https://app.test", "http://localhost:3000", "https://[::1]"] {
            assert!(gate.knows_origin(good), "{good}");
        }
        for bad in [
            "http://app.test",
            "https://app.test.evil.test",
            "null",
            "http://localhost.evil.test",
        ] {
            assert!(!gate.knows_origin(bad), "{bad}");
        }
    }
}
