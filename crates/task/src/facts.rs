//! What is known of a call when it begins to outlive its request.

use std::time::Duration;

use ostler_protocol::{Revision, facet::ClientFacet, json::Raw};
use ostler_types::{
    CallId, CallKind, Caller, Principal, ServerId, ServerName, SessionId, TaskId, TenantId,
    Timestamp,
};

use crate::digest::{self, Digest};

/// What the edge says of a call that it hands over.
#[derive(Debug, Clone)]
pub struct CallFacts {
    pub revision: Revision,
    pub kind: CallKind,
    pub target: String,
    pub arguments: Raw,
    /// What the client of this request can do; decides which questions it is shown.
    pub facet: ClientFacet,
    /// The tool may run again from the start with the answers so far.
    pub replay_safe: bool,
    /// The tool declares that it may become a task.
    pub task_support: bool,
    /// The longest run the tool declares.
    pub timeout: Option<Duration>,
    /// Set when the client asked for a task: then it gets one, however fast the call is.
    pub request: Option<TaskRequest>,
}

/// What a client of 2025-11-25 says of the task it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRequest {
    /// How long it is to be kept [TK-7].
    pub ttl: Option<Duration>,
    /// Of the call; good as long as the task is [P-8].
    pub progress_token: Option<Raw>,
    /// Which session hears of it. Any session of the same principal may ask for it.
    pub session: SessionId,
}

/// Whose a task is. Part of its key in the store, compared on every request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub tenant: TenantId,
    pub principal: Digest,
    pub server: ServerName,
}

impl Owner {
    pub fn new(caller: &Caller, server: &ServerId) -> Self {
        Self::of(caller.tenant(), caller.principal(), server)
    }

    pub fn of(tenant: &TenantId, principal: &Principal, server: &ServerId) -> Self {
        Self {
            tenant: tenant.clone(),
            principal: ostler_store::Owner::new(tenant, principal).principal,
            server: server.name.clone(),
        }
    }

    pub fn server_id(&self) -> ServerId {
        ServerId {
            tenant: self.tenant.clone(),
            name: self.server.clone(),
        }
    }

    /// Whose its records are.
    pub fn of_record(&self) -> ostler_store::Owner {
        ostler_store::Owner {
            tenant: self.tenant.clone(),
            principal: self.principal,
        }
    }
}

/// What a request asks for, so far as a `requestState` is bound to it [MR-5] [TR-8].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub kind: CallKind,
    pub target: Digest,
    pub arguments: Digest,
}

impl Binding {
    pub fn new(kind: CallKind, target: &str, arguments: &Raw) -> Self {
        Self {
            kind,
            target: digest::text(target),
            arguments: digest::arguments(arguments),
        }
    }
}

/// What never changes about a call that outlives its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub id: TaskId,
    pub call: CallId,
    pub owner: Owner,
    pub target: String,
    pub binding: Binding,
    pub revision: Revision,
    pub replay_safe: bool,
    pub task_support: bool,
    pub timeout: Option<Duration>,
    pub request: Option<TaskRequest>,
    pub created_at: Timestamp,
}
