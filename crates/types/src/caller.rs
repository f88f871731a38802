//! Who is calling, for one request.

use std::{fmt, sync::Arc};

use crate::{Instant, TenantId, Timestamp};

/// Who is proven to be calling: issuer, subject and client together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    /// The authority that vouches: an OAuth issuer, `key` for API keys, `anonymous`.
    pub issuer: Arc<str>,
    pub subject: Arc<str>,
    /// The OAuth client or the id of the API key; empty when the issuer knows none.
    pub client: Arc<str>,
}

/// What a credential proves. Shared by all requests that carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub tenant: TenantId,
    pub principal: Principal,
    pub scopes: Arc<[Arc<str>]>,
    /// When the credential ends; streams opened with it end then too.
    pub valid_until: Option<Timestamp>,
    /// Names the credential for revocation and audit; never the credential itself.
    pub credential: Arc<str>,
}

/// W3C trace context, well-formed. <https://www.w3.org/TR/trace-context/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub traceparent: Box<str>,
    pub tracestate: Box<str>,
}

/// What workers know a session by. It says nothing of the session's id, which is a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionAlias(pub [u8; 16]);

/// Whom a log could follow by it is nobody's business there.
impl fmt::Debug for SessionAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionAlias")
    }
}

/// An identity, plus what is special to this request. The first argument of everything that
/// acts for a client; nothing between the edge and the worker looks inside without need.
#[derive(Debug, Clone)]
pub struct Caller {
    pub identity: Arc<Identity>,
    /// The session that the request belongs to; a modern one belongs to none.
    pub session: Option<SessionAlias>,
    pub trace: Option<Arc<TraceContext>>,
    /// When the request must have ended.
    pub deadline: Instant,
}

impl Caller {
    pub fn tenant(&self) -> &TenantId {
        &self.identity.tenant
    }

    pub fn principal(&self) -> &Principal {
        &self.identity.principal
    }
}
