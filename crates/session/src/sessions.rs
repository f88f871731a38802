//! All sessions of a node: opened, held, drained.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ostler_actor::{Directory, Held, Importance, StopReason, Supervisor, Verdict};
use ostler_auth::{KeyRing, Purpose, decode_id, encode_id};
use ostler_dispatch::{CallSource, Dispatcher, workers::Workers};
use ostler_env::Env;
use ostler_hub::Hub;
use ostler_protocol::{fault::Fault, inbound::Initialize, json::Raw};
use ostler_store::{Owner, Store};
use ostler_types::{Caller, Instant, ServerId, SessionId};
use tokio::sync::Notify;

use crate::{
    Config, HeldSession, SessionError,
    actor::{self, Actor, Control, Data, Handle, Turn},
    lifetime::Lifetime,
    metrics::Metrics,
    quota::Quota,
    rebind::OpenCalls,
    record::{Opening, SessionKey, SessionRow},
    resources::SharedResources,
};

/// The sessions of one node. Cloning is cheap; all clones are the same sessions.
pub struct Sessions<W: Workers = Hub>(pub(crate) Arc<Shared<W>>);

/// What all session actors of a node share.
pub(crate) struct Shared<W: Workers> {
    pub env: Env,
    pub store: Store,
    pub dispatcher: Dispatcher<W>,
    pub resources: SharedResources,
    /// Whose calls `tasks/result` follows.
    pub tasks: Arc<dyn CallSource>,
    pub keys: Arc<KeyRing>,
    pub config: Arc<Config>,
    pub metrics: Metrics,
    pub started: Instant,
    pub open_calls: OpenCalls,
    pub directory: Directory<SessionKey, Handle<W>>,
    supervisor: Supervisor<SessionKey>,
    quota: Quota,
    draining: AtomicBool,
    /// Nothing wakes any more.
    closing: AtomicBool,
    /// Told each time an actor has ended.
    ended: Notify,
}

/// What sessions follow that is neither theirs nor a worker's call.
pub(crate) struct Outside {
    pub resources: SharedResources,
    pub tasks: Arc<dyn CallSource>,
}

impl<W: Workers> Clone for Sessions<W> {
    fn clone(&self) -> Self {
        Sessions(self.0.clone())
    }
}

impl Sessions {
    pub fn new(
        env: &Env,
        store: Store,
        dispatcher: Dispatcher,
        tasks: Arc<dyn CallSource>,
        keys: Arc<KeyRing>,
        config: Config,
    ) -> Sessions {
        let outside = Outside {
            resources: Arc::new(dispatcher.clone()),
            tasks,
        };
        Sessions::over(env, store, dispatcher, outside, keys, config)
    }
}

impl<W: Workers> Sessions<W> {
    pub(crate) fn over(
        env: &Env,
        store: Store,
        dispatcher: Dispatcher<W>,
        outside: Outside,
        keys: Arc<KeyRing>,
        config: Config,
    ) -> Sessions<W> {
        let Outside { resources, tasks } = outside;
        Sessions(Arc::new(Shared {
            env: env.clone(),
            store,
            dispatcher,
            resources,
            tasks,
            keys,
            quota: Quota::new(&config),
            config: Arc::new(config),
            metrics: Metrics::new(env),
            started: env.now(),
            open_calls: OpenCalls::default(),
            directory: Directory::new(env, "session"),
            supervisor: Supervisor::new(env, "session", Importance::Ordinary),
            draining: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            ended: Notify::new(),
        }))
    }

    /// Opens a session for `initialize`; it is stored before this returns its id [SES-1].
    pub async fn create(
        &self,
        caller: &Caller,
        server: &ServerId,
        init: &Initialize,
    ) -> Result<String, SessionError> {
        self.check_opens(init)?;
        let shared = &self.0;
        let owner = Owner::new(&server.tenant, caller.principal());
        shared.quota.take(shared, &owner).await?;
        let created = self.open(caller, server, init).await;
        if created.is_err() {
            shared.quota.give_back(&owner);
        }
        let id = created?;
        shared.metrics.created.increment(1);
        Ok(encode_id(&shared.keys, Purpose::SessionId, &id.0))
    }

