//! Answering what a server asks in the middle of a request. A person may take long for it, so the
//! stream is read on meanwhile: pings are answered, and a question may be taken back.

use ostler_protocol::{Raw, RequestId};

use super::{
    Legacy,
    replies::{Heard, Replies},
};
use crate::{
    code,
    error::{Error, protocol},
    host::{Abilities, Answer, Ask, Host},
    json,
    message::{self, Message},
    switch::RELATED_TASK,
};

/// A request of the server.
pub(super) struct Asked {
    pub id: RequestId,
    pub method: String,
    pub params: Raw,
}

type Refusal = (i64, &'static str);

/// What the client says of a question it will not answer: the code that the specification uses
/// for a person's no.
const REJECTED: Refusal = (-1, "the user rejected the request");
const METHOD_NOT_FOUND: Refusal = (code::METHOD_NOT_FOUND, "method not found");
const INVALID_PARAMS: Refusal = (code::INVALID_PARAMS, "invalid params");

impl Legacy {
    /// Answers a request of the server. What was not declared is refused, as the specification
    /// says; `within` is the request of ours that waits for its response.
    pub(super) async fn answer(
        &self,
        asked: &Asked,
        within: Option<&RequestId>,
        replies: &mut Replies,
        host: &mut dyn Host,
    ) -> Result<(), Error> {
        if asked.method == "ping" {
            return self.reply(asked, Ok(Raw::empty_object())).await;
        }
        let ask = match question(asked, self.behalf(host).abilities) {
            Ok(ask) => ask,
            Err(refusal) => return self.reply(asked, Err(refusal)).await,
        };
        // A listen has no end, and may be asked as often as it answers.
        if within.is_some() && replies.count_ask() > self.line.pace.limits.asks_max {
            return protocol("it asks without end");
        }
        match self.ask(ask, asked, within, replies, host).await? {
            Some(Answer::Given(answer)) => self.reply(asked, Ok(answer)).await,
            Some(Answer::Refused) => self.reply(asked, Err(REJECTED)).await,
            None => Ok(()),
        }
    }

    /// The host's answer; nothing when nobody waits for it any more.
    async fn ask(
        &self,
        ask: Ask,
        asked: &Asked,
        within: Option<&RequestId>,
        replies: &mut Replies,
        host: &mut dyn Host,
    ) -> Result<Option<Answer>, Error> {
        let mut answering = host.answer(ask);
        let mut is_open = true;
        loop {
            let heard = tokio::select! {
                biased;
                answer = &mut answering => return Ok(Some(answer)),
                heard = replies.fresh(&self.line), if is_open && replies.has_room(&self.line) => heard?,
            };
            match heard {
                Heard::Message(Message::Request { id, method, params }) if method == "ping" => {
                    let ping = Asked { id, method, params };
                    self.reply(&ping, Ok(Raw::empty_object())).await?;
                }
                Heard::Message(message) if takes_back(&message, &asked.id) => return Ok(None),
                Heard::Message(message) => {
                    let is_over = is_response(&message, within);
                    replies.keep(message);
                    if is_over {
                        return Ok(None);
                    }
                }
                Heard::Notice(_) | Heard::Resumed => {}
                Heard::End => is_open = false,
            }
        }
    }

    /// Sends an answer, again if it does not arrive. One that the server does not want, because it
    /// waits no more, is no reason to end our own request.
    async fn reply(&self, asked: &Asked, result: Result<Raw, Refusal>) -> Result<(), Error> {
        self.line.switch.answers(&asked.id);
        let result = result.map(|result| related(result, &asked.params));
        let mut attempts = 0;
        loop {
            let answer = message::response(&asked.id, result.clone());
            match self.line.tell(answer).await {
                Err(error) if self.line.pace.tries_again(&error, &mut attempts).await => {}
                Ok(())
                | Err(Error::Rpc(_))
                | Err(Error::Status {
                    status: 400..=499, ..
                }) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn question(asked: &Asked, abilities: Abilities) -> Result<Ask, Refusal> {
    let ask = Ask::read(&asked.method, &asked.params).map_err(|_| INVALID_PARAMS)?;
    match ask {
        Some(ask) if abilities.has(&ask) => Ok(ask),
        // Asking is declared, but not asking in this way.
        Some(ask @ (Ask::Form { .. } | Ask::Url { .. })) if abilities.form || abilities.url => {
            Err((code::INVALID_PARAMS, undeclared(&ask)))
        }
        Some(ask @ Ask::Sample { .. }) if abilities.sample => {
            Err((code::INVALID_PARAMS, undeclared(&ask)))
        }
        Some(ask) => Err((code::METHOD_NOT_FOUND, undeclared(&ask))),
        None => Err(METHOD_NOT_FOUND),
    }
}

/// What is missing, for whoever reads it: many servers make a tool's result of this text.
fn undeclared(ask: &Ask) -> &'static str {
    match ask {
        Ask::Form { .. } => "the client does not declare elicitation by forms",
        Ask::Url { .. } | Ask::Visited => "the client does not declare elicitation by URL",
        Ask::Sample { .. } => "the client does not declare this kind of sampling",
        Ask::Roots { .. } => "the client does not declare roots",
    }
}

/// Whether the server takes its question back ([CAN-1]).
fn takes_back(message: &Message, asked: &RequestId) -> bool {
    let Message::Notification { method, params } = message else {
        return false;
    };
    let of = params.get("requestId");
    method == "notifications/cancelled" && of.is_some_and(|of| of == asked.to_raw())
}

/// Whether it is the response to our own request: then nobody waits for answers within it.
fn is_response(message: &Message, within: Option<&RequestId>) -> bool {
    match (message, within) {
        (Message::Response { id, .. }, Some(within)) => id.as_ref().is_none_or(|id| id == within),
        _ => false,
    }
}

/// What is asked for a task is answered for it: both name it.
fn related(result: Raw, params: &Raw) -> Raw {
    let meta = params.get("_meta").unwrap_or_default();
    match meta.get(RELATED_TASK) {
        Some(task) if result.get("_meta").is_none() => {
            let meta = json::object([(RELATED_TASK, task)]);
            json::extended(&result, [("_meta", meta)])
        }
        Some(_) | None => result,
    }
}
