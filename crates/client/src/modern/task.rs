//! Tasks of the modern extension: looked at until they end.

use std::{collections::BTreeSet, time::Duration};

use ostler_protocol::Raw;

use super::{Asked, Modern};
use crate::{
    error::{Error, protocol},
    host::{Host, Notice},
    json,
    limits::Limits,
    message, news,
};

/// Cancels a task that nobody follows any more.
struct Unheard<'a> {
    modern: &'a Modern,
    task_id: Option<&'a str>,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(task_id) = self.task_id {
            let params = task_params(task_id, None);
            self.modern.say(Asked::plain("tasks/cancel", params));
        }
    }
}

impl Modern {
    /// Follows a task to its result. Stopping or not answering cancels it.
    pub(super) async fn follow(&self, created: &Raw, host: &mut dyn Host) -> Result<Raw, Error> {
        let Some(id) = json::text_member(created, "taskId") else {
            return protocol("a task without id");
        };
        let mut unheard = Unheard {
            modern: self,
            task_id: Some(&id),
        };
        let followed = tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            // The task exists, whatever became of who looked at it.
            followed = self.look(&id, created, host) => followed.map_err(Error::begun),
        };
        unheard.task_id = None;
        if let Err(Error::Stopped | Error::Unanswered(_)) = followed {
            // It may have ended meanwhile; then there is nothing to cancel.
            let mut deaf = news::Deaf;
            let asked = Asked::plain("tasks/cancel", task_params(&id, None));
            self.way
                .pace()
                .goodbye(self.exchange(&asked, &mut deaf))
                .await;
        }
        followed
    }

    async fn look(&self, id: &str, created: &Raw, host: &mut dyn Host) -> Result<Raw, Error> {
        let pace = self.way.pace();
        let limits = &pace.limits;
        let mut last = None;
        tell(created, &mut last, host);
        let mut wait = poll(created, "pollIntervalMs", limits);
        let mut answered = BTreeSet::new();
        let mut rounds = 0;
        loop {
            pace.env.sleep(wait).await;
            let asked = Asked::plain("tasks/get", task_params(id, None));
            let view = self.again(&asked, host).await?;
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
    async fn again(&self, asked: &Asked, host: &mut dyn Host) -> Result<Raw, Error> {
        let mut attempts = 0;
        loop {
            match self.exchange(asked, host).await {
                Err(error) if self.way.pace().tries_again(&error, &mut attempts).await => {}
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
        let asked = Asked::plain("tasks/update", params);
        self.again(&asked, host).await?;
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
