//! The client: one Server, whatever it speaks.

use std::collections::BTreeSet;

use ostler_env::Env;
use ostler_protocol::{Raw, Revision};

use crate::{
    error::{Error, protocol},
    host::{Abilities, Host},
    http::{Endpoint, Http},
    json,
    legacy::Legacy,
    limits::Limits,
    modern::Modern,
    negotiate::{self, EraChoice},
    request::{Filter, ListKind, Request},
    stop::Stop,
};

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    pub endpoint: Endpoint,
    pub choice: EraChoice,
    /// What will be declared; the host must be able to answer it.
    pub abilities: Abilities,
    /// The least severe log messages wanted; none without one.
    pub log_level: Option<String>,
    pub limits: Limits,
    pub stop: Stop,
}

/// What a server says of itself.
#[derive(Debug, Clone)]
pub struct Facts {
    pub revision: Revision,
    /// Over the two endpoints of 2024-11-05; the revision may be a later one ([A-7]).
    pub is_pair: bool,
    /// `serverInfo`, if it gave one.
    pub info: Raw,
    pub capabilities: Raw,
    pub instructions: Option<String>,
    /// All revisions it named; a legacy one names one only.
    pub supported: Vec<String>,
}

/// A connection to one Server. Requests may run at once, except over HTTP+SSE.
pub struct Client {
    pub(crate) dialect: Dialect,
    pub(crate) facts: Facts,
    limits: Limits,
}

pub(crate) enum Dialect {
    Modern(Box<Modern>),
    Legacy(Box<Legacy>),
}

impl Client {
    /// Finds out what the server speaks, and opens a session if it needs one.
    pub async fn connect(env: Env, options: Options) -> Result<Client, Error> {
        let http = Http::new(env, &options.endpoint, options.limits.clone())?;
        let (limits, stop) = (options.limits.clone(), options.stop.clone());
        let (dialect, facts) = tokio::select! {
            biased;
            () = stop.wait() => return Err(Error::Stopped),
            // Boxed, because every way to connect is in it.
            found = Box::pin(negotiate::negotiate(http, options)) => found?,
        };
        Ok(Client {
            dialect,
            facts,
            limits,
        })
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// A whole list, its pages followed. One the server does not offer is empty.
    pub async fn list(&self, kind: ListKind, host: &mut dyn Host) -> Result<Vec<Raw>, Error> {
        if !self.facts.offers(kind.capability()) {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        let mut cursors = BTreeSet::new();
        let mut params = Raw::empty_object();
        for _ in 0..self.limits.pages_max {
            let page = self.simple(kind.method(), params, host).await?;
            let Some(found) = page.get(kind.member()) else {
                return protocol(format!("{} gives no {}", kind.method(), kind.member()));
            };
            entries.extend(found.elements());
            if entries.len() > self.limits.entries_max {
                return protocol(format!("more than {} entries", self.limits.entries_max));
            }
            // An empty string is a cursor like any other ([P-3]).
            let Some(cursor) = json::text(&page, "nextCursor") else {
                return Ok(entries);
            };
            params = json::object([("cursor", Raw::from_text(&cursor))]);
            if !cursors.insert(cursor) {
                return protocol("the pages of a list go in a circle");
            }
        }
        protocol(format!("more than {} pages", self.limits.pages_max))
    }

    /// A request to its end: asks are answered, tasks followed, broken streams taken up again.
    pub async fn run(&self, request: &Request, host: &mut dyn Host) -> Result<Raw, Error> {
        if let Request::Complete { .. } = request
            && self.facts.revision.has_completions_capability()
            && !self.facts.offers("completions")
        {
            return Err(Error::NotOffered("completions"));
        }
        match &self.dialect {
            Dialect::Modern(modern) => modern.run(request, host).await,
            Dialect::Legacy(legacy) => legacy.run(request, host).await,
        }
    }

    /// Hears of changes until it is stopped or the server is gone.
    pub async fn listen(&self, filter: &Filter, host: &mut dyn Host) -> Result<(), Error> {
        match &self.dialect {
            Dialect::Modern(modern) => modern.listen(filter, &self.facts, host).await,
            Dialect::Legacy(legacy) => legacy.listen(filter, host).await,
        }
    }

    /// Says goodbye. A server that does not hear it forgets the session in time.
    pub async fn close(self) {
        match self.dialect {
            Dialect::Modern(_) => {}
            Dialect::Legacy(legacy) => legacy.close().await,
        }
    }

    async fn simple(&self, method: &str, params: Raw, host: &mut dyn Host) -> Result<Raw, Error> {
        match &self.dialect {
            Dialect::Modern(modern) => modern.simple(method, &params, host).await,
            Dialect::Legacy(legacy) => legacy.simple(method, params, host).await,
        }
    }
}

impl Facts {
    /// Whether a capability is declared.
    pub fn offers(&self, capability: &str) -> bool {
        self.capabilities.get(capability).is_some()
    }

    /// Whether a capability is declared with this feature of it.
    pub fn offers_feature(&self, capability: &str, feature: &str) -> bool {
        let declared = self.capabilities.get(capability).unwrap_or_default();
        declared.get(feature).and_then(|raw| raw.boolean()) == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever holds a client may move to another thread.
    #[allow(dead_code, reason = "it compiles, that is the test")]
    fn everything_can_be_sent(client: &Client, request: &Request, host: &mut dyn Host) {
        fn sent(_: impl Send) {}
        sent(client.run(request, host));
    }
}
