//! Which connection of an upstream a call goes through.

use std::{fmt, sync::Arc};

use ostler_client::Abilities;
use ostler_types::ServerId;
use ostler_worker::{ClientFacet, Ctx};

use super::Settings;
use crate::scope::Scope;

/// Names a member in a whole bridge: the Server, and its name there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MemberId(Arc<(ServerId, String)>);

/// What two calls must have in common to share a connection.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub(super) member: MemberId,
    scope: Scope,
    /// What is declared on it. A legacy upstream is told once, so who can do something else has
    /// another one; where all share one, everything is, and each question finds out.
    pub(super) abilities: Abilities,
}

impl MemberId {
    pub fn new(server: ServerId, name: &str) -> MemberId {
        MemberId(Arc::new((server, name.to_owned())))
    }

    pub fn server(&self) -> &ServerId {
        &self.0.0
    }

    pub fn name(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.server(), self.name())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.member, self.scope)
    }
}

impl Settings {
    /// The connection of the lists, which all callers see.
    pub(super) fn shared_key(&self) -> Key {
        Key {
            member: self.id.clone(),
            scope: Scope::All,
            abilities: EVERYTHING,
        }
    }

    /// The connection of a call.
    pub(super) fn key(&self, ctx: &Ctx) -> Key {
        let caller = ctx.caller();
        match self.isolation.scope(caller, &caller.session) {
            Scope::All => self.shared_key(),
            scope => Key {
                member: self.id.clone(),
                scope,
                abilities: abilities(ctx.client()),
            },
        }
    }
}

pub(super) const EVERYTHING: Abilities = Abilities {
    form: true,
    url: true,
    sample: true,
    sample_tools: true,
    sample_context: true,
    roots: true,
    ui: true,
};

/// What the client behind a call can be asked.
pub(super) fn abilities(facet: &ClientFacet) -> Abilities {
    Abilities {
        form: facet.elicit_form,
        url: facet.elicit_url,
        sample: facet.sample,
        sample_tools: facet.sample_tools,
        sample_context: facet.sample_context,
        roots: facet.roots,
        ui: facet.ui,
    }
}
