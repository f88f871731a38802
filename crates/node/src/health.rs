//! Whether this node is alive, and whether it should get work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ostler_store::Store;

/// What readiness looks at.
#[derive(Clone)]
pub struct Health {
    store: Store,
    draining: Arc<AtomicBool>,
}

impl Health {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            draining: Arc::default(),
        }
    }

    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Why no work should come here; nothing when it may.
    pub fn obstacles(&self) -> Vec<String> {
        let draining = self
            .draining
            .load(Ordering::Acquire)
            .then(|| "draining".to_string());
        let store = match self.store.health() {
            ostler_store::Health::Good => None,
            ostler_store::Health::Full => {
                Some("store: no space left; durable writes are refused".to_string())
            }
            ostler_store::Health::Poisoned(why) => Some(format!("store: {why}; restart this node")),
            ostler_store::Health::Closed => Some("store: closed".to_string()),
        };
        draining.into_iter().chain(store).collect()
    }
}
