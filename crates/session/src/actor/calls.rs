//! Calls that come back: claimed after a restart, moved to another worker, or lost.

use ostler_dispatch::{CallControl, CallStream, Claim, KeptCall, workers::Workers};
use ostler_protocol::call::{CallEvent, Executed, Failure};
use ostler_types::{CallId, InstanceEpoch, WorkerId};

use crate::{
    SessionError,
    actor::{Actor, turn::Turn},
    state::{CallFacts, FollowedTask, Input},
};

impl<W: Workers> Actor<W> {
    /// Something a call said. It may run elsewhere than before, and the row must say so before
    /// anything of the new attempt is shown: `Kept` need not be the first that it says.
    pub(super) fn call_said(&mut self, call: CallId, event: CallEvent, turn: &mut Turn<W>) {
        let held = self.sources.calls.get(&call);
        if let Some(placement) = held.and_then(|held| held.placement()) {
            self.apply(Input::Moved { call, placement }, turn);
        }
        self.apply(Input::Event { call, event }, turn);
    }

    /// A worker named this call: takes hold of it if it is ours and open.
    pub(super) fn claim(&mut self, call: CallId, turn: &mut Turn<W>) -> Result<(), SessionError> {
        let found = self.state.calls().find(|facts| facts.call == call).cloned();
        let Some(facts) = found else {
            self.shared.open_calls.remove(call);
            return Err(SessionError::Unknown);
        };
        let held = !self.unbound.contains(&call);
        match held || self.bind(&facts, turn) {
            true => Ok(()),
            false => Err(SessionError::Unknown),
        }
    }

    /// Claims every open call that nobody holds, as far as their workers are there.
    pub(super) fn bind_all(&mut self, turn: &mut Turn<W>) {
        for facts in self.unbound_calls() {
            self.bind(&facts, turn);
        }
    }

    fn bind(&mut self, facts: &CallFacts, turn: &mut Turn<W>) -> bool {
        let found = match &facts.task {
            Some(task) => Some(self.follow(facts.call, task)),
            None => self.find_at_worker(facts),
        };
        let Some(held) = found else {
            return false;
        };
        let call = facts.call;
        let own = u64::from(!held.is_followed());
        self.shared.metrics.calls_rebound.increment(own);
        self.unbound.remove(&call);
        self.sources.calls.insert(call, held);
        self.apply(Input::Claimed { call }, turn);
        true
    }

    /// The call of a task is its task's, wherever that is.
    fn follow(&self, id: CallId, task: &FollowedTask) -> KeptCall<W> {
        let (server, principal) = (&self.facts.server, self.row.principal());
        let by = self.state.followed_by(task.since);
        let tasks = &self.shared.tasks;
        let call = tasks.call_of(server, &principal, &task.handle, by);
        CallStream::followed(id, call, CallControl::new()).keep()
    }

    /// The call at its worker, if that is there.
    fn find_at_worker(&self, facts: &CallFacts) -> Option<KeptCall<W>> {
        let placement = facts.placement.as_ref()?;
        // What is left of the call's time, and as long again as a person may take.
        let left = facts.deadline.since(self.wall()) + self.shared.config.elicitation_timeout;
        let claim = Claim {
            call: facts.call,
            tenant: &self.facts.key.tenant,
            server: &self.facts.server,
            kind: facts.kind,
            target: &facts.target,
            placement,
            deadline: self.now() + left,
        };
        self.shared.dispatcher.attach(claim)
    }

    /// The grace is over: what no worker named is lost, and its client is told.
    pub(super) fn end_lost_calls(&mut self, turn: &mut Turn<W>) {
        if self.unbound_until.is_none_or(|until| until > self.now()) {
            return;
        }
        self.unbound_until = None;
        self.bind_all(turn);
        for call in self.unbound_calls() {
            self.lose(call.call, turn);
        }
    }

    /// A newer process of a worker is here: the call is lost if it ran in an older one. It may
    /// have moved since that was found.
    pub(super) fn worker_replaced(
        &mut self,
        call: CallId,
        worker: &WorkerId,
        instance: InstanceEpoch,
        turn: &mut Turn<W>,
    ) {
        let facts = self.state.calls().find(|facts| facts.call == call);
        let placement = facts.and_then(|facts| facts.placement.as_ref());
        if placement.is_some_and(|at| at.worker == *worker && at.instance < instance) {
            self.lose(call, turn);
        }
    }

    /// A call that nobody holds has no worker any more, and its client is told.
    fn lose(&mut self, call: CallId, turn: &mut Turn<W>) {
        if !self.unbound.remove(&call) {
            return;
        }
        self.shared.metrics.calls_lost.increment(1);
        self.shared.open_calls.remove(call);
        let executed = Executed::Unknown;
        let event = CallEvent::Outcome(Err(Failure::WorkerLost { executed }));
        self.apply(Input::Event { call, event }, turn);
    }

    fn unbound_calls(&self) -> Vec<CallFacts> {
        let calls = self.state.calls();
        let unbound = calls.filter(|facts| self.unbound.contains(&facts.call));
        unbound.cloned().collect()
    }
}
