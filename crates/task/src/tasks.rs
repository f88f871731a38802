//! The public face: what the edge asks, answered by the actor of the call.

use std::{collections::BTreeMap, sync::Arc};

use ostler_actor::{AskError, NotSent, Reply as Port};
use ostler_auth::{KeyRing, WorkerGrant};
use ostler_dispatch::{CallStream, Dispatcher};
use ostler_env::Env;
use ostler_protocol::{
    Raw,
    call::{CallEvent, Executed, Failure, Question},
    facet::ClientFacet,
    inbound::CallParams,
    task::TaskView,
};
use ostler_store::{Store, StoreError};
use ostler_types::{CallId, Caller, InstanceEpoch, ServerId, WorkerId};

use crate::{
    actor::{Answered, Command},
    config::Config,
    dispatched::Dispatched,
    error::TaskError,
    facts::{Binding, CallFacts, Owner},
    follow::TaskUpdates,
    known::KnownAnswers,
    live::{Inner, NewCall},
    quota::Place,
    round::{self, End, Resumed},
    state::{Birth, Resume},
    token::{BadState, Token},
    work::Work,
};

/// All calls of this node that outlive their requests. Cheap to clone.
#[derive(Clone)]
pub struct Tasks(pub(crate) Arc<Inner>);

/// The right of a caller to one more unfinished call. Dropped unused, it is free again.
pub struct Reserved {
    owner: Owner,
    place: Place,
}

/// A call that is not kept yet.
struct Handover {
    call: CallId,
    keep: Box<dyn FnOnce() -> Box<dyn Work> + Send>,
    facts: CallFacts,
    birth: Birth,
    backlog: Vec<CallEvent>,
}

impl Handover {
    fn new(call: CallStream, facts: CallFacts, birth: Birth, backlog: Vec<CallEvent>) -> Self {
        Self {
            call: call.id(),
            keep: Box::new(|| Dispatched::keep(call)),
            facts,
            birth,
            backlog,
        }
    }
}

/// How often a command finds its actor gone before it gives up: each time the actor has just
/// ended, and the next one wakes from the store.
const ATTEMPTS_MAX: usize = 3;

impl Tasks {
    pub fn new(
        env: &Env,
        store: Store,
        dispatcher: Dispatcher,
        keys: Arc<KeyRing>,
        config: Config,
    ) -> Self {
        let source = Box::new(Dispatched::new(dispatcher));
        Self(Inner::new(env, store, source, keys, config))
    }

    /// Room for one more. A call that its client has not begun yet is begun after this, so that
    /// what is refused never ran.
    pub fn reserve(&self, caller: &Caller, server: &ServerId) -> Result<Reserved, TaskError> {
        self.0.check_running()?;
        let owner = Owner::new(caller, server);
        let place = self.0.quota.take(&owner).ok_or(TaskError::Quota)?;
        Ok(Reserved { owner, place })
    }

    /// Parks a call at its first question that has no answer yet. Returns the questions with a
    /// `requestState`, once both the row is stored and the worker keeps the call; or the
    /// outcome, if that is faster.
    pub async fn park(
        &self,
        caller: &Caller,
        server: &ServerId,
        call: CallStream,
        facts: CallFacts,
        questions: Vec<Question>,
        known: KnownAnswers,
    ) -> Result<End, TaskError> {
        let birth = Birth {
            questions,
            known,
            ..Birth::default()
        };
        // Before the call is kept: refused, it is dropped, which cancels it.
        let reserved = self.reserve(caller, server)?;
        let handover = Handover::new(call, facts, birth, Vec::new());
        self.take_over(reserved, handover).await
    }

    /// Makes a task of a call; `backlog` is what it said so far and the client was not told.
    /// The handle is returned once the task is stored and the worker keeps the call [TK-1]; a
    /// faster outcome is returned as such [TK-9].
    pub async fn create(
        &self,
        reserved: Reserved,
        call: CallStream,
        facts: CallFacts,
        known: KnownAnswers,
        backlog: Vec<CallEvent>,
    ) -> Result<End, TaskError> {
        let birth = Birth {
            known,
            wants_task: true,
            ..Birth::default()
        };
        let handover = Handover::new(call, facts, birth, backlog);
        self.take_over(reserved, handover).await
    }

    async fn take_over(&self, reserved: Reserved, handover: Handover) -> Result<End, TaskError> {
        let new = NewCall {
            owner: reserved.owner,
            call: handover.call,
            work: (handover.keep)(),
            facts: handover.facts,
            birth: handover.birth,
            backlog: handover.backlog,
            place: reserved.place,
        };
        self.0.begin(new).await
    }

    /// A client comes back with a `requestState` and, as a rule, with answers.
    pub async fn resume(
        &self,
        caller: &Caller,
        server: &ServerId,
        params: &CallParams,
        facet: ClientFacet,
    ) -> Result<Resumed, TaskError> {
        let owner = Owner::new(caller, server);
        let token = self.open_state(&owner, params)?;
        let answers = params.input_responses.clone().unwrap_or_default();
        let resume = |ticket| Resume {
            ticket,
            round: token.round,
            answers: answers.clone(),
            facet,
        };
        for _ in 0..ATTEMPTS_MAX {
            let held = match self.0.hold_for(caller, server, token.task).await {
                Err(TaskError::Unknown) => return Ok(Resumed::End(self.gone(&token, &answers))),
                held => held?,
            };
            let ticket = self.0.ticket();
            let (follower, request) = round::follower(ticket);
            let command = Command::Resume(resume(ticket), follower);
            match held
                .address
                .send(&self.0.env, command, caller.deadline)
                .await
            {
                Ok(()) => return self.count_refusal(request.attach(held).begin().await),
                Err(NotSent::Full(_)) => return Err(TaskError::Overloaded),
                Err(NotSent::Closed(_)) => {}
            }
        }
        Err(TaskError::Overloaded)
    }

