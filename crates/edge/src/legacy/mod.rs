//! The legacy half: requests that belong to a session (up to 2025-11-25).
//!
//! protocol.md section 3. Everything that must outlive the request is the session's; here it is
//! found, asked, and its answers put into HTTP.

mod batch;
mod call;
pub mod pair;
mod post;
mod stream;
mod tasks;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use ostler_catalog::Snapshot;
use ostler_protocol::{
    Era, RequestId,
    fault::Fault,
    inbound::{
        self, InSession, Initialize, LegacyMessage, LegacyMethod, LegacyNotification, Posted,
        Rejected,
    },
    json::Raw,
    reply::{self, Shape},
};
use ostler_session::{HeldSession, SessionError};

use self::{
    call::Begun,
    post::{Form, Post},
};
use crate::{
    fields::{self, Fields, LAST_EVENT_ID, SESSION_ID},
    lists,
    rejection::{self, Refused},
    routes::{self, Exchange},
};

/// `initialize`: opens a session [LIF-1], [SES-1].
pub async fn open(exchange: Exchange, initialize: Initialize) -> Response {
    let opened = try_open(&exchange, &initialize).await;
    match opened {
        Ok((id, body)) => {
            let mut response = rejection::json(StatusCode::OK, body);
            let id = HeaderValue::from_str(&id).expect("session ids are base64url");
            response.headers_mut().insert(SESSION_ID, id);
            response
        }
        Err(fault) => failed(&exchange, Some(&initialize.id), fault),
    }
}

async fn try_open(exchange: &Exchange, initialize: &Initialize) -> Result<(String, Bytes), Fault> {
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    if edge.is_draining() {
        return Err(Fault::Draining);
    }
    // A stale id is a client that comes back after its session ended: it gets a new one [SES-4].
    if let Some(session) = &initialize.session
        && edge.sessions.hold(caller, server, session).await.is_ok()
    {
        let already = "this session is initialized already; DELETE it first, or leave out its id";
        return Err(Fault::InvalidRequest(already.to_string()));
    }
    let snapshot = lists::snapshot(exchange)?;
    let id = edge.sessions.create(caller, server, initialize).await?;
    Ok((id, initialized(&snapshot, initialize)))
}

/// What a client is told whose session is open.
fn initialized(snapshot: &Snapshot, initialize: &Initialize) -> Bytes {
    let mut capabilities = lists::capabilities(snapshot);
    // There is no slot for it, so it is shown to nobody who does not use it [EX-2].
    capabilities.apps &= initialize.facet.ui;
    let shape = Shape {
        revision: initialize.negotiated,
        server_info: &snapshot.server_info,
    };
    let instructions = snapshot.instructions.as_deref();
    reply::initialize(&shape, &initialize.id, capabilities, instructions)
}

/// A message of a session.
pub async fn deliver(
    mut exchange: Exchange,
    in_session: InSession,
    headers: &HeaderMap,
) -> Response {
    let held = match hold(&exchange, &in_session.session).await {
        Ok(held) => held,
        Err(error) => return failed(&exchange, request_id(&in_session.posted), error.into()),
    };
    exchange.caller.session = Some(held.facts().alias);
    match in_session.posted {
        Posted::Message(message) => single(exchange, held, message, headers).await,
        Posted::Batch(messages) => batch::deliver(exchange, held, messages, headers).await,
    }
}

async fn single(
    mut exchange: Exchange,
    held: HeldSession,
    message: LegacyMessage,
    headers: &HeaderMap,
) -> Response {
    match perform(&mut exchange, headers, &held, message).await {
        Performed::Begun(Begun::Answered(body)) => rejection::json(StatusCode::OK, body),
        Performed::Begun(Begun::Refused(id, fault)) => refusal(Some(&id), fault),
        Performed::Begun(Begun::Running(call)) => {
            let mut post = Post::new(&exchange, held);
            post.run(*call);
            post::respond(&exchange, post, Form::Single).await
        }
        Performed::Taken(Ok(())) => routes::accepted(),
        Performed::Taken(Err(error)) => failed(&exchange, None, error.into()),
    }
}

