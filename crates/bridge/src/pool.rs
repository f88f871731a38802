//! Who holds which upstream: one start for all who want the same at once, and none that nobody
//! wants for long.
//!
//! What is held and how it is opened is the [`Opener`]'s business. The machine in `state` decides;
//! here are the lock around it, the task that each upstream has from its start to its end, and the
//! tick that ends what is idle.

mod slot;
mod state;

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    ops::Deref,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use ostler_env::{Env, JoinHandle};
use parking_lot::Mutex;
use tokio::{
    select,
    sync::{oneshot, watch},
};
use tracing::{info, warn};

use self::state::{Again, Effect, Effects, Input, Run, State, Waiter};
use crate::metrics::{Closed, Metrics, RefusedHold};

/// Opens what a pool holds.
pub trait Opener: Send + Sync + 'static {
    /// What two callers must have in common to share one. `Debug` goes to the log.
    type Key: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// A clone is the same upstream.
    type Held: Clone + Send + Sync + 'static;

    /// Whose bound it counts against.
    fn tenant(&self, key: &Self::Key) -> Arc<str>;

    /// Starts or connects one; an error is a text for the log and for callers. When nobody wants it
    /// any more it is told so, and ends when nothing is left of what it began.
    fn open(
        &self,
        key: &Self::Key,
        given_up: GivenUp,
    ) -> BoxFuture<'static, Result<Self::Held, String>>;

    /// Ends when the upstream has ended by itself, and says how.
    fn gone(&self, held: &Self::Held) -> BoxFuture<'static, String>;

    /// Ends an upstream, whether or not it is gone, and waits for that.
    fn close(&self, held: Self::Held) -> BoxFuture<'static, ()>;

    /// An upstream does not do any more, for this reason: it is `gone`.
    fn discard(&self, held: &Self::Held, why: &str);
}

/// Ends, with whatever, when nobody wants any more what is being opened.
pub type GivenUp = oneshot::Receiver<()>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Upstreams at a time for one tenant.
    pub tenant_max: usize,
    /// Upstreams at a time for all.
    pub bridge_max: usize,
    /// What nobody used for so long is closed, at most a quarter later.
    pub idle_ttl: Duration,
    /// What takes longer to open has failed.
    pub open_max: Duration,
    /// What takes longer to close is not waited for.
    pub close_max: Duration,
    /// What lived so long did not fail at its start.
    pub steady: Duration,
    /// How long the first rest after a failure is at most; the next is twice as long.
    pub rest_min: Duration,
    /// No rest is longer, and failures are forgotten after it.
    pub rest_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            tenant_max: 64,
            bridge_max: 256,
            idle_ttl: Duration::from_secs(600),
            open_max: Duration::from_secs(60),
            close_max: Duration::from_secs(10),
            steady: Duration::from_secs(10),
            rest_min: Duration::from_millis(500),
            rest_max: Duration::from_secs(60),
        }
    }
}

/// Why a call gets no upstream now. None of it is the caller's fault; a retry may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it could not be started: {why}")]
    Failed {
        why: Arc<str>,
        retry_after: Duration,
    },
    #[error("it is down, and the next try is in {} ms: {why}", retry_after.as_millis())]
    Resting {
        why: Arc<str>,
        retry_after: Duration,
    },
    #[error("all upstreams that the tenant may have are in use")]
    TenantFull,
    #[error("all upstreams that the bridge may have are in use")]
    BridgeFull,
    #[error("the bridge is closing")]
    Closing,
}

impl Refusal {
    /// When trying again may go better, if anybody knows.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Failed { retry_after, .. } | Refusal::Resting { retry_after, .. } => {
                Some(*retry_after)
            }
            Refusal::TenantFull | Refusal::BridgeFull => Some(BUSY),
            Refusal::Closing => None,
        }
    }

    fn label(&self) -> RefusedHold {
        match self {
            Refusal::Failed { .. } => RefusedHold::Failed,
            Refusal::Resting { .. } => RefusedHold::Resting,
            Refusal::TenantFull => RefusedHold::TenantFull,
            Refusal::BridgeFull => RefusedHold::BridgeFull,
            Refusal::Closing => RefusedHold::Closing,
        }
    }
}

/// Calls are short as a rule, so places become free soon.
const BUSY: Duration = Duration::from_secs(1);

/// All upstreams of one bridge. Dropping it ends none of them: see [`Pool::close`].
pub struct Pool<O: Opener> {
    shared: Arc<Shared<O>>,
    ticker: JoinHandle<()>,
}

/// A hold on an upstream; while there is one it is not idle. It may end by itself all the same.
pub struct Hold<O: Opener> {
    held: O::Held,
    key: O::Key,
    run: Run,
    shared: Arc<Shared<O>>,
}

