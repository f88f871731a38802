//! One HTTP exchange, within bounds.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client},
    rt::TokioExecutor,
};
use ostler_env::Env;
use ostler_protocol::Raw;
use ostler_types::Secret;
use tokio::sync::watch;

use crate::{
    code,
    dial::{Dialer, Target},
    error::{Error, protocol},
    events::EventStream,
    limits::{DEPTH_MAX, Limits},
    message,
    pace::Pace,
    reach::Reach,
    tls::Tls,
};

/// Where a Server is, and what goes along with every request to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub url: String,
    pub token: Option<Secret>,
    /// Any of them may be a credential.
    pub headers: Vec<(String, Secret)>,
    pub reach: Reach,
}

/// What to do at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    Head,
    Options,
    Post,
    Put,
    Patch,
    Delete,
}

/// An endpoint with its pool of connections. Clones share the pool.
#[derive(Clone)]
pub struct Http {
    pool: Client<Dialer, Full<Bytes>>,
    connected: watch::Receiver<bool>,
    uri: Uri,
    /// What goes along with every request, the credential included.
    headers: HeaderMap,
    pub(crate) pace: Pace,
}

impl Http {
    /// Connects to nothing yet.
    pub fn new(env: Env, endpoint: &Endpoint, limits: Limits) -> Result<Http, Error> {
        let target = Target::parse(&endpoint.url)?;
        let tls = target.is_tls.then(Tls::system).transpose()?;
        let (tx, connected) = watch::channel(false);
        let dialer = Dialer {
            env: env.clone(),
            tls,
            reach: endpoint.reach,
            step_max: limits.connect_max,
            connected: Arc::new(tx),
        };
        let uri = endpoint.url.parse().map_err(|_| Error::Url {
            url: endpoint.url.clone(),
            reason: "it does not parse",
        })?;
        Ok(Http {
            pool: Client::builder(TokioExecutor::new()).build(dialer),
            connected,
            uri,
            headers: fixed_headers(endpoint)?,
            pace: Pace { env, limits },
        })
    }

    /// What it was made with.
    pub fn env(&self) -> &Env {
        &self.pace.env
    }

    /// The same pool for another URL of the same origin: a credential goes nowhere else.
    pub fn at(&self, reference: &str) -> Result<Http, Error> {
        let bad = |reason| Error::Url {
            url: reference.to_owned(),
            reason,
        };
        let uri = resolve(&self.uri, reference).ok_or_else(|| bad("it does not parse"))?;
        let target = Target::of(&uri).map_err(bad)?;
        if Ok(target) != Target::of(&self.uri) {
            return Err(bad("it leads to another origin"));
        }
        Ok(Http {
            uri,
            ..self.clone()
        })
    }

    /// Waits until the server was reached; how long that takes says nothing of it.
    // Cancel safe: it only looks.
    pub(crate) async fn reached(&self) {
        // The pool holds the other end.
        let _ = self.connected.clone().wait_for(|is| *is).await;
    }

    /// One request. `headers` go before the fixed ones. Any status is an answer.
    pub async fn send(
        &self,
        verb: Verb,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<Reply, Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = match verb {
            Verb::Get => Method::GET,
            Verb::Head => Method::HEAD,
            Verb::Options => Method::OPTIONS,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        };
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        for (name, value) in headers {
            let (name, value) = line(name, value)?;
            request.headers_mut().insert(name, value);
        }
        let response = self.pool.request(request).await.map_err(not_sent)?;
        let (head, body) = response.into_parts();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
            pace: self.pace.clone(),
        })
    }
}

fn fixed_headers(endpoint: &Endpoint) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let agent = concat!("ostler/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    for (name, value) in &endpoint.headers {
        let (name, mut value) = line(name, value.expose())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    if let Some(token) = &endpoint.token {
        let (name, mut value) = line("authorization", &format!("Bearer {}", token.expose()))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn line(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let bad = || Error::Header {
        name: name.to_owned(),
    };
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?;
    Ok((name.parse().map_err(|_| bad())?, value))
}

/// Our own error is somewhere in the library's chain of sources if it came to no connection.
fn not_sent(error: legacy::Error) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut reason = error.to_string();
    while let Some(error) = source {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.clone();
        }
        reason = error.to_string();
        source = error.source();
    }
    Error::Broken { reason }
}

