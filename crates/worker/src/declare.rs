//! What a node must know before it calls, so that it can refuse with the right status.

use std::time::Duration;

use ostler_protocol::facet::Capability;
use ostler_rpc::{convert, worker_v1 as wire};

/// What an entry of the catalog declares about its calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declarations {
    requires: Vec<Capability>,
    scopes: Vec<String>,
    idempotent: bool,
    replay_safe: bool,
    timeout: Duration,
    task: Option<TaskSupport>,
    unlisted: bool,
}

/// Whether a tool's calls may become tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskSupport {
    /// For a client that can follow tasks; for others it runs while they wait.
    Optional,
    /// Only for clients that can follow tasks.
    Required,
}

impl Declarations {
    pub fn new() -> Self {
        Self::default()
    }

    /// Without these the call is refused before it starts.
    pub fn requires(mut self, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        self.requires.extend(capabilities);
        self
    }

    /// OAuth scopes without which the call is refused.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Running it twice is harmless: a call of a lost worker is retried once.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// A call that waits for answers and lost its worker may run again from the start, with
    /// the answers so far.
    pub fn replay_safe(mut self) -> Self {
        self.replay_safe = true;
        self
    }

    /// The longest run. Without it the node's own limit holds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub fn task(mut self, support: TaskSupport) -> Self {
        self.task = Some(support);
        self
    }

    /// It can be called or read by whoever knows its name, and is in no list: the page of an
    /// app, a file of a skill. A template like `{+uri}` serves what no listed entry does.
    pub fn unlisted(mut self) -> Self {
        self.unlisted = true;
        self
    }

    pub(crate) fn to_wire(&self) -> wire::Declarations {
        let task = match self.task {
            None => wire::TaskSupport::Unspecified,
            Some(TaskSupport::Optional) => wire::TaskSupport::Optional,
            Some(TaskSupport::Required) => wire::TaskSupport::Required,
        };
        wire::Declarations {
            requires: convert::capabilities_to_wire(&self.requires),
            scopes: self.scopes.clone(),
            idempotent: self.idempotent,
            replay_safe: self.replay_safe,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            task: task.into(),
            unlisted: self.unlisted,
        }
    }
}
