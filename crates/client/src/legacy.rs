//! The legacy era: a session, opened by `initialize`, over Streamable HTTP or over the two
//! endpoints of 2024-11-05.

mod line;
mod replies;
mod asked;
mod open;
mod task;
mod listen;

use std::sync::atomic::{AtomicU64, Ordering};

use ostler_protocol::{Raw, RequestId};

use crate::{
    code,
    error::{Error, protocol},
    host::{Abilities, Answer, Ask, Host, Notice},
    http::Verb,
    json,
    message::{self, Message, RpcError},
    news,
    request::Request,
    stop::Stop,
};

use asked::Asked;
use line::Line;
use replies::{Heard, Replies};

pub(crate) use open::{newest_supported, open};

/// An open session.
pub(crate) struct Legacy {
    pub(crate) line: Line,
    capabilities: Raw,
    abilities: Abilities,
    stop: Stop,
    ids: AtomicU64,
}

impl Legacy {
    /// A request that cannot ask.
    pub(crate) async fn simple(
        &self,
        method: &str,
        params: Raw,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        let id = self.next_id();
        self.cancellable(&id, method, params, host).await
    }

    /// A request to its end. One that needs a person to visit a web page first is sent again
    /// after they did ([SP-5]).
    pub(crate) async fn run(&self, request: &Request, host: &mut dyn Host) -> Result<Raw, Error> {
        for _ in 0..self.line.http.limits.rounds_max {
            match self.attempt(request, host).await {
                // Without a page to visit it would only be the same call again.
                Err(Error::Rpc(error)) if self.abilities.url && needs_visit(&error) => {
                    self.visit(error, host).await?;
                }
                ended => return ended,
            }
        }
        protocol("it wants web pages visited without end")
    }

    async fn attempt(&self, request: &Request, host: &mut dyn Host) -> Result<Raw, Error> {
        let id = self.next_id();
        let params = match request.has_news() {
            true => {
                let meta = json::object([("progressToken", id.to_raw())]);
                json::extended(&request.params(), [("_meta", meta)])
            }
            false => request.params(),
        };
        if request.needs_task() && self.has_tasks() {
            let params = json::extended(&params, [("task", Raw::empty_object())]);
            return self.run_task(&id, params, host).await;
        }
        self.cancellable(&id, request.method(), params, host).await
    }

    /// A request that is cancelled by its id when it is stopped.
    async fn cancellable(
        &self,
        id: &RequestId,
        method: &str,
        params: Raw,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        tokio::select! {
            biased;
            () = self.stop.wait() => {
                self.cancel(id).await;
                Err(Error::Stopped)
            }
            result = self.converse(id, method, params, host) => result,
        }
    }

    /// Has the person visit what an error names; the error itself if they will not.
    async fn visit(&self, error: RpcError, host: &mut dyn Host) -> Result<(), Error> {
        let data = error.data.clone().unwrap_or_default();
        let asked = data.get("elicitations").unwrap_or_default();
        let visiting = async {
            for elicitation in asked.elements() {
                let Some(ask @ Ask::Url { .. }) = Ask::read("elicitation/create", &elicitation)?
                else {
                    return protocol("it wants something else than a web page visited");
                };
                match host.answer(ask).await {
                    Answer::Given(answer) if accepts(&answer) => {}
                    Answer::Given(_) | Answer::Refused => return Err(Error::Rpc(error)),
                }
            }
            // Consent is the beginning of a visit; before its end the call would fail again.
            match host.answer(Ask::Visited).await {
                Answer::Given(answer) if accepts(&answer) => Ok(()),
                Answer::Given(_) | Answer::Refused => Err(Error::Rpc(error)),
            }
        };
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            visited = visiting => visited,
        }
    }

    pub(crate) async fn close(self) {
        if self.line.session.is_some() {
            // The server may not let clients end sessions, or may be gone.
            let said = self.line.send(Verb::Delete, &[], Default::default());
            self.line.http.goodbye(said).await;
        }
    }

    /// Sends a request and hears all there is until its response.
    async fn converse(
        &self,
        id: &RequestId,
        method: &str,
        params: Raw,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        let body = message::request(id, method, params);
        let mut replies = self.line.request(body).await?;
        loop {
            match replies.next(&self.line).await? {
                Heard::Resumed => host.notice(Notice::Resumed),
                Heard::End => {
                    let reason = "the stream ended before the result".to_owned();
                    return Err(Error::Broken { reason });
                }
                Heard::Message(message) => {
                    if let Some(result) = self.hear(message, Some(id), &mut replies, host).await? {
                        return result.map_err(Error::Rpc);
                    }
                }
            }
        }
    }

    /// One message: the response to `id`, or something to answer or to pass on.
    async fn hear(
        &self,
        message: Message,
        id: Option<&RequestId>,
        replies: &mut Replies,
        host: &mut dyn Host,
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
                self.answer(&asked, id, replies, host).await?;
            }
            Message::Notification { method, params } => {
                if let Some(notice) = news::read(&method, &params) {
                    host.notice(notice);
                }
            }
        }
        Ok(None)
    }

    /// Tells the server that nobody waits any more ([CAN-1]).
    async fn cancel(&self, id: &RequestId) {
        let params = json::object([
            ("requestId", id.to_raw()),
            ("reason", Raw::from_static("\"the user interrupted it\"")),
        ]);
        let notice = message::notification("notifications/cancelled", Some(params));
        self.line.http.goodbye(self.line.tell(notice)).await;
    }

    fn has_tasks(&self) -> bool {
        let steps = ["tasks", "requests", "tools", "call"];
        let mut steps = steps.into_iter();
        let found = steps.try_fold(self.capabilities.clone(), |at, name| at.get(name));
        found.is_some()
    }

    fn next_id(&self) -> RequestId {
        RequestId::number(self.ids.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whether an error names web pages to visit first.
fn needs_visit(error: &RpcError) -> bool {
    let data = error.data.clone().unwrap_or_default();
    let asked = data.get("elicitations").unwrap_or_default();
    error.code == code::URL_NEEDED && asked.elements().next().is_some()
}

fn accepts(answer: &Raw) -> bool {
    json::text_member(answer, "action").as_deref() == Some("accept")
}

/// A result that holds an object of this name.
fn member(result: &Raw, name: &str) -> Result<Raw, Error> {
    match result.get(name).filter(Raw::is_object) {
        Some(found) => Ok(found),
        None => protocol(format!("a result without {name}")),
    }
}
