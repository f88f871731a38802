//! The resources of one Server that one node watches.

use std::{collections::HashSet, sync::Arc};

use ostler_rpc::worker_v1::{ResourceUpdated, from_worker};
use parking_lot::Mutex;

use super::outbox::Outbox;

/// URIs watched on one link. More are not told of; each costs its length.
const WATCHED_MAX: usize = 65_536;

pub(crate) struct Watched {
    outbox: Arc<Outbox>,
    /// The Server's index on this link.
    server: u32,
    uris: Mutex<HashSet<String>>,
}

impl Watched {
    pub fn new(outbox: Arc<Outbox>, server: u32) -> Self {
        let uris = Mutex::default();
        Self {
            outbox,
            server,
            uris,
        }
    }

    pub fn watch(&self, uri: String) {
        let mut uris = self.uris.lock();
        if uris.len() < WATCHED_MAX {
            uris.insert(uri);
        }
    }

    pub fn unwatch(&self, uri: &str) {
        self.uris.lock().remove(uri);
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
