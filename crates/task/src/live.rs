//! Which calls have a live actor here, how they wake and how they end.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ostler_actor::{
    Directory, Held, Importance, Slot, Stop, StopReason, Supervisor, Verdict, mailbox,
};
use ostler_auth::{KeyRing, Purpose, WorkerGrant, decode_id, encode_id};
use ostler_env::Env;
use ostler_hub::Placement;
use ostler_protocol::call::CallEvent;
use ostler_store::{Batch, KeyPrefix, Record, Store, StoreError, Table};
use ostler_types::{CallId, Caller, InstanceEpoch, ServerId, Shard, TaskId, TenantId, WorkerId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    actor::{Actor, Control, Handle, Start},
    config::Config,
    error::TaskError,
    facts::{Binding, CallFacts, Facts, Owner},
    follow::Listens,
    metrics::Metrics,
    quota::{Place, Quota},
    record::{call, task},
    requested::{Listener, News},
    round::{self, End},
    state::{Birth, TaskState, Ticket},
    work::{Source, Work},
};

/// What all actors of this node share.
pub(crate) struct Inner {
    pub env: Env,
    pub config: Config,
    pub store: Store,
    pub keys: Arc<KeyRing>,
    pub source: Box<dyn Source>,
    pub metrics: Metrics,
    pub listens: Arc<Listens>,
    pub quota: Arc<Quota>,
    /// Who passes news on to sessions; set once, when the sessions are there.
    pub listener: OnceLock<Arc<dyn Listener>>,
    directory: Directory<TaskId, Handle>,
    supervisor: Supervisor<TaskId>,
    /// Who owns which running call. Bounded by what is unfinished.
    open: Mutex<HashMap<CallId, Open>>,
    tickets: AtomicU64,
    /// Nothing wakes any more.
    stopping: AtomicBool,
    /// Rings when an actor has ended.
    ended: Notify,
}

/// A running call, and whose it is.
#[derive(Clone)]
struct Open {
    server: ServerId,
    task: TaskId,
    /// Where the last run of this node left it. Of the others the hub knows.
    left_at: Option<Placement>,
}

impl Open {
    /// Whose row was found, and no more.
    fn of(row: call::OpenCall) -> Self {
        let call::OpenCall { server, task, .. } = row;
        Self {
            server,
            task,
            left_at: None,
        }
    }
}

/// A call that is handed over.
pub(crate) struct NewCall {
    pub owner: Owner,
    pub call: CallId,
    pub work: Box<dyn Work>,
    pub facts: CallFacts,
    pub birth: Birth,
    /// What the call said so far.
    pub backlog: Vec<CallEvent>,
    pub place: Place,
}

/// Control items waiting for one actor: one rebind per link of a worker, one hint per
/// follower, one stop.
const CONTROL_LEN_MAX: usize = 16;

/// When those that are still live are told again to stop.
const STOP_AGAIN: Duration = Duration::from_millis(100);

/// Rows read at once at a start.
const PAGE_LEN: usize = 256;

impl Inner {
    pub fn new(
        env: &Env,
        store: Store,
        source: Box<dyn Source>,
        keys: Arc<KeyRing>,
        config: Config,
    ) -> Arc<Self> {
        let metrics = Metrics::register(env.metrics());
        let counters = (metrics.started.clone(), metrics.ended.clone());
        Arc::new(Self {
            listens: Listens::new(config.updates_len_max, metrics.followers_cut.clone()),
            quota: Quota::new(&config, counters),
            listener: OnceLock::new(),
            directory: Directory::new(env, "task"),
            supervisor: Supervisor::new(env, "task", Importance::Ordinary),
            open: Mutex::default(),
            tickets: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            ended: Notify::new(),
            env: env.clone(),
            config,
            store,
            keys,
            source,
            metrics,
        })
    }

