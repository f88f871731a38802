//! Tasks in the dialect of 2025-11-25: the call is answered by a handle, the result fetched.

use std::time::Duration;

use ostler_protocol::{Raw, RequestId};

use super::{Legacy, member};
use crate::{
    error::{Error, protocol},
    host::{Host, Notice},
    json,
    modern::task::{poll, tell},
    news,
};

impl Legacy {
    /// A call that asked to become a task, to its result.
    pub(super) async fn run_task(
        &self,
        id: &RequestId,
        params: Raw,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        let created = self.cancellable(id, "tools/call", params, host).await?;
        // A server may answer at once instead.
        let Ok(task) = member(&created, "task") else {
            return Ok(created);
        };
        let Some(task_id) = json::text_member(&task, "taskId") else {
            return protocol("a task without id");
        };
        tokio::select! {
            biased;
            () = self.stop.wait() => {
                let params = task_params(&task_id);
                let id = self.next_id();
                // It may have ended meanwhile; then there is nothing to cancel ([CAN-4]).
                let mut deaf = news::Deaf;
                let said = self.converse(&id, "tasks/cancel", params, &mut deaf);
                self.line.http.goodbye(said).await;
                Err(Error::Stopped)
            }
            result = self.follow(&task_id, task, host) => result,
        }
    }

    /// Looks at the task until it ends or asks, then fetches its result: what it asks comes on
    /// that request's stream.
    async fn follow(&self, task_id: &str, task: Raw, host: &mut dyn Host) -> Result<Raw, Error> {
        let limits = &self.line.http.limits;
        let mut view = task;
        let mut last = None;
        loop {
            tell(&view, &mut last, host);
            let wait: Duration = match json::text_member(&view, "status").as_deref() {
                Some("working") => poll(&view, "pollInterval", limits),
                Some("cancelled") => return Err(Error::TaskCancelled),
                Some("input_required" | "completed" | "failed") => {
                    return self.ask_of_task("tasks/result", task_id, host).await;
                }
                _ => return protocol("a task in no known status"),
            };
            self.line.http.env.sleep(wait).await;
            view = self.ask_of_task("tasks/get", task_id, host).await?;
        }
    }

    /// A request that changes nothing: one that does not arrive is made again.
    async fn ask_of_task(
        &self,
        method: &str,
        task_id: &str,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        let http = &self.line.http;
        let mut attempts = 0;
        loop {
            let id = self.next_id();
            match self.converse(&id, method, task_params(task_id), host).await {
                Err(error) if http.tries_again(&error, &mut attempts).await => {}
                Ok(result) if attempts > 0 => {
                    host.notice(Notice::Resumed);
                    return Ok(result);
                }
                asked => return asked,
            }
        }
    }
}

fn task_params(task_id: &str) -> Raw {
    json::object([("taskId", Raw::from_text(task_id))])
}
