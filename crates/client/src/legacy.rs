//! The legacy era: a session, opened by `initialize`, over Streamable HTTP, over the two endpoints
//! of 2024-11-05, or over a pipe.

mod line;
mod pair;
mod replies;
mod audience;
mod asked;
mod visit;
mod open;
mod task;
mod listen;

use bytes::Bytes;
use ostler_protocol::{Raw, RequestId};

use crate::{
    error::{Error, protocol},
    host::{Behalf, Host, Notice},
    http::Verb,
    json,
    message::{self, Ids, Message, RpcError},
    news,
    request::Request,
    stop::Stop,
    switch::{Flight, Part},
};

use asked::Asked;
use audience::Audience;
use line::Line;
use replies::{Heard, Replies};
use visit::needs_visit;

pub(crate) use line::Transport;
pub(crate) use open::{newest_supported, open};

/// An open session.
pub(crate) struct Legacy {
    pub(crate) line: Line,
    capabilities: Raw,
    /// Its abilities are what was declared.
    behalf: Behalf,
    stop: Stop,
    ids: Ids,
}

/// What the server is told when nobody waits any more, however that came.
enum Farewell<'a> {
    Request(u64),
    /// The call and the task that it became.
    Task(u64, &'a str),
}

/// Says its farewell when it is dropped before it is disarmed.
struct Unheard<'a> {
    legacy: &'a Legacy,
    farewell: Option<Farewell<'a>>,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        let legacy = self.legacy;
        match self.farewell.take() {
            None => {}
            Some(Farewell::Request(id)) => legacy.line.say(cancelled(id)),
            Some(Farewell::Task(call, task_id)) => {
                let (id, body) = legacy.cancel_task(task_id);
                legacy.line.switch.outlasts(call, id);
                legacy.line.say(body);
            }
        }
    }
}

impl Legacy {
    /// A request that cannot ask.
    pub(crate) async fn simple(
        &self,
        method: &str,
        params: Raw,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        let flight = self.flight(Part::Plain, self.behalf(host).owner);
        let mut audience = Audience::of(host);
        let ended = self
            .cancellable(flight, method, params, &mut audience)
            .await;
        audience.close(&self.line.pace).await;
        ended
    }

