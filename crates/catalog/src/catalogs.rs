//! The catalogs of all Servers on this node.
//!
//! Workers come and go through [`Catalogs::register`] and [`Catalogs::remove`]; readers take a
//! [`Snapshot`] without waiting for either. There is no task here: what must happen later (the
//! end of a grace) happens at the next look.

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use metrics::{Counter, Gauge};
use ostler_env::{Env, Registry};
use ostler_types::{ServerId, WorkerId};

use crate::{
    change::{ChangeWatch, Fingerprints},
    check,
    offer::{EntryKind, EntryRefusal, Offer},
    schema::Pool,
    slot::Slot,
    snapshot::Snapshot,
};

/// How long what a worker listed stays listed after it left: longer than a restart takes.
pub const GRACE: Duration = Duration::from_secs(2);

/// Servers known at once. Beyond it those that nobody serves are forgotten, then new ones refused.
const SERVERS_MAX: usize = 50_000;

/// What all Servers offer. Cloning is cheap.
#[derive(Clone)]
pub struct Catalogs(Arc<Inner>);

struct Inner {
    env: Env,
    pool: Arc<Pool>,
    metrics: Metrics,
    servers: DashMap<ServerId, Arc<Slot>>,
}

struct Metrics {
    servers: Gauge,
    offers: Counter,
    refusals: Counter,
    changes: Counter,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        Self {
            servers: registry.gauge("ostler_catalog_servers", "Servers known.", &[]),
            offers: registry.counter(
                "ostler_catalog_offers_total",
                "Offers of workers taken, first ones and replacements.",
                &[],
            ),
            refusals: registry.counter(
                "ostler_catalog_refusals_total",
                "Entries of offers that were not taken.",
                &[],
            ),
            changes: registry.counter(
                "ostler_catalog_changes_total",
                "Changes of lists that clients can see.",
                &[],
            ),
        }
    }
}

impl Catalogs {
    pub fn new(env: &Env) -> Self {
        Self(Arc::new(Inner {
            env: env.clone(),
            pool: Pool::new(env),
            metrics: Metrics::new(env.metrics()),
            servers: DashMap::new(),
        }))
    }

    /// Takes what a worker offers for one Server, in place of what it offered before. What is
    /// not taken comes back with reasons, and does not touch the rest.
    ///
    /// Compiles schemas: call it where a few milliseconds (for a large offer) may be spent.
    pub fn register(
        &self,
        server: &ServerId,
        worker: &WorkerId,
        offer: Offer,
    ) -> Vec<EntryRefusal> {
        let mut refusals = Vec::new();
        if let Some(checked) = check::check(offer, &self.0.pool, &mut refusals) {
            match self.slot(server) {
                Some(slot) => slot.put(self.0.env.now(), worker, checked, &mut refusals),
                None => refusals.push(server_refusal("the node knows too many servers")),
            }
        }
        self.0.metrics.offers.increment(1);
        self.0.metrics.refusals.increment(refusals.len() as u64);
        refusals
    }

    /// Takes a worker away from one Server. What only it offered stays listed for [`GRACE`].
    pub fn remove(&self, server: &ServerId, worker: &WorkerId) {
        if let Some(slot) = self.find(server) {
            let now = self.0.env.now();
            slot.leave(now, worker, now + GRACE);
        }
    }

    /// What a Server offers now; `None` if no worker ever offered it here.
    pub fn snapshot(&self, server: &ServerId) -> Option<Arc<Snapshot>> {
        let slot = self.0.servers.get(server)?;
        slot.snapshot(|| self.0.env.now())
    }

    /// Follows the lists of a Server from what they are now, also before anybody offers it.
    pub fn watch(&self, server: &ServerId) -> ChangeWatch {
        let slot = self.watched_slot(server);
        let seen = slot.fingerprints(self.0.env.now());
        ChangeWatch::new(&self.0.env, slot, seen.unwrap_or_default())
    }

    /// Follows the lists of a Server from what a listener knew of them earlier.
    pub fn watch_since(&self, server: &ServerId, seen: Fingerprints) -> ChangeWatch {
        ChangeWatch::new(&self.0.env, self.watched_slot(server), seen)
    }

    /// All Servers that somebody serves or served a moment ago.
    pub fn servers(&self) -> Vec<ServerId> {
        let known = self.0.servers.iter();
        let offered = known.filter(|slot| slot.snapshot(|| self.0.env.now()).is_some());
        offered.map(|slot| slot.key().clone()).collect()
    }

    fn find(&self, server: &ServerId) -> Option<Arc<Slot>> {
        self.0.servers.get(server).map(|slot| slot.clone())
    }

    fn slot(&self, server: &ServerId) -> Option<Arc<Slot>> {
        if let Some(slot) = self.find(server) {
            return Some(slot);
        }
        if self.0.servers.len() >= SERVERS_MAX {
            self.0.servers.retain(|_, slot| slot.is_in_use());
        }
        (self.0.servers.len() < SERVERS_MAX).then(|| self.insert(server))
    }

    fn insert(&self, server: &ServerId) -> Arc<Slot> {
        let slot = self.0.servers.entry(server.clone());
        let slot = slot.or_insert_with(|| self.new_slot()).clone();
        self.0.metrics.servers.set(self.0.servers.len() as f64);
        slot
    }

    /// A listener always gets a slot; beyond the bound one that nothing will ever fill.
    fn watched_slot(&self, server: &ServerId) -> Arc<Slot> {
        self.slot(server).unwrap_or_else(|| self.new_slot())
    }

    fn new_slot(&self) -> Arc<Slot> {
        let order = self.0.env.random_u64();
        Arc::new(Slot::new(order, self.0.metrics.changes.clone()))
    }
}

pub(crate) fn server_refusal(reason: &str) -> EntryRefusal {
    EntryRefusal {
        kind: EntryKind::Server,
        name: String::new(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
