//! The resources of one Server that one node watches.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use ostler_rpc::worker_v1::{ResourceUpdated, from_worker};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::outbox::Outbox;

/// URIs watched on one link. More are not told of; each costs its length.
const WATCHED_MAX: usize = 65_536;

pub(crate) struct Watched {
    outbox: Arc<Outbox>,
    /// The Server's index on this link.
    server: u32,
    uris: Mutex<HashSet<String>>,
    /// Counts changes of what is watched, for the Server's author.
    changes: watch::Sender<u64>,
}

impl Watched {
    pub fn new(outbox: Arc<Outbox>, server: u32, changes: watch::Sender<u64>) -> Self {
        let uris = Mutex::default();
        Self {
            outbox,
            server,
            uris,
            changes,
        }
    }

    pub fn watch(&self, uri: String) {
        {
            let mut uris = self.uris.lock();
            if uris.len() < WATCHED_MAX {
                uris.insert(uri);
            }
        }
        self.changed();
    }

    pub fn unwatch(&self, uri: &str) {
        self.uris.lock().remove(uri);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub fn add_to(&self, all: &mut BTreeSet<String>) {
        all.extend(self.uris.lock().iter().cloned());
    }

    pub fn contains(&self, uri: &str) -> bool {
        self.uris.lock().contains(uri)
    }

    /// Tells the node, if it watches this one.
    pub fn updated(&self, uri: &str) {
        if !self.contains(uri) || self.outbox.is_busy() {
            return;
        }
        let (server, uri) = (self.server, uri.to_owned());
        let updated = ResourceUpdated { server, uri };
        self.outbox
            .send(|_| from_worker::Frame::ResourceUpdated(updated));
    }
}

/// A link that is gone watches nothing; its node says anew what it watches on the next one.
impl Drop for Watched {
    fn drop(&mut self) {
        self.uris.get_mut().clear();
        self.changed();
    }
}