    /// Logs less severe than this are not wanted. That they are not as wanted is no reason to do
    /// without the server.
    pub(crate) async fn set_log_level(&self, level: &str) -> Result<(), Error> {
        let params = json::object([("level", Raw::from_text(level))]);
        let mut deaf = news::Deaf;
        match self.simple("logging/setLevel", params, &mut deaf).await {
            Ok(_) | Err(Error::Rpc(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A request to its end. One that needs a person to visit a web page first is sent again
    /// after they did ([SP-5]); as one request it had begun with the first.
    pub(crate) async fn run(&self, request: &Request, host: &mut dyn Host) -> Result<Raw, Error> {
        let can_visit = self.behalf(host).abilities.url;
        let mut audience = Audience::of(host);
        for round in 0..self.line.pace.limits.rounds_max {
            let ended = self.attempt(request, &mut audience).await;
            audience.close(&self.line.pace).await;
            match ended {
                // Without a page to visit it would only be the same call again.
                Err(Error::Rpc(error)) if can_visit && needs_visit(&error) => {
                    // Boxed, because it is rare, and would be in every request.
                    Box::pin(self.visit(error, audience.host)).await?;
                }
                ended if round > 0 => return ended.map_err(Error::begun),
                ended => return ended,
            }
        }
        protocol("it wants web pages visited without end")
    }

    async fn attempt(&self, request: &Request, audience: &mut Audience<'_>) -> Result<Raw, Error> {
        let behalf = self.behalf(audience.host);
        let part = match request.has_news() {
            true => Part::Asking(behalf.abilities),
            false => Part::Plain,
        };
        let flight = self.flight(part, behalf.owner);
        let params = match request.has_news() {
            true => {
                let token = RequestId::number(flight.token).to_raw();
                let meta = json::object([("progressToken", token)]);
                json::extended(&request.params(), [("_meta", meta)])
            }
            false => request.params(),
        };
        if request.needs_task() && self.has_tasks() {
            let params = json::extended(&params, [("task", Raw::empty_object())]);
            return Box::pin(self.run_task(flight, params, audience)).await;
        }
        self.cancellable(flight, request.method(), params, audience)
            .await
    }

    /// A request that is cancelled by its id when it is stopped, or its future dropped.
    async fn cancellable(
        &self,
        flight: Flight,
        method: &str,
        params: Raw,
        audience: &mut Audience<'_>,
    ) -> Result<Raw, Error> {
        let id = flight.id;
        let mut unheard = Unheard {
            legacy: self,
            farewell: Some(Farewell::Request(id)),
        };
        let result = tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            // Boxed, because all that may come before a response is in it.
            result = Box::pin(self.converse(flight, method, params, audience)) => result,
        };
        unheard.farewell = None;
        if result == Err(Error::Stopped) {
            // Whoever stops everything may end the process next, so this one is waited for.
            self.line.pace.goodbye(self.line.tell(cancelled(id))).await;
        }
        result
    }

    pub(crate) async fn close(&self) {
        if self.line.session.is_some() {
            // The server may not let clients end sessions, or may be gone.
            let said = self.line.send(Verb::Delete, &[], Default::default());
            self.line.pace.goodbye(said).await;
        }
        if let Transport::Pipe(piped) = &self.line.transport {
            piped.close().await;
        }
    }

    /// Sends a request and hears all there is until its response. Only the sending can find that it
    /// did not begin.
    async fn converse(
        &self,
        flight: Flight,
        method: &str,
        params: Raw,
        audience: &mut Audience<'_>,
    ) -> Result<Raw, Error> {
        let id = RequestId::number(flight.id);
        let body = message::request(&id, method, params);
        let mut replies = self.line.request(flight, body).await?;
        let response = self.response(&id, &mut replies, audience).await;
        let result = response.map_err(Error::begun)?;
        replies.settle();
        result.map_err(Error::Rpc)
    }

    /// The response to `id`; what comes before it is answered or passed on.
    async fn response(
        &self,
        id: &RequestId,
        replies: &mut Replies,
        audience: &mut Audience<'_>,
    ) -> Result<Result<Raw, RpcError>, Error> {
        loop {
            match audience.hear(&self.line, replies).await? {
                Heard::Resumed => audience.host.notice(Notice::Resumed),
                Heard::Notice(notice) => audience.host.notice(notice),
                Heard::End => return Err(line::lost("the stream ended before the result")),
                Heard::Message(message) => {
                    if let Some(result) = self.hear(message, Some(id), (replies, audience))? {
                        return Ok(result);
                    }
                }
            }
        }
    }

    /// One message: the response to `id`, or something to answer or to pass on.
    fn hear(
        &self,
        message: Message,
        id: Option<&RequestId>,
        (replies, audience): (&Replies, &mut Audience<'_>),
    ) -> Result<Option<Result<Raw, RpcError>>, Error> {
        match message {
            // A response without an id can only be about the one request there is.
            Message::Response { id: of, result } => {
                let is_ours = id.is_some() && (of.is_none() || of.as_ref() == id);
                return Ok(is_ours.then_some(result));
            }
            Message::Request {
                id: asked,
                method,
                params,
            } => {
                let asked = Asked {
                    id: asked,
                    method,
                    params,
                };
                self.take(asked, id, (replies, audience))?;
            }
            Message::Notification { method, params } if method == "notifications/cancelled" => {
                audience.take_back(&params.get("requestId").unwrap_or_default());
            }
            Message::Notification { method, params } => {
                if let Some(notice) = news::read(&method, &params) {
                    audience.host.notice(notice);
                }
            }
        }
        Ok(None)
    }

    fn has_tasks(&self) -> bool {
        let steps = ["tasks", "requests", "tools", "call"];
        let mut steps = steps.into_iter();
        let found = steps.try_fold(self.capabilities.clone(), |at, name| at.get(name));
        found.is_some()
    }

    /// The host's own, as far as it was declared.
    fn behalf(&self, host: &dyn Host) -> Behalf {
        let behalf = host.behalf().unwrap_or(&self.behalf);
        Behalf {
            abilities: behalf.abilities.and(self.behalf.abilities),
            ..behalf.clone()
        }
    }

    /// A new request; its id serves as progress token too.
    fn flight(&self, part: Part, owner: u64) -> Flight {
        let id = self.ids.next();
        Flight {
            id,
            owner,
            token: id,
            task: None,
            part,
        }
    }
}

/// Nobody waits for it any more ([CAN-1]).
fn cancelled(id: u64) -> Bytes {
    let params = json::object([
        ("requestId", RequestId::number(id).to_raw()),
        ("reason", Raw::from_static("\"the user interrupted it\"")),
    ]);
    message::notification("notifications/cancelled", Some(params))
}

/// A result that holds an object of this name.
fn member(result: &Raw, name: &str) -> Result<Raw, Error> {
    match result.get(name).filter(Raw::is_object) {
        Some(found) => Ok(found),
        None => protocol(format!("a result without {name}")),
    }
}