    pub fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }

    pub fn wire_id(&self, id: TaskId) -> String {
        encode_id(&self.keys, Purpose::TaskId, &id.0)
    }

    pub fn read_id(&self, text: &str) -> Result<TaskId, TaskError> {
        let id = decode_id(&self.keys, Purpose::TaskId, text);
        id.map(TaskId).ok_or(TaskError::Unknown)
    }

    /// The call of an actor ended; nobody is to be woken for it any more.
    pub fn close(&self, call: CallId) {
        self.open.lock().remove(&call);
    }

    pub fn live(&self) -> usize {
        self.directory.len()
    }

    pub fn check_running(&self) -> Result<(), TaskError> {
        match self.stopping.load(Ordering::Acquire) {
            true => Err(TaskError::Draining),
            false => Ok(()),
        }
    }

    // ---- beginning -----------------------------------------------------------------

    /// Starts the actor of a call and waits for what its request is to be told.
    pub async fn begin(self: &Arc<Self>, new: NewCall) -> Result<End, TaskError> {
        let id = self.mint(new.call.shard());
        let ticket = self.ticket();
        let (follower, request) = round::follower(ticket);
        let facts = self.facts(id, &new);
        let facet = new.facts.facet;
        let birth = Birth {
            place: new.work.place(),
            ..new.birth
        };
        let start = Start {
            state: TaskState::begin(&self.config, facts, facet, ticket, birth),
            work: Some(new.work),
            follower: Some(follower),
            backlog: new.backlog,
            place: Some(new.place),
        };
        let activate = async |slot| Ok(self.start(slot, start));
        let held = self.directory.hold(id, activate).await?;
        request.attach(held).end().await
    }

    fn facts(&self, id: TaskId, new: &NewCall) -> Facts {
        let facts = &new.facts;
        Facts {
            id,
            call: new.call,
            owner: new.owner.clone(),
            target: facts.target.clone(),
            binding: Binding::new(facts.kind, &facts.target, &facts.arguments),
            revision: facts.revision,
            replay_safe: facts.replay_safe,
            task_support: facts.task_support,
            timeout: facts.timeout,
            request: facts.request.clone(),
            created_at: self.env.wall(),
        }
    }

    /// 184 random bits in the shard of the call, so that both have one owner.
    fn mint(&self, shard: Shard) -> TaskId {
        let mut id = [0; 24];
        self.env.fill_random(&mut id);
        id[0] = shard.0;
        TaskId(id)
    }

    fn start(self: &Arc<Self>, slot: Slot<TaskId, Handle>, start: Start) -> Handle {
        let (address, mailbox) = mailbox(CONTROL_LEN_MAX, self.config.mailbox_len_max);
        let facts = start.state.facts.clone();
        let owner = facts.owner.clone();
        let (kind, target) = (facts.binding.kind, facts.target.clone());
        let request = facts.request.as_ref();
        let progress_token = request.and_then(|request| request.progress_token.clone());
        if start.state.is_unfinished() {
            let place = start.state.place.clone();
            let open = Open {
                server: owner.server_id(),
                task: facts.id,
                left_at: place.filter(|_| start.work.is_none()),
            };
            self.open.lock().insert(facts.call, open);
        }
        let actor = Actor::new(self.clone(), slot, mailbox, start);
        let inner = self.clone();
        // Its owner is the directory: it ends when it retires, or by `Inner::stop`, which waits.
        drop(self.env.spawn("task", async move {
            let stop = inner.supervisor.run(&facts.id, actor.run()).await;
            inner.after(facts, stop).await;
        }));
        Handle {
            address,
            owner,
            kind,
            target,
            progress_token,
        }
    }

    /// Nobody waits for it, and a session that sleeps does without.
    pub fn tell_session(&self, facts: &Facts, news: News) {
        if let (Some(request), Some(listener)) = (&facts.request, self.listener.get()) {
            listener.tell(&facts.owner.tenant, request.session, news);
        }
    }

    // ---- waking --------------------------------------------------------------------

    /// The actor of `id`, if it is `owner`'s. Unknown, foreign and expired look the same
    /// [TK-2]: all three are a read of the store under the caller's own tenant.
    pub async fn hold(
        self: &Arc<Self>,
        owner: &Owner,
        id: TaskId,
    ) -> Result<Held<Handle>, TaskError> {
        let held = self.wake(&owner.tenant, id, Some(owner)).await?;
        match held.owner == *owner {
            true => Ok(held),
            false => Err(TaskError::Unknown),
        }
    }

    /// The same, for a request: what the target needs now, its caller must hold now.
    pub async fn hold_for(
        self: &Arc<Self>,
        caller: &Caller,
        server: &ServerId,
        id: TaskId,
    ) -> Result<Held<Handle>, TaskError> {
        let held = self.hold(&Owner::new(caller, server), id).await?;
        self.source
            .permit(caller, server, held.kind, &held.target)?;
        Ok(held)
    }

    async fn wake(
        self: &Arc<Self>,
        tenant: &TenantId,
        id: TaskId,
        owner: Option<&Owner>,
    ) -> Result<Held<Handle>, TaskError> {
        self.check_running()?;
        let activate = async |slot| {
            let mut state = self.load(tenant, id).await?;
            if owner.is_some_and(|owner| *owner != state.facts.owner) {
                return Err(TaskError::Unknown);
            }
            state.wake(&self.config, self.env.wall());
            let place = state
                .is_unfinished()
                .then(|| self.quota.retake(&state.facts.owner));
            let start = Start {
                state,
                work: None,
                follower: None,
                backlog: Vec::new(),
                place,
            };
            Ok(self.start(slot, start))
        };
        self.directory.hold(id, activate).await
    }

    async fn load(&self, tenant: &TenantId, id: TaskId) -> Result<TaskState, TaskError> {
        let key = task::key(tenant, id);
        // What its last actor wrote may be under way still, if that one crashed.
        let settled = self.store.settled().await;
        let record = match settled {
            Ok(()) => self.store.get(&key).await,
            Err(error) => Err(error),
        };
        let record = record.map_err(|error| {
            tracing::warn!(task = %id, %error, "a task could not be read");
            TaskError::Storage
        })?;
        let record = record.ok_or(TaskError::Unknown)?;
        task::decode(id, &record).map_err(|error| {
            tracing::error!(task = %id, %error, "a task is lost");
            TaskError::Unknown
        })
    }

    /// A boxed future, because the actor that it starts runs this again at its end.
    fn after(
        self: Arc<Self>,
        facts: Facts,
        stop: Stop,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            match stop.reason {
                StopReason::Retired | StopReason::Stopped => {}
                StopReason::Failed(_) | StopReason::Panicked(_) => {
                    self.after_crash(&facts, &stop).await;
                }
            }
            self.ended.notify_waiters();
        })
    }

    async fn after_crash(self: &Arc<Self>, facts: &Facts, stop: &Stop) {
        let (id, reason) = (facts.id, &stop.reason);
        tracing::error!(task = %id, ?reason, verdict = ?stop.verdict, "a task's actor crashed");
        match stop.verdict {
            Verdict::Restart | Verdict::Escalate => {
                // Unknown: it had shown nothing, so nobody misses it.
                drop(self.wake(&facts.owner.tenant, id, None).await);
            }
            Verdict::Forget => self.give_up(facts).await,
        }
    }

    /// A crash loop ends the one task that has it.
    async fn give_up(&self, facts: &Facts) {
        self.close(facts.call);
        let tenant = &facts.owner.tenant;
        let mut batch = Batch::new();
        batch.delete(task::key(tenant, facts.id));
        batch.delete(call::key(tenant, facts.call));
        if let Err(error) = self.store.commit(batch).await {
            tracing::warn!(task = %facts.id, %error, "a crashed task could not be removed");
        }
    }

    // ---- calls that come back ------------------------------------------------------

    /// A call that is ours stays ours when its actor cannot be woken now: to say otherwise
    /// would stop it.
    pub async fn rebind(self: &Arc<Self>, call: CallId) -> bool {
        let open = self.open.lock().get(&call).cloned();
        let Some(Open { server, task, .. }) = open else {
            return false;
        };
        match self.wake(&server.tenant, task, None).await {
            // A full or closed lane: the actor that is there, or the next, looks by itself.
            Ok(held) => held.address.control(Control::Rebind).is_ok() || self.is_open(call),
            Err(TaskError::Unknown) => false,
            Err(_) => true,
        }
    }

    /// Those that wait for what older processes of this worker ran need not wait any longer, if
    /// the worker may serve them at all.
    pub async fn worker_replaced(
        self: &Arc<Self>,
        worker: &WorkerId,
        instance: InstanceEpoch,
        grant: &WorkerGrant,
    ) {
        let older = |open: &Open| {
            let left_at = open.left_at.as_ref();
            left_at.is_some_and(|at| at.worker == *worker && at.instance < instance)
                && grant.may_serve(&open.server)
        };
        for Open { server, task, .. } in self.open_where(older) {
            if let Ok(held) = self.wake(&server.tenant, task, None).await {
                // A full or closed lane: it finds out when the grace is over.
                drop(held.address.control(Control::Lost));
            }
        }
    }

    /// In an order, so that a seeded run is the same each time.
    fn open_where(&self, wanted: impl Fn(&Open) -> bool) -> Vec<Open> {
        let open = self.open.lock();
        let mut found: Vec<_> = open.iter().filter(|(_, open)| wanted(open)).collect();
        found.sort_unstable_by_key(|(call, _)| **call);
        found.into_iter().map(|(_, open)| open.clone()).collect()
    }

    fn is_open(&self, call: CallId) -> bool {
        self.open.lock().contains_key(&call)
    }

    pub async fn recover(self: &Arc<Self>) -> Result<usize, StoreError> {
        let prefix = KeyPrefix::table(Table::Calls);
        let mut after = None;
        let mut found = 0;
        loop {
            let page = self.store.scan(&prefix, after.as_ref(), PAGE_LEN).await?;
            let Some((last, _)) = page.last() else {
                return Ok(found);
            };
            after = Some(last.clone());
            for (_, record) in &page {
                found += usize::from(self.recover_one(record).await?);
            }
        }
    }

    /// Wakes the owner of one row; a row without an owner is removed.
    async fn recover_one(self: &Arc<Self>, record: &Record) -> Result<bool, StoreError> {
        let open = match call::decode(record) {
            None => return Ok(false),
            Some(Ok(open)) => open,
            Some(Err(error)) => {
                tracing::error!(%error, "the row of a call is lost");
                return Ok(false);
            }
        };
        match self.wake(&open.server.tenant, open.task, None).await {
            Ok(_) => Ok(true),
            Err(TaskError::Unknown) => {
                self.close(open.call);
                let mut batch = Batch::new();
                batch.delete(call::key(&open.server.tenant, open.call));
                self.store.commit(batch).await.map(|_| false)
            }
            Err(error) => {
                // Still ours, and nobody may stop it: it wakes for its worker or its client.
                tracing::warn!(call = %open.call, %error, "the owner of a call does not wake yet");
                self.open.lock().insert(open.call, Open::of(open));
                Ok(true)
            }
        }
    }

    // ---- the end -------------------------------------------------------------------

    pub async fn stop(&self) {
        // First: what an actor lets go of is offered back to it at once.
        self.stopping.store(true, Ordering::Release);
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Listen first, look second: no end can fall in between.
            ended.as_mut().enable();
            if self.directory.is_empty() {
                return;
            }
            for held in self
                .directory
                .keys()
                .iter()
                .filter_map(|id| self.directory.find(id))
            {
                // A full lane is told again.
                drop(held.address.control(Control::Stop));
            }
            // Not for ever: an activation under way was not told, and tells of no end.
            self.env.until(self.env.now() + STOP_AGAIN, ended).await;
        }
    }
}
