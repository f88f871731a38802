//! The third beat: a turn's writes become one batch.

use std::time::Duration;

use ostler_actor::StopReason;
use ostler_dispatch::workers::Workers;
use ostler_protocol::call::LogLevel;
use ostler_store::{Batch, Durable, StoreError};
use ostler_types::Timestamp;

use crate::{
    actor::{Actor, rows, turn::Turn},
    lifetime::Lifetime,
    record::{self, CallKey, CallRow, EventRow, QuestionRow, SessionRow},
    state::Write,
    stream::StreamId,
};

/// Proof that nothing of a turn is left to store. Only this file makes one; the next beat takes
/// it.
pub(super) struct Stored(());

impl From<Durable> for Stored {
    fn from(_: Durable) -> Self {
        Stored(())
    }
}

impl<W: Workers> Actor<W> {
    /// Stores what the turn changed, all of it or nothing; an error ends the actor.
    pub(super) async fn persist(&mut self, turn: &mut Turn<W>) -> Result<Stored, StopReason> {
        if self.facts.lifetime == Lifetime::Stream {
            return Ok(self.pass_unstored(turn));
        }
        if turn.effects.end {
            let whole = self.state.has_stored();
            let purged = rows::purge(&self.shared.store, &self.facts.key, whole);
            let purged = purged.await.map(Stored::from);
            return purged.map_err(|error| self.not_stored(error));
        }
        let writes = std::mem::take(&mut turn.effects.writes);
        let marks_use = turn.touch || self.touch_is_due();
        if writes.is_empty() {
            if turn.touch && self.store_row().await.is_err() {
                // Only the mark of use is late; the next one is soon.
                tracing::debug!(session = %self.facts.key.id, "session not marked as used");
            }
            return Ok(Stored(()));
        }
        let mut batch = Batch::new();
        let mut row = marks_use;
        for write in writes {
            row |= self.add(write, &mut batch);
        }
        let fresh = row.then(|| self.add_row(&mut batch));
        let stored = self.shared.store.commit(batch).await;
        let stored = stored.map_err(|error| self.not_stored(error))?;
        self.row_stored(fresh);
        Ok(stored.into())
    }

    /// Nobody comes back for what this session writes.
    fn pass_unstored(&mut self, turn: &mut Turn<W>) -> Stored {
        turn.effects.writes.clear();
        self.facts.book.set_log_level(self.state.log_level());
        self.touched = self.now();
        Stored(())
    }

    /// Writes the session's own row.
    pub(super) async fn store_row(&mut self) -> Result<(), StoreError> {
        // Also if it fails: the next try is due in its time, not at once.
        self.touched = self.now();
        let mut batch = Batch::new();
        let fresh = self.add_row(&mut batch);
        self.shared.store.commit(batch).await?;
        self.row_stored(Some(fresh));
        Ok(())
    }

    /// Whether the stored row says something else than what we know.
    pub(super) fn row_is_stale(&self) -> bool {
        self.fresh_row() != self.row || self.touch_is_due()
    }

    fn touch_is_due(&self) -> bool {
        let used = self.facts.book.used();
        used.since(self.touched) >= self.shared.config.touch_interval()
    }

    fn row_stored(&mut self, fresh: Option<SessionRow>) {
        if let Some(fresh) = fresh {
            self.facts.book.set_log_level(self.state.log_level());
            self.row = fresh;
            self.touched = self.now();
        }
    }

    fn not_stored(&self, error: StoreError) -> StopReason {
        self.shared.metrics.commit_failures.increment(1);
        StopReason::Failed(error.to_string())
    }

    /// Adds one write; true if it is the session's row, which is written once per turn.
    fn add(&self, write: Write, batch: &mut Batch) -> bool {
        let Actor { shared, facts, .. } = self;
        let (session, owner, epoch) = (&facts.key, &facts.owner, self.row.epoch);
        let long = self.after(shared.config.event_span());
        match write {
            Write::Session => return true,
            Write::Call { stream, facts } => {
                let call = facts.call;
                let row = CallRow::new(stream, &facts);
                let deadline = self.kept_until(stream);
                let record = record::encode(&row, epoch, owner);
                batch.put(CallKey { session, call }.row(), record, Some(deadline));
            }
            Write::DropCall { call } => batch.delete(CallKey { session, call }.row()),
            Write::Event {
                stream,
                place,
                data,
                last,
            } => {
                let record = record::encode(&EventRow::new(&data, last), epoch, owner);
                let deadline = self.kept_until(stream);
                batch.put(session.event(stream, place), record, Some(deadline));
                shared.metrics.events_stored.increment(1);
            }
            Write::DropEvent { stream, place } => batch.delete(session.event(stream, place)),
            Write::Question { call, id, asked } => {
                let record = record::encode(&QuestionRow::new(&asked), epoch, owner);
                let key = CallKey { session, call }.question(id);
                batch.put(key, record, Some(long));
            }
            Write::DropQuestion { call, id } => {
                batch.delete(CallKey { session, call }.question(id));
            }
        }
        false
    }

    /// Through the longest call; who waits for the result of a task may wait longer.
    fn kept_until(&self, stream: StreamId) -> Timestamp {
        let config = &self.shared.config;
        let long = self.after(config.event_span());
        let waits_until = self.state.waits_until(stream);
        waits_until.map_or(long, |until| long.max(until + config.event_retention))
    }

    fn add_row(&self, batch: &mut Batch) -> SessionRow {
        let mut fresh = self.fresh_row();
        fresh.set_used(self.wall());
        rows::put_session(
            batch,
            &self.shared.config,
            &self.facts.key,
            &self.facts.owner,
            &fresh,
        );
        fresh
    }

    /// The row as the machine stands, marked as used when it last was.
    fn fresh_row(&self) -> SessionRow {
        let mut row = self.row.clone();
        row.initialized = self.state.is_initialized();
        if self.state.log_level() != self.row.restored().log_level.unwrap_or(LogLevel::Info) {
            row.set_log_level(self.state.log_level());
        }
        row.set_subscriptions(self.state.subscriptions().iter());
        row.set_unseen(self.state.unseen_lists());
        row.set_seen(self.sources.watches.seen());
        row
    }

    fn after(&self, span: Duration) -> Timestamp {
        self.wall() + span
    }
}
