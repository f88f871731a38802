//! Opening a session.

use std::sync::atomic::{AtomicU64, Ordering};

use ostler_protocol::{Era, Raw, RequestId, Revision};

use super::{
    Legacy,
    line::{Line, Transport},
    member,
    replies::{Heard, Replies},
};
use crate::{
    client::{Facts, Options},
    code,
    error::{Error, protocol},
    http::Http,
    json,
    message::{self, Message},
    negotiate::nowhere,
    news,
};

const SESSION_BYTES_MAX: usize = 4 << 10;

/// Opens a session over Streamable HTTP; where that is not spoken, over HTTP+SSE ([A-4]).
pub(crate) async fn open(
    http: Http,
    wanted: Revision,
    options: &Options,
) -> Result<(Legacy, Facts), Error> {
    let line = Line::streamable(http.clone());
    let first = match initialize(line, wanted, options).await {
        Err(error @ (Error::Rpc(_) | Error::Status { .. })) if may_be_pair(&error) => error,
        other => return other,
    };
    match Line::pair(http).await {
        Ok(line) => initialize(line, wanted, options).await,
        Err(_) => Err(nowhere(first)),
    }
}

fn may_be_pair(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => matches!(status, 400 | 404 | 405),
        // An error with a body does not say its status; a GET does no harm.
        _ => true,
    }
}

async fn initialize(
    line: Line,
    wanted: Revision,
    options: &Options,
) -> Result<(Legacy, Facts), Error> {
    let mut legacy = Legacy {
        line,
        capabilities: Raw::empty_object(),
        abilities: options.abilities,
        stop: options.stop.clone(),
        ids: AtomicU64::new(1),
    };
    let result = match legacy.shake_hands(wanted).await {
        // Some refuse a date they do not know instead of naming one they do ([LIF-3]).
        Err(Error::Rpc(error)) if error.code == code::INVALID_PARAMS => {
            match error.data.as_ref().and_then(newest_supported) {
                Some(revision) if revision != wanted => legacy.shake_hands(revision).await?,
                Some(_) | None => return Err(Error::Rpc(error)),
            }
        }
        other => other?,
    };
    let facts = legacy.settle(&result)?;
    legacy
        .line
        .notify("notifications/initialized", None)
        .await?;
    if let Some(level) = options
        .log_level
        .as_deref()
        .filter(|_| facts.offers("logging"))
    {
        let params = json::object([("level", Raw::from_text(level))]);
        let mut deaf = news::Deaf;
        match legacy.simple("logging/setLevel", params, &mut deaf).await {
            // Logs that are not as wanted are no reason to do without the server.
            Ok(_) | Err(Error::Rpc(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((legacy, facts))
}

/// The newest legacy revision in an error's list of supported ones.
pub(crate) fn newest_supported(data: &Raw) -> Option<Revision> {
    let supported = data.get("supported")?;
    let known = supported
        .elements()
        .filter_map(|date| Revision::parse(&date.text()?));
    known.filter(|revision| revision.era() == Era::Legacy).max()
}

impl Legacy {
    async fn shake_hands(&mut self, wanted: Revision) -> Result<Raw, Error> {
        // What this revision has no words for is not declared, so it is not answered either.
        self.abilities = self.abilities.within(wanted);
        let id = RequestId::number(self.ids.fetch_add(1, Ordering::Relaxed));
        let params = json::object([
            ("protocolVersion", Raw::from_text(wanted.as_str())),
            ("capabilities", self.abilities.declared(wanted, None)),
            ("clientInfo", news::client_info()),
        ]);
        let body = message::request(&id, "initialize", params);
        let mut replies = match &self.line.transport {
            Transport::Pair(_) => self.line.request(body).await?,
            Transport::Streamable => {
                let reply = self.line.post(body).await?;
                let session = reply.header("mcp-session-id").map(str::to_owned);
                if session.as_deref().is_some_and(|id| !is_session_id(id)) {
                    return protocol("the session id is not visible ASCII");
                }
                self.line.session = session;
                Replies::read(reply, self.line.http.env.now()).await?
            }
        };
        loop {
            match replies.next(&self.line).await? {
                Heard::Message(Message::Response { result, .. }) => {
                    return result.map_err(Error::Rpc);
                }
                Heard::Message(_) | Heard::Resumed => {}
                Heard::End => return protocol("no answer to initialize"),
            }
        }
    }

    /// Takes on what was negotiated ([LIF-2]).
    fn settle(&mut self, result: &Raw) -> Result<Facts, Error> {
        let date = json::text_member(result, "protocolVersion").unwrap_or_default();
        let known = Revision::parse(&date).filter(|revision| revision.era() == Era::Legacy);
        let Some(revision) = known else {
            return Err(Error::NoRevision { server: vec![date] });
        };
        self.line.revision = Some(revision);
        self.capabilities = member(result, "capabilities")?;
        Ok(Facts {
            revision,
            is_pair: matches!(self.line.transport, Transport::Pair(_)),
            info: result.get("serverInfo").unwrap_or_default(),
            capabilities: self.capabilities.clone(),
            instructions: json::text_member(result, "instructions"),
            supported: vec![date],
        })
    }
}

/// Visible ASCII only ([SES-1]).
fn is_session_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= SESSION_BYTES_MAX && id.bytes().all(|b| b.is_ascii_graphic())
}
