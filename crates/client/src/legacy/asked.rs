//! What a server asks in the middle of a request: which of it is a question for the host, and how
//! an answer gets back.

use std::pin::Pin;

use ostler_protocol::{Raw, RequestId};

use super::{Legacy, audience::Audience, line::Line, replies::Replies};
use crate::{
    code,
    error::{Error, protocol},
    host::{Abilities, Ask},
    json, message,
    switch::{RELATED_TASK, TOO_MUCH},
};

/// A request of the server.
pub(super) struct Asked {
    pub id: RequestId,
    pub method: String,
    pub params: Raw,
}

pub(super) type Refusal = (i64, &'static str);

const METHOD_NOT_FOUND: Refusal = (code::METHOD_NOT_FOUND, "method not found");
const INVALID_PARAMS: Refusal = (code::INVALID_PARAMS, "invalid params");

impl Legacy {
    /// Takes a request of the server, and gives it to the host if it is a question that was
    /// declared; others are refused, as the specification says. `within` is the request of ours
    /// that waits for its response.
    pub(super) fn take(
        &self,
        asked: Asked,
        within: Option<&RequestId>,
        (replies, audience): (&Replies, &mut Audience<'_>),
    ) -> Result<(), Error> {
        let line = &self.line;
        if asked.method == "ping" {
            audience.tell(line, &asked, Ok(Raw::empty_object()));
            return Ok(());
        }
        let ask = match question(&asked, self.behalf(audience.host).abilities) {
            Ok(_) if !audience.has_room(&asked, line) => Err((code::INTERNAL_ERROR, TOO_MUCH)),
            read => read,
        };
        let ask = match ask {
            Ok(ask) => ask,
            Err(refusal) => {
                audience.tell(line, &asked, Err(refusal));
                return Ok(());
            }
        };
        // A listen has no end, and may be asked as often as it answers.
        if within.is_some() && audience.count_ask() > line.pace.limits.asks_max {
            return protocol("it asks without end");
        }
        if let Some(page) = ask.page() {
            replies.awaits(page);
        }
        audience.ask(asked, ask);
        Ok(())
    }
}

impl Asked {
    /// About what it takes to keep it.
    pub(super) fn bytes(&self) -> usize {
        self.params.as_str().len() + size_of::<Asked>()
    }
}

/// Sends an answer, again if it does not arrive. One that the server does not want, because it
/// waits no more, is no reason to end our own request.
pub(super) fn reply(
    line: &Line,
    asked: &Asked,
    result: Result<Raw, Refusal>,
) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
    line.switch.answers(&asked.id);
    let result = result.map(|result| related(result, &asked.params));
    let (line, answer) = (line.clone(), message::response(&asked.id, result));
    Box::pin(async move {
        let mut attempts = 0;
        loop {
            match line.tell(answer.clone()).await {
                Err(error) if line.pace.tries_again(&error, &mut attempts).await => {}
                Ok(())
                | Err(Error::Rpc(_))
                | Err(Error::Status {
                    status: 400..=499, ..
                }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    })
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