/// What became of a message.
enum Performed {
    /// A request.
    Begun(Begun),
    /// What gets no reply [SH-3].
    Taken(Result<(), SessionError>),
}

async fn perform(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    held: &HeldSession,
    message: LegacyMessage,
) -> Performed {
    match message {
        LegacyMessage::Request {
            id,
            method,
            progress_token,
            trace,
        } => {
            exchange.trace(trace, headers);
            let begun = begin(exchange, held, id, method, progress_token).await;
            if let Begun::Refused(_, fault) = &begun {
                exchange.edge.metrics.refused(rejection::reason(fault));
            }
            Performed::Begun(begun)
        }
        LegacyMessage::Notification(notification) => {
            Performed::Taken(Box::pin(notify(held, notification)).await)
        }
        LegacyMessage::Response { id, result } => {
            Performed::Taken(Box::pin(held.answer(id, result)).await)
        }
    }
}

fn request_id(posted: &Posted) -> Option<&RequestId> {
    match posted {
        Posted::Message(message) => id_of(message),
        Posted::Batch(_) => None,
    }
}

fn id_of(message: &LegacyMessage) -> Option<&RequestId> {
    match message {
        LegacyMessage::Request { id, .. } => Some(id),
        LegacyMessage::Notification(_) | LegacyMessage::Response { .. } => None,
    }
}

async fn hold(exchange: &Exchange, session: &str) -> Result<HeldSession, SessionError> {
    exchange
        .edge
        .sessions
        .hold(&exchange.caller, &exchange.server, session)
        .await
}

async fn notify(held: &HeldSession, notification: LegacyNotification) -> Result<(), SessionError> {
    match notification {
        LegacyNotification::Initialized => held.initialized().await,
        LegacyNotification::Cancelled { id, reason } => held.cancelled(id, reason).await,
        LegacyNotification::RootsChanged => held.roots_changed().await,
        LegacyNotification::Other { .. } => Ok(()),
    }
}

/// Each message of a batch counts as a request [BAT-8]; the first was counted at the door.
fn count(exchange: &Exchange, messages: &[LegacyMessage]) -> Result<(), Fault> {
    let Exchange { edge, caller, .. } = exchange;
    edge.rates.check_batch(caller, messages.len())
}

fn failed(exchange: &Exchange, id: Option<&RequestId>, fault: Fault) -> Response {
    exchange.edge.metrics.refused(rejection::reason(&fault));
    refusal(id, fault)
}

/// The same for what was counted already.
fn refusal(id: Option<&RequestId>, fault: Fault) -> Response {
    rejection::rejected(&Rejected {
        fault,
        id: id.cloned(),
        era: Some(Era::Legacy),
    })
}

/// Answers a request, or starts its call.
async fn begin(
    exchange: &Exchange,
    held: &HeldSession,
    id: RequestId,
    method: LegacyMethod,
    progress_token: Option<Raw>,
) -> Begun {
    let work = match method {
        LegacyMethod::Call(params) => call::Work::of(params),
        LegacyMethod::Complete(params) => {
            call::Work::complete(params.known_to(held.facts().revision))
        }
        LegacyMethod::TaskResult { task } => return tasks::result(exchange, held, id, task).await,
        plain => {
            return match Box::pin(plain_request(exchange, held, &id, plain)).await {
                Ok(body) => Begun::Answered(body),
                Err(fault) => Begun::Refused(id, fault),
            };
        }
    };
    let request = call::Request {
        id,
        work,
        progress_token,
    };
    call::begin(exchange, held, request).await
}

