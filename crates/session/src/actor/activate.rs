//! How a session becomes live: opened, or woken from the store under a raised epoch.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ostler_actor::{Alarm, Slot, mailbox};
use ostler_dispatch::workers::Workers;
use ostler_store::{Batch, Durable, Owner};
use ostler_types::{Caller, Identity, Instant, ServerId, SessionAlias, SessionId};

use crate::{
    SessionError, SessionFacts,
    actor::{Actor, Facts, Handle, rows, sources::Sources, turn::Turn, watches::Watches},
    book::Book,
    event_id::Binding,
    lifetime::Lifetime,
    record::{self, SessionKey, SessionRow},
    resources::{Resources, Watch},
    sessions::Shared,
    state::{Input, Notice, RestoredCall, SessionState, Terms},
    stream::{Nudge, Writer},
};

/// Messages that may wait. Calls that are adopted come by the control lane.
const CONTROL_LEN_MAX: usize = 128;
const DATA_LEN_MAX: usize = 256;

/// A call that was open when its actor crashed is at its worker still: it is found at once, or
/// its worker is just linking anew.
const CLAIM_WAIT: Duration = Duration::from_secs(5);

/// The one reader of a session that lives as long as it.
pub(crate) struct Listener {
    pub writer: Writer,
    /// Where the reader tells that it leaves.
    pub nudge: Arc<Nudge>,
}

/// What makes a session live: no other way leads to an actor, and to an id for the client.
enum Birth {
    /// Its row, as it is now, is stored.
    Stored(Durable),
    /// It has no rows, and lives as long as this.
    Heard(Listener),
}

/// Opens a session under a new id: its row is stored before it is live.
pub(crate) async fn create<W: Workers>(
    shared: &Arc<Shared<W>>,
    slot: Slot<SessionKey, Handle<W>>,
    caller: &Caller,
    row: SessionRow,
) -> Result<Handle<W>, SessionError> {
    let row = first_row(shared, slot.key(), caller, row)?;
    let stored = store(shared, slot.key(), &row).await?;
    start(shared, slot, caller, row, Vec::new(), Birth::Stored(stored))
}

/// Opens a session that lives as long as its reader: nothing is stored.
pub(crate) fn open_on<W: Workers>(
    shared: &Arc<Shared<W>>,
    slot: Slot<SessionKey, Handle<W>>,
    caller: &Caller,
    row: SessionRow,
    listener: Listener,
) -> Result<Handle<W>, SessionError> {
    let row = first_row(shared, slot.key(), caller, row)?;
    start(
        shared,
        slot,
        caller,
        row,
        Vec::new(),
        Birth::Heard(listener),
    )
}

fn first_row<W: Workers>(
    shared: &Shared<W>,
    key: &SessionKey,
    caller: &Caller,
    mut row: SessionRow,
) -> Result<SessionRow, SessionError> {
    row.epoch = 1;
    let server = row.server().ok_or(SessionError::Unknown)?;
    if let Ok(snapshot) = shared.dispatcher.snapshot(caller, &server_id(key, server)) {
        // What the client is about to read is what it knows.
        row.set_seen(snapshot.fingerprints());
    }
    Ok(row)
}

/// Wakes a session: the epoch is raised durably first, so that nothing of an earlier life can
/// be mistaken for something of this one. Commits are in order: all that the earlier life wrote
/// is durable then too, and its calls are read only after that.
pub(crate) async fn wake<W: Workers>(
    shared: &Arc<Shared<W>>,
    slot: Slot<SessionKey, Handle<W>>,
    by: Option<WokenBy<'_>>,
) -> Result<Handle<W>, SessionError> {
    shared.check_open()?;
    let mut row = read(shared, slot.key()).await?;
    if by.is_some_and(|by| !by.owns(&row)) {
        return Err(SessionError::Unknown);
    }
    row.epoch += 1;
    row.set_used(shared.env.wall());
    let stored = store(shared, slot.key(), &row).await?;
    let calls = rows::open_calls(&shared.store, slot.key()).await;
    let (calls, unreadable) = calls.map_err(|_| SessionError::Storage)?;
    shared.metrics.rows_unreadable.increment(unreadable as u64);
    shared.metrics.woken.increment(1);
    let nobody = anonymous(shared, slot.key(), &row);
    let caller = by.map_or(&nobody, |by| by.caller);
    let birth = Birth::Stored(stored);
    start(shared, slot, caller, row, calls, birth)
}

/// Whose request wakes a session, and at which Server.
#[derive(Clone, Copy)]
pub(crate) struct WokenBy<'a> {
    pub caller: &'a Caller,
    pub server: &'a ServerId,
}

