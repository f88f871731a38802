//! How many sessions a principal and a tenant have [SES-6].
//!
//! Counted in memory, because a count in the store would be read and written by each opening.
//! A session that expires in the store is not seen here, so counts drift upwards; what opens
//! while all are counted may be missed, so they drift downwards by that few. When somebody is at a
//! limit, or there are far more principals than at the last count, all are taken anew from the
//! rows of sessions, and that takes at most a twentieth of the time. An index of principals was
//! rejected: it would double the rows that a sleeping session keeps, for a count that is rare.

use std::{collections::HashMap, hash::Hash, time::Duration};

use ostler_dispatch::workers::Workers;
use ostler_store::{KeyPrefix, Owner, Store, StoreError, Table};
use ostler_types::{Instant, TenantId};
use parking_lot::Mutex;

use crate::{
    Config, SessionError,
    record::{self, Kind},
    sessions::Shared,
};

pub(crate) struct Quota {
    per_principal_max: usize,
    per_tenant_max: usize,
    /// `None` until first counted.
    counts: Mutex<Option<Counts>>,
    /// When all may be counted again; held while that goes on.
    next_count: tokio::sync::Mutex<Option<Instant>>,
}

/// Of principals with sessions, about 150 bytes each, and of their tenants.
#[derive(Default)]
struct Counts {
    principals: HashMap<Owner, usize>,
    tenants: HashMap<TenantId, usize>,
    /// Principals at which it is time to count anew: many may have no session any more.
    principals_max: usize,
}

/// Between two counts: at least so long, and so many times what the last one took.
const RECOUNT_PAUSE: Duration = Duration::from_secs(10);
const RECOUNT_PAUSE_FACTOR: u32 = 20;
/// Rows read at once; about 1 KiB each. The largest hold 72 KiB of what a client said of itself and
/// 1,000 subscriptions of 2 KiB, so a page is at most 66 MiB. Whoever reads or writes gets in
/// between two pages.
const PAGE_LEN: usize = 32;
/// Principals that may be new at any size before that is a reason to count anew.
const NEW_PRINCIPALS_MIN: usize = 4_096;

impl Quota {
    pub fn new(config: &Config) -> Self {
        Quota {
            per_principal_max: config.sessions_per_principal_max,
            per_tenant_max: config.sessions_per_tenant_max,
            counts: Mutex::default(),
            next_count: tokio::sync::Mutex::default(),
        }
    }

    /// Counts one more session, or refuses it.
    pub async fn take<W: Workers>(
        &self,
        shared: &Shared<W>,
        owner: &Owner,
    ) -> Result<(), SessionError> {
        if !self.is_overgrown() && self.add(owner) {
            return Ok(());
        }
        self.count_anew(shared)
            .await
            .map_err(|_| SessionError::Storage)?;
        match self.add(owner) {
            true => Ok(()),
            false => Err(SessionError::TooManySessions),
        }
    }

    /// A session ended, or was not opened after all.
    pub fn give_back(&self, owner: &Owner) {
        if let Some(counts) = &mut *self.counts.lock() {
            subtract(&mut counts.principals, owner);
            subtract(&mut counts.tenants, &owner.tenant);
        }
    }

    fn is_overgrown(&self) -> bool {
        let counts = self.counts.lock();
        counts.as_ref().is_some_and(Counts::is_overgrown)
    }

    /// False at a limit, and before the first count.
    fn add(&self, owner: &Owner) -> bool {
        let mut counts = self.counts.lock();
        let Some(counts) = &mut *counts else {
            return false;
        };
        let room = counts.of_principal(owner) < self.per_principal_max
            && counts.of_tenant(&owner.tenant) < self.per_tenant_max;
        if room {
            counts.add(owner);
        }
        room
    }

    /// One count at a time; who waited for it uses its result. What is opened meanwhile may be
    /// missed: a few sessions too many are no harm. After one that failed the last result stays,
    /// and there is a pause too: only the first count is tried by everybody, as nothing can be
    /// opened without.
    pub async fn count_anew<W: Workers>(&self, shared: &Shared<W>) -> Result<(), StoreError> {
        let mut next = self.next_count.lock().await;
        let began = shared.env.now();
        if next.is_some_and(|at| began < at) && self.counts.lock().is_some() {
            return Ok(());
        }
        // Before it: whoever goes away while we count is no reason to begin again.
        *next = Some(began + RECOUNT_PAUSE);
        let counts = count(&shared.store).await;
        let now = shared.env.now();
        *next = Some(now + recount_pause(now.since(began)));
        *self.counts.lock() = Some(counts?);
        Ok(())
    }
}

impl Counts {
    fn of_principal(&self, owner: &Owner) -> usize {
        self.principals.get(owner).copied().unwrap_or(0)
    }

    fn of_tenant(&self, tenant: &TenantId) -> usize {
        self.tenants.get(tenant).copied().unwrap_or(0)
    }

    fn add(&mut self, owner: &Owner) {
        *self.principals.entry(owner.clone()).or_default() += 1;
        *self.tenants.entry(owner.tenant.clone()).or_default() += 1;
    }

    fn is_overgrown(&self) -> bool {
        self.principals.len() > self.principals_max
    }
}

/// A principal at its limit that keeps trying must not keep the store busy.
fn recount_pause(last_took: Duration) -> Duration {
    RECOUNT_PAUSE.max(last_took * RECOUNT_PAUSE_FACTOR)
}

fn subtract<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// All sessions in the store, by whose they are.
async fn count(store: &Store) -> Result<Counts, StoreError> {
    let (mut counts, mut after) = (Counts::default(), None);
    let prefix = KeyPrefix::table(Table::Sessions);
    loop {
        let rows = store.scan(&prefix, after.as_ref(), PAGE_LEN).await?;
        let records = rows.iter().map(|(_, record)| record);
        records
            .filter(|record| record::is(record, Kind::Session))
            .for_each(|record| counts.add(&record.owner));
        if rows.len() < PAGE_LEN {
            counts.principals_max = 2 * counts.principals.len() + NEW_PRINCIPALS_MIN;
            return Ok(counts);
        }
        after = rows.into_iter().next_back().map(|(key, _)| key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(tenant: &str, principal: u8) -> Owner {
        Owner {
            tenant: TenantId::parse(tenant).unwrap(),
            principal: [principal; 32],
        }
    }

    #[test]
    fn who_has_no_session_any_more_is_forgotten() {
        let mut counts = Counts::default();
        let (ann, bob) = (owner("acme", 1), owner("acme", 2));
        counts.add(&ann);
        counts.add(&bob);
        subtract(&mut counts.principals, &ann);
        subtract(&mut counts.tenants, &ann.tenant);
        assert_eq!(
            (counts.of_principal(&ann), counts.of_tenant(&bob.tenant)),
            (0, 1)
        );
        assert_eq!(counts.principals.len(), 1);
    }

    #[test]
    fn counting_takes_a_small_part_of_the_time() {
        let pause = |took| recount_pause(Duration::from_millis(took)).as_millis();
        assert_eq!(
            [0, 500, 501, 9_000].map(pause),
            [10_000, 10_000, 10_020, 180_000]
        );
    }

    /// Those whose sessions only expired are forgotten by a new count.
    #[test]
    fn many_new_principals_are_a_reason_to_count_anew() {
        let mut counts = Counts {
            principals_max: 2,
            ..Counts::default()
        };
        for principal in 1..=2 {
            counts.add(&owner("acme", principal));
        }
        assert!(!counts.is_overgrown());
        counts.add(&owner("acme", 3));
        assert!(counts.is_overgrown());
    }
}
