//! One watch per (Server, resource) towards the workers, told to all who listen.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use ostler_types::{Instant, ServerId};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Inner, config::Config, link::Link};

/// As many resources are watched as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyWatches {
    #[error("the tenant watches too many resources")]
    OfTenant,
    #[error("too many resources are watched")]
    OfNode,
}

/// A listener. The workers are told when the first one comes and when the last one goes.
pub struct Watch {
    hub: Weak<Inner>,
    server: ServerId,
    uri: String,
    changes: watch::Receiver<()>,
    told: Option<Instant>,
}

/// What is watched.
#[derive(Default)]
pub(crate) struct Watches(Mutex<Watched>);

type Watched = HashMap<ServerId, OfServer>;

/// What is watched of one Server.
#[derive(Default)]
struct OfServer {
    by_uri: BTreeMap<String, Resource>,
    /// All URIs together.
    bytes: usize,
}

/// How long the URIs of watched resources may be on average: a new link is told all of them at
/// once.
pub(crate) const URI_BYTES_AVERAGE_MAX: usize = 1 << 10;

struct Resource {
    changes: watch::Sender<()>,
    listeners: usize,
}

impl Watch {
    pub(crate) fn open(
        hub: &Arc<Inner>,
        server: &ServerId,
        uri: &str,
    ) -> Result<Self, TooManyWatches> {
        let first = || {
            hub.shared.metrics.watches.increment(1.0);
            hub.tell_watch(server, uri, true);
        };
        let changes = hub.watches.listen(server, uri, &hub.shared.config, first)?;
        Ok(Self {
            hub: Arc::downgrade(hub),
            server: server.clone(),
            uri: uri.to_owned(),
            changes,
            told: None,
        })
    }

    /// Waits until the resource has changed since the last time. Changes in between count once,
    /// and so do those that follow each other closely. Never returns once the hub is gone.
    // Cancel safe: a change counts as told only when this returns.
    pub async fn changed(&mut self) {
        self.pause().await;
        if self.changes.changed().await.is_err() {
            return std::future::pending().await;
        }
        let hub = self.hub.upgrade();
        self.told = hub.map(|hub| hub.shared.env.now());
    }

    async fn pause(&self) {
        let (Some(told), Some(hub)) = (self.told, self.hub.upgrade()) else {
            return;
        };
        let env = hub.shared.env.clone();
        let until = told + hub.shared.config.watch_interval;
        drop(hub);
        env.sleep_until(until).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(hub) = self.hub.upgrade() else {
            return;
        };
        hub.watches.leave(&self.server, &self.uri, || {
            hub.shared.metrics.watches.decrement(1.0);
            hub.tell_watch(&self.server, &self.uri, false);
        });
    }
}

fn check_room(watched: &Watched, server: &ServerId, config: &Config) -> Result<(), TooManyWatches> {
    let is_full = |of: &mut dyn Iterator<Item = &OfServer>, max: usize| {
        let (mut len, mut bytes) = (0, 0);
        for it in of {
            len += it.by_uri.len();
            bytes += it.bytes;
        }
        len >= max || bytes >= max * URI_BYTES_AVERAGE_MAX
    };
    let of_tenant = watched.iter().filter(|(id, _)| id.tenant == server.tenant);
    if is_full(
        &mut of_tenant.map(|(_, it)| it),
        config.watches_per_tenant_max,
    ) {
        return Err(TooManyWatches::OfTenant);
    }
    match is_full(&mut watched.values(), config.watches_max) {
        true => Err(TooManyWatches::OfNode),
        false => Ok(()),
    }
}

impl Watches {
    /// `first` tells the workers; it runs inside the lock, so that they hear of watches in the
    /// order in which they began and ended.
    fn listen(
        &self,
        server: &ServerId,
        uri: &str,
        config: &Config,
        first: impl FnOnce(),
    ) -> Result<watch::Receiver<()>, TooManyWatches> {
        let mut watched = self.0.lock();
        let of_server = watched.get_mut(server);
        if let Some(known) = of_server.and_then(|it| it.by_uri.get_mut(uri)) {
            known.listeners += 1;
            return Ok(known.changes.subscribe());
        }
        check_room(&watched, server, config)?;
        let (changes, listener) = watch::channel(());
        let listeners = 1;
        let of_server = watched.entry(server.clone()).or_default();
        of_server.bytes += uri.len();
        let resource = Resource { changes, listeners };
        of_server.by_uri.insert(uri.to_owned(), resource);
        first();
        Ok(listener)
    }

    fn leave(&self, server: &ServerId, uri: &str, last: impl FnOnce()) {
        let mut watched = self.0.lock();
        let Some(of_server) = watched.get_mut(server) else {
            return;
        };
        let Some(known) = of_server.by_uri.get_mut(uri) else {
            return;
        };
        known.listeners -= 1;
        if known.listeners > 0 {
            return;
        }
        of_server.bytes -= uri.len();
        of_server.by_uri.remove(uri);
        if of_server.by_uri.is_empty() {
            watched.remove(server);
        }
        last();
    }

    /// A worker says that a resource has changed. Nobody may have asked.
    pub fn updated(&self, server: &ServerId, uri: &str) {
        let watched = self.0.lock();
        if let Some(known) = watched.get(server).and_then(|it| it.by_uri.get(uri)) {
            known.changes.send_replace(());
        }
    }

    /// Tells a new link everything that is watched.
    pub fn tell(&self, link: &Link) {
        let watched = self.0.lock();
        for server in link.servers() {
            let of_server = watched.get(server).into_iter();
            for uri in of_server.flat_map(|it| it.by_uri.keys()) {
                link.watch(server, uri, true);
            }
        }
    }
}
