//! HTTP+SSE of 2024-11-05: a stream that is the session, and a second endpoint for messages
//! ([A-1] to ).
//!
//! The stream is there before the client has said which revision it speaks, so its session opens
//! with `initialize`; until then the stream waits on the doorstep. Everything that is said to the
//! client goes over the stream; a POST is only taken, or refused.

use std::{collections::HashMap, sync::Arc};

use axum::response::Response;
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use http::{HeaderMap, Uri};
use hyper::body::Incoming;
use ostler_protocol::{
    Era, RequestId,
    fault::Fault,
    inbound::{self, Inbound, Initialize, LegacyMessage, Posted, Rejected},
    reply, sse,
};
use ostler_session::{Frame, HeldSession, Reader, StreamReader};
use ostler_types::{Principal, ServerId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    Performed,
    call::{Begun, Call},
    id_of, perform, request_id,
    stream::events,
};
use crate::{
    fields, lists,
    metrics::StreamKind,
    rejection::{self, Refused},
    routes::{self, Exchange, Place},
};

/// A session and its reader.
type Opened = (HeldSession, StreamReader);

/// Streams whose client has not said `initialize` yet, by token. Bounded as all open streams are.
#[derive(Clone, Default)]
pub struct Doorstep(Arc<Mutex<HashMap<String, Guest>>>);

struct Guest {
    server: ServerId,
    principal: Principal,
    opened: oneshot::Sender<Opened>,
}

/// Leaves the doorstep with its stream.
struct Waiting {
    doorstep: Doorstep,
    token: String,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.doorstep.0.lock().remove(&self.token);
    }
}

impl Doorstep {
    fn enter(&self, exchange: &Exchange, token: &str) -> (Waiting, oneshot::Receiver<Opened>) {
        let (opened, told) = oneshot::channel();
        let guest = Guest {
            server: exchange.server.clone(),
            principal: exchange.caller.principal().clone(),
            opened,
        };
        self.0.lock().insert(token.to_owned(), guest);
        let waiting = Waiting {
            doorstep: self.clone(),
            token: token.to_owned(),
        };
        (waiting, told)
    }

    /// A stranger's is as unknown as none.
    fn knows(&self, exchange: &Exchange, token: &str) -> bool {
        let guests = self.0.lock();
        guests.get(token).is_some_and(|guest| guest.is_of(exchange))
    }

    fn take(&self, exchange: &Exchange, token: &str) -> Option<oneshot::Sender<Opened>> {
        let mut guests = self.0.lock();
        guests.get(token).filter(|guest| guest.is_of(exchange))?;
        guests.remove(token).map(|guest| guest.opened)
    }
}

impl Guest {
    fn is_of(&self, exchange: &Exchange) -> bool {
        self.server == exchange.server && self.principal == *exchange.caller.principal()
    }
}

