//! Which request goes where, and what every request must pass first.

use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, service::Service};
use ostler_auth::AuthError;
use ostler_protocol::{
    Era,
    fault::Fault,
    inbound::{self, Inbound},
};
use ostler_types::{Caller, ServerId, ServerName, Shard, TenantId, TraceContext};

use crate::{
    Inner, fields, legacy, modern,
    rejection::{self, Refused},
};

/// What hyper calls for each request of a connection.
#[derive(Clone)]
pub struct Door(pub Arc<Inner>);

impl Service<Request<Incoming>> for Door {
    type Response = Response;
    type Error = Infallible;
    /// Boxed, so that an idle connection has no room for a request in it.
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let edge = self.0.clone();
        // There is room before there is a future: one that is made first, with its 10 KiB of states that
        // it is not in yet, is copied there.
        let room = Box::new_uninit();
        let answered = Box::write(room, async move {
            let is_head = request.method() == Method::HEAD;
            let response = caught(answer(edge.clone(), request)).await;
            // Over HTTP/2 hyper leaves this to its service (RFC 9110 9.3.2).
            Ok(response.map(|body| match is_head {
                true => Body::empty(),
                false => edge.streams.pace(body),
            }))
        });
        Box::into_pin(answered)
    }
}

/// A bug that one request meets is told to its client, and the other requests of its connection
/// go on. What the request held is dropped with it, so nothing half done is left.
fn caught(answer: impl Future<Output = Response>) -> impl Future<Output = Response> {
    let caught = AssertUnwindSafe(answer).catch_unwind();
    // The panic is in the log already, and what it says is not for clients.
    caught.map(|caught| {
        caught.unwrap_or_else(|_| rejection::unread(Fault::Internal("internal error".to_owned())))
    })
}

/// What Streamable HTTP takes, in one era or the other.
pub const MCP_ALLOWS: &str = "GET, POST, DELETE, OPTIONS";

/// What a Server is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    /// Streamable HTTP, in both eras.
    Mcp,
    /// The stream of HTTP+SSE ...
    Stream,
    /// ... and where its client's messages go.
    Messages,
}

impl Endpoint {
    fn of(segment: &str) -> Option<Self> {
        match segment {
            "mcp" => Some(Self::Mcp),
            "sse" => Some(Self::Stream),
            "messages" => Some(Self::Messages),
            _ => None,
        }
    }
}

/// What a path names: `/mcp` of the default Server, or `/{tenant}/{server}/mcp`; the other endpoints
/// likewise. All end in one handler, so a router would only cost every request its allocations.
fn named_by(path: &str, default_server: Option<&ServerId>) -> Option<(Endpoint, ServerId)> {
    let mut segments = path.strip_prefix('/')?.split('/');
    match [(); 4].map(|()| segments.next()) {
        [Some(endpoint), None, None, None] => {
            Some((Endpoint::of(endpoint)?, default_server?.clone()))
        }
        [Some(tenant), Some(name), Some(endpoint), None] => {
            let tenant = TenantId::parse(tenant).ok()?;
            let name = ServerName::parse(name).ok()?;
            Some((Endpoint::of(endpoint)?, ServerId { tenant, name }))
        }
        _ => None,
    }
}

