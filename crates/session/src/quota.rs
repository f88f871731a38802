//! How many sessions a principal has [SES-6].
//!
//! Counted in memory, because a count in the store would be read and written by each opening.
//! A session that expires in the store is not seen here; so at the limit the count is taken
//! anew from the store's index, at most every few seconds.

use std::{collections::HashMap, time::Duration};

use ostler_dispatch::workers::Workers;
use ostler_store::{Key, Owner, StoreError, Table};
use ostler_types::{Instant, Shard};
use parking_lot::Mutex;

use crate::{SessionError, sessions::Shared};

pub(crate) struct Quota {
    sessions_max: usize,
    counts: Mutex<HashMap<Owner, Count>>,
}

#[derive(Clone, Copy)]
struct Count {
    sessions: usize,
    counted_at: Instant,
}

/// A principal at its limit makes us count no more often than this.
const RECOUNT_PAUSE: Duration = Duration::from_secs(10);
/// Principals remembered; beyond, all are forgotten and counted anew when they come again.
const PRINCIPALS_MAX: usize = 100_000;

impl Quota {
    pub fn new(sessions_max: usize) -> Self {
        Quota {
            sessions_max,
            counts: Mutex::default(),
        }
    }

    /// Counts one more session, or refuses it.
    pub async fn take<W: Workers>(
        &self,
        shared: &Shared<W>,
        owner: &Owner,
    ) -> Result<(), SessionError> {
        let now = shared.env.now();
        let known = self.counts.lock().get(owner).copied();
        let recount = match known {
            None => true,
            Some(count) => {
                let old = now.since(count.counted_at) >= RECOUNT_PAUSE;
                count.sessions >= self.sessions_max && old
            }
        };
        if recount {
            let sessions = count(shared, owner, self.sessions_max).await;
            let sessions = sessions.map_err(|_| SessionError::Storage)?;
            self.set(owner, sessions, now);
        }
        self.add_one(owner, now)
    }

    /// A session ended, or was not opened after all.
    pub fn give_back(&self, owner: &Owner) {
        if let Some(count) = self.counts.lock().get_mut(owner) {
            count.sessions = count.sessions.saturating_sub(1);
        }
    }

    fn set(&self, owner: &Owner, sessions: usize, now: Instant) {
        let mut counts = self.counts.lock();
        if counts.len() >= PRINCIPALS_MAX {
            counts.clear();
        }
        let count = Count {
            sessions,
            counted_at: now,
        };
        counts.insert(owner.clone(), count);
    }

    fn add_one(&self, owner: &Owner, now: Instant) -> Result<(), SessionError> {
        let mut counts = self.counts.lock();
        let unknown = Count {
            sessions: 0,
            counted_at: now,
        };
        let count = counts.entry(owner.clone()).or_insert(unknown);
        if count.sessions >= self.sessions_max {
            return Err(SessionError::TooManySessions);
        }
        count.sessions += 1;
        Ok(())
    }
}

/// The sessions in the store's index, up to `len_max`.
async fn count<W: Workers>(
    shared: &Shared<W>,
    owner: &Owner,
    len_max: usize,
) -> Result<usize, StoreError> {
    let mut sessions = 0;
    for shard in 0..=u8::MAX {
        let prefix = Key::new(Table::Principals, Shard(shard), &owner.tenant);
        let prefix = prefix.bytes(&owner.principal).prefix();
        // More than a page in one of 256 shards is far beyond any limit that makes sense.
        sessions += shared.store.scan(&prefix, None, len_max).await?.len();
        if sessions >= len_max {
            break;
        }
    }
    Ok(sessions)
}
