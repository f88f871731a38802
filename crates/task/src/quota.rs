//! How many unfinished tasks and parked calls each principal and each tenant has.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use metrics::Counter;
use ostler_types::TenantId;
use parking_lot::Mutex;

use crate::{config::Config, digest::Digest, facts::Owner};

type Who = (TenantId, Digest);

/// Counts by principal and by tenant. An entry lives as long as its count is not zero, so the
/// maps are bounded by what is unfinished.
pub(crate) struct Quota {
    max: Max,
    started: Counter,
    ended: Counter,
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy)]
struct Max {
    per_principal: usize,
    per_tenant: usize,
}

#[derive(Default)]
struct Counts {
    principals: HashMap<Who, usize>,
    tenants: HashMap<TenantId, usize>,
}

/// One unfinished task's place; dropping it frees it.
pub(crate) struct Place {
    quota: Arc<Quota>,
    who: Who,
}

impl Quota {
    /// `counters`: started and ended; their difference is what is unfinished.
    pub fn new(config: &Config, counters: (Counter, Counter)) -> Arc<Self> {
        let max = Max {
            per_principal: config.unfinished_per_principal_max,
            per_tenant: config.unfinished_per_tenant_max,
        };
        Arc::new(Self {
            max,
            started: counters.0,
            ended: counters.1,
            counts: Mutex::default(),
        })
    }

    /// A place for something new, if there is room.
    pub fn take(self: &Arc<Self>, owner: &Owner) -> Option<Place> {
        self.place(owner, self.max)
    }

    /// A place for what exists already and wakes.
    pub fn retake(self: &Arc<Self>, owner: &Owner) -> Place {
        let max = Max {
            per_principal: usize::MAX,
            per_tenant: usize::MAX,
        };
        let place = self.place(owner, max);
        place.expect("no count reaches the largest number")
    }

    fn place(self: &Arc<Self>, owner: &Owner, max: Max) -> Option<Place> {
        let who = (owner.tenant.clone(), owner.principal);
        if !self.counts.lock().add(&who, max) {
            return None;
        }
        self.started.increment(1);
        let quota = self.clone();
        Some(Place { quota, who })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.quota.ended.increment(1);
        self.quota.counts.lock().subtract(&self.who);
    }
}

impl Counts {
    /// Counts one more, if there is room.
    fn add(&mut self, who: &Who, max: Max) -> bool {
        let of_principal = self.principals.get(who).copied().unwrap_or(0);
        let of_tenant = self.tenants.get(&who.0).copied().unwrap_or(0);
        let room = of_principal < max.per_principal && of_tenant < max.per_tenant;
        if room {
            self.principals.insert(who.clone(), of_principal + 1);
            self.tenants.insert(who.0.clone(), of_tenant + 1);
        }
        room
    }

    fn subtract(&mut self, who: &Who) {
        subtract(&mut self.principals, who);
        subtract(&mut self.tenants, &who.0);
    }
}

fn subtract<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    let Some(count) = counts.get_mut(key) else {
        return;
    };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use ostler_types::ServerName;

    use super::*;

    fn quota(per_principal: usize, per_tenant: usize) -> Arc<Quota> {
        let config = Config {
            unfinished_per_principal_max: per_principal,
            unfinished_per_tenant_max: per_tenant,
            ..Config::default()
        };
        Quota::new(&config, (Counter::noop(), Counter::noop()))
    }

    fn owner(principal: u8, server: &str) -> Owner {
        Owner {
            tenant: TenantId::parse("acme").unwrap(),
            principal: [principal; 32],
            server: ServerName::parse(server).unwrap(),
        }
    }

    #[test]
    fn a_principal_has_its_own_places_over_all_servers() {
        let quota = quota(2, 9);
        let first = quota.take(&owner(1, "a")).unwrap();
        let _second = quota.take(&owner(1, "b")).unwrap();
        assert!(quota.take(&owner(1, "c")).is_none());
        assert!(quota.take(&owner(2, "a")).is_some());
        drop(first);
        assert!(quota.take(&owner(1, "c")).is_some());
    }

    #[test]
    fn all_principals_of_a_tenant_have_places_together() {
        let quota = quota(2, 3);
        let _taken = [1, 1, 2].map(|principal| quota.take(&owner(principal, "a")).unwrap());
        assert!(quota.take(&owner(2, "a")).is_none());
        let stranger = Owner {
            tenant: TenantId::parse("other").unwrap(),
            ..owner(2, "a")
        };
        assert!(quota.take(&stranger).is_some());
    }

    #[test]
    fn what_wakes_is_never_refused_and_nothing_is_left_behind() {
        let quota = quota(0, 0);
        let places = [quota.retake(&owner(1, "a")), quota.retake(&owner(1, "a"))];
        assert!(quota.take(&owner(1, "a")).is_none());
        drop(places);
        let counts = quota.counts.lock();
        assert!(counts.principals.is_empty() && counts.tenants.is_empty());
    }
}
