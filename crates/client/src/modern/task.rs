//! Tasks of the modern extension: looked at until they end.

use std::{collections::BTreeSet, time::Duration};

use ostler_protocol::Raw;

use super::Modern;
use crate::{
    error::{Error, protocol},
    host::{Host, Notice},
    json,
    limits::Limits,
    message, news,
};

impl Modern {
    /// Follows a task to its result. Stopping or not answering cancels it.
    pub(super) async fn follow(&self, created: &Raw, host: &mut dyn Host) -> Result<Raw, Error> {
        let Some(id) = json::text_member(created, "taskId") else {
            return protocol("a task without id");
        };
        let followed = tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            followed = self.look(&id, created, host) => followed,
        };
        if let Err(Error::Stopped | Error::Unanswered(_)) = followed {
            // It may have ended meanwhile; then there is nothing to cancel.
            let params = task_params(&id, None);
            let mut deaf = news::Deaf;
            let said = self.exchange("tasks/cancel", &params, &[], &mut deaf);
            self.http.goodbye(said).await;
        }
        followed
    }

    async fn look(&self, id: &str, created: &Raw, host: &mut dyn Host) -> Result<Raw, Error> {
        let limits = &self.http.limits;
        let mut last = None;
        tell(created, &mut last, host);
        let mut wait = poll(created, "pollIntervalMs", limits);
        let mut answered = BTreeSet::new();
        let mut rounds = 0;
        loop {
            self.http.env.sleep(wait).await;
            let view = self
                .again("tasks/get", &task_params(id, None), host)
                .await?;
            tell(&view, &mut last, host);
            wait = poll(&view, "pollIntervalMs", limits);
            match json::text_member(&view, "status").as_deref() {
                Some("working") => {}
                Some("input_required") => {
                    if self.update(id, &view, &mut answered, host).await? {
                        wait = Duration::ZERO;
                        rounds += 1;
                    }
                    if rounds > limits.rounds_max {
                        return protocol("it asks without end");
                    }
                }
                Some("completed") => return view.get("result").ok_or_else(no_result),
                Some("failed") => {
                    let error = view.get("error").ok_or_else(no_result)?;
                    return Err(Error::Rpc(message::read_error(&error)?));
                }
                Some("cancelled") => return Err(Error::TaskCancelled),
                _ => return protocol("a task in no known status"),
            }
        }
    }

    /// A request that may be made twice, until it arrives.
    async fn again(&self, method: &str, params: &Raw, host: &mut dyn Host) -> Result<Raw, Error> {
        let mut attempts = 0;
        loop {
            match self.exchange(method, params, &[], host).await {
                Err(error) if self.http.tries_again(&error, &mut attempts).await => {}
                Ok(view) if attempts > 0 => {
                    host.notice(Notice::Resumed);
                    return Ok(view);
                }
                looked => return looked,
            }
        }
    }

    /// Answers what was not answered yet; keys are never used twice ([TK-6]).
    async fn update(
        &self,
        id: &str,
        view: &Raw,
        answered: &mut BTreeSet<String>,
        host: &mut dyn Host,
    ) -> Result<bool, Error> {
        let requests = view.get("inputRequests").unwrap_or_default();
        let new: Vec<_> = requests
            .members()
            .filter(|(key, _)| answered.insert(key.to_string()))
            .collect();
        if new.is_empty() {
            return Ok(false);
        }
        let new = json::object(new);
        let answers = self.answers(&new, host).await?;
        let params = task_params(id, Some(("inputResponses", answers)));
        // A key that was answered already is passed over, so it may be said twice ([TK-6]).
        self.again("tasks/update", &params, host).await?;
        Ok(true)
    }
}

fn task_params(id: &str, more: Option<(&'static str, Raw)>) -> Raw {
    let id = ("taskId", Raw::from_text(id));
    json::object([id].into_iter().chain(more))
}

fn no_result() -> Error {
    Error::Protocol("a task that ended without result or error".to_owned())
}

/// Tells of a task when it stands elsewhere than the last time.
pub(crate) fn tell(view: &Raw, last: &mut Option<Notice>, host: &mut dyn Host) {
    let notice = news::task(view);
    if let (Some(new), true) = (&notice, notice != *last) {
        host.notice(new.clone());
        *last = notice;
    }
}

/// How long to wait before the next look, as the server wishes, within bounds.
pub(crate) fn poll(view: &Raw, member: &str, limits: &Limits) -> Duration {
    let wished = view.get(member).and_then(|wished| wished.to::<u64>().ok());
    let wished = wished.map_or(limits.poll, Duration::from_millis);
    wished.clamp(Duration::from_millis(20), limits.poll_max)
}
