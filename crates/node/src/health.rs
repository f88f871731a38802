//! Whether this node is alive, and whether it should get work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ostler_store::Store;
use tokio_util::sync::CancellationToken;

/// What readiness looks at.
#[derive(Clone)]
pub struct Health {
    store: Store,
    /// What was open when the last run ended is known.
    recovered: Arc<AtomicBool>,
    draining: CancellationToken,
}

impl Health {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            recovered: Arc::default(),
            draining: CancellationToken::new(),
        }
    }

    pub fn recovered(&self) {
        self.recovered.store(true, Ordering::Release);
    }

    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Waits until the node drains.
    // Cancel safe: it only looks.
    pub async fn drains(&self) {
        self.draining.cancelled().await;
    }

    /// Why no work should come here; nothing when it may.
    pub fn obstacles(&self) -> Vec<String> {
        let recovering =
            (!self.recovered.load(Ordering::Acquire)).then(|| "recovering".to_string());
        let draining = self.draining.is_cancelled().then(|| "draining".to_string());
        let store = obstacle_of_store(self.store.health());
        [recovering, draining, store]
            .into_iter()
            .flatten()
            .collect()
    }
}

fn obstacle_of_store(health: ostler_store::Health) -> Option<String> {
    use ostler_store::Health;
    let obstacle = match health {
        Health::Good => return None,
        Health::Full => "no space left; durable writes are refused".to_string(),
        Health::Recovering(why) => {
            format!("{why}; durable writes wait while what is live is rewritten to fresh files")
        }
        Health::Poisoned(why) => format!("{why}; restart this node"),
        Health::Deleted => {
            "its files were deleted; restart this node, with them or with nothing".to_string()
        }
        Health::Closed => "closed".to_string(),
    };
    Some(format!("store: {obstacle}"))
}

#[cfg(test)]
mod tests {
    use ostler_env::Env;
    use ostler_store::{Config, Health as StoreHealth};

    use super::*;

    #[test]
    fn a_store_that_takes_no_writes_now_is_an_obstacle_with_its_reason() {
        assert_eq!(obstacle_of_store(StoreHealth::Good), None);
        for (health, reason) in [
            (StoreHealth::Full, "no space left"),
            (
                StoreHealth::Recovering("EIO".into()),
                "EIO; durable writes wait",
            ),
            (
                StoreHealth::Poisoned("EIO".into()),
                "EIO; restart this node",
            ),
            (StoreHealth::Deleted, "its files were deleted"),
            (StoreHealth::Closed, "closed"),
        ] {
            let obstacle = obstacle_of_store(health).expect("it is an obstacle");
            assert!(obstacle.starts_with("store: "), "{obstacle}");
            assert!(obstacle.contains(reason), "{obstacle}");
        }
    }

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
