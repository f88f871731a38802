//! Opening a session: over Streamable HTTP, and where that is not spoken over HTTP+SSE ([A-4]).

use ostler_client::{Error, EventStream, text_member};
use ostler_protocol::{Raw, sse::decode::Frame};

use super::Session;
use crate::connect::{
    shared::Shared,
    stream::{response, response_on, result},
};

const SESSION_BYTES_MAX: usize = 4 << 10;

/// A session that the remote agreed to.
pub struct Opened {
    pub session: Session,
    /// The response to `initialize`, as it came, and the result in it.
    pub response: Raw,
    pub result: Raw,
    /// The stream of a pair.
    pub events: Option<EventStream>,
}

/// Says `initialize`, a message of the host, as it is.
pub async fn open(shared: &Shared, initialize: &Raw) -> Result<Opened, Error> {
    // Boxed here and below, so that what opens a session stays small.
    let first = match Box::pin(streamable(shared, initialize)).await {
        Err(error @ (Error::Rpc(_) | Error::Status { .. })) if may_be_pair(&error) => error,
        other => return other,
    };
    let until = shared.env.now() + shared.limits.endpoint_max;
    match shared.env.until(until, Box::pin(pair(shared))).await {
        Some(Ok((session, events))) => {
            Box::pin(initialize_pair(shared, session, events, initialize)).await
        }
        Some(Err(_)) | None => Err(nowhere(first)),
    }
}

fn may_be_pair(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => matches!(status, 400 | 404 | 405),
        // An error with a body does not say its status; a GET does no harm.
        _ => true,
    }
}

/// What 404 and 405 mean where nothing else is tried.
pub fn nowhere(error: Error) -> Error {
    match error {
        Error::Status {
            status: status @ (404 | 405),
            ..
        } => Error::NoEndpoint { status },
        error => error,
    }
}

async fn streamable(shared: &Shared, initialize: &Raw) -> Result<Opened, Error> {
    let mut session = Session::bare(&shared.http);
    session.number = shared.sessions.number();
    let reply = session.post(initialize).await?;
    let id = reply.header("mcp-session-id").map(str::to_owned);
    if id.as_deref().is_some_and(|id| !is_session_id(id)) {
        return Err(Error::Protocol(
            "the session id is not visible ASCII".to_owned(),
        ));
    }
    let response = response(shared, reply).await?;
    session.id = id;
    settle(session, response, None)
}

/// Visible ASCII only ([SES-1]).
fn is_session_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= SESSION_BYTES_MAX && id.bytes().all(|b| b.is_ascii_graphic())
}

/// The stream of 2024-11-05; its first event says where messages go.
async fn pair(shared: &Shared) -> Result<(Session, EventStream), Error> {
    let mut session = Session::bare(&shared.http);
    session.number = shared.sessions.number();
    let mut events = session.get(None).await?;
    let reference = loop {
        match events.next_frame().await? {
            Some(Frame::Event(event)) if event.name.as_deref() == Some("endpoint") => {
                break event.data;
            }
            Some(Frame::Comment) => {}
            Some(Frame::Event(_)) | None => {
                let why = "the stream does not begin with an endpoint event";
                return Err(Error::Protocol(why.to_owned()));
            }
        }
    };
    session.http = shared
        .http
        .at(std::str::from_utf8(&reference).unwrap_or_default())?;
    session.is_pair = true;
    Ok((session, events))
}

async fn initialize_pair(
    shared: &Shared,
    session: Session,
    mut events: EventStream,
    initialize: &Raw,
) -> Result<Opened, Error> {
    session.post(initialize).await?;
    let response = response_on(shared, &mut events).await?;
    settle(session, response, Some(events))
}

/// Takes on what was negotiated ([LIF-2]).
fn settle(
    mut session: Session,
    response: Raw,
    events: Option<EventStream>,
) -> Result<Opened, Error> {
    let result = result(&response)?;
    session.revision = text_member(&result, "protocolVersion");
    Ok(Opened {
        session,
        response,
        result,
        events,
    })
}
