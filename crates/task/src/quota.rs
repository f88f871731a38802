//! How many unfinished tasks and parked calls each principal has.

use std::{collections::HashMap, sync::Arc};

use metrics::Counter;
use ostler_types::TenantId;
use parking_lot::Mutex;

use crate::{digest::Digest, facts::Owner};

type Who = (TenantId, Digest);

/// Counts by principal. An entry lives as long as its count is not zero, so the map is bounded
/// by what is unfinished.
pub(crate) struct Quota {
    max: usize,
    started: Counter,
    ended: Counter,
    counts: Mutex<HashMap<Who, usize>>,
}

/// One unfinished task's place; dropping it frees it.
pub(crate) struct Place {
    quota: Arc<Quota>,
    who: Who,
}

impl Quota {
    /// `counters`: started and ended; their difference is what is unfinished.
    pub fn new(max: usize, counters: (Counter, Counter)) -> Arc<Self> {
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
        let place = self.place(owner, usize::MAX);
        place.expect("no count reaches the largest number")
    }

    fn place(self: &Arc<Self>, owner: &Owner, max: usize) -> Option<Place> {
        let who = (owner.tenant.clone(), owner.principal);
        let mut counts = self.counts.lock();
        let count = counts.get(&who).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        counts.insert(who.clone(), count + 1);
        self.started.increment(1);
        let quota = self.clone();
        Some(Place { quota, who })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.quota.ended.increment(1);
        let mut counts = self.quota.counts.lock();
        let Some(count) = counts.get_mut(&self.who) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.who);
        }
    }
}

#[cfg(test)]
mod tests {
    use ostler_types::ServerName;

    use super::*;

    fn quota(max: usize) -> Arc<Quota> {
        Quota::new(max, (Counter::noop(), Counter::noop()))
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
        let quota = quota(2);
        let first = quota.take(&owner(1, "a")).unwrap();
        let _second = quota.take(&owner(1, "b")).unwrap();
        assert!(quota.take(&owner(1, "c")).is_none());
        assert!(quota.take(&owner(2, "a")).is_some());
        drop(first);
        assert!(quota.take(&owner(1, "c")).is_some());
    }

    #[test]
    fn what_wakes_is_never_refused_and_nothing_is_left_behind() {
        let quota = quota(0);
        let places = [quota.retake(&owner(1, "a")), quota.retake(&owner(1, "a"))];
        assert!(quota.take(&owner(1, "a")).is_none());
        drop(places);
        assert!(quota.counts.lock().is_empty());
    }
}
