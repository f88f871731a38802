//! Workers: which Servers may this one serve.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use ostler_env::Env;
use ostler_types::{ServerId, ServerName, TenantId, Timestamp, WorkerId};

use crate::credential::{self, AuthError, BadCredential, CredentialKind, Hash};

/// A part of what a credential may serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serves {
    /// Every Server of every tenant.
    Everything,
    /// Every Server of one tenant.
    Tenant(TenantId),
    /// One Server.
    Server(TenantId, ServerName),
}

impl Serves {
    fn is_about(&self, tenant: &TenantId) -> bool {
        match self {
            Serves::Everything => true,
            Serves::Tenant(theirs) | Serves::Server(theirs, _) => theirs == tenant,
        }
    }

    fn covers(&self, server: &ServerId) -> bool {
        match self {
            Serves::Everything => true,
            Serves::Tenant(tenant) => *tenant == server.tenant,
            Serves::Server(tenant, name) => *tenant == server.tenant && *name == server.name,
        }
    }
}

/// One worker token as the configuration has it.
#[derive(Debug, Clone)]
pub struct WorkerToken {
    pub id: String,
    /// As [`crate::mint`] made it.
    pub hash: String,
    pub serves: Vec<Serves>,
    /// The worker ids its holder may use; empty leaves the choice to the holder.
    pub workers: Vec<WorkerId>,
    pub valid_until: Option<Timestamp>,
}

/// Which workers may link.
#[derive(Debug, Clone, Default)]
pub struct WorkerAccess {
    pub tokens: Vec<WorkerToken>,
    /// What workers without a token may serve, from loopback only; nothing refuses them.
    pub anonymous: Vec<Serves>,
}

/// What a worker has proven. A worker id belongs to the credential that first used it: `hub`
/// keeps that book, by [`WorkerGrant::credential`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerGrant {
    /// Names the credential, never the credential itself.
    pub credential: Arc<str>,
    pub serves: Vec<Serves>,
    pub workers: Vec<WorkerId>,
    pub valid_until: Option<Timestamp>,
}

impl WorkerGrant {
    pub fn may_serve(&self, server: &ServerId) -> bool {
        self.serves.iter().any(|serves| serves.covers(server))
    }

    /// Whether there may be any Server of this tenant that it may serve.
    pub fn may_serve_some_of(&self, tenant: &TenantId) -> bool {
        self.serves.iter().any(|serves| serves.is_about(tenant))
    }

    pub fn may_be(&self, worker: &WorkerId) -> bool {
        self.workers.is_empty() || self.workers.contains(worker)
    }
}

/// Knows every worker token. One table at a time; a reload swaps it whole.
pub struct WorkerTokens {
    env: Env,
    table: ArcSwap<Table>,
}

#[derive(Default)]
struct Table {
    tokens: HashMap<String, Entry>,
    anonymous: Option<Arc<WorkerGrant>>,
}

struct Entry {
    hash: Hash,
    grant: Arc<WorkerGrant>,
}

impl WorkerTokens {
    pub fn new(env: &Env, access: &WorkerAccess) -> Result<Self, BadCredential> {
        let table = ArcSwap::from_pointee(Table::new(access)?);
        let env = env.clone();
        Ok(Self { env, table })
    }

    /// Takes a new configuration as a whole, or leaves the old one in place.
    pub fn replace(&self, access: &WorkerAccess) -> Result<(), BadCredential> {
        self.table.store(Arc::new(Table::new(access)?));
        Ok(())
    }

    /// What the worker behind these metadata may serve.
    pub fn authenticate_worker(
        &self,
        authorization: Option<&str>,
        peer_is_loopback: bool,
    ) -> Result<Arc<WorkerGrant>, AuthError> {
        let table = self.table.load();
        match authorization {
            Some(value) => self.check_token(&table, value).ok_or(AuthError::Invalid),
            None if peer_is_loopback => table.anonymous.clone().ok_or(AuthError::Missing),
            None => Err(AuthError::Missing),
        }
    }

    fn check_token(&self, table: &Table, authorization: &str) -> Option<Arc<WorkerGrant>> {
        let token = credential::bearer(authorization.as_bytes())?;
        let id = credential::id_of(CredentialKind::Worker, token)?;
        let entry = table.tokens.get(id)?;
        let alive = entry
            .grant
            .valid_until
            .is_none_or(|end| self.env.wall() < end);
        (entry.hash.matches(token) && alive).then(|| entry.grant.clone())
    }

    /// Whether a link opened with this grant may stay after a reload.
    pub fn is_current(&self, grant: &WorkerGrant) -> bool {
        let table = self.table.load();
        let known = match table.tokens.get(&*grant.credential) {
            Some(entry) => Some(&entry.grant),
            None => table.anonymous.as_ref(),
        };
        let alive = grant.valid_until.is_none_or(|end| self.env.wall() < end);
        alive && known.is_some_and(|known| **known == *grant)
    }
}

impl Table {
    fn new(access: &WorkerAccess) -> Result<Self, BadCredential> {
        let mut table = Self {
            tokens: HashMap::new(),
            anonymous: anonymous(&access.anonymous).map(Arc::new),
        };
        for token in &access.tokens {
            let hash = credential::check_stored(&token.id, &token.hash)?;
            let grant = Arc::new(grant_of(token));
            let entry = Entry { hash, grant };
            if table.tokens.insert(token.id.clone(), entry).is_some() {
                return Err(BadCredential::new(&token.id, "the id occurs twice"));
            }
        }
        Ok(table)
    }
}

fn grant_of(token: &WorkerToken) -> WorkerGrant {
    WorkerGrant {
        credential: token.id.as_str().into(),
        serves: token.serves.clone(),
        workers: token.workers.clone(),
        valid_until: token.valid_until,
    }
}

fn anonymous(serves: &[Serves]) -> Option<WorkerGrant> {
    let grant = WorkerGrant {
        credential: "anonymous".into(),
        serves: serves.to_vec(),
        workers: Vec::new(),
        valid_until: None,
    };
    (!serves.is_empty()).then_some(grant)
}

#[cfg(test)]
mod tests;