/// The layers, outermost first. Each stands where it is because what follows costs more.
async fn answer(edge: Arc<Inner>, request: Request<Incoming>) -> Response {
    let (parts, body) = request.into_parts();
    let keeps_open = parts.version < Version::HTTP_2;
    let named = named_by(parts.uri.path(), edge.config.default_server.as_ref());
    let gate = edge.gate.load();
    // A page of another site is refused before anything looks at who it claims to be.
    let origin = gate
        .check_host(parts.version, &parts.uri, &parts.headers)
        .and_then(|()| gate.check_origin(&parts.headers));
    let origin = match origin {
        Ok(origin) => origin.map(HeaderValue::from_str),
        Err(refused) => return refuse(&edge, refused),
    };
    let mut response = match admitted(&edge, named, &parts, body).await {
        Ok(response) => response,
        Err(refused) => refuse(&edge, refused),
    };
    if let Some(Ok(origin)) = origin {
        allow_origin(response.headers_mut(), origin);
    }
    if keeps_open && edge.is_draining() {
        // The next request of this client shall find another node. HTTP/2 has GOAWAY for it.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

fn refuse(edge: &Inner, refused: Refused) -> Response {
    edge.metrics.refused(refused.reason());
    tracing::debug!(reason = refused.reason().as_str(), "request refused");
    refused.into_response()
}

async fn admitted(
    edge: &Arc<Inner>,
    named: Option<(Endpoint, ServerId)>,
    parts: &http::request::Parts,
    body: Incoming,
) -> Result<Response, Refused> {
    let headers = &parts.headers;
    fields::check_size(headers, edge.config.limits.header_bytes_max)?;
    // A preflight carries no credential.
    if parts.method == Method::OPTIONS {
        return preflight(headers);
    }
    let (endpoint, server) = named.ok_or(Refused::NotFound)?;
    let place = Place::enter(edge, edge.config.limits.requests_max).ok_or(Refused::Busy)?;
    let exchange = Exchange {
        caller: authenticate(edge, &server.tenant, headers)?,
        edge: edge.clone(),
        server,
    };
    // Before the body: a flood is not even read.
    if let Err(fault) = edge.rates.check(&exchange.caller) {
        edge.metrics.refused(rejection::reason(&fault));
        tracing::debug!(reason = %fault, "request refused");
        return Ok(rejection::unread(fault));
    }
    let (uri, not_allowed) = (&parts.uri, |allow| Err(Refused::MethodNotAllowed { allow }));
    // Boxed, as below: only a plain call is worth room in every request.
    let response = match (endpoint, &parts.method) {
        (Endpoint::Mcp, &Method::POST) => post(exchange, headers, body).await,
        (Endpoint::Mcp, &Method::GET) => Box::pin(legacy::get(exchange, headers)).await,
        (Endpoint::Mcp, &Method::DELETE) => Box::pin(legacy::delete(exchange, headers)).await,
        (Endpoint::Mcp, _) => not_allowed(MCP_ALLOWS),
        (Endpoint::Stream, &Method::GET) => {
            Box::pin(legacy::pair::stream(exchange, headers, uri)).await
        }
        (Endpoint::Stream, _) => not_allowed("GET, OPTIONS"),
        (Endpoint::Messages, &Method::POST) => {
            return Box::pin(legacy::pair::messages(exchange, place, headers, uri, body)).await;
        }
        (Endpoint::Messages, _) => not_allowed("POST, OPTIONS"),
    };
    drop(place);
    response
}

/// One request of an authenticated caller to one Server.
#[derive(Clone)]
pub struct Exchange {
    pub edge: Arc<Inner>,
    pub caller: Caller,
    pub server: ServerId,
}

async fn post(
    mut exchange: Exchange,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response, Refused> {
    fields::check_content_type(headers)?;
    let accepts = fields::accepts(headers);
    if !(accepts.json && accepts.sse) {
        return Err(Refused::NotAcceptable);
    }
    let body = read_body(&exchange.edge, headers, body).await?;
    let edge = exchange.edge.clone();
    let start = edge.env.now();
    let fields = fields::Fields(headers);
    let (era, response) = match inbound::parse(&fields, body, &edge.config.limits) {
        Err(rejected) => {
            tracing::debug!(reason = %rejected.fault, "message refused");
            edge.metrics.refused(rejection::reason(&rejected.fault));
            return Ok(rejection::rejected(&rejected));
        }
        Ok(Inbound::ModernNotification { .. }) => (Era::Modern, accepted()),
        Ok(Inbound::Modern(mut request)) => {
            exchange.trace(request.meta.trace.take(), headers);
            (
                Era::Modern,
                modern::answer(exchange, request, &fields).await,
            )
        }
        Ok(Inbound::Initialize(initialize)) => {
            let opened = Box::pin(legacy::open(exchange, initialize));
            (Era::Legacy, opened.await)
        }
        Ok(Inbound::InSession(message)) => (
            Era::Legacy,
            legacy::deliver(exchange, message, headers).await,
        ),
    };
    edge.metrics
        .answered(era, edge.env.now().since(start).as_secs_f64());
    Ok(response)
}

impl Exchange {
    /// Where the ids of this request's calls are minted: this node owns every shard.
    pub fn shard(&self) -> Shard {
        let [shard, ..] = self.edge.env.random_u64().to_be_bytes();
        Shard(shard)
    }

    /// The body's trace context goes before that of the HTTP request.
    pub fn trace(&mut self, body: Option<TraceContext>, headers: &HeaderMap) {
        self.caller.trace = body.or_else(|| fields::trace(headers)).map(Arc::new);
    }
}

/// An empty 202 [SH-3].
pub fn accepted() -> Response {
    StatusCode::ACCEPTED.into_response()
}

fn authenticate(edge: &Inner, tenant: &TenantId, headers: &HeaderMap) -> Result<Caller, Refused> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next().map(|value| value.as_bytes());
    if lines.next().is_some() {
        return Err(Refused::Unauthenticated { invalid: true });
    }
    let identity = edge
        .authenticator
        .authenticate(tenant, line)
        .map_err(|error| match error {
            AuthError::Missing => Refused::Unauthenticated { invalid: false },
            AuthError::Invalid => Refused::Unauthenticated { invalid: true },
        })?;
    Ok(Caller {
        identity,
        session: None,
        trace: None,
        deadline: edge.env.now() + edge.config.limits.call_timeout,
    })
}

pub async fn read_body(
    edge: &Inner,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Bytes, Refused> {
    let bytes_max = edge.config.limits.body_bytes_max;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    if length
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| length > bytes_max)
    {
        return Err(Refused::BodyTooLarge(bytes_max));
    }
    let deadline = edge.env.now() + edge.config.body_timeout;
    let collected = edge
        .env
        .until(deadline, Limited::new(body, bytes_max).collect())
        .await;
    match collected.ok_or(Refused::BodyTimeout)? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refused::BodyTooLarge(bytes_max)),
        Err(_) => Err(Refused::BodyBroken),
    }
}

