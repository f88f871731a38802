//! The client: one Server, whatever it speaks.

use std::collections::BTreeSet;

use ostler_env::Env;
use ostler_protocol::{Raw, Revision, facet::SKILLS_EXTENSION, schema_rules};
use tokio::sync::watch;

use crate::{
    error::{Error, protocol},
    host::{Abilities, Behalf, Host, Notice},
    http::{Endpoint, Http},
    json,
    legacy::Legacy,
    limits::Limits,
    modern::Modern,
    negotiate::{self, EraChoice},
    news,
    pace::Goodbyes,
    pipe::{Pipe, Piped},
    request::{Filter, ListKind, Request},
    stop::Stop,
    way::Way,
};

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
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

/// A connection to one Server, for any number of requests at once.
pub struct Client {
    pub(crate) dialect: Dialect,
    pub(crate) facts: Facts,
    way: Way,
    options: Options,
}

pub(crate) enum Dialect {
    Modern(Box<Modern>),
    Legacy(Box<Legacy>),
}

impl Client {
    /// Finds out what the server at a URL speaks, and opens a session if it needs one.
    pub async fn connect(env: Env, endpoint: &Endpoint, options: Options) -> Result<Client, Error> {
        let http = Http::new(env, endpoint, options.limits.clone())?;
        let goodbyes = Goodbyes::start(http.pace.clone());
        Self::begin(Way::Http(Box::new(http), goodbyes), options).await
    }

    /// The same over a pipe. Some legacy servers end when they are asked what they do not know:
    /// where this says `Broken`, a new one can be asked in [`EraChoice::Legacy`].
    pub async fn over(env: Env, pipe: Pipe, options: Options) -> Result<Client, Error> {
        let piped = Piped::start(env, pipe, options.limits.clone());
        Self::begin(Way::Pipe(Box::new(piped)), options).await
    }

    async fn begin(way: Way, options: Options) -> Result<Client, Error> {
        let (dialect, facts) = tokio::select! {
            biased;
            () = options.stop.wait() => return Err(Error::Stopped),
            // Boxed, because every way to connect is in it.
            found = Box::pin(negotiate::negotiate(&way, &options)) => found?,
        };
        Ok(Client {
            dialect,
            facts,
            way,
            options,
        })
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// A whole list, its pages followed. One the server does not offer is empty.
    pub async fn list(&self, kind: ListKind, host: &mut dyn Host) -> Result<Vec<Raw>, Error> {
        if !self.facts.has_list(kind) {
            return Ok(Vec::new());
        }
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut cursors = BTreeSet::new();
        let mut params = Raw::empty_object();
        let limits = &self.options.limits;
        for _ in 0..limits.pages_max {
            let page = self.simple(kind.method(), params, host).await?;
            let Some(found) = page.get(kind.member()) else {
                return protocol(format!("{} gives no {}", kind.method(), kind.member()));
            };
            bytes += found.as_str().len();
            entries.extend(found.elements());
            if entries.len() > limits.entries_max || bytes > limits.list_bytes_max {
                return protocol("a list without end");
            }
            // An empty string is a cursor like any other ([P-3]).
            let Some(cursor) = json::text_member(&page, "nextCursor") else {
                return Ok(self.callable(kind, entries, host));
            };
            params = json::object([("cursor", Raw::from_text(&cursor))]);
            if !cursors.insert(cursor) {
                return protocol("the pages of a list go in a circle");
            }
        }
        protocol(format!("more than {} pages", limits.pages_max))
    }

    /// Without the tools whose schema breaks the rules of mirrored arguments: what a proxy would
    /// read there could be something else than what the server reads ([XH-4]). Legacy servers
    /// mirror nothing ([XH-6]).
    fn callable(&self, kind: ListKind, entries: Vec<Raw>, host: &mut dyn Host) -> Vec<Raw> {
        let is_mirrored = matches!(self.dialect, Dialect::Modern(_)) && kind == ListKind::Tools;
        if !is_mirrored {
            return entries;
        }
        let is_sound = |tool: &Raw| {
            let schema = tool.get("inputSchema").unwrap_or_default();
            let Err(why) = schema_rules::param_rules(&schema) else {
                return true;
            };
            host.notice(Notice::Dropped {
                tool: json::text_member(tool, "name").unwrap_or_default(),
                reason: format!("{} ({})", why.reason, why.at),
            });
            false
        };
        entries.into_iter().filter(is_sound).collect()
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
            // Boxed here and below, so that what holds a request stays small.
            Dialect::Modern(modern) => Box::pin(modern.run(request, host)).await,
            Dialect::Legacy(legacy) => Box::pin(legacy.run(request, host)).await,
        }
    }

