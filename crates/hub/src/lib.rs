//! Workers link here: calls go out, outcomes come back.
//!
//! Invariants: every started attempt ends exactly once; what a worker asks and how it ends is
//! never dropped, only its chatter is; no worker holds more of this node than its bounds say,
//! and a slow or hostile one delays nobody else.
//! Must not know: sessions, tasks, dispatch, HTTP, the store. A call is one attempt at one
//! worker here; whether it is tried again is `dispatch`'s decision.
//! Start with [`Hub`], then [`attempt`], then `slot` (what one call is while it runs),
//! `instance` (what one worker process is), `link` (the live stream to it), `machine` (what is
//! decided about all three).

pub mod attempt;
pub mod config;
pub mod orphans;
pub mod roster;
pub mod watch;
pub mod service;
mod admission;
mod handshakes;
mod link;
mod instance;
mod slot;
mod machine;
mod offer;
mod metrics;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ostler_auth::WorkerTokens;
use ostler_catalog::Catalogs;
use ostler_env::Env;
use ostler_rpc::{FRAME_BYTES_MAX, worker_v1::workers_server::WorkersServer};
use ostler_types::{CallId, ServerId};
use tokio::sync::Notify;
use tonic::Status;

use crate::{
    admission::Registered,
    handshakes::Handshakes,
    instance::{Instance, Shared},
    link::outbox::Why,
    metrics::Metrics,
    roster::Roster,
    slot::Slot,
    watch::Watches,
};

pub use attempt::{Attempt, AttemptEnd, AttemptEvent, NewAttempt, Placement, RefusedReason};
pub use config::Config;
pub use orphans::{Backlog, Orphans};
pub use roster::{NotStarted, WorkerRef};
pub use service::Service;
pub use watch::{TooManyWatches, Watch};

/// The workers linked to this node. Cloning is cheap; all clones are the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

pub(crate) struct Inner {
    shared: Arc<Shared>,
    catalogs: Catalogs,
    tokens: Arc<WorkerTokens>,
    orphans: Arc<dyn Orphans>,
    roster: Roster,
    watches: Watches,
    registered: Registered,
    handshakes: Arc<Handshakes>,
    links_made: AtomicU64,
    draining: AtomicBool,
    closing: AtomicBool,
    /// Told when a link has ended.
    unlinked: Notify,
}

impl Hub {
    /// A hub for which no time passes yet: see [`Hub::sweep`].
    pub fn new(
        env: &Env,
        config: Config,
        catalogs: Catalogs,
        tokens: Arc<WorkerTokens>,
        orphans: Arc<dyn Orphans>,
    ) -> Hub {
        let shared = Arc::new(Shared {
            env: env.clone(),
            metrics: Metrics::new(env.metrics()),
            config,
        });
        let inner = Arc::new(Inner {
            shared,
            catalogs,
            tokens,
            orphans,
            roster: Roster::default(),
            watches: Watches::default(),
            registered: Registered::default(),
            handshakes: Arc::default(),
            links_made: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            unlinked: Notify::new(),
        });
        Hub(inner)
    }

    /// Lets time pass for all calls: deadlines, graces, orphans. One timer for the whole hub, until
    /// it closes. Whoever makes a hub runs this beside it: without it no call is ever late.
    pub fn sweep(&self) -> impl Future<Output = ()> + Send + use<> {
        sweep(self.0.shared.env.clone(), Arc::downgrade(&self.0))
    }

    /// The gRPC service to add to a tonic server. Its stream and connection windows must be at
    /// least 1 MiB, and TCP_NODELAY set.
    pub fn service(&self) -> WorkersServer<Service> {
        WorkersServer::new(Service(self.0.clone()))
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX)
    }

    /// Workers of this Server that are linked and take calls. Cheap.
    pub fn candidates(&self, server: &ServerId) -> Arc<[WorkerRef]> {
        self.0.roster.candidates(server)
    }

    /// Sends a call to a worker.
    pub fn start(&self, worker: &WorkerRef, new: &NewAttempt<'_>) -> Result<Attempt, NotStarted> {
        let slot = worker.instance.start(&worker.link, new)?;
        Ok(Attempt::new(worker.instance.clone(), slot))
    }

    /// Claims a kept call that nobody owns: one that a worker named when it linked, or whose
    /// owner dropped its [`Attempt`]. The new owner hears again what still matters: that it was
    /// kept, its open questions, its outcome. Exactly this attempt: whoever has a call's placement
    /// stored must not get what another worker says about it.
    pub fn attach(&self, call: CallId, placement: &Placement) -> Option<Attempt> {
        let (instance, slot) = self.find(call, placement)?;
        slot.claim().then(|| Attempt::new(instance, slot))
    }

    /// Nobody will ever claim this attempt: its worker stops it and forgets its outcome. If it
    /// has an owner it goes on.
    pub fn forget_at(&self, call: CallId, placement: &Placement) {
        if let Some((instance, slot)) = self.find(call, placement) {
            instance.forget(&slot);
        }
    }

    /// Exactly this attempt, at exactly this process.
    fn find(&self, call: CallId, placement: &Placement) -> Option<(Arc<Instance>, Arc<Slot>)> {
        let instance = self.0.roster.find(&placement.worker)?;
        if instance.epoch != placement.instance {
            return None;
        }
        let slot = instance.find_attempt(call, placement.attempt)?;
        Some((instance, slot))
    }

    /// Watches one resource: one watch towards the workers, however many listeners there are.
    pub fn watch(&self, server: &ServerId, uri: &str) -> Result<Watch, TooManyWatches> {
        Watch::open(&self.0, server, uri)
    }

    /// No new call, no new link; workers are told to link elsewhere. A link ends when the last
    /// call of it that is not kept has ended.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        for link in self.0.roster.links() {
            link.drain();
            self.0.roster.refresh(&link);
        }
    }

    /// Waits until no worker is linked, after [`Hub::drain`].
    // Cancel safe: it only looks.
    pub async fn drained(&self) {
        loop {
            let unlinked = self.0.unlinked.notified();
            if self.0.roster.links().is_empty() {
                return;
            }
            unlinked.await;
        }
    }

    /// The time of a drain is over: what nobody could take up elsewhere ends here, and its worker
    /// is told to stop. Kept calls run on.
    pub fn end_plain_calls(&self) {
        for instance in self.0.roster.instances() {
            instance.end_plain_calls();
        }
    }

    /// Ends all links.
    pub async fn close(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.closing.store(true, Ordering::Release);
        for link in self.0.roster.links() {
            let status = Status::unavailable("the node stops");
            link.outbox.close(Why::Told, Some(status));
        }
        self.drained().await;
    }
}

impl Inner {
    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

async fn sweep(env: Env, hub: Weak<Inner>) {
    let mut pause = Duration::ZERO;
    loop {
        env.sleep(pause).await;
        let Some(hub) = hub.upgrade().filter(|hub| !hub.is_closing()) else {
            return;
        };
        pause = hub.shared.config.sweep;
        let now = env.now();
        for instance in hub.roster.instances() {
            instance.sweep(now, &*hub.orphans);
        }
        hub.roster.expire(now, hub.shared.config.grace_kept);
    }
}