/// Absolute, or relative to the stream as RFC 3986 says, within the same authority ([A-1]).
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    if reference.starts_with("http://") || reference.starts_with("https://") {
        return reference.parse().ok();
    }
    let end = reference.find('?').unwrap_or(reference.len());
    let (path, query) = reference.split_at(end);
    let folder = base.path().rsplit_once('/');
    let folder = folder.map_or("", |(folder, _)| folder);
    let path = match (path.is_empty(), path.starts_with('/')) {
        (true, _) => base.path().to_owned(),
        (false, true) => without_dots(path),
        (false, false) => without_dots(&format!("{folder}/{path}")),
    };
    let builder = Uri::builder()
        .scheme(base.scheme()?.clone())
        .authority(base.authority()?.clone());
    builder.path_and_query(path + query).build().ok()
}

/// A path with its steps up and in place taken.
fn without_dots(path: &str) -> String {
    let mut taken = Vec::new();
    let mut steps = path.split('/').skip(1).peekable();
    while let Some(step) = steps.next() {
        match (step, steps.peek().is_some()) {
            ("..", is_inner) => {
                taken.pop();
                taken.extend((!is_inner).then_some(""));
            }
            (".", false) => taken.push(""),
            (".", true) => {}
            (step, _) => taken.push(step),
        }
    }
    format!("/{}", taken.join("/"))
}

/// The head of an answer, and its body to come. Dropping it closes what is still open.
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    pace: Pace,
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn is_stream(&self) -> bool {
        self.is_of("text/event-stream")
    }

    fn is_of(&self, media_type: &str) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case(media_type)
    }

    /// The events of the body.
    pub fn events(self) -> EventStream {
        EventStream::new(self.body, self.pace.env, &self.pace.limits)
    }

    /// The whole body.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let bytes_max = self.pace.limits.message_bytes_max;
        match Limited::new(self.body, bytes_max).collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(why) if why.is::<LengthLimitError>() => {
                protocol(format!("an answer of more than {bytes_max} bytes"))
            }
            Err(why) => Err(Error::Broken {
                reason: why.to_string(),
            }),
        }
    }

    /// What an answer that is no success means. A JSON-RPC error in it goes before the status.
    pub async fn refusal(self) -> Error {
        self.read_refusal().await.error
    }

    /// The same from a server that may be another one by now. Many call a request bad whose
    /// session they do not know, as after a restart, and name no request then. As they may say
    /// the same of the request itself, `look` decides: what any server of that kind answers, sent
    /// only in this case. Without an answer to it what was said stands.
    pub async fn refusal_or_gone(self, look: impl Future<Output = Result<Reply, Error>>) -> Error {
        let pace = self.pace.clone();
        let refusal = self.read_refusal().await;
        if !refusal.may_be_of_session {
            return refusal.error;
        }
        let until = pace.env.now() + pace.limits.probe_max;
        let looked = pace.env.until(until, look).await;
        let is_gone = match looked.and_then(Result::ok) {
            Some(reply) if reply.status() == 404 => true,
            Some(reply) if reply.status() == 400 => reply.read_refusal().await.may_be_of_session,
            Some(_) | None => false,
        };
        match is_gone {
            true => Error::SessionGone,
            false => refusal.error,
        }
    }

    async fn read_refusal(self) -> Refusal {
        let status = self.status();
        let challenge = self.header("www-authenticate").map(str::to_owned);
        let location = self.header("location").map(str::to_owned);
        // Its status says enough without a body that does not come.
        let pace = self.pace.clone();
        let until = pace.env.now() + pace.limits.endpoint_max;
        let bytes = pace.env.until(until, self.bytes()).await;
        let bytes = bytes.and_then(Result::ok).unwrap_or_default();
        let body = Raw::parse(bytes.clone(), DEPTH_MAX).ok();
        let error = body.as_ref().and_then(|body| body.get("error"));
        let rpc = error.and_then(|error| message::read_error(&error).ok());
        let id = body.as_ref().and_then(|body| body.get("id"));
        let names_nothing = id.is_none_or(|id| id.is_null());
        let is_general = rpc
            .as_ref()
            .is_some_and(|rpc| rpc.code == code::SERVER_ERROR);
        let message = match (&rpc, location) {
            (Some(rpc), _) => rpc.message.clone(),
            (None, Some(location)) => format!("it redirects to {location}"),
            (None, None) => excerpt(&bytes),
        };
        let error = match (status, rpc) {
            (401 | 403, _) => Error::Refused {
                status,
                challenge,
                message,
            },
            // A proxy says 503 too, of what it passed on and lost; only who speaks MCP says that
            // it did not begin.
            (429, _) | (503, Some(_)) => Error::Busy { status, message },
            (_, Some(rpc)) => Error::Rpc(rpc),
            (_, None) => Error::Status { status, message },
        };
        Refusal {
            error,
            may_be_of_session: status == 400 && is_general && names_nothing,
        }
    }
}