    fn open_state(&self, owner: &Owner, params: &CallParams) -> Result<Token, TaskError> {
        let binding = Binding::new(params.kind, &params.target, &params.arguments);
        let text = params.request_state.as_deref().unwrap_or_default();
        let bytes_max = self.0.config.request_state_bytes_max;
        let now = self.0.env.wall();
        Token::open(text, &self.0.keys, bytes_max, now, owner, &binding)
            .map_err(|reason| self.refuse_state(reason))
    }

    /// Why is nobody's business but the operator's [MR-5].
    fn refuse_state(&self, reason: BadState) -> TaskError {
        tracing::debug!(reason = reason.as_str(), "a requestState was refused");
        self.0.metrics.state_refused(reason);
        TaskError::State
    }

    fn count_refusal(&self, resumed: Result<Resumed, TaskError>) -> Result<Resumed, TaskError> {
        match resumed {
            Err(TaskError::State) => Err(self.refuse_state(BadState::Round)),
            resumed => resumed,
        }
    }

    /// Nothing is left of the call but what the client holds.
    fn gone(&self, token: &Token, answers: &BTreeMap<String, Raw>) -> End {
        let executed = Executed::Unknown;
        match token.rerun(answers) {
            Some(known) => {
                self.0.metrics.reruns.increment(1);
                End::Rerun(known)
            }
            None => End::Outcome(Err(Failure::WorkerLost { executed })),
        }
    }

    /// How a task stands.
    pub async fn get(
        &self,
        caller: &Caller,
        server: &ServerId,
        task: &str,
    ) -> Result<TaskView, TaskError> {
        let answered = self.command(caller, server, task, Command::Get).await?;
        answered.ok_or(TaskError::Unknown)
    }

    /// Answers questions of a task. Whatever fits is taken, even when something else does not
    /// and the request gets an error that names it.
    pub async fn update(
        &self,
        caller: &Caller,
        server: &ServerId,
        task: &str,
        answers: BTreeMap<String, Raw>,
    ) -> Result<(), TaskError> {
        let update = |port| Command::Update(answers.clone(), port);
        let answered = self.command(caller, server, task, update).await;
        answered.map(|_| ())
    }

    /// Asks a task to stop. It may end otherwise, if it is faster.
    pub async fn cancel(
        &self,
        caller: &Caller,
        server: &ServerId,
        task: &str,
    ) -> Result<(), TaskError> {
        let answered = self.command(caller, server, task, Command::Cancel).await;
        answered.map(|_| ())
    }

    pub(crate) async fn command(
        &self,
        caller: &Caller,
        server: &ServerId,
        task: &str,
        command: impl Fn(Port<Answered>) -> Command,
    ) -> Answered {
        let id = self.0.read_id(task)?;
        for _ in 0..ATTEMPTS_MAX {
            let held = self.0.hold_for(caller, server, id).await?;
            let asked = held.address.ask(&self.0.env, caller.deadline, &command);
            match asked.await {
                Ok(answered) => return answered,
                Err(AskError::Closed) => {}
                Err(AskError::Full | AskError::Deadline) => return Err(TaskError::Overloaded),
            }
        }
        Err(TaskError::Overloaded)
    }

    /// Those of `tasks` that this caller may follow, and their changes from now on.
    pub async fn follow(
        &self,
        caller: &Caller,
        server: &ServerId,
        tasks: &[String],
    ) -> Result<(Vec<String>, TaskUpdates), TaskError> {
        let (mut accepted, mut ids) = (Vec::new(), Vec::new());
        for task in tasks {
            let known = match self.0.read_id(task) {
                Ok(id) => self.0.hold_for(caller, server, id).await.map(|_| id),
                Err(error) => Err(error),
            };
            match known {
                Ok(id) => {
                    accepted.push(task.clone());
                    ids.push(id);
                }
                Err(TaskError::Unknown | TaskError::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((accepted, self.0.listens.listen(ids)))
    }

    /// A worker names `call`, and nobody claimed it. Wakes its owner, which claims it by itself.
    /// False: it is not ours, or has ended.
    pub async fn rebind(&self, call: CallId) -> bool {
        self.0.rebind(call).await
    }

    /// A newer process of this worker is here: what older ones ran is lost, of what it may serve.
    pub async fn worker_replaced(
        &self,
        worker: &WorkerId,
        instance: InstanceEpoch,
        grant: &WorkerGrant,
    ) {
        self.0.worker_replaced(worker, instance, grant).await;
    }

    /// At a start: finds all that was unfinished and wakes it, so that its workers have
    /// somewhere to come back to. Returns how many.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        self.0.recover().await
    }

    /// Lets go of everything. The calls run on at their workers, and their clients come back
    /// to another life of this node, or to another node.
    pub async fn stop(&self) {
        self.0.stop().await;
    }

    /// Calls with a live actor on this node.
    pub fn live(&self) -> usize {
        self.0.live()
    }
}

#[cfg(test)]
mod tests;
