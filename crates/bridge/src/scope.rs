//! Who may share an upstream with whom.

use std::fmt;

use ostler_worker::CallerAssertion;
use serde::Deserialize;

/// How far an upstream is shared, as its operator chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// One for all callers.
    #[default]
    Shared,
    /// One for each principal.
    PerPrincipal,
    /// One for each legacy session. A modern call has none, so there it is its principal's.
    PerSession,
}

/// Those who share one upstream: equal scopes do.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    All,
    Principal {
        tenant: String,
        issuer: String,
        subject: String,
        client: String,
    },
    /// The platform's key of a session, which no two sessions have in common.
    Session(String),
}

impl Isolation {
    /// `session` is empty where there is none.
    pub fn scope(self, caller: &CallerAssertion, session: &str) -> Scope {
        match self {
            Isolation::Shared => Scope::All,
            Isolation::PerSession if !session.is_empty() => Scope::Session(session.to_owned()),
            Isolation::PerPrincipal | Isolation::PerSession => Scope::Principal {
                tenant: caller.tenant.clone(),
                issuer: caller.issuer.clone(),
                subject: caller.subject.clone(),
                client: caller.client.clone(),
            },
        }
    }
}

/// Without the session: a log shows who called, and does not follow what they do.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => write!(f, "all"),
            Scope::Principal {
                issuer, subject, ..
            } => write!(f, "{issuer}:{subject}"),
            Scope::Session(_) => write!(f, "a session"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(subject: &str, client: &str) -> CallerAssertion {
        CallerAssertion {
            tenant: "t".into(),
            issuer: "key".into(),
            subject: subject.into(),
            client: client.into(),
            ..CallerAssertion::default()
        }
    }

    #[test]
    fn callers_share_what_their_isolation_lets_them() {
        let (one, other) = (caller("a", "x"), caller("a", "y"));
        // Isolation, the sessions of two callers, and whether they share.
        for (isolation, [session, other_session], [same_caller, other_caller]) in [
            (Isolation::Shared, ["1", "2"], [true, true]),
            (Isolation::PerPrincipal, ["1", "2"], [true, false]),
            (Isolation::PerSession, ["1", "2"], [false, false]),
            (Isolation::PerSession, ["1", "1"], [true, true]),
            (Isolation::PerSession, ["", ""], [true, false]),
            (Isolation::PerSession, ["1", ""], [false, false]),
        ] {
            let scope = isolation.scope(&one, session);
            let shares =
                [&one, &other].map(|caller| isolation.scope(caller, other_session) == scope);
            assert_eq!(
                shares,
                [same_caller, other_caller],
                "{isolation:?} {session:?}"
            );
        }
    }
}
