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
    /// What was open when the last run ended is known.
    recovered: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
}

impl Health {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            recovered: Arc::default(),
            draining: Arc::default(),
        }
    }

    pub fn recovered(&self) {
        self.recovered.store(true, Ordering::Release);
    }

    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Why no work should come here; nothing when it may.
    pub fn obstacles(&self) -> Vec<String> {
        let recovering =
            (!self.recovered.load(Ordering::Acquire)).then(|| "recovering".to_string());
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
        [recovering, draining, store]
            .into_iter()
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ostler_env::Env;
    use ostler_store::Config;

    use super::*;

    #[tokio::test]
    async fn a_node_is_ready_from_its_recovery_to_its_drain() {
        let store = Store::open(&Config::memory(), &Env::seeded(1)).unwrap();
        let health = Health::new(store.clone());
        assert_eq!(health.obstacles(), ["recovering"]);
        health.recovered();
        assert_eq!(health.obstacles(), [""; 0]);
        health.drain();
        assert_eq!(health.obstacles(), ["draining"]);
        store.close().await;
    }
}