    /// Counts the sessions there are. Whoever opens the first would do it, and wait for it.
    pub async fn count(&self) {
        if let Err(error) = self.0.quota.count_anew(&self.0).await {
            tracing::warn!(%error, "sessions not counted yet");
        }
    }

    /// Whether a session may be opened by this `initialize`, as far as that can be said before.
    pub fn check_opens(&self, init: &Initialize) -> Result<(), SessionError> {
        self.0.check_takes_new()?;
        check_size(init)
    }

    async fn open(
        &self,
        caller: &Caller,
        server: &ServerId,
        init: &Initialize,
    ) -> Result<SessionId, SessionError> {
        let shared = &self.0;
        let row = self.row(caller, server, init);
        let id = actor::mint_id(shared);
        let tenant = server.tenant.clone();
        let key = SessionKey { tenant, id };
        let activate = |slot| actor::create(shared, slot, caller, row);
        drop(shared.directory.hold(key, activate).await?);
        Ok(id)
    }

    pub(crate) fn row(&self, caller: &Caller, server: &ServerId, init: &Initialize) -> SessionRow {
        SessionRow::new(&Opening {
            server: &server.name,
            principal: caller.principal(),
            revision: init.negotiated,
            capabilities: &init.capabilities,
            client_info: &storable(&init.client_info),
            now: self.0.env.wall(),
        })
    }

    /// Holds a session for one request, waking it if it sleeps. What does not exist, has ended
    /// or is someone else's cannot be told apart [SES-2], [SES-7].
    pub async fn hold(
        &self,
        caller: &Caller,
        server: &ServerId,
        wire_id: &str,
    ) -> Result<HeldSession<W>, SessionError> {
        let shared = &self.0;
        let id = decode_id(&shared.keys, Purpose::SessionId, wire_id);
        let id = SessionId(id.ok_or(SessionError::Unknown)?);
        let tenant = server.tenant.clone();
        let held = self
            .hold_owned(caller, server, SessionKey { tenant, id })
            .await?;
        Ok(self.use_held(held, caller))
    }

    pub(crate) fn use_held(&self, held: Held<Handle<W>>, caller: &Caller) -> HeldSession<W> {
        let shared = &self.0;
        shared.mark_used(&held);
        shared.watch_unwatched(&held, caller);
        let resources = shared.resources.clone();
        HeldSession::new(held, caller.clone(), resources)
    }

    /// The owner is compared on the live handle; of a sleeping session on its row, before it
    /// wakes: nobody wakes another's session.
    async fn hold_owned(
        &self,
        caller: &Caller,
        server: &ServerId,
        key: SessionKey,
    ) -> Result<Held<Handle<W>>, SessionError> {
        let shared = &self.0;
        if *caller.tenant() != server.tenant {
            return Err(SessionError::Unknown);
        }
        let held = match shared.directory.find(&key) {
            Some(held) => held,
            // Boxed: the requests of live sessions carry no room for it.
            None => Box::pin(self.wake(caller, server, key)).await?,
        };
        self.check_held(held, caller, server)
    }

    pub(crate) fn check_held(
        &self,
        held: Held<Handle<W>>,
        caller: &Caller,
        server: &ServerId,
    ) -> Result<Held<Handle<W>>, SessionError> {
        let is_principal = held.principal == *caller.principal();
        let is_server = held.facts.server == *server && *caller.tenant() == server.tenant;
        let is_owner = is_principal && is_server;
        let is_young = self.0.env.wall() < held.age_ends;
        match is_owner && is_young && !held.book.is_ended() {
            true => Ok(held),
            false => Err(SessionError::Unknown),
        }
    }

