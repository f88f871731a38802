//! The third beat: what a turn decided is stored, or its requests are refused.

use ostler_store::{Batch, Durable, StoreError};

use super::Actor;
use crate::{
    error::TaskError,
    record::{call, task},
    state::{Effect, Effects, Input, Keep},
};

/// Effects of which nothing is left to store. Only this file makes them; the next beat takes
/// them.
pub(super) struct Stored(Vec<Effect>);

impl Stored {
    pub fn into_effects(self) -> Vec<Effect> {
        self.0
    }
}

impl Actor {
    pub(super) async fn finish_turn(&mut self, fx: Effects) {
        if fx.cancel_call
            && let Some(work) = &self.work
        {
            work.cancel("the client cancelled it or did not come back");
        }
        self.backlog.append(fx);
        if self.must_commit() {
            self.commit().await;
        }
        match self.take_stored() {
            Some(stored) => self.publish(stored),
            // It may take long, and chatter is not worth keeping.
            None => self.backlog.drop_chatter(),
        }
        self.after_turn();
    }

    fn take_stored(&mut self) -> Option<Stored> {
        match self.backlog.keep {
            Keep::Unchanged => Some(Stored(std::mem::take(&mut self.backlog.effects))),
            Keep::Save | Keep::Erase => None,
        }
    }

    /// While the store refuses, only requests and the retry make it worth asking again.
    fn must_commit(&self) -> bool {
        let due = self.retry_at.is_none_or(|at| at <= self.inner.env.wall());
        self.backlog.keep != Keep::Unchanged && (due || self.backlog.has_replies())
    }

    async fn commit(&mut self) {
        let batch = self.batch();
        match self.inner.store.commit(batch).await {
            Ok(durable) => self.on_committed(durable),
            Err(error) => self.on_commit_failed(&error),
        }
    }

    fn on_committed(&mut self, _: Durable) {
        self.stored = self.backlog.keep == Keep::Save;
        self.backlog.keep = Keep::Unchanged;
        self.retry_at = None;
    }

    fn batch(&self) -> Batch {
        let facts = &self.state.facts;
        let tenant = &facts.owner.tenant;
        let (row, call_row) = (task::key(tenant, facts.id), call::key(tenant, facts.call));
        let deadline = Some(self.state.deadline);
        let mut batch = Batch::new();
        match self.backlog.keep {
            Keep::Unchanged => {}
            Keep::Save => batch.put(row, task::encode(&self.state), deadline),
            Keep::Erase => batch.delete(row),
        }
        // The call's row goes with the call: nobody is to be found for it any more.
        match self.state.is_unfinished() {
            true => {
                let record = call::encode(facts, self.state.place.as_ref());
                batch.put(call_row, record, deadline);
            }
            false => batch.delete(call_row),
        }
        batch
    }

    fn on_commit_failed(&mut self, error: &StoreError) {
        let id = self.state.facts.id;
        tracing::warn!(task = %id, %error, "a turn could not be stored");
        self.inner.metrics.store_failures.increment(1);
        self.retry_at = Some(self.inner.env.wall() + self.inner.config.store_retry);
        for ticket in self.backlog.take_replies() {
            self.finish(ticket, Err(TaskError::Storage));
            self.apply_quietly(Input::Unfollowed(ticket));
        }
        if !self.stored {
            self.forsake();
        }
    }

    fn apply_quietly(&mut self, input: Input) {
        let mut fx = Effects::default();
        self.apply(input, &mut fx);
        self.backlog.append(fx);
    }

    /// Nobody holds anything of it: the call is stopped, and nothing stays.
    fn forsake(&mut self) {
        let mut fx = Effects::default();
        self.apply(Input::NeverStored, &mut fx);
        if let (true, Some(work)) = (fx.cancel_call, &self.work) {
            work.cancel("it could not be stored");
        }
        self.backlog = Effects::default();
        self.retry_at = None;
        self.followers.clear();
    }
}