/// GET: the stream. Its first event says where messages go: to the sibling of its own path.
pub async fn stream(
    exchange: Exchange,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Response, Refused> {
    if !fields::accepts(headers).sse {
        return Err(Refused::NotAcceptable);
    }
    let edge = &exchange.edge;
    if edge.is_draining() {
        return Ok(refused(&exchange, None, Fault::Draining));
    }
    let Some(place) = edge.listens.enter(&exchange.caller) else {
        return Ok(refused(&exchange, None, Fault::Quota("open streams")));
    };
    let token = edge.sessions.mint_token();
    // Absolute, though a proxy that strips a prefix would need it relative: some old clients resolve
    // by rules of their own, and put a relative path below the root of the origin.
    let siblings = uri.path().strip_suffix("sse").unwrap_or("/");
    let endpoint = format!("{siblings}messages?{TOKEN}={token}");
    let messages = said(&exchange, &token).map(move |message| {
        let _open = &place;
        message
    });
    let source = stream::once(async move { sse::endpoint(&endpoint) }).chain(messages);
    let identity = &exchange.caller.identity;
    let body = edge.streams.body(StreamKind::Pair, source, identity);
    Ok(rejection::event_stream(body))
}

/// What the session says once it is there; nothing if the node drains before, or its client is silent
/// for too long.
fn said(exchange: &Exchange, token: &str) -> impl Stream<Item = Bytes> + Send + use<> {
    let (waiting, told) = exchange.edge.doorstep.enter(exchange, token);
    let edge = exchange.edge.clone();
    let opened = async move {
        let _waiting = waiting;
        tokio::select! {
            opened = told => opened.ok(),
            () = edge.drained.cancelled() => None,
            () = edge.env.sleep(edge.config.initialize_timeout) => None,
        }
    };
    let said = opened.map(|opened| {
        let said = opened.map(|(held, reader)| events(held, reader, encode));
        stream::iter(said).flatten()
    });
    said.flatten_stream()
}

/// No ids: there is nothing to come back to.
fn encode(frame: &Frame) -> Bytes {
    match frame.data.is_empty() {
        true => Bytes::from_static(sse::KEEP_ALIVE),
        false => sse::named("message", &frame.data),
    }
}

/// The name of the session in the URI that the client is told.
const TOKEN: &str = "sessionId";

/// The token of a message's URI. It is a secret: it must not be logged.
fn token(uri: &Uri) -> Result<&str, Fault> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut tokens = pairs.filter_map(|pair| pair.strip_prefix(TOKEN)?.strip_prefix('='));
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(token),
        (None, _) | (Some(_), Some(_)) => {
            let reason = "name one session: take the URI of the stream's first event";
            Err(Fault::InvalidRequest(reason.to_owned()))
        }
    }
}

/// POST: messages of a stream's client. What they begin is answered on the stream, whatever
/// becomes of the socket that brought them.
pub async fn messages(
    exchange: Exchange,
    place: Place,
    headers: &HeaderMap,
    uri: &Uri,
    body: Incoming,
) -> Result<Response, Refused> {
    fields::check_content_type(headers)?;
    let token = match token(uri) {
        Ok(token) => token,
        Err(fault) => return Ok(refused(&exchange, None, fault)),
    };
    let body = routes::read_body(&exchange.edge, headers, body).await?;
    let edge = exchange.edge.clone();
    let start = edge.env.now();
    let taken = {
        let (mut exchange, headers, token) = (exchange.clone(), headers.clone(), token.to_owned());
        edge.env.spawn("edge.pair", async move {
            // What goes on without its socket is in work still.
            let _place = place;
            take(&mut exchange, &headers, &token, body).await
        })
    };
    let response = match taken.await {
        Ok(Ok(())) => routes::accepted(),
        Ok(Err((id, fault))) => refused(&exchange, id, fault),
        Err(panicked) => refused(&exchange, None, Fault::Internal(panicked.to_string())),
    };
    let took = edge.env.now().since(start).as_secs_f64();
    edge.metrics.answered(Era::Legacy, took);
    Ok(response)
}

/// Why a POST is not taken, and the id of its request if it has one.
type NotTaken = (Option<RequestId>, Fault);

async fn take(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    token: &str,
    body: Bytes,
) -> Result<(), NotTaken> {
    let Exchange {
        edge,
        caller,
        server,
    } = &*exchange;
    let held = edge.sessions.hold_stream(caller, server, token).ok();
    if held.is_none() && !edge.doorstep.knows(exchange, token) {
        return Err((None, Fault::UnknownSession));
    }
    let inbound = inbound::parse_in_session(token, body, &edge.config.limits);
    let inbound = inbound.map_err(|Rejected { fault, id, .. }| (id, fault))?;
    match (inbound, held) {
        (Inbound::Initialize(initialize), None) => {
            let opened = open(exchange, token, &initialize).await;
            opened.map_err(|fault| (Some(initialize.id), fault))
        }
        (Inbound::Initialize(initialize), Some(_)) => {
            let already = "this session is initialized already".to_owned();
            Err((Some(initialize.id), Fault::InvalidRequest(already)))
        }
        (Inbound::InSession(in_session), Some(held)) => {
            deliver(exchange, headers, &held, in_session.posted).await
        }
        (Inbound::InSession(in_session), None) => {
            let early = Fault::InvalidRequest("initialize comes first".to_owned());
            Err((request_id(&in_session.posted).cloned(), early))
        }
        (Inbound::Modern(_) | Inbound::ModernNotification { .. }, _) => {
            let internal = "a message of a session is not modern".to_owned();
            Err((None, Fault::Internal(internal)))
        }
    }
}

