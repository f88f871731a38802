//! A node with a worker, as most tests start.

use ostler_node::Config;
use ostler_testkit::{Door, Script, Session, TestNode, TestWorker};
use serde_json::Value;

pub struct World {
    pub node: TestNode,
    pub script: Script,
    /// They end with the world.
    _workers: Vec<TestWorker>,
}

impl World {
    /// One worker behind the bare `/mcp`, which needs no credential.
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let node = TestNode::with(change).await;
        let script = Script::new();
        let worker = node.worker(&script).await;
        Self {
            node,
            script,
            _workers: vec![worker],
        }
    }

    /// Tenants `a` and `b`, each with a worker for its Server `main`. The script is that of `a`.
    pub async fn tenants() -> Self {
        let node = TestNode::tenants().await;
        let script = Script::new();
        let workers = vec![
            node.worker_of("wa", "a", "main", &script).await,
            node.worker_of("wb", "b", "main", &Script::new()).await,
        ];
        Self {
            node,
            script,
            _workers: workers,
        }
    }

    pub fn door(&self) -> Door {
        self.node.door()
    }

    /// The principals a1, a2 and b1, each at the door of its own tenant.
    pub fn principals(&self) -> [Door; 3] {
        let access = &self.node.access;
        [
            self.node.door_of("a", &access.a1),
            self.node.door_of("a", &access.a2),
            self.node.door_of("b", &access.b1),
        ]
    }

    /// Stops the node: every call has ended, nothing is left.
    pub async fn stop(self) {
        self.node.stop().await;
    }

    /// Ends the session first.
    pub async fn end(self, session: Session) {
        assert_eq!(session.delete().await.status, 204);
        self.stop().await;
    }
}

/// The first text of a tool's result.
pub fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}