impl WokenBy<'_> {
    /// Nobody wakes another's session [SES-7].
    fn owns(self, row: &SessionRow) -> bool {
        let is_owner = row.principal() == *self.caller.principal();
        is_owner && row.server().as_ref() == Some(&self.server.name)
    }
}

async fn read<W: Workers>(
    shared: &Shared<W>,
    key: &SessionKey,
) -> Result<SessionRow, SessionError> {
    let record = shared.store.get(&key.row()).await;
    let Some(record) = record.map_err(|_| SessionError::Storage)? else {
        return Err(missing(shared).await);
    };
    let row = record::decode::<SessionRow>(&record);
    // Whose it is stands in the record and in its row: one of them alone proves nothing.
    let owned = row.filter(|row| record.owner == Owner::new(&key.tenant, &row.principal()));
    let Some(mut row) = owned else {
        shared.metrics.rows_unreadable.increment(1);
        return Err(SessionError::Unknown);
    };
    row.limit_to(shared.env.wall());
    // The janitor may be late; an expired session is none.
    match rows::ends(&row, &shared.config) > shared.env.wall() {
        true => Ok(row),
        false => Err(SessionError::Unknown),
    }
}

/// Its end is read before it is durable: until then it may come back, also if the store could not
/// write it just now and will try again.
async fn missing<W: Workers>(shared: &Shared<W>) -> SessionError {
    let settled = shared.store.settled().await;
    match settled.is_ok() && shared.store.health().is_good() {
        true => SessionError::Unknown,
        false => SessionError::Storage,
    }
}

async fn store<W: Workers>(
    shared: &Shared<W>,
    key: &SessionKey,
    row: &SessionRow,
) -> Result<Durable, SessionError> {
    let mut batch = Batch::new();
    let owner = Owner::new(&key.tenant, &row.principal());
    rows::put_session(&mut batch, &shared.config, key, &owner, row);
    let stored = shared.store.commit(batch).await;
    stored.map_err(|_| SessionError::Storage)
}

/// Builds the machine and starts the actor around it.
fn start<W: Workers>(
    shared: &Arc<Shared<W>>,
    slot: Slot<SessionKey, Handle<W>>,
    caller: &Caller,
    row: SessionRow,
    calls: Vec<RestoredCall>,
    birth: Birth,
) -> Result<Handle<W>, SessionError> {
    let now = shared.env.now();
    let (address, mailbox) = mailbox(CONTROL_LEN_MAX, DATA_LEN_MAX);
    let (lifetime, listener) = match birth {
        Birth::Stored(_) => (Lifetime::Rows, None),
        Birth::Heard(listener) => (Lifetime::Stream, Some(listener)),
    };
    let nudge = listener.as_ref().map(|listener| listener.nudge.clone());
    let nudge = nudge.unwrap_or_default();
    let handle = handle(shared, slot.key(), &row, address, nudge);
    let handle = handle.ok_or(SessionError::Unknown)?;
    let terms = Terms {
        revision: handle.facts.revision,
        facet: handle.facts.facet,
        epoch: row.epoch,
        lifetime,
        config: shared.config.clone(),
    };
    let server = handle.facts.server.clone();
    let changes = shared
        .dispatcher
        .watch_changes_since(caller, &server, row.seen());
    let sources = Sources {
        mailbox,
        calls: Default::default(),
        watches: Watches::new(changes.ok(), row.seen()),
        nudge: handle.nudge.clone(),
        alarm: Alarm::new(&shared.env),
    };
    let mut actor = Box::new(Actor {
        state: SessionState::new(now, terms, row.restored()),
        facts: facts(slot.key(), &handle, &row, caller, lifetime),
        shared: shared.clone(),
        slot,
        row,
        sources,
        readers: Default::default(),
        touched: now,
        awake_at: now,
        unbound: BTreeSet::new(),
        unbound_until: None,
    });
    let mut first = actor.take_up(now, calls);
    if let Some(listener) = listener {
        actor.attach_listener(listener.writer, &mut first);
    }
    shared.run(actor, Box::new(first));
    Ok(handle)
}

