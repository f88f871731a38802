//! Tasks that clients of 2025-11-25 ask for, from outside: how their results are waited for, how
//! they are cancelled, and who hears of them.

use std::sync::Arc;

use bytes::Bytes;
use ostler_dispatch::{CallSource, FollowedBy, SourcedCall};
use ostler_protocol::{Raw, task::TaskView};
use ostler_types::{Caller, Principal, ServerId, SessionId, TenantId, Timestamp};

use crate::{Tasks, actor::Command, error::TaskError, facts::Owner, waiting::Waiting};

/// The result of a task, to be waited for. Its events are those of the task's call: what is asked
/// and said on the way, and the outcome.
pub struct TaskResult {
    pub call: Box<dyn SourcedCall>,
    /// Of the request that the task is of [P-8].
    pub progress_token: Option<Raw>,
    /// When the task goes, as things stand.
    pub deadline: Timestamp,
}

/// What a session may be told of a task it asked for, as it goes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Status(Bytes),
    Progress(Bytes),
}

/// Whoever passes news on to sessions. It waits for nobody, and drops what nobody hears.
pub trait Listener: Send + Sync {
    fn tell(&self, tenant: &TenantId, session: SessionId, news: News);
}

impl Tasks {
    /// From now on sessions hear of their tasks. The first listener stays.
    pub fn set_listener(&self, listener: Arc<dyn Listener>) {
        drop(self.0.listener.set(listener));
    }

    /// Finds a task for somebody who wants to wait for its result.
    pub async fn result(
        &self,
        caller: &Caller,
        server: &ServerId,
        task: &str,
        by: FollowedBy,
    ) -> Result<TaskResult, TaskError> {
        let view = self.get(caller, server, task).await?;
        let owner = Owner::new(caller, server);
        let held = self.0.hold(&owner, self.0.read_id(task)?).await?;
        let kept = view.ttl.map(|ttl| view.created_at + ttl);
        Ok(TaskResult {
            progress_token: held.progress_token.clone(),
            call: Box::new(Waiting::new(self.0.clone(), owner, task, by)),
            deadline: kept.unwrap_or(Timestamp(u64::MAX)),
        })
    }

    /// Cancels a task for good: it is over when this returns, whatever its worker still does. One
    /// that has ended otherwise cannot be cancelled [TK-8].
    pub async fn cancel_now(
        &self,
        caller: &Caller,
        server: &ServerId,
        task: &str,
    ) -> Result<TaskView, TaskError> {
        let cancelled = self
            .command(caller, server, task, Command::CancelNow)
            .await?;
        cancelled.ok_or(TaskError::Unknown)
    }
}

impl CallSource for Tasks {
    fn call_of(
        &self,
        server: &ServerId,
        principal: &Principal,
        task: &str,
        by: FollowedBy,
    ) -> Box<dyn SourcedCall> {
        let owner = Owner::of(&server.tenant, principal, server);
        Box::new(Waiting::new(self.0.clone(), owner, task, by))
    }
}