    async fn wake(
        &self,
        caller: &Caller,
        server: &ServerId,
        key: SessionKey,
    ) -> Result<Held<Handle<W>>, SessionError> {
        let shared = &self.0;
        let by = actor::WokenBy { caller, server };
        let activate = |slot| actor::wake(shared, slot, Some(by));
        shared.directory.hold(key, activate).await
    }

    /// Opens no more sessions, and tells every stream to come back later, each at a time of its
    /// own [SSE-4]. Calls go on.
    pub async fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.tell_all(|| Control::Drain);
    }

    /// Puts every live session to sleep and waits for it. Calls stay kept at their workers.
    pub async fn close(&self) {
        let Shared { env, ended, .. } = &*self.0;
        self.0.draining.store(true, Ordering::Release);
        self.0.closing.store(true, Ordering::Release);
        loop {
            let ended = ended.notified();
            tokio::pin!(ended);
            // Listen first, look second: no end can fall in between.
            ended.as_mut().enable();
            self.tell_all(|| Control::Stop);
            if self.0.directory.is_empty() {
                return;
            }
            // Not for ever: an activation under way was not told, and tells of no end.
            env.until(env.now() + STOP_AGAIN, ended).await;
        }
    }

    /// Live sessions, for operators.
    pub fn live(&self) -> usize {
        self.0.directory.len()
    }

    fn tell_all(&self, message: impl Fn() -> Control<W>) {
        for key in self.0.directory.keys() {
            if let Some(held) = self.0.directory.find(&key) {
                // One that is full or gone is not lost: a full one is told again by `close`,
                // and the end of the process closes all streams anyway.
                drop(held.address.control(message()));
            }
        }
    }
}

/// What a client says of itself is written again with each change of its session.
const CAPABILITIES_BYTES_MAX: usize = 64 << 10;
/// For people only. Beyond this (pictures, as a rule) it is not kept.
const CLIENT_INFO_BYTES_MAX: usize = 8 << 10;

fn check_size(init: &Initialize) -> Result<(), SessionError> {
    match init.capabilities.bytes().len() <= CAPABILITIES_BYTES_MAX {
        true => Ok(()),
        false => {
            let problem = format!("capabilities must have at most {CAPABILITIES_BYTES_MAX} bytes");
            Err(SessionError::Refused(Fault::InvalidParams(problem)))
        }
    }
}

fn storable(client_info: &Raw) -> Raw {
    match client_info.bytes().len() <= CLIENT_INFO_BYTES_MAX {
        true => client_info.clone(),
        false => Raw::empty_object(),
    }
}

impl<W: Workers> Shared<W> {
    /// Starts an actor. Its task ends with it, or with its restart.
    pub(crate) fn run(self: &Arc<Self>, actor: Box<Actor<W>>, first: Box<Turn<W>>) {
        let (shared, key) = (self.clone(), actor.key().clone());
        // Not awaited: an actor's end is told to the directory and to `ended`.
        let task = shared.supervise(key, actor, first);
        debug_assert!(
            size_of_val(&task) <= TASK_BYTES_MAX,
            "an idle session must be small"
        );
        drop(self.env.spawn("session", task));
    }

    async fn supervise(
        self: Arc<Self>,
        key: SessionKey,
        actor: Box<Actor<W>>,
        first: Box<Turn<W>>,
    ) {
        let (owner, lifetime) = (actor.owner().clone(), actor.lifetime());
        let stop = self.supervisor.run(&key, actor.run(first)).await;
        self.ended.notify_waiters();
        match (stop.verdict, stop.reason) {
            (Verdict::Forget, StopReason::Stopped | StopReason::Retired) => {}
            (Verdict::Restart | Verdict::Escalate, reason)
            | (Verdict::Forget, reason @ StopReason::Failed(_)) => {
                tracing::warn!(session = %key.id, ?reason, "session restarts from the store");
                Box::pin(self.restart(key)).await;
            }
            (Verdict::Forget, reason @ StopReason::Panicked(_)) => {
                tracing::error!(session = %key.id, ?reason, "session given up: it keeps crashing");
                self.metrics.given_up.increment(1);
                self.open_calls.remove_all(&key);
                let purged = Box::pin(actor::purge(&self.store, &key, true)).await;
                match purged {
                    Ok(_) => self.give_back(&owner, lifetime),
                    // It still is there, and counts.
                    Err(error) => {
                        tracing::error!(session = %key.id, %error, "session not deleted");
                    }
                }
            }
        }
    }

