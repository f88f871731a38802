//! The resources of one Server that one node watches.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use ostler_rpc::worker_v1::{ResourceUpdated, from_worker};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::outbox::Outbox;

/// URIs watched on one link. More are not told of.
const WATCHED_LEN_MAX: usize = 65_536;
/// What they may be long together.
const WATCHED_BYTES_MAX: usize = 16 << 20;

pub(crate) struct Watched {
    outbox: Arc<Outbox>,
    /// The Server's index on this link.
    server: u32,
    uris: Mutex<Uris>,
    /// Counts changes of what is watched, for the Server's author.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Uris {
    all: HashSet<String>,
    bytes: usize,
}

impl Uris {
    fn insert(&mut self, uri: String) {
        let bytes = self.bytes + uri.len();
        let has_room = self.all.len() < WATCHED_LEN_MAX && bytes <= WATCHED_BYTES_MAX;
        if has_room && self.all.insert(uri) {
            self.bytes = bytes;
        }
    }

    fn remove(&mut self, uri: &str) {
        if self.all.remove(uri) {
            self.bytes -= uri.len();
        }
    }
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
        self.uris.lock().insert(uri);
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
        all.extend(self.uris.lock().all.iter().cloned());
    }

    pub fn contains(&self, uri: &str) -> bool {
        self.uris.lock().all.contains(uri)
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
        *self.uris.get_mut() = Uris::default();
        self.changed();
    }
}
