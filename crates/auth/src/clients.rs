//! Clients: from an `Authorization` value to an [`Identity`].

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use ostler_env::Env;
use ostler_types::{Identity, Principal, TenantId, Timestamp};

use crate::credential::{self, AuthError, BadCredential, CredentialKind, Hash};

/// One API key as the configuration has it.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: String,
    /// As [`crate::mint`] made it.
    pub hash: String,
    /// Who this is, for policy and audit; the key's id when absent.
    pub subject: Option<String>,
    pub scopes: Vec<String>,
    pub valid_until: Option<Timestamp>,
}

/// Who may call the Servers of one tenant.
#[derive(Debug, Clone, Default)]
pub struct TenantAccess {
    pub keys: Vec<ApiKey>,
    /// The scopes of callers without a credential; `None` refuses them.
    pub anonymous: Option<Vec<String>>,
}

/// Knows every API key of every tenant. One table at a time; a reload swaps it whole.
pub struct Authenticator {
    env: Env,
    table: ArcSwap<Table>,
}

#[derive(Default)]
struct Table {
    tenants: HashMap<TenantId, Tenant>,
}

#[derive(Default)]
struct Tenant {
    keys: HashMap<String, Entry>,
    anonymous: Option<Arc<Identity>>,
}

struct Entry {
    hash: Hash,
    identity: Arc<Identity>,
}

impl Authenticator {
    pub fn new(env: &Env, access: &[(TenantId, TenantAccess)]) -> Result<Self, BadCredential> {
        let table = ArcSwap::from_pointee(Table::new(access)?);
        let env = env.clone();
        Ok(Self { env, table })
    }

    /// Takes a new configuration as a whole, or leaves the old one in place.
    pub fn replace(&self, access: &[(TenantId, TenantAccess)]) -> Result<(), BadCredential> {
        self.table.store(Arc::new(Table::new(access)?));
        Ok(())
    }

    /// Who is calling. A credential that was sent must be good: it is never passed over in
    /// favor of the anonymous identity.
    pub fn authenticate(
        &self,
        tenant: &TenantId,
        authorization: Option<&[u8]>,
    ) -> Result<Arc<Identity>, AuthError> {
        let table = self.table.load();
        let tenant = table.tenants.get(tenant);
        match authorization {
            None => tenant
                .and_then(|tenant| tenant.anonymous.clone())
                .ok_or(AuthError::Missing),
            Some(value) => self.check_key(tenant, value).ok_or(AuthError::Invalid),
        }
    }

    fn check_key(&self, tenant: Option<&Tenant>, authorization: &[u8]) -> Option<Arc<Identity>> {
        let key = credential::bearer(authorization)?;
        let id = credential::id_of(CredentialKind::Client, key)?;
        let entry = tenant?.keys.get(id)?;
        let alive = entry
            .identity
            .valid_until
            .is_none_or(|end| self.env.wall() < end);
        (entry.hash.matches(key) && alive).then(|| entry.identity.clone())
    }

    /// Whether this credential still counts: streams ask again after a reload.
    pub fn is_current(&self, identity: &Identity) -> bool {
        let table = self.table.load();
        let Some(tenant) = table.tenants.get(&identity.tenant) else {
            return false;
        };
        let known = match tenant.keys.get(&*identity.credential) {
            Some(entry) => Some(&entry.identity),
            None => tenant.anonymous.as_ref(),
        };
        let alive = identity.valid_until.is_none_or(|end| self.env.wall() < end);
        alive && known.is_some_and(|known| **known == *identity)
    }
}

impl Table {
    fn new(access: &[(TenantId, TenantAccess)]) -> Result<Self, BadCredential> {
        let mut table = Self::default();
        for (id, access) in access {
            let tenant = table.tenants.entry(id.clone()).or_default();
            tenant.anonymous = access
                .anonymous
                .as_ref()
                .map(|scopes| Arc::new(anonymous(id, scopes)));
            for key in &access.keys {
                tenant.add(id, key)?;
            }
        }
        Ok(table)
    }
}

impl Tenant {
    fn add(&mut self, tenant: &TenantId, key: &ApiKey) -> Result<(), BadCredential> {
        let hash = credential::check_stored(&key.id, &key.hash)?;
        let identity = Arc::new(identity_of(tenant, key));
        let entry = Entry { hash, identity };
        match self.keys.insert(key.id.clone(), entry) {
            None => Ok(()),
            Some(_) => Err(BadCredential::new(&key.id, "the id occurs twice")),
        }
    }
}

fn identity_of(tenant: &TenantId, key: &ApiKey) -> Identity {
    let subject = key.subject.as_deref().unwrap_or(&key.id);
    Identity {
        tenant: tenant.clone(),
        principal: Principal {
            issuer: "key".into(),
            subject: subject.into(),
            client: key.id.as_str().into(),
        },
        scopes: scopes_of(&key.scopes),
        valid_until: key.valid_until,
        credential: key.id.as_str().into(),
    }
}

fn anonymous(tenant: &TenantId, scopes: &[String]) -> Identity {
    Identity {
        tenant: tenant.clone(),
        principal: Principal {
            issuer: "anonymous".into(),
            subject: "anonymous".into(),
            client: "".into(),
        },
        scopes: scopes_of(scopes),
        valid_until: None,
        credential: "anonymous".into(),
    }
}

fn scopes_of(scopes: &[String]) -> Arc<[Arc<str>]> {
    scopes.iter().map(|scope| scope.as_str().into()).collect()
}

#[cfg(test)]
mod tests;
