//! Workers link here: calls go out, outcomes come back.
//!
//! Invariants: every started attempt ends exactly once; what a worker asks and how it ends is
//! never dropped, only its chatter is; no worker holds more of this node than its bounds say,
//! and a slow or hostile one delays nobody else.
//! Must not know: sessions, tasks, dispatch, HTTP, the store. A call is one attempt at one
//! worker here; whether it is tried again is `dispatch`'s decision.
//! Start with [`Hub`], then [`attempt`], then `slot` (what one call is while it runs),
//! `instance` (what one worker process is), `link` (the live stream to it).

pub mod attempt;
pub mod config;
pub mod orphans;
pub mod watch;
pub mod roster;

pub use attempt::{Attempt, AttemptEnd, AttemptEvent, NewAttempt, Placement, RefusedReason};
pub use config::Config;
pub use orphans::Orphans;
pub use roster::{NotStarted, WorkerRef};
pub use watch::{TooManyWatches, Watch};

use std::sync::Arc;

use ostler_auth::WorkerTokens;
use ostler_catalog::Catalogs;
use ostler_env::Env;
use ostler_types::{CallId, ServerId};

/// The workers linked to this node. Cloning is cheap; all clones are the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {}

impl Hub {
    /// Starts the hub's sweep; needs a tokio runtime.
    pub fn new(
        env: &Env,
        config: Config,
        catalogs: Catalogs,
        tokens: Arc<WorkerTokens>,
        orphans: Arc<dyn Orphans>,
    ) -> Hub {
        let _ = (env, config, catalogs, tokens, orphans);
        todo!()
    }

    /// The gRPC service to add to a tonic server.
    // pub fn service(&self) -> WorkersServer<..>

    /// Workers of this Server that are linked and take calls. Cheap.
    pub fn candidates(&self, server: &ServerId) -> Arc<[WorkerRef]> {
        let _ = server;
        todo!()
    }

    /// Sends a call to a worker.
    pub fn start(&self, worker: &WorkerRef, new: &NewAttempt<'_>) -> Result<Attempt, NotStarted> {
        let _ = (worker, new);
        todo!()
    }

    /// Claims a kept call that nobody owns: one that a worker named when it linked, or whose
    /// owner dropped its [`Attempt`].
    pub fn attach(&self, call: CallId) -> Option<Attempt> {
        let _ = call;
        todo!()
    }

    /// Nobody will ever claim this call: its worker stops it and forgets its outcome.
    pub fn forget(&self, call: CallId) {
        let _ = call;
        todo!()
    }

    /// Watches one resource: one watch towards the workers, however many listeners there are.
    pub fn watch(&self, server: &ServerId, uri: &str) -> Result<Watch, TooManyWatches> {
        let _ = (server, uri);
        todo!()
    }

    /// No new call, no new link; workers are told to link elsewhere.
    pub fn drain(&self) {
        todo!()
    }

    /// Ends all links and waits for the hub's tasks.
    pub async fn close(&self) {
        todo!()
    }
}
