//! Calls that were open when the node went down: their owners are found, woken, and claim them.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt, stream};
use ostler_actor::Held;
use ostler_auth::WorkerGrant;
use ostler_dispatch::workers::Workers;
use ostler_hub::Placement;
use ostler_store::{Key, KeyPrefix, Record, Table};
use ostler_types::{CallId, InstanceEpoch, WorkerId};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{
    SessionError, Sessions,
    actor::{self, Control, Handle},
    record::{self, CallRow, Kind, SessionKey},
    sessions::Shared,
};

/// Whose every open call is, of this run and the last. Bounded by the calls a node runs.
#[derive(Default)]
pub(crate) struct OpenCalls {
    scanned: OnceCell<()>,
    owners: Mutex<HashMap<CallId, Owner>>,
}

struct Owner {
    session: SessionKey,
    /// Where the last run left the call. Of those of this run the hub knows.
    left_at: Option<Placement>,
}

impl OpenCalls {
    pub fn insert(&self, call: CallId, session: SessionKey) {
        let left_at = None;
        let mut owners = self.owners.lock();
        owners.entry(call).or_insert(Owner { session, left_at });
    }

    pub fn remove(&self, call: CallId) {
        self.owners.lock().remove(&call);
    }

    /// All calls of a session; a walk over the whole list.
    pub fn remove_all(&self, session: &SessionKey) {
        self.owners
            .lock()
            .retain(|_, owner| owner.session != *session);
    }

    fn owner(&self, call: CallId) -> Option<SessionKey> {
        let owners = self.owners.lock();
        owners.get(&call).map(|owner| owner.session.clone())
    }

    /// Calls that older processes of this worker ran, in an order, so that a seeded run is the
    /// same each time; a walk over the whole list.
    fn left_at_older(&self, newcomer: &Newcomer<'_>) -> Vec<(CallId, SessionKey)> {
        let owners = self.owners.lock();
        let older = |owner: &Owner| {
            let left_at = owner.left_at.as_ref();
            let grant = newcomer.grant;
            left_at.is_some_and(|at| newcomer.is_after(at))
                && grant.may_serve_some_of(&owner.session.tenant)
        };
        let older = owners.iter().filter(|(_, owner)| older(owner));
        let older = older.map(|(call, owner)| (*call, owner.session.clone()));
        let mut older: Vec<_> = older.collect();
        older.sort_unstable_by_key(|(call, _)| *call);
        older
    }

    /// Those of this run are known better than what the last one stored.
    fn add_found(&self, found: impl Iterator<Item = (CallId, Owner)>) {
        let mut owners = self.owners.lock();
        for (call, owner) in found {
            owners.entry(call).or_insert(owner);
        }
    }

    fn owners(&self) -> Vec<SessionKey> {
        let owners = self.owners.lock();
        let keys = owners.values().map(|owner| owner.session.clone());
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by_key(|key| key.id);
        keys.dedup();
        keys
    }
}

/// A process of a worker that was not known here.
struct Newcomer<'a> {
    worker: &'a WorkerId,
    instance: InstanceEpoch,
    grant: &'a WorkerGrant,
}

impl Newcomer<'_> {
    fn is_after(&self, placement: &Placement) -> bool {
        placement.worker == *self.worker && placement.instance < self.instance
    }
}

/// Rows read at once.
const PAGE_LEN: usize = 1_024;
/// Sessions woken at once to be told of lost calls.
const WAKES_MAX: usize = 64;

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

    /// A newer process of this worker is here: what older ones ran is lost, and the sessions that
    /// wait for it wake and tell their clients. Only of what it may serve: the calls of others are
    /// none of its business, whatever it calls itself.
    pub async fn worker_replaced(
        &self,
        worker: &WorkerId,
        instance: InstanceEpoch,
        grant: &WorkerGrant,
    ) {
        let newcomer = &Newcomer {
            worker,
            instance,
            grant,
        };
        let lost = self.0.open_calls.left_at_older(newcomer);
        let tell = |(call, session): (CallId, SessionKey)| async move {
            match self.0.tell_lost(call, &session, newcomer).await {
                Ok(()) | Err(SessionError::Unknown) => {}
                // It is told when the grace is over.
                Err(error) => tracing::warn!(%call, %error, "a lost call not ended"),
            }
        };
        stream::iter(lost)
            .for_each_concurrent(WAKES_MAX, tell)
            .await;
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
            match shared.hold_owner(&key).await {
                Ok(_) | Err(SessionError::Unknown) => {}
                Err(error) => {
                    tracing::warn!(session = %key.id, %error, "session with open calls not woken");
                }
            }
        }
    }
}

impl<W: Workers> Shared<W> {
    async fn claim(self: &Arc<Self>, call: CallId) -> Result<(), SessionError> {
        self.find_open_calls().await?;
        let key = self.open_calls.owner(call).ok_or(SessionError::Unknown)?;
        let held = self.hold_owner(&key).await?;
        let (reply, claimed) = ostler_actor::Reply::new();
        let sent = held.address.control(Control::Claim { call, reply });
        sent.map_err(|_| SessionError::Storage)?;
        claimed.await.unwrap_or(Err(SessionError::Storage))
    }

    async fn tell_lost(
        self: &Arc<Self>,
        call: CallId,
        session: &SessionKey,
        newcomer: &Newcomer<'_>,
    ) -> Result<(), SessionError> {
        let held = self.hold_owner(session).await?;
        if !newcomer.grant.may_serve(&held.facts.server) {
            return Ok(());
        }
        let (worker, instance) = (newcomer.worker.clone(), newcomer.instance);
        let sent = held.address.control(Control::Lost {
            call,
            worker,
            instance,
        });
        sent.map_err(|_| SessionError::Storage)
    }

    /// Holds the session whose calls these are. One that has ended left them if the node went down
    /// after it deleted the session's row and before it deleted the rest.
    async fn hold_owner(
        self: &Arc<Self>,
        key: &SessionKey,
    ) -> Result<Held<Handle<W>>, SessionError> {
        let held = self.hold_key(key).await;
        if matches!(held, Err(SessionError::Unknown)) {
            self.open_calls.remove_all(key);
            if let Err(error) = actor::purge(&self.store, key, true).await {
                tracing::warn!(session = %key.id, %error, "rows of an ended session not deleted");
            }
        }
        held
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
            self.open_calls.add_found(found);
            if rows.len() < PAGE_LEN {
                return Ok(());
            }
            after = rows.into_iter().next_back().map(|(key, _)| key);
        }
    }
}

/// The call and whose it is, if this is the row of an open call of a session.
fn open_call((key, record): &(Key, Record)) -> Option<(CallId, Owner)> {
    if !record::is(record, Kind::Call) {
        return None;
    }
    let row: CallRow = record::decode(record)?;
    let (session, call) = record::call_of_key(key, &record.owner.tenant)?;
    let left_at = row.placement();
    row.open.then_some((call, Owner { session, left_at }))
}