struct Shared<O: Opener> {
    env: Env,
    metrics: Metrics,
    limits: Limits,
    opener: O,
    core: Mutex<Core<O>>,
    places: watch::Sender<usize>,
}

struct Core<O: Opener> {
    state: State<O::Key>,
    effects: Effects<O::Key>,
    waiters: HashMap<Waiter, Ticket<O>>,
    waiters_seen: Waiter,
    /// What is open.
    held: HashMap<Run, O::Held>,
    /// Dropping one tells its task to close. From its start until it is told.
    open: HashMap<Run, oneshot::Sender<()>>,
}

type Ticket<O> = oneshot::Sender<Result<Hold<O>, Refusal>>;

/// What is done about effects once the lock is free.
enum Action<O: Opener> {
    Open(O::Key, Run, oneshot::Receiver<()>),
    Tell(Ticket<O>, Result<Hold<O>, Refusal>),
}

impl<O: Opener> Pool<O> {
    pub fn new(env: &Env, metrics: &Metrics, limits: Limits, opener: O) -> Pool<O> {
        let core = Core {
            state: State::new(limits),
            effects: Vec::new(),
            waiters: HashMap::new(),
            waiters_seen: 0,
            held: HashMap::new(),
            open: HashMap::new(),
        };
        let shared = Arc::new(Shared {
            env: env.clone(),
            metrics: metrics.clone(),
            limits,
            opener,
            core: Mutex::new(core),
            places: watch::Sender::new(0),
        });
        let tick = tick(env.clone(), limits.idle_ttl / 4, Arc::downgrade(&shared));
        let ticker = env.spawn("bridge-pool", tick);
        Pool { shared, ticker }
    }

    /// The upstream of this key, opened if there is none.
    // Cancel safe: what is granted to nobody is released.
    pub async fn hold(&self, key: O::Key) -> Result<Hold<O>, Refusal> {
        let (ticket, told) = oneshot::channel();
        self.shared.want(key, ticket);
        told.await.unwrap_or(Err(Refusal::Closing))
    }

    /// Closes everything, used or not, and refuses what is wanted from now on. Waits until all is
    /// closed, as long as one may take to close.
    pub async fn close(&self) {
        self.shared.turn(|_| Input::Drain);
        let limit = self.shared.env.now() + self.shared.limits.close_max;
        let mut places = self.shared.places.subscribe();
        let empty = places.wait_for(|places| *places == 0);
        drop(self.shared.env.until(limit, empty).await);
        self.ticker.abort();
    }

    /// How many upstreams there are, those that open or close among them.
    pub fn places(&self) -> usize {
        *self.shared.places.borrow()
    }
}

impl<O: Opener> Drop for Pool<O> {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

impl<O: Opener> Hold<O> {
    /// It does not do any more: who wants one from now on gets another.
    pub fn discard(&self, why: &str) {
        self.shared.opener.discard(&self.held, why);
        // Its task will hear of it, but nobody must be given it until then.
        let (key, run, dice) = (self.key.clone(), self.run, self.shared.env.random_u64());
        self.shared.turn(|_| Input::Gone { key, run, dice });
    }
}

impl<O: Opener> Deref for Hold<O> {
    type Target = O::Held;

    fn deref(&self) -> &O::Held {
        &self.held
    }
}

impl<O: Opener> Drop for Hold<O> {
    fn drop(&mut self) {
        let (key, run) = (self.key.clone(), self.run);
        self.shared.turn(|_| Input::Released { key, run });
    }
}

async fn tick<O: Opener>(env: Env, every: Duration, shared: Weak<Shared<O>>) {
    loop {
        env.sleep(every).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.turn(|_| Input::Tick);
    }
}

impl<O: Opener> Shared<O> {
    fn want(self: &Arc<Self>, key: O::Key, ticket: Ticket<O>) {
        let tenant = self.opener.tenant(&key);
        self.turn(|core| {
            core.waiters_seen += 1;
            let waiter = core.waiters_seen;
            core.waiters.insert(waiter, ticket);
            Input::Want {
                key,
                tenant,
                waiter,
            }
        });
    }

    /// One turn of the machine; what it wants done is done when the lock is free again.
    fn turn(self: &Arc<Self>, input: impl FnOnce(&mut Core<O>) -> Input<O::Key>) {
        let now = self.env.now();
        let actions: Vec<_> = {
            let mut core = self.core.lock();
            let core = &mut *core;
            let input = input(core);
            core.state.apply(now, input, &mut core.effects);
            let effects = std::mem::take(&mut core.effects);
            let actions = effects
                .into_iter()
                .filter_map(|effect| self.perform(core, effect));
            let actions = actions.collect();
            self.places.send_replace(core.state.places());
            actions
        };
        for action in actions {
            match action {
                Action::Open(key, run, close) => {
                    let live = live(self.clone(), key, run, close);
                    self.env.spawn("bridge-upstream", live);
                }
                // Who has gone gives back what it got.
                Action::Tell(ticket, result) => drop(ticket.send(result)),
            }
        }
    }

