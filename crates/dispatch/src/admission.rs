//! Is there room: calls in flight, for the node and for each tenant.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use metrics::Gauge;
use ostler_env::Registry;
use ostler_types::{Limits, TenantId};

use crate::refusal::Refusal;

/// When to come back after a refusal for want of room. Calls are short as a rule.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Counts calls in flight against the limits of one node.
pub struct Admission {
    node: Arc<Node>,
    tenants: DashMap<TenantId, Arc<AtomicUsize>>,
    calls_max: usize,
    calls_per_tenant_max: usize,
}

/// All that has room now: calls, and requests about to become one.
#[derive(Debug)]
struct Node {
    count: AtomicUsize,
    /// The same for operators.
    admitted: Gauge,
}

/// Room for one call. Dropping it frees the room.
#[derive(Debug)]
pub struct Room {
    node: Arc<Node>,
    tenant: Arc<AtomicUsize>,
}

impl Admission {
    pub fn new(limits: &Limits, registry: &Registry) -> Self {
        Self {
            node: Arc::new(Node {
                count: AtomicUsize::new(0),
                admitted: registry.gauge(
                    "ostler_dispatch_admitted",
                    "Requests that have room for a call now.",
                    &[],
                ),
            }),
            tenants: DashMap::new(),
            calls_max: limits.calls_max,
            calls_per_tenant_max: limits.calls_per_tenant_max,
        }
    }

    /// Takes room for one call. A tenant at its own limit is told so even when the node is full
    /// too: waiting for others would not help it.
    pub fn take(&self, tenant: &TenantId) -> Result<Room, Refusal> {
        let retry_after = RETRY_AFTER;
        let count = self.count_of(tenant);
        if !take_one(&count, self.calls_per_tenant_max) {
            return Err(Refusal::RateLimited { retry_after });
        }
        if !take_one(&self.node.count, self.calls_max) {
            count.fetch_sub(1, Ordering::AcqRel);
            return Err(Refusal::Overloaded { retry_after });
        }
        Ok(self.room(count))
    }

    /// Takes room for a call that runs already, whether there is any or not.
    pub fn take_anyway(&self, tenant: &TenantId) -> Room {
        let count = self.count_of(tenant);
        count.fetch_add(1, Ordering::AcqRel);
        self.node.count.fetch_add(1, Ordering::AcqRel);
        self.room(count)
    }

    /// Calls in flight on this node.
    pub fn in_flight(&self) -> usize {
        self.node.count.load(Ordering::Acquire)
    }

    /// There are as many counts as tenants in the configuration: every caller is authenticated.
    fn count_of(&self, tenant: &TenantId) -> Arc<AtomicUsize> {
        if let Some(count) = self.tenants.get(tenant) {
            return count.clone();
        }
        self.tenants.entry(tenant.clone()).or_default().clone()
    }

    fn room(&self, tenant: Arc<AtomicUsize>) -> Room {
        let node = self.node.clone();
        node.admitted.increment(1.0);
        Room { node, tenant }
    }
}

fn take_one(count: &AtomicUsize, max: usize) -> bool {
    if count.fetch_add(1, Ordering::AcqRel) < max {
        return true;
    }
    count.fetch_sub(1, Ordering::AcqRel);
    false
}

impl Drop for Room {
    fn drop(&mut self) {
        self.tenant.fetch_sub(1, Ordering::AcqRel);
        self.node.count.fetch_sub(1, Ordering::AcqRel);
        self.node.admitted.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use ostler_env::Env;

    use super::*;

    const LIMITED: Refusal = Refusal::RateLimited {
        retry_after: RETRY_AFTER,
    };
    const FULL: Refusal = Refusal::Overloaded {
        retry_after: RETRY_AFTER,
    };

    fn admission(calls_max: usize, calls_per_tenant_max: usize) -> Admission {
        let limits = Limits {
            calls_max,
            calls_per_tenant_max,
            ..Limits::default()
        };
        Admission::new(&limits, Env::seeded(1).metrics())
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[test]
    fn a_tenant_at_its_limit_stops_nobody_else() {
        let admission = admission(3, 2);
        let (a, b) = (tenant("a"), tenant("b"));
        let held = [admission.take(&a).unwrap(), admission.take(&a).unwrap()];
        assert_eq!(admission.take(&a).unwrap_err(), LIMITED);
        let other = admission.take(&b).unwrap();
        assert_eq!(admission.take(&b).unwrap_err(), FULL);
        drop((held, other));
        assert_eq!(admission.in_flight(), 0);
    }

    #[test]
    fn room_is_free_again_when_its_guard_is_dropped() {
        let admission = admission(1, 1);
        for _ in 0..3 {
            let room = admission.take(&tenant("a")).unwrap();
            assert_eq!(admission.take(&tenant("b")).unwrap_err(), FULL);
            drop(room);
        }
    }

    #[test]
    fn a_refusal_takes_no_room() {
        let admission = admission(1, 8);
        let room = admission.take(&tenant("a")).unwrap();
        for _ in 0..10 {
            assert_eq!(admission.take(&tenant("b")).unwrap_err(), FULL);
        }
        drop(room);
        assert!(admission.take(&tenant("b")).is_ok());
    }

    #[test]
    fn a_call_that_runs_already_counts_without_asking() {
        let admission = admission(1, 1);
        let rooms = [(); 3].map(|()| admission.take_anyway(&tenant("a")));
        assert_eq!(admission.in_flight(), 3);
        assert_eq!(admission.take(&tenant("a")).unwrap_err(), LIMITED);
        drop(rooms);
        assert!(admission.take(&tenant("a")).is_ok());
    }
}
