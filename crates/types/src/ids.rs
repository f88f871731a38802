//! Names people choose and ids the platform mints.

use std::{fmt, sync::Arc};

/// A name that does not follow the rule of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    /// What was being named: "tenant", "server", "worker".
    pub kind: &'static str,
    /// The rule, for the person who chose the name.
    pub rule: &'static str,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} name {}", self.kind, self.rule)
    }
}

impl std::error::Error for BadName {}

const LABEL_RULE: &str =
    "has 1 to 63 characters of a-z, 0-9 and '-', and starts with a letter or digit";

fn is_label(name: &str) -> bool {
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    (1..=63).contains(&name.len()) && !name.starts_with('-') && name.as_bytes().iter().all(inner)
}

/// Who pays. The first component of every key, limit and record.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Checks the rule for labels: 1 to 63 of `a-z0-9-`, not starting with `-`.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        let bad = BadName {
            kind: "tenant",
            rule: LABEL_RULE,
        };
        is_label(name).then(|| Self(name.into())).ok_or(bad)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a Server within its tenant.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(Arc<str>);

impl ServerName {
    /// Checks the rule for labels: 1 to 63 of `a-z0-9-`, not starting with `-`.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        let bad = BadName {
            kind: "server",
            rule: LABEL_RULE,
        };
        is_label(name).then(|| Self(name.into())).ok_or(bad)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A hosted MCP server, logical: many workers may serve it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId {
    pub tenant: TenantId,
    pub name: ServerName,
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The stable name of a worker, bound to its credential.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// 1 to 128 characters of `A-Za-z0-9._-`.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        let inner = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
        let good = (1..=128).contains(&name.len()) && name.as_bytes().iter().all(inner);
        let bad = BadName {
            kind: "worker",
            rule: "has 1 to 128 characters of A-Z, a-z, 0-9, '.', '_' and '-'",
        };
        good.then(|| Self(name.into())).ok_or(bad)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! show_name {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

show_name!(TenantId, ServerName, WorkerId);

/// Which run of a worker process: chosen at its start, a higher one replaces a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceEpoch(pub u64);

/// One of 256 parts of the key space; the first byte of every minted id, so that any node
/// finds an id's owner without a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(pub u8);

/// One request in flight to a worker. The first byte is the shard of its owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u128);

impl CallId {
    pub fn shard(self) -> Shard {
        Shard(self.0.to_be_bytes()[0])
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! durable_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 24]);

        impl $name {
            pub fn shard(self) -> Shard {
                Shard(self.0[0])
            }
        }

        /// A short form for logs: never enough to use the id.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [_, a, b, c, d, ..] = self.0;
                write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}…")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
}

durable_id!(
    /// A legacy session: one shard byte and 184 random bits. Its wire form is authenticated.
    SessionId
);
durable_id!(
    /// A task or a parked call: one shard byte and 184 random bits. Its wire form is authenticated.
    TaskId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_rule() {
        for good in ["a", "acme", "0-1", "x".repeat(63).as_str()] {
            assert!(TenantId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a/b", "a_b", "ä", "x".repeat(64).as_str()] {
            assert!(ServerName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_session_id_in_a_log_does_not_give_the_session_away() {
        let id = SessionId([7; 24]);
        assert_eq!(id.to_string(), "07070707…");
    }
}