    /// Wakes a crashed session, for its open calls; whoever asks for it sooner does so first.
    /// Gives up after a while: what is stored waits for the next request.
    async fn restart(self: Arc<Self>, key: SessionKey) {
        for attempt in 0..RESTARTS_MAX {
            self.env.sleep(RESTART_PAUSE * 2u32.pow(attempt)).await;
            if self.draining.load(Ordering::Acquire) {
                return;
            }
            match self.hold_key(&key).await {
                Ok(_) | Err(SessionError::Unknown) => return,
                Err(error) => {
                    tracing::debug!(session = %key.id, %error, "session not restarted yet");
                }
            }
        }
    }

    /// Holds a session on our own account.
    // Boxed: an actor's task may restart it, so the type of one contains the other's.
    pub(crate) fn hold_key<'a>(
        self: &'a Arc<Self>,
        key: &'a SessionKey,
    ) -> futures_util::future::BoxFuture<'a, Result<Held<Handle<W>>, SessionError>> {
        Box::pin(async move {
            let activate = |slot| actor::wake(self, slot, None);
            self.directory.hold(key.clone(), activate).await
        })
    }

    /// A node that drains opens no sessions.
    pub(crate) fn check_takes_new(&self) -> Result<(), SessionError> {
        match self.draining.load(Ordering::Acquire) {
            true => Err(SessionError::Draining),
            false => Ok(()),
        }
    }

    /// Once the node closes, nothing wakes; while it only drains, calls go on.
    pub(crate) fn check_open(&self) -> Result<(), SessionError> {
        match self.closing.load(Ordering::Acquire) {
            true => Err(SessionError::Draining),
            false => Ok(()),
        }
    }

    fn mark_used(&self, held: &Handle<W>) {
        let now = self.env.now();
        held.book.mark_used(now);
        if held.book.mark_is_due(now, self.config.touch_interval()) {
            // A full mailbox means that a turn is near, which marks too.
            drop(held.address.tell(Data::Touch));
        }
    }

    /// A session may have woken for somebody who may not read what it is subscribed to, or for
    /// nobody.
    fn watch_unwatched(&self, held: &Handle<W>, caller: &Caller) {
        let uris = held.unwatched.take();
        if uris.is_empty() {
            return;
        }
        let server = &held.facts.server;
        let (watches, unwatched) = actor::watch_all(&*self.resources, caller, server, uris);
        held.unwatched.add(unwatched);
        let uris: Vec<_> = watches.iter().map(|(uri, _)| uri.clone()).collect();
        if !uris.is_empty() && held.address.tell(Data::WatchAgain(watches)).is_err() {
            // A full mailbox: the next caller tries again.
            held.unwatched.add(uris);
        }
    }

    /// The session is over: its principal may open another. Those of one stream are bounded by
    /// their streams.
    pub(crate) fn give_back(&self, owner: &Owner, lifetime: Lifetime) {
        match lifetime {
            Lifetime::Rows => self.quota.give_back(owner),
            Lifetime::Stream => {}
        }
    }
}

/// What a waiting session costs beyond its actor.
const TASK_BYTES_MAX: usize = 1_024;
/// When those that are still live are told again to stop.
const STOP_AGAIN: Duration = Duration::from_millis(100);
const RESTARTS_MAX: u32 = 6;
const RESTART_PAUSE: Duration = Duration::from_millis(250);
