//! How many sessions a principal has [SES-6].
//!
//! Counted in memory, because a count in the store would be read and written by each opening.
//! A session that expires in the store is not seen here, so counts only drift upwards; when
//! somebody is at the limit all are taken anew from the store's index, at most every few seconds.

use std::{collections::HashMap, time::Duration};

use ostler_dispatch::workers::Workers;
use ostler_store::{KeyPrefix, Owner, Store, StoreError, Table};
use ostler_types::Instant;
use parking_lot::Mutex;

use crate::{
    SessionError,
    record::{self, Kind},
    sessions::Shared,
};

pub(crate) struct Quota {
    sessions_max: usize,
    /// Principals with sessions, about 150 bytes each; `None` until first counted.
    counts: Mutex<Option<HashMap<Owner, usize>>>,
    /// When all were last counted; held while that goes on.
    counted: tokio::sync::Mutex<Option<Instant>>,
}

const RECOUNT_PAUSE: Duration = Duration::from_secs(10);
/// Rows read at once.
const PAGE_LEN: usize = 4_096;

impl Quota {
    pub fn new(sessions_max: usize) -> Self {
        Quota {
            sessions_max,
            counts: Mutex::default(),
            counted: tokio::sync::Mutex::default(),
        }
    }

    /// Counts one more session, or refuses it.
    pub async fn take<W: Workers>(
        &self,
        shared: &Shared<W>,
        owner: &Owner,
    ) -> Result<(), SessionError> {
        if self.add(owner) {
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
        let mut counts = self.counts.lock();
        let Some(counts) = &mut *counts else {
            return;
        };
        if let Some(sessions) = counts.get_mut(owner) {
            *sessions = sessions.saturating_sub(1);
            if *sessions == 0 {
                counts.remove(owner);
            }
        }
    }

    /// False at the limit, and before the first count.
    fn add(&self, owner: &Owner) -> bool {
        let mut counts = self.counts.lock();
        let Some(counts) = &mut *counts else {
            return false;
        };
        let sessions = counts.get(owner).copied().unwrap_or(0);
        let room = sessions < self.sessions_max;
        if room {
            counts.insert(owner.clone(), sessions + 1);
        }
        room
    }

    /// One count at a time; who waited for it uses its result. What is opened meanwhile may be
    /// missed: a few sessions too many are no harm.
    async fn count_anew<W: Workers>(&self, shared: &Shared<W>) -> Result<(), StoreError> {
        let mut counted = self.counted.lock().await;
        let now = shared.env.now();
        if counted.is_none_or(|at| now.since(at) >= RECOUNT_PAUSE) {
            let counts = count(&shared.store).await?;
            *self.counts.lock() = Some(counts);
            *counted = Some(now);
        }
        Ok(())
    }
}

/// All sessions in the store's index, by whose they are.
async fn count(store: &Store) -> Result<HashMap<Owner, usize>, StoreError> {
    let (mut counts, mut after) = (HashMap::new(), None);
    let prefix = KeyPrefix::table(Table::Principals);
    loop {
        let rows = store.scan(&prefix, after.as_ref(), PAGE_LEN).await?;
        for (_, record) in rows
            .iter()
            .filter(|(_, record)| record::is(record, Kind::Index))
        {
            *counts.entry(record.owner.clone()).or_default() += 1;
        }
        if rows.len() < PAGE_LEN {
            return Ok(counts);
        }
        after = rows.into_iter().next_back().map(|(key, _)| key);
    }
}
