//! A live session: drain, decide, persist, publish.
//!
//! The machine in `state` decides; this actor gathers its inputs, stores its writes as one batch
//! and only then performs its acts. If a batch cannot be stored, the actor stops: what the
//! machine believes is then not true, and the session is built anew from the store.

mod message;
mod sources;
mod watches;
mod turn;
mod calls;
mod persist;
mod publish;
mod activate;
mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ostler_actor::{Slot, StopReason};
use ostler_dispatch::workers::Workers;
use ostler_protocol::Revision;
use ostler_store::Owner;
use ostler_types::{CallId, Caller, Instant, ServerId, Timestamp};

use crate::{
    book::Book,
    event_id::Binding,
    lifetime::Lifetime,
    record::{SessionKey, SessionRow},
    sessions::Shared,
    state::SessionState,
    stream::{StreamId, Writer},
};

pub(crate) use activate::{Listener, WokenBy, create, mint_id, open_on, wake, watch_all};
pub(crate) use message::{Adopt, AdoptedCall, Control, Data, Handle, Join, Port, Told};
pub(crate) use rows::purge;
pub(crate) use turn::Turn;

use sources::{Intake, Sources};
use watches::Unwatched;

pub(crate) struct Actor<W: Workers> {
    shared: Arc<Shared<W>>,
    slot: Slot<SessionKey, Handle<W>>,
    facts: Facts,
    /// As it was last stored.
    row: SessionRow,
    state: SessionState,
    sources: Sources<W>,
    /// In an order, so that a seeded run is the same each time.
    readers: BTreeMap<StreamId, Writer>,
    /// When the row was last written, or that was last tried.
    touched: Instant,
    /// When it last turned out that the session cannot sleep yet.
    awake_at: Instant,
    /// Calls that were open before we woke and whose worker has not named them yet ...
    unbound: BTreeSet<CallId>,
    /// ... and until when we wait for that.
    unbound_until: Option<Instant>,
}

/// What never changes about a session, as its actor needs it.
struct Facts {
    key: SessionKey,
    owner: Owner,
    binding: Binding,
    server: ServerId,
    revision: Revision,
    /// Whoever woke the session, or opened it. Its watches are the caller's.
    caller: Caller,
    book: Arc<Book>,
    unwatched: Arc<Unwatched>,
    lifetime: Lifetime,
}

impl<W: Workers> Actor<W> {
    /// `first` is the turn that taking the session up has already filled.
    ///
    /// Turns are boxed: a session waits nearly always, and what waits must be small.
    pub async fn run(mut self: Box<Self>, first: Box<Turn<W>>) -> StopReason {
        if let Some(reason) = Box::pin(self.complete(*first)).await {
            return reason;
        }
        loop {
            self.set_alarm();
            let wakes = self.sources.next(self.intake()).await;
            if let Some(reason) = Box::pin(self.turn(wakes)).await {
                return reason;
            }
        }
    }

    pub fn key(&self) -> &SessionKey {
        &self.facts.key
    }

    pub fn owner(&self) -> &Owner {
        &self.facts.owner
    }

    pub fn lifetime(&self) -> Lifetime {
        self.facts.lifetime
    }

    fn now(&self) -> Instant {
        self.shared.env.now()
    }

    fn wall(&self) -> Timestamp {
        self.shared.env.wall()
    }

    /// Nothing but the store needs to know this session right now.
    fn is_idle(&self) -> bool {
        self.state.is_idle() && self.readers.is_empty()
    }

    /// A session of one stream takes in no more than its reader takes: what waits for that is in
    /// the hands of its workers and clients. One with rows stores, whoever reads.
    fn intake(&self) -> Intake {
        match self.facts.lifetime {
            Lifetime::Rows => Intake::Turn,
            Lifetime::Stream if self.readers.values().any(Writer::is_behind) => Intake::Urgent,
            Lifetime::Stream => Intake::One,
        }
    }

    fn set_alarm(&mut self) {
        let config = &self.shared.config;
        let own = match self.is_idle() {
            true => self.facts.book.used().max(self.awake_at) + config.linger,
            // An open stream is use: the row must not expire under it.
            false => self.touched + config.touch_interval(),
        };
        let now = self.now();
        let stalls = self.readers.values();
        let stalls = stalls.filter_map(|reader| reader.stalls_at(now)).min();
        let at = [Some(own), self.state.alarm(), self.unbound_until, stalls];
        self.sources.alarm.set(at.into_iter().flatten().min());
    }

    /// Goes to sleep if nobody uses the session. What it knows is stored first.
    async fn retire_if_unused(&mut self) -> Option<StopReason> {
        let unused = self.now() >= self.facts.book.used() + self.shared.config.linger;
        if !self.is_idle() || !unused || self.slot.holds() > 0 {
            self.awake_at = self.now();
            return None;
        }
        if self.row_is_stale() && self.store_row().await.is_err() {
            let reason = "the session's row could not be stored";
            return Some(StopReason::Failed(reason.into()));
        }
        self.awake_at = self.now();
        let retired = self.slot.try_retire(&self.sources.mailbox);
        retired.then_some(StopReason::Retired)
    }
}