struct Refusal {
    error: Error,
    /// Rather than of the request.
    may_be_of_session: bool,
}

/// The first line of a body, as far as it can be shown.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.trim().lines().next().unwrap_or_default();
    let shown = line.chars().filter(|c| !c.is_control());
    shown.take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::Step;

    fn check(base: &str, reference: &str, expected: Option<&str>) {
        let resolved = resolve(&base.parse().unwrap(), reference);
        let resolved = resolved.map(|uri| uri.to_string());
        assert_eq!(resolved.as_deref(), expected, "{base} {reference}");
    }

    #[test]
    fn the_message_url_is_found_beside_the_stream() {
        let base = "http://a.example:1/x/sse?y=1";
        check(
            base,
            "/messages?s=1",
            Some("http://a.example:1/messages?s=1"),
        );
        check(
            base,
            "messages?s=1",
            Some("http://a.example:1/x/messages?s=1"),
        );
        check(base, "?s=1", Some("http://a.example:1/x/sse?s=1"));
        check(base, "../m", Some("http://a.example:1/m"));
        check(base, "../../m/./n", Some("http://a.example:1/m/n"));
        check(
            base,
            "/m?u=http://b/../c",
            Some("http://a.example:1/m?u=http://b/../c"),
        );
        check(base, "https://b.example/m", Some("https://b.example/m"));
        check(base, "/a b", None);
    }

    #[tokio::test]
    async fn a_credential_stays_at_its_origin() {
        let endpoint = Endpoint {
            url: "http://a.example/sse".to_owned(),
            token: Some(Secret::new("t")),
            headers: Vec::new(),
            reach: Reach::Anywhere,
        };
        let http = Http::new(Env::system(), &endpoint, Limits::default()).unwrap();
        assert!(http.at("/messages").is_ok());
        for other in [
            "https://a.example/m",
            "http://b.example/m",
            "http://a.example:81/m",
            "//b/m",
        ] {
            let is_refused = match http.at(other) {
                Ok(http) => http.uri.host() == Some("a.example"),
                Err(error) => matches!(error, Error::Url { .. }),
            };
            assert!(is_refused, "{other}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_connected_to_only_where_that_is_allowed() {
        let check = async |url: &str, reach, expected| {
            let endpoint = Endpoint {
                url: url.to_owned(),
                token: None,
                headers: Vec::new(),
                reach,
            };
            let http = Http::new(Env::system(), &endpoint, Limits::default()).unwrap();
            let sent = http.send(Verb::Get, &[], Bytes::new()).await;
            match sent.err() {
                Some(Error::Connect { step, .. }) => assert_eq!(step, expected, "{url}"),
                other => panic!("{url}: {other:?}"),
            }
        };
        // Nobody listens at the first port: whoever may try finds that out.
        check("http://127.0.0.1:1/", Reach::Anywhere, Step::Tcp).await;
        check("http://127.0.0.1:1/", Reach::Public, Step::Dns).await;
        check("http://localhost:1/", Reach::Public, Step::Dns).await;
        check("http://[::1]:1/", Reach::Public, Step::Dns).await;
    }
}
