//! Calls that were open when the node went down: their owners are found, woken, and claim them.

use std::collections::HashMap;

use ostler_dispatch::workers::Workers;
use ostler_store::{Key, KeyPrefix, Record, Table};
use ostler_types::CallId;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{
    SessionError, Sessions,
    actor::Control,
    record::{self, CallRow, Kind, SessionKey},
    sessions::Shared,
};

/// Whose every open call is, of this run and the last. Bounded by the calls a node runs.
#[derive(Default)]
pub(crate) struct OpenCalls {
    scanned: OnceCell<()>,
    owners: Mutex<HashMap<CallId, SessionKey>>,
}

impl OpenCalls {
    pub fn insert(&self, call: CallId, owner: SessionKey) {
        self.owners.lock().insert(call, owner);
    }

    pub fn remove(&self, call: CallId) {
        self.owners.lock().remove(&call);
    }

    /// All calls of a session; a walk over the whole list.
    pub fn remove_all(&self, session: &SessionKey) {
        self.owners.lock().retain(|_, owner| owner != session);
    }

    fn owner(&self, call: CallId) -> Option<SessionKey> {
        self.owners.lock().get(&call).cloned()
    }

    fn owners(&self) -> Vec<SessionKey> {
        let mut keys: Vec<_> = self.owners.lock().values().cloned().collect();
        keys.sort_by_key(|key| key.id);
        keys.dedup();
        keys
    }
}

/// Rows read at once.
const PAGE_LEN: usize = 1_024;

impl<W: Workers> Sessions<W> {
    /// Finds the calls that were open when the node went down; the node is ready after this.
    /// How many are open now.
    pub async fn recover(&self) -> Result<usize, SessionError> {
        self.0.find_open_calls().await?;
        Ok(self.0.open_calls.owners.lock().len())
    }

    /// A worker named this call: its session, if it has one, wakes and claims it. False if no
    /// session owns it, or not this attempt at it: then it is to be forgotten.
    pub async fn rebind(&self, call: CallId) -> bool {
        let claimed = self.0.claim(call).await;
        match claimed {
            Ok(()) => true,
            Err(SessionError::Unknown) => false,
            Err(error) => {
                // It stays with its worker and the hub until the grace is over.
                tracing::warn!(%call, %error, "call not claimed");
                true
            }
        }
    }

    /// Runs once after the start: when the grace is over, sessions whose calls no worker named
    /// wake, and tell their clients that the worker is lost.
    pub async fn sweep_lost(&self) {
        let shared = &self.0;
        let grace = shared.started + shared.config.rebind_grace;
        shared.env.sleep_until(grace).await;
        if let Err(error) = shared.find_open_calls().await {
            tracing::error!(%error, "open calls of the last run not found");
        }
        for key in shared.open_calls.owners() {
            // Waking is enough: the actor ends what it cannot claim. A live one knows already.
            if let Err(error) = shared.hold_key(&key).await {
                tracing::warn!(session = %key.id, %error, "session with open calls not woken");
            }
        }
    }
}

impl<W: Workers> Shared<W> {
    async fn claim(self: &std::sync::Arc<Self>, call: CallId) -> Result<(), SessionError> {
        self.find_open_calls().await?;
        let key = self.open_calls.owner(call).ok_or(SessionError::Unknown)?;
        let held = self.hold_key(&key).await;
        if matches!(held, Err(SessionError::Unknown)) {
            self.open_calls.remove(call);
        }
        let held = held?;
        let (reply, claimed) = ostler_actor::Reply::new();
        let sent = held.address.control(Control::Claim { call, reply });
        sent.map_err(|_| SessionError::Storage)?;
        claimed.await.unwrap_or(Err(SessionError::Storage))
    }

    async fn find_open_calls(&self) -> Result<(), SessionError> {
        let scan = || self.scan_open_calls();
        let scanned = self.open_calls.scanned.get_or_try_init(scan);
        scanned.await.copied()
    }

    async fn scan_open_calls(&self) -> Result<(), SessionError> {
        let (prefix, mut after) = (KeyPrefix::table(Table::Calls), None);
        loop {
            let rows = self.store.scan(&prefix, after.as_ref(), PAGE_LEN).await;
            let rows = rows.map_err(|_| SessionError::Storage)?;
            let found = rows.iter().filter_map(open_call);
            self.open_calls.owners.lock().extend(found);
            if rows.len() < PAGE_LEN {
                return Ok(());
            }
            after = rows.into_iter().next_back().map(|(key, _)| key);
        }
    }
}

/// The call and its session, if this is the row of an open call of a session.
fn open_call((key, record): &(Key, Record)) -> Option<(CallId, SessionKey)> {
    if !record::is(record, Kind::Call) {
        return None;
    }
    let row: CallRow = record::decode(record)?;
    let (session, call) = record::call_of_key(key, &record.owner.tenant)?;
    row.open.then_some((call, session))
}