impl<W: Workers> Actor<W> {
    /// What a woken session owes: its open calls, and word of what it could not watch asleep.
    fn take_up(&mut self, now: Instant, calls: Vec<RestoredCall>) -> Turn<W> {
        let mut turn = Turn::new();
        for call in calls {
            self.unbound.insert(call.facts.call);
            let key = self.facts.key.clone();
            self.shared.open_calls.insert(call.facts.call, key);
            // A request id in use twice cannot be: it was booked when it was stored.
            drop(self.facts.book.enter(&call.facts.request, None));
            self.state.restore_call(now, call);
        }
        self.facts.book.set_log_level(self.state.log_level());
        self.bind_all(&mut turn);
        if !self.unbound.is_empty() {
            let grace = self.shared.started + self.shared.config.rebind_grace;
            self.unbound_until = Some(grace.max(now + CLAIM_WAIT));
        }
        self.watch_again(&mut turn);
        turn
    }

    fn watch_again(&mut self, turn: &mut Turn<W>) {
        let uris: Vec<_> = self.state.subscriptions().iter().cloned().collect();
        let Facts { caller, server, .. } = &self.facts;
        let resources = &*self.shared.resources;
        let (watches, unwatched) = watch_all(resources, caller, server, uris.clone());
        self.sources.watches.extend(watches);
        self.facts.unwatched.add(unwatched);
        let notices = uris.into_iter().map(Notice::Updated).collect();
        self.apply(Input::Noticed(notices), turn);
    }
}

/// Watches what this caller may read; the rest comes back.
pub(crate) fn watch_all(
    resources: &dyn Resources,
    caller: &Caller,
    server: &ServerId,
    uris: Vec<Arc<str>>,
) -> (Vec<Watch>, Vec<Arc<str>>) {
    let (mut watches, mut unwatched) = (Vec::new(), Vec::new());
    for uri in uris {
        match resources.watch(caller, server, &uri) {
            Ok(updates) => watches.push((uri, updates)),
            Err(_) => unwatched.push(uri),
        }
    }
    (watches, unwatched)
}

fn handle<W: Workers>(
    shared: &Shared<W>,
    key: &SessionKey,
    row: &SessionRow,
    address: ostler_actor::Address<crate::actor::Control<W>, crate::actor::Data>,
    nudge: Arc<Nudge>,
) -> Option<Handle<W>> {
    let server = server_id(key, row.server()?);
    let principal = row.principal();
    Some(Handle {
        env: shared.env.clone(),
        keys: shared.keys.clone(),
        binding: Binding::new(key.id, &server, &principal),
        facts: SessionFacts {
            revision: row.revision()?,
            facet: row.facet()?,
            server,
            alias: alias(key.id),
        },
        principal,
        age_ends: row.created() + shared.config.age_max,
        address,
        book: Arc::new(Book::new(
            shared.env.now(),
            shared.config.requests_per_session_max,
        )),
        nudge,
        unwatched: Arc::default(),
        bounds: shared.config.reader_bounds(),
        resume_gaps: shared.metrics.resume_gaps.clone(),
    })
}

/// The same in every life of the node, also under other keys: what its workers keep for a session
/// must stay that session's. The id is too random to be found from it.
fn alias(id: SessionId) -> SessionAlias {
    let digest = blake3::derive_key("ostler session alias v1", &id.0);
    let (alias, _) = digest
        .split_first_chunk()
        .expect("32 bytes are more than 16");
    SessionAlias(*alias)
}

fn facts<W: Workers>(
    key: &SessionKey,
    handle: &Handle<W>,
    row: &SessionRow,
    caller: &Caller,
    lifetime: Lifetime,
) -> Facts {
    Facts {
        key: key.clone(),
        owner: Owner::new(&key.tenant, &row.principal()),
        binding: handle.binding.clone(),
        server: handle.facts.server.clone(),
        revision: handle.facts.revision,
        caller: caller.clone(),
        book: handle.book.clone(),
        unwatched: handle.unwatched.clone(),
        lifetime,
    }
}

fn server_id(key: &SessionKey, name: ostler_types::ServerName) -> ServerId {
    ServerId {
        tenant: key.tenant.clone(),
        name,
    }
}

/// Whose session it is, without the scopes of any request: for waking on our own account.
fn anonymous<W: Workers>(shared: &Shared<W>, key: &SessionKey, row: &SessionRow) -> Caller {
    let identity = Identity {
        tenant: key.tenant.clone(),
        principal: row.principal(),
        scopes: Arc::default(),
        valid_until: None,
        credential: "".into(),
    };
    Caller {
        identity: Arc::new(identity),
        session: None,
        trace: None,
        deadline: shared.env.now() + CLAIM_WAIT,
    }
}

/// A new session's id, in one of all shards.
pub(crate) fn mint_id<W: Workers>(shared: &Shared<W>) -> SessionId {
    let mut id = [0; 24];
    shared.env.fill_random(&mut id);
    SessionId(id)
}
