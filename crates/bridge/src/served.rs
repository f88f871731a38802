//! A Server of the bridge: its members' offers as one, and each call to the member it is for.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, future};
use metrics::{Counter, Gauge};
use ostler_env::Env;
use ostler_types::ServerId;
use ostler_worker::{Ctx, Reply, Server, ToolError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    federation::{self, Conflict, Part, Routes, Rules},
    member::{Asked, Member, Offer, Presence},
};

/// One member in its place.
pub struct Seat {
    pub name: String,
    pub rules: Rules,
    pub member: Arc<dyn Member>,
}

/// A Server that its members make. Dropped, it hears of them no more.
pub struct Served {
    shared: Arc<Shared>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

struct Shared {
    id: ServerId,
    server: Server,
    seats: Vec<Seat>,
    offers: Vec<watch::Receiver<Arc<Offer>>>,
    routes: watch::Sender<Arc<Routes>>,
    up: Vec<Gauge>,
    conflicts: Counter,
    /// Conflicts that were told. Held while offers are looked at and shown, so that an older look
    /// never comes after a newer one.
    told: Mutex<BTreeSet<String>>,
}

impl Served {
    /// Begins to serve these members as `server`, in this order.
    pub fn start(env: &Env, id: &ServerId, server: Server, seats: Vec<Seat>) -> Served {
        let label = id.to_string();
        let up = seats.iter().map(|seat| up_gauge(env, &label, &seat.name));
        let shared = Arc::new(Shared {
            id: id.clone(),
            offers: seats.iter().map(|seat| seat.member.offer()).collect(),
            up: up.collect(),
            conflicts: conflicts_counter(env, &label),
            routes: watch::Sender::default(),
            told: Mutex::default(),
            server: server.clone(),
            seats,
        });
        // Held by the handler through the Server, which is held here: a cycle would never end.
        let weak = Arc::downgrade(&shared);
        server.relay(move |ctx, arguments| {
            let shared = weak.upgrade();
            async move {
                let shared = shared.ok_or(ToolError::Cancelled)?;
                shared.call(ctx, arguments).await
            }
        });
        let merging = env.spawn("bridge merge", merge(shared.clone()));
        let watching = env.spawn("bridge watch", watch(shared.clone()));
        Served {
            shared,
            _tasks: [merging, watching].map(AbortOnDropHandle::new),
        }
    }

    /// What it is served as.
    pub fn id(&self) -> &ServerId {
        &self.shared.id
    }

    /// What the worker serves.
    pub fn server(&self) -> Server {
        self.shared.server.clone()
    }

    /// Waits until every member was reached or found to be down, but no longer than `patience`: a
    /// Server that is linked before that offers nothing for a while.
    pub async fn settled(&self, env: &Env, patience: Duration) {
        let until = env.now() + patience;
        let known = self.shared.offers.iter().map(|offer| async {
            let mut offer = offer.clone();
            let is_known = |offer: &Arc<Offer>| offer.presence != Presence::Unknown;
            // An error: the member is gone, so nothing more is to be known.
            let _ = offer.wait_for(is_known).await;
        });
        if env.until(until, future::join_all(known)).await.is_none() {
            tracing::warn!(server = %self.shared.id, "not every member is known yet");
        }
        self.shared.show();
    }
}

impl Shared {
    /// What nobody lists is the first member's that has it. Any error is passed over while another
    /// one may: servers tell of what they do not have in many ways. If nobody does, the first error
    /// that says more than that is told.
    async fn call(&self, ctx: Ctx, arguments: Bytes) -> Result<Reply, ToolError> {
        let (kind, target) = (ctx.kind(), ctx.target());
        let found = self.routes.borrow().find(kind, target);
        let mut told = ToolError::NotFound(format!("no member offers {target}"));
        for (index, target) in found {
            let asked = Asked {
                kind,
                target,
                arguments: arguments.clone(),
            };
            match self.seats[index].member.call(ctx.clone(), asked).await {
                Ok(reply) => return Ok(reply),
                Err(error) if matches!(told, ToolError::NotFound(_)) => told = error,
                Err(_) => {}
            }
        }
        Err(told)
    }

    /// What is watched, and whose it is or may be.
    fn watched(&self, routes: &Routes) -> BTreeSet<(String, usize)> {
        let watched = self.server.watched().into_iter();
        let owned = |uri: String| {
            let owners = routes.owners(&uri).into_iter();
            owners.map(move |index| (uri.clone(), index))
        };
        watched.flat_map(owned).collect()
    }

    /// Shows what all members offer now. Conflicts that were not there before are told.
    fn show(&self) {
        let mut told = self.told.lock();
        let offers: Vec<_> = self
            .offers
            .iter()
            .map(|offer| offer.borrow().clone())
            .collect();
        let parts = self.seats.iter().zip(&offers).map(|(seat, offer)| Part {
            name: &seat.name,
            rules: &seat.rules,
            offer,
        });
        let merged = federation::merge(self.id.name.as_str(), &parts.collect::<Vec<_>>());
        for (up, offer) in self.up.iter().zip(&offers) {
            up.set(f64::from(u8::from(offer.presence == Presence::Up)));
        }
        for conflict in &merged.conflicts {
            self.tell(conflict, &mut told);
        }
        // The routes first: what is listed can be called.
        self.routes.send_replace(Arc::new(merged.routes));
        self.server.offer_raw(merged.offer);
    }

    fn tell(&self, conflict: &Conflict, told: &mut BTreeSet<String>) {
        let Conflict {
            shown,
            first,
            other,
        } = conflict;
        if told.len() < CONFLICTS_TOLD_MAX && told.insert(format!("{other} {shown}")) {
            self.conflicts.increment(1);
            let server = &self.id;
            tracing::warn!(
                %server,
                shown,
                first,
                other,
                "two members offer the same; the first has it"
            );
        }
    }
}

/// Conflicts that are remembered, so that each is told once; more are not told.
const CONFLICTS_TOLD_MAX: usize = 10_000;

async fn merge(shared: Arc<Shared>) {
    let mut offers: Vec<_> = shared.offers.clone();
    loop {
        for offer in &mut offers {
            offer.mark_unchanged();
        }
        shared.show();
        let changes = offers.iter_mut().map(|offer| offer.changed().boxed());
        if let (Err(_), ..) = future::select_all(changes).await {
            // A member is gone, and so is the bridge.
            return;
        }
    }
}

/// Tells members what is watched of theirs, and when a URI is theirs no more: who watches may have
/// come before the member did, and may stay when its entry goes.
async fn watch(shared: Arc<Shared>) {
    let mut watches = shared.server.watches_changed();
    let mut routes = shared.routes.subscribe();
    let mut told = BTreeSet::new();
    loop {
        watches.mark_unchanged();
        let now = shared.watched(&routes.borrow_and_update());
        for (uri, index) in told.difference(&now) {
            shared.seats[*index].member.watch(uri, false);
        }
        for (uri, index) in now.difference(&told) {
            shared.seats[*index].member.watch(uri, true);
        }
        told = now;
        let changed = tokio::select! {
            changed = watches.changed() => changed,
            changed = routes.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

fn up_gauge(env: &Env, server: &str, member: &str) -> Gauge {
    env.metrics().gauge(
        "ostler_bridge_member_up",
        "Whether a member is there.",
        &[("server", server), ("member", member)],
    )
}

fn conflicts_counter(env: &Env, server: &str) -> Counter {
    env.metrics().counter(
        "ostler_bridge_conflicts_total",
        "Entries that are not shown because another member offers the same.",
        &[("server", server)],
    )
}
