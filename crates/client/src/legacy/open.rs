//! Opening a session.

use ostler_protocol::{Era, Raw, RequestId, Revision};

use super::{
    Legacy,
    line::{Line, Transport},
    member, pair,
    replies::{Heard, Replies},
};
use crate::{
    client::{Facts, Options},
    code,
    error::{Error, protocol},
    json,
    message::{self, Message},
    negotiate::nowhere,
    news,
    switch::Part,
    way::Way,
};

const SESSION_BYTES_MAX: usize = 4 << 10;

/// Opens a session: over a pipe as it is; else over Streamable HTTP and, where that is not spoken,
/// over HTTP+SSE ([A-4]).
pub(crate) async fn open(
    way: &Way,
    wanted: Revision,
    options: &Options,
) -> Result<(Legacy, Facts), Error> {
    // Boxed, because all that a first request may meet is in it.
    let begin = |line| Box::pin(initialize(line, way, (wanted, options)));
    let (http, goodbyes) = match way {
        Way::Http(http, goodbyes) => (http, goodbyes),
        Way::Pipe(piped) => return begin(Line::pipe(piped.clone())).await,
    };
    let line = Line::streamable(http.clone(), goodbyes.clone());
    let first = match begin(line).await {
        Err(error @ (Error::Rpc(_) | Error::Status { .. })) if may_be_pair(&error) => error,
        other => return other,
    };
    match pair::open((**http).clone(), goodbyes.clone()).await {
        Ok(line) => begin(line).await,
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
    way: &Way,
    (wanted, options): (Revision, &Options),
) -> Result<(Legacy, Facts), Error> {
    let mut legacy = Legacy {
        line,
        capabilities: Raw::empty_object(),
        behalf: options.behalf(),
        stop: options.stop.clone(),
        ids: way.ids(),
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
    if let Some(level) = &options.log_level
        && facts.offers("logging")
    {
        legacy.set_log_level(level).await?;
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
        let abilities = self.behalf.abilities.within(wanted);
        self.behalf.abilities = abilities;
        let flight = self.flight(Part::Plain, 0);
        let params = json::object([
            ("protocolVersion", Raw::from_text(wanted.as_str())),
            ("capabilities", abilities.declared(wanted)),
            ("clientInfo", news::client_info()),
        ]);
        let body = message::request(&RequestId::number(flight.id), "initialize", params);
        let mut replies = match &self.line.transport {
            Transport::Pair(_) | Transport::Pipe(_) => self.line.request(flight, body).await?,
            Transport::Streamable(..) => {
                let inbox = self.line.switch.open(flight)?;
                let reply = self.line.post(body).await?;
                let session = reply.header("mcp-session-id").map(str::to_owned);
                if session.as_deref().is_some_and(|id| !is_session_id(id)) {
                    return protocol("the session id is not visible ASCII");
                }
                self.line.session = session;
                Replies::read(inbox, reply, self.line.pace.env.now()).await?
            }
        };
        loop {
            match replies.next(&self.line).await? {
                Heard::Message(Message::Response { result, .. }) => {
                    return result.map_err(Error::Rpc);
                }
                Heard::Message(_) | Heard::Notice(_) | Heard::Resumed => {}
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