/// Answers a browser that asks before it calls [OR-5]. The origin was checked already.
fn preflight(headers: &HeaderMap) -> Result<Response, Refused> {
    if !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(Refused::MethodNotAllowed { allow: MCP_ALLOWS });
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    answer.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, GET, DELETE"),
    );
    answer.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    if let Ok(allowed) = HeaderValue::from_str(&allowed_headers(headers)) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    Ok(response)
}

const ALLOWED_HEADERS: &str = "authorization, content-type, accept, mcp-protocol-version, \
    mcp-session-id, last-event-id, mcp-method, mcp-name, traceparent, tracestate";

/// Ours, and those of the asked ones that mirror parameters: no wildcard stands for a prefix.
fn allowed_headers(headers: &HeaderMap) -> String {
    let asked = headers
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .and_then(|value| value.to_str().ok());
    let asked = asked
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase());
    let params = asked
        .filter(|name| name.starts_with("mcp-param-"))
        .map(|name| format!(", {name}"));
    std::iter::once(ALLOWED_HEADERS.to_string())
        .chain(params)
        .collect()
}

fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("mcp-session-id, www-authenticate, retry-after"),
    );
}

/// A request's place among those in work; dropping it frees it.
pub struct Place(Arc<Inner>);

impl Place {
    fn enter(edge: &Arc<Inner>, max: usize) -> Option<Self> {
        let place = Self(edge.clone());
        (edge.in_work.fetch_add(1, Ordering::AcqRel) < max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_meets_a_bug_is_answered() {
        let response = caught(async { panic!("on purpose") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.into()).unwrap();
        assert!(
            body.contains("-32603") && !body.contains("on purpose"),
            "{body}"
        );
    }

    #[test]
    fn a_path_names_an_endpoint_of_a_server_or_nothing() {
        let default = ServerId {
            tenant: TenantId::parse("home").unwrap(),
            name: ServerName::parse("main").unwrap(),
        };
        let found = |path: &str| {
            let (endpoint, server) = named_by(path, Some(&default))?;
            Some((endpoint, server.to_string()))
        };
        for (segment, endpoint) in [
            ("mcp", Endpoint::Mcp),
            ("sse", Endpoint::Stream),
            ("messages", Endpoint::Messages),
        ] {
            let named = |server: &str| Some((endpoint, server.to_owned()));
            assert_eq!(found(&format!("/{segment}")), named(&default.to_string()));
            assert_eq!(found(&format!("/a/b/{segment}")), named("a/b"));
            assert_eq!(named_by(&format!("/{segment}"), None), None);
        }
        for path in [
            "",
            "/",
            "mcp",
            "/mcp/",
            "/a/b/mcp/",
            "/a/mcp",
            "/a//mcp",
            "/a/b/MCP",
            "/%61/b/mcp",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
