//! Kind 10: the session itself [SES-10].

use std::sync::Arc;

use minicbor::{Decode, Encode};
use ostler_catalog::Fingerprints;
use ostler_protocol::{Revision, call::LogLevel, facet::ClientFacet, json::Raw};
use ostler_types::{Principal, ServerName, Timestamp};

use crate::{
    record::{Kind, Row},
    state::{ListKinds, Restored},
};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct SessionRow {
    #[n(0)]
    server: String,
    #[n(1)]
    issuer: String,
    #[n(2)]
    subject: String,
    #[n(3)]
    client: String,
    #[n(4)]
    revision: String,
    /// As the client wrote them [CAP-5].
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    capabilities: Vec<u8>,
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    client_info: Vec<u8>,
    #[n(7)]
    created_ms: u64,
    /// When it was last known to be used; late by up to a tenth of the idle time.
    #[n(8)]
    used_ms: u64,
    /// Raised at each activation.
    #[n(9)]
    pub epoch: u64,
    #[n(10)]
    pub initialized: bool,
    #[n(11)]
    log_level: Option<String>,
    #[n(12)]
    subscriptions: Vec<String>,
    #[n(13)]
    unseen_tools: bool,
    #[n(14)]
    unseen_prompts: bool,
    #[n(15)]
    unseen_resources: bool,
    /// What the client knows of the catalog.
    #[n(16)]
    seen_tools: u64,
    #[n(17)]
    seen_prompts: u64,
    #[n(18)]
    seen_resources: u64,
}

impl Row for SessionRow {
    const KIND: Kind = Kind::Session;
}

/// What is known when a session is opened, and never changes.
pub(crate) struct Opening<'a> {
    pub server: &'a ServerName,
    pub principal: &'a Principal,
    pub revision: Revision,
    pub capabilities: &'a Raw,
    pub client_info: &'a Raw,
    pub now: Timestamp,
}

impl SessionRow {
    /// A session that was never live: its first activation raises the epoch to 1.
    pub fn new(opening: &Opening<'_>) -> Self {
        let Opening {
            server,
            principal,
            revision,
            capabilities,
            client_info,
            now,
        } = opening;
        SessionRow {
            server: server.as_str().to_owned(),
            issuer: principal.issuer.to_string(),
            subject: principal.subject.to_string(),
            client: principal.client.to_string(),
            revision: revision.as_str().to_owned(),
            capabilities: capabilities.bytes().to_vec(),
            client_info: client_info.bytes().to_vec(),
            created_ms: now.0,
            used_ms: now.0,
            epoch: 0,
            initialized: false,
            log_level: None,
            subscriptions: Vec::new(),
            unseen_tools: false,
            unseen_prompts: false,
            unseen_resources: false,
            seen_tools: 0,
            seen_prompts: 0,
            seen_resources: 0,
        }
    }

    pub fn server(&self) -> Option<ServerName> {
        ServerName::parse(&self.server).ok()
    }

    pub fn principal(&self) -> Principal {
        Principal {
            issuer: self.issuer.as_str().into(),
            subject: self.subject.as_str().into(),
            client: self.client.as_str().into(),
        }
    }

    pub fn revision(&self) -> Option<Revision> {
        Revision::parse(&self.revision)
    }

    pub fn facet(&self) -> Option<ClientFacet> {
        let capabilities = self.capabilities.clone().into();
        let capabilities = Raw::parse(capabilities, usize::MAX).ok()?;
        ClientFacet::from_capabilities(&capabilities, self.revision()?).ok()
    }

    pub fn created(&self) -> Timestamp {
        Timestamp(self.created_ms)
    }

    pub fn used(&self) -> Timestamp {
        Timestamp(self.used_ms)
    }

    pub fn set_used(&mut self, now: Timestamp) {
        self.used_ms = now.0;
    }

    /// What is said to have happened later has happened now: no session lives for ever because a
    /// clock once ran ahead.
    pub fn limit_to(&mut self, now: Timestamp) {
        self.created_ms = self.created_ms.min(now.0);
        self.used_ms = self.used_ms.min(now.0);
    }

    pub fn restored(&self) -> Restored {
        let subscriptions = self.subscriptions.iter();
        Restored {
            initialized: self.initialized,
            log_level: self.log_level.as_deref().and_then(LogLevel::parse),
            subscriptions: subscriptions.map(|uri| uri.as_str().into()).collect(),
            unseen: ListKinds {
                tools: self.unseen_tools,
                prompts: self.unseen_prompts,
                resources: self.unseen_resources,
            },
        }
    }

    pub fn set_log_level(&mut self, level: LogLevel) {
        self.log_level = Some(level.as_str().to_owned());
    }

    pub fn set_subscriptions<'a>(&mut self, uris: impl Iterator<Item = &'a Arc<str>>) {
        self.subscriptions = uris.map(|uri| uri.to_string()).collect();
    }

    pub fn set_unseen(&mut self, lists: ListKinds) {
        self.unseen_tools = lists.tools;
        self.unseen_prompts = lists.prompts;
        self.unseen_resources = lists.resources;
    }

    pub fn seen(&self) -> Fingerprints {
        Fingerprints {
            tools: self.seen_tools,
            prompts: self.seen_prompts,
            resources: self.seen_resources,
        }
    }

    pub fn set_seen(&mut self, seen: Fingerprints) {
        self.seen_tools = seen.tools;
        self.seen_prompts = seen.prompts;
        self.seen_resources = seen.resources;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::testing::check;

    fn row(now: u64) -> SessionRow {
        SessionRow::new(&Opening {
            server: &ServerName::parse("tools").unwrap(),
            principal: &Principal {
                issuer: "key".into(),
                subject: "ann".into(),
                client: "c1".into(),
            },
            revision: Revision::V2025_11_25,
            capabilities: &Raw::from_static(r#"{"elicitation":{}}"#),
            client_info: &Raw::from_static(r#"{"name":"t","version":"1"}"#),
            now: Timestamp(now),
        })
    }

    proptest! {
        #[test]
        fn a_session_comes_back(
            now: u64, epoch: u64, initialized: bool, unseen: (bool, bool, bool),
            seen: (u64, u64, u64), uris: Vec<String>, level in 0..8usize,
        ) {
            let mut row = row(now);
            row.epoch = epoch;
            row.initialized = initialized;
            row.set_log_level(LogLevel::ALL[level]);
            let uris: Vec<Arc<str>> = uris.into_iter().map(Arc::from).collect();
            row.set_subscriptions(uris.iter());
            let (tools, prompts, resources) = unseen;
            row.set_unseen(ListKinds { tools, prompts, resources });
            let (tools, prompts, resources) = seen;
            row.set_seen(Fingerprints { tools, prompts, resources });
            check(row);
        }
    }

    #[test]
    fn a_stored_session_knows_its_client() {
        let row = row(5);
        assert!(row.facet().unwrap().elicit_form);
        assert_eq!(row.principal().subject.as_ref(), "ann");
        assert_eq!(row.restored().log_level, None);
    }
}