/// Opens the session of a stream that waits for it.
async fn open(exchange: &Exchange, token: &str, initialize: &Initialize) -> Result<(), Fault> {
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    let snapshot = lists::snapshot(exchange)?;
    // Before the guest leaves the doorstep: the client may correct itself.
    edge.sessions.check_opens(initialize)?;
    let guest = edge.doorstep.take(exchange, token);
    let guest = guest.ok_or(Fault::UnknownSession)?;
    let opened = edge
        .sessions
        .open_stream(caller, server, initialize, token)
        .await;
    let (held, reader) = opened?;
    held.say(super::initialized(&snapshot, initialize)).await?;
    let gone = guest.send((held, reader));
    gone.map_err(|_| Fault::UnknownSession)
}

async fn deliver(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    held: &HeldSession,
    posted: Posted,
) -> Result<(), NotTaken> {
    let messages = match posted {
        Posted::Message(message) => vec![message],
        Posted::Batch(messages) if held.facts().revision.has_batches() => messages,
        Posted::Batch(_) => {
            let reason = "this revision has no batches: send one message each".to_owned();
            return Err((None, Fault::InvalidRequest(reason)));
        }
    };
    super::count(exchange, &messages).map_err(|fault| (None, fault))?;
    exchange.caller.session = Some(held.facts().alias);
    let (mut taken, mut failed) = (0, Vec::new());
    for message in messages {
        let id = id_of(&message).cloned();
        match deliver_one(exchange, headers, held, message).await {
            Ok(()) => taken += 1,
            Err(fault) => failed.push((id, fault)),
        }
    }
    match (taken, failed.pop()) {
        (_, None) => Ok(()),
        (0, Some((id, fault))) => Err((id.filter(|_| failed.is_empty()), fault)),
        // The rest was taken, so what failed is answered as that is.
        (_, Some(last)) => {
            for (id, fault) in failed.into_iter().chain([last]) {
                tell_failed(held, id, &fault).await;
            }
            Ok(())
        }
    }
}

/// Only a request is answered; and where there is no room for that, nothing can be said.
async fn tell_failed(held: &HeldSession, id: Option<RequestId>, fault: &Fault) {
    if let Some(id) = id {
        let error = reply::error(held.facts().revision, Some(&id), fault);
        drop(held.say(error).await);
    }
}

async fn deliver_one(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    held: &HeldSession,
    message: LegacyMessage,
) -> Result<(), Fault> {
    match perform(exchange, headers, held, message).await {
        Performed::Begun(Begun::Answered(body)) => Ok(held.say(body).await?),
        Performed::Begun(Begun::Refused(id, fault)) => {
            let revision = held.facts().revision;
            Ok(held.say(reply::error(revision, Some(&id), &fault)).await?)
        }
        Performed::Begun(Begun::Running(call)) => {
            let Call { work, running, .. } = *call;
            let adopted = held.adopt(vec![running], Vec::new(), Reader::None);
            adopted
                .map(drop)
                .map_err(|error| work.not_taken(&error.into()))
        }
        Performed::Taken(taken) => Ok(taken?),
    }
}

fn refused(exchange: &Exchange, id: Option<RequestId>, fault: Fault) -> Response {
    exchange.edge.metrics.refused(rejection::reason(&fault));
    let era = Some(Era::Legacy);
    rejection::posted(&Rejected { fault, id, era })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_one_session() {
        let found = |uri: &str| token(&uri.parse().unwrap()).map(str::to_owned).ok();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(found("/messages?sessionId=a-_9"), named("a-_9"));
        assert_eq!(found("/messages?x=1&sessionId=b"), named("b"));
        assert_eq!(found("/messages?sessionId="), named(""));
        for none in [
            "/messages",
            "/messages?",
            "/messages?sessionid=a",
            "/messages?xsessionId=a",
        ] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(found("/messages?sessionId=a&sessionId=b"), None);
    }
}