    /// Hears of changes until it is stopped or the server is gone. What is wanted may change
    /// meanwhile.
    pub async fn listen(
        &self,
        mut wanted: watch::Receiver<Filter>,
        host: &mut dyn Host,
    ) -> Result<(), Error> {
        match &self.dialect {
            Dialect::Modern(modern) => {
                Box::pin(modern.listen(&mut wanted, &self.facts, host)).await
            }
            Dialect::Legacy(legacy) => {
                let anew = (&self.way, self.facts.revision, &self.options);
                Box::pin(legacy.listen(&mut wanted, anew, host)).await
            }
        }
    }

    /// Ends when the server has answered something, be it with an error: it is there and at work.
    /// A hung one never answers, so the caller says how long that may take.
    pub async fn ping(&self) -> Result<(), Error> {
        // Modern servers have no word for it; what they know all is as short ([D-1]).
        let method = match &self.dialect {
            Dialect::Modern(_) => "server/discover",
            Dialect::Legacy(_) => "ping",
        };
        let mut deaf = news::Deaf;
        match self.simple(method, Raw::empty_object(), &mut deaf).await {
            Ok(_) | Err(Error::Rpc(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// From now on logs less severe than this are not wanted. Modern servers are told with each
    /// request instead, by the host's [`Behalf`](crate::Behalf).
    pub async fn set_log_level(&self, level: &str) -> Result<(), Error> {
        match &self.dialect {
            Dialect::Legacy(legacy) if self.facts.offers("logging") => {
                legacy.set_log_level(level).await
            }
            Dialect::Legacy(_) | Dialect::Modern(_) => Ok(()),
        }
    }

    /// Waits until no request can be made any more, and says why: the pipe, or the stream that all
    /// share, has ended. Where each request has a connection of its own it waits for ever.
    // Cancel safe: it only looks.
    pub async fn gone(&self) -> String {
        match (&self.dialect, &self.way) {
            (Dialect::Legacy(legacy), _) => legacy.line.switch.broken().await,
            (Dialect::Modern(_), Way::Pipe(piped)) => piped.switch.broken().await,
            (Dialect::Modern(_), Way::Http(..)) => std::future::pending().await,
        }
    }

    /// Says goodbye. A server that does not hear it forgets the session in time.
    pub async fn close(&self) {
        match &self.dialect {
            Dialect::Modern(modern) => modern.close().await,
            Dialect::Legacy(legacy) => legacy.close().await,
        }
    }

    async fn simple(
        &self,
        method: &'static str,
        params: Raw,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        match &self.dialect {
            Dialect::Modern(modern) => Box::pin(modern.simple(method, params, host)).await,
            Dialect::Legacy(legacy) => Box::pin(legacy.simple(method, params, host)).await,
        }
    }
}

impl Options {
    /// On whose behalf requests are made whose host says nothing of it.
    pub(crate) fn behalf(&self) -> Behalf {
        Behalf {
            owner: 0,
            abilities: self.abilities,
            log_level: self.log_level.clone(),
        }
    }
}

impl Facts {
    /// Whether a capability is declared.
    pub fn offers(&self, capability: &str) -> bool {
        self.capabilities.get(capability).is_some()
    }

    /// Whether an extension is declared.
    pub fn extends(&self, extension: &str) -> bool {
        let declared = self.capabilities.get("extensions").unwrap_or_default();
        declared.get(extension).is_some()
    }

    /// Whether it gives this list.
    pub fn has_list(&self, kind: ListKind) -> bool {
        let is_extended = kind != ListKind::Skills || self.extends(SKILLS_EXTENSION);
        self.offers(kind.capability()) && is_extended
    }

    /// Whether it tells of changes of this list. Skills have no word for that.
    pub fn tells_changes(&self, kind: ListKind) -> bool {
        kind != ListKind::Skills && self.offers_feature(kind.capability(), "listChanged")
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
