//! Tasks in the dialect of 2025-11-25: the call is answered by a handle, the result fetched.

use std::time::Duration;

use bytes::Bytes;
use ostler_protocol::{Raw, RequestId};

use super::{
    Farewell, Legacy, Unheard,
    audience::Audience,
    member,
    replies::{Heard, Replies},
};
use crate::{
    error::{Error, protocol},
    host::Notice,
    json, message,
    modern::task::{poll, tell},
    news,
    switch::{Flight, Part},
};

impl Legacy {
    /// A call that asked to become a task, to its result.
    pub(super) async fn run_task(
        &self,
        call: Flight,
        params: Raw,
        audience: &mut Audience<'_>,
    ) -> Result<Raw, Error> {
        let mut replies = self.still(&call)?;
        let result = self.task(&call, params, (&mut replies, audience)).await;
        if result.as_ref().err().is_none_or(Error::is_over) {
            replies.settle();
        }
        result
    }

    async fn task(
        &self,
        call: &Flight,
        params: Raw,
        (replies, audience): (&mut Replies, &mut Audience<'_>),
    ) -> Result<Raw, Error> {
        let flight = self.one_of(call);
        self.line.switch.outlasts(call.id, flight.id);
        let created = self
            .cancellable(flight, "tools/call", params, audience)
            .await?;
        // A server may answer at once instead.
        let Ok(task) = member(&created, "task") else {
            return Ok(created);
        };
        let Some(task_id) = json::text_member(&task, "taskId") else {
            return protocol("a task without id");
        };
        let mut unheard = Unheard {
            legacy: self,
            farewell: Some(Farewell::Task(call.id, &task_id)),
        };
        let result = tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            // Boxed here and below, because all that may come before a response is in it.
            result = Box::pin(self.follow(call, (&task_id, task), (replies, audience))) => result,
        };
        unheard.farewell = None;
        if result == Err(Error::Stopped) {
            let mut deaf = news::Deaf;
            let flight = self.flight(Part::Plain, call.owner);
            // It may have ended meanwhile; then there is nothing to cancel ([CAN-4]).
            let params = task_params(&task_id);
            let mut audience = Audience::of(&mut deaf);
            let said = self.converse(flight, "tasks/cancel", params, &mut audience);
            self.line.pace.goodbye(Box::pin(said)).await;
        }
        // The task exists, whatever became of who looked at it.
        result.map_err(Error::begun)
    }

    /// The request that ends a task, and its id; its response is not waited for.
    pub(super) fn cancel_task(&self, task_id: &str) -> (u64, Bytes) {
        let id = self.ids.next();
        let params = task_params(task_id);
        let body = message::request(&RequestId::number(id), "tasks/cancel", params);
        (id, body)
    }

    /// Looks at the task until it ends or asks, then fetches its result: what it asks comes on
    /// that request's stream.
    async fn follow(
        &self,
        call: &Flight,
        (task_id, task): (&str, Raw),
        (replies, audience): (&mut Replies, &mut Audience<'_>),
    ) -> Result<Raw, Error> {
        let limits = &self.line.pace.limits;
        let mut view = task;
        let mut last = None;
        loop {
            tell(&view, &mut last, audience.host);
            let wait: Duration = match json::text_member(&view, "status").as_deref() {
                Some("working") => poll(&view, "pollInterval", limits),
                Some("cancelled") => return Err(Error::TaskCancelled),
                Some("input_required" | "completed" | "failed") => break,
                _ => return protocol("a task in no known status"),
            };
            self.hear_for(wait, replies, audience).await?;
            view = self
                .ask_of_task("tasks/get", (call, task_id), audience)
                .await?;
        }
        self.ask_of_task("tasks/result", (call, task_id), audience)
            .await
    }

    /// What comes for a call while no request of it is open: it goes on after its response. While
    /// one is open, that is newer, and what the two may mean goes to the newer.
    fn still(&self, call: &Flight) -> Result<Replies, Error> {
        let inbox = self.line.switch.open(call.clone())?;
        self.line.switch.begins(call.id);
        Ok(Replies::shared(inbox))
    }

    /// A request of a call: of its owner, under the token of its progress.
    fn one_of(&self, call: &Flight) -> Flight {
        Flight {
            id: self.ids.next(),
            ..call.clone()
        }
    }

    /// Hears of it for a while.
    async fn hear_for(
        &self,
        span: Duration,
        replies: &mut Replies,
        audience: &mut Audience<'_>,
    ) -> Result<(), Error> {
        let env = &self.line.pace.env;
        let until = env.now() + span;
        loop {
            let heard = tokio::select! {
                biased;
                () = env.sleep_until(until) => return Ok(()),
                heard = audience.hear(&self.line, replies) => heard?,
            };
            match heard {
                Heard::Notice(notice) => audience.host.notice(notice),
                Heard::Resumed | Heard::End => {}
                Heard::Message(message) => {
                    self.hear(message, None, (replies, audience))?;
                }
            }
        }
    }

    /// A request that changes nothing: one that does not arrive is made again.
    async fn ask_of_task(
        &self,
        method: &str,
        (call, task_id): (&Flight, &str),
        audience: &mut Audience<'_>,
    ) -> Result<Raw, Error> {
        let mut attempts = 0;
        loop {
            let flight = Flight {
                task: Some(task_id.to_owned()),
                ..self.one_of(call)
            };
            let params = task_params(task_id);
            match Box::pin(self.converse(flight, method, params, audience)).await {
                Err(error) if self.line.pace.tries_again(&error, &mut attempts).await => {}
                Ok(result) if attempts > 0 => {
                    audience.host.notice(Notice::Resumed);
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