/// Requests that no worker is needed for.
async fn plain_request(
    exchange: &Exchange,
    held: &HeldSession,
    id: &RequestId,
    method: LegacyMethod,
) -> Result<Bytes, Fault> {
    let revision = held.facts().revision;
    match method {
        LegacyMethod::Ping => {}
        LegacyMethod::SetLevel(level) => {
            declared(exchange, "logging/setLevel", |offers| offers.logging)?;
            held.set_level(level).await?;
        }
        LegacyMethod::List { kind, cursor } => {
            return lists::page(exchange, revision, id, kind, cursor.as_deref());
        }
        LegacyMethod::Subscribe { uri } => {
            declared(exchange, "resources/subscribe", |offers| offers.subscribe)?;
            let known = lists::snapshot(exchange)?.resource(&uri).is_some();
            known
                .then_some(())
                .ok_or_else(|| Fault::UnknownResource { uri: uri.clone() })?;
            held.subscribe(uri).await?;
        }
        LegacyMethod::Unsubscribe { uri } => {
            declared(exchange, "resources/unsubscribe", |offers| offers.subscribe)?;
            held.unsubscribe(uri).await?;
        }
        LegacyMethod::TaskGet { task } => return tasks::get(exchange, held, id, &task).await,
        LegacyMethod::TaskCancel { task } => return tasks::cancel(exchange, held, id, &task).await,
        LegacyMethod::Refused(fault) => return Err(fault),
        LegacyMethod::Call(_) | LegacyMethod::Complete(_) | LegacyMethod::TaskResult { .. } => {
            return Err(Fault::Internal("a call is no plain request".to_string()));
        }
    }
    let nameless = Raw::from_static("{}");
    Ok(reply::empty(
        &Shape {
            revision,
            server_info: &nameless,
        },
        id,
    ))
}

/// A feature that is not declared does not exist [CAP-3].
fn declared(
    exchange: &Exchange,
    method: &str,
    is_offered: impl Fn(reply::ServerCapabilities) -> bool,
) -> Result<(), Fault> {
    let snapshot = lists::snapshot(exchange)?;
    match is_offered(lists::capabilities(&snapshot)) {
        true => Ok(()),
        false => Err(Fault::MethodNotFound {
            method: method.to_string(),
        }),
    }
}

/// The session a GET or DELETE names.
async fn named(exchange: &Exchange, headers: &HeaderMap) -> Result<HeldSession, Fault> {
    let headers = Fields(headers);
    inbound::era_of_headers(&headers)?;
    let session = inbound::session_of_headers(&headers)?;
    Ok(hold(exchange, &session).await?)
}

/// A request without a body that says it is modern: that era has none [M-1].
fn is_modern(headers: &HeaderMap) -> bool {
    inbound::era_of_headers(&Fields(headers)) == Ok(Some(Era::Modern))
}

/// GET: the standalone stream, or the rest of a broken one [SSE-5], [SSE-9].
pub async fn get(exchange: Exchange, headers: &HeaderMap) -> Result<Response, Refused> {
    if is_modern(headers) {
        let allow = routes::MCP_ALLOWS;
        return Err(Refused::MethodNotAllowed { allow });
    }
    if !fields::accepts(headers).sse {
        return Err(Refused::NotAcceptable);
    }
    let held = match named(&exchange, headers).await {
        Ok(held) => held,
        Err(fault) => return Ok(failed(&exchange, None, fault)),
    };
    if let Err(fault) = exchange.edge.reconnects.check(held.id()) {
        return Ok(failed(&exchange, None, fault));
    }
    let reader = match last_event_id(headers) {
        Ok(None) => held.listen().await,
        Ok(Some(cursor)) => held.resume(cursor).await,
        Err(fault) => return Ok(failed(&exchange, None, fault)),
    };
    Ok(match reader {
        Ok(reader) => stream::respond(&exchange, held, reader),
        Err(error) => failed(&exchange, None, error.into()),
    })
}

/// An empty value is no cursor.
fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| Fault::ResumeGap { oldest: None })?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// DELETE ends the session [SES-5].
pub async fn delete(exchange: Exchange, headers: &HeaderMap) -> Result<Response, Refused> {
    if is_modern(headers) {
        let allow = routes::MCP_ALLOWS;
        return Err(Refused::MethodNotAllowed { allow });
    }
    let ended = match named(&exchange, headers).await {
        Ok(held) => held.end().await.map_err(Fault::from),
        Err(fault) => Err(fault),
    };
    Ok(match ended {
        Ok(()) => rejection::empty(StatusCode::NO_CONTENT),
        Err(fault) => failed(&exchange, None, fault),
    })
}