    fn perform(self: &Arc<Self>, core: &mut Core<O>, effect: Effect<O::Key>) -> Option<Action<O>> {
        match effect {
            Effect::Open { key, run, again } => {
                self.metrics.opened.increment(1);
                self.metrics
                    .reopened
                    .increment((again == Again::Yes).into());
                let (open, close) = oneshot::channel();
                core.open.insert(run, open);
                Some(Action::Open(key, run, close))
            }
            Effect::Close { run, why } => {
                self.metrics.closed(why);
                core.open.remove(&run);
                None
            }
            Effect::Grant { waiter, key, run } => {
                let ticket = core.waiters.remove(&waiter)?;
                let held = core.held.get(&run).expect("only what is open is granted");
                let hold = Hold {
                    held: held.clone(),
                    key,
                    run,
                    shared: self.clone(),
                };
                Some(Action::Tell(ticket, Ok(hold)))
            }
            Effect::Refuse { waiter, refusal } => {
                self.metrics.refused(refusal.label());
                let ticket = core.waiters.remove(&waiter)?;
                Some(Action::Tell(ticket, Err(refusal)))
            }
        }
    }
}

/// The life of one upstream, until it is closed.
async fn live<O: Opener>(
    shared: Arc<Shared<O>>,
    key: O::Key,
    run: Run,
    mut close: oneshot::Receiver<()>,
) {
    let held = match open(&shared, &key, &mut close).await {
        Some(Ok(held)) => held,
        Some(Err(why)) => return not_opened(&shared, key, run, &why),
        None => return shared.turn(|_| Input::Closed { key, run }),
    };
    shared.turn(|core| {
        core.held.insert(run, held.clone());
        let key = key.clone();
        Input::Opened { key, run }
    });
    select! {
        how = shared.opener.gone(&held) => gone(&shared, &key, run, &how),
        _ = &mut close => {}
    }
    ended(&shared, &key, shared.opener.close(held)).await;
    shared.turn(|core| {
        core.held.remove(&run);
        core.open.remove(&run);
        Input::Closed { key, run }
    });
}

/// Opens it within its time; None if it was told to close meanwhile. What is given up has ended
/// before anybody may have its place.
async fn open<O: Opener>(
    shared: &Shared<O>,
    key: &O::Key,
    close: &mut oneshot::Receiver<()>,
) -> Option<Result<O::Held, String>> {
    let (give_up, given_up) = oneshot::channel();
    let mut opening = shared.opener.open(key, given_up);
    let limit = shared.env.now() + shared.limits.open_max;
    let why = select! {
        opened = &mut opening => return Some(opened),
        () = shared.env.sleep_until(limit) => Some("it took too long to start"),
        _ = close => None,
    };
    drop(give_up);
    // It may have been there in the same moment.
    if let Some(Ok(held)) = ended(shared, key, opening).await {
        ended(shared, key, shared.opener.close(held)).await;
    }
    why.map(|why| Err(why.to_owned()))
}

/// Waits for the end of an upstream, but not for ever.
async fn ended<O: Opener, T>(
    shared: &Shared<O>,
    key: &O::Key,
    end: BoxFuture<'static, T>,
) -> Option<T> {
    let limit = shared.env.now() + shared.limits.close_max;
    let ended = shared.env.until(limit, end).await;
    if ended.is_none() {
        warn!(
            ?key,
            "an upstream takes too long to end; nobody waits for it any more"
        );
    }
    ended
}

fn not_opened<O: Opener>(shared: &Arc<Shared<O>>, key: O::Key, run: Run, why: &str) {
    warn!(?key, why, "an upstream did not start");
    shared.metrics.open_failed.increment(1);
    let dice = shared.env.random_u64();
    shared.turn(|core| {
        core.open.remove(&run);
        Input::NotOpened {
            key,
            run,
            why: why.into(),
            dice,
        }
    });
}

fn gone<O: Opener>(shared: &Arc<Shared<O>>, key: &O::Key, run: Run, how: &str) {
    info!(?key, how, "an upstream has ended");
    shared.metrics.closed(Closed::Gone);
    let dice = shared.env.random_u64();
    let key = key.clone();
    shared.turn(|_| Input::Gone { key, run, dice });
}
