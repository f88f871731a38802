//! The only place that knows both HTTP statuses and JSON-RPC codes: every refusal becomes a
//! response here. protocol.md [M-8], [SH-1..3], [SES-2], promises.md 4.1.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use ostler_protocol::{Era, RequestId, Revision, fault::Fault, inbound::Rejected, reply};

/// A refusal before any JSON-RPC message was read. Its body is no JSON-RPC, so that no client takes
/// it for a reply [AU-12].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    BadHost(&'static str),
    #[error("this Host is not served here; add it to edge.hosts")]
    ForeignHost,
    #[error("this Origin may not call; add it to edge.origins")]
    ForeignOrigin,
    #[error("send credentials: Authorization: Bearer <API key>")]
    Unauthenticated { invalid: bool },
    #[error("this endpoint takes {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("nothing is served at this path")]
    NotFound,
    #[error("Content-Type must be application/json")]
    NotJson,
    #[error("Accept must list both application/json and text/event-stream")]
    NotAcceptable,
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body broke off")]
    BodyBroken,
    #[error("the header lines are too large")]
    HeadersTooLarge,
    #[error("too many requests in work; try again")]
    Busy,
}

/// The closed set of reasons for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Host,
    Origin,
    Authentication,
    Path,
    MediaType,
    Size,
    Body,
    Busy,
    Protocol,
    Session,
    Policy,
    Platform,
}

impl Reason {
    /// In the order of the discriminants.
    pub const ALL: [Reason; 12] = [
        Self::Host,
        Self::Origin,
        Self::Authentication,
        Self::Path,
        Self::MediaType,
        Self::Size,
        Self::Body,
        Self::Busy,
        Self::Protocol,
        Self::Session,
        Self::Policy,
        Self::Platform,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Authentication => "authentication",
            Self::Path => "path",
            Self::MediaType => "media_type",
            Self::Size => "size",
            Self::Body => "body",
            Self::Busy => "busy",
            Self::Protocol => "protocol",
            Self::Session => "session",
            Self::Policy => "policy",
            Self::Platform => "platform",
        }
    }
}

impl Refused {
    pub fn reason(&self) -> Reason {
        match self {
            Self::BadHost(_) | Self::ForeignHost => Reason::Host,
            Self::ForeignOrigin => Reason::Origin,
            Self::Unauthenticated { .. } => Reason::Authentication,
            Self::MethodNotAllowed { .. } | Self::NotFound => Reason::Path,
            Self::NotJson | Self::NotAcceptable => Reason::MediaType,
            Self::BodyTooLarge(_) | Self::HeadersTooLarge => Reason::Size,
            Self::BodyTimeout | Self::BodyBroken => Reason::Body,
            Self::Busy => Reason::Busy,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadHost(_) | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Unauthenticated { .. } => "invalid_token",
            _ => self.reason().as_str(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body =
            serde_json::json!({ "error": self.name(), "error_description": self.to_string() });
        let mut response = json(self.status(), Bytes::from(body.to_string()));
        let headers = response.headers_mut();
        match self {
            Self::Unauthenticated { invalid: true } => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::Unauthenticated { invalid: false } => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::MethodNotAllowed { allow } => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allow));
            }
            Self::Busy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// A JSON body with its status.
pub fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A status without a body.
pub fn empty(status: StatusCode) -> Response {
    status.into_response()
}

/// A 200 that carries server-sent events, not to be held back by anything on the way [SH-6].
pub fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The response to a message that `protocol` refused.
pub fn rejected(rejected: &Rejected) -> Response {
    // A body whose era nobody can tell is refused in the shape both eras understand [ERA-3].
    let revision = match rejected.era {
        Some(Era::Modern) => Revision::LATEST_MODERN,
        Some(Era::Legacy) | None => Revision::LATEST_LEGACY,
    };
    let era = rejected.era.unwrap_or(Era::Legacy);
    let body = reply::error(revision, rejected.id.as_ref(), &rejected.fault);
    with_retry(json(status(&rejected.fault, era), body), &rejected.fault)
}

/// The same where a message that was taken is answered elsewhere: what is refused is no success.
pub fn posted(refused: &Rejected) -> Response {
    let mut response = rejected(refused);
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

/// The response to a request whose message was not read.
pub fn unread(fault: Fault) -> Response {
    let (id, era) = (None, None);
    rejected(&Rejected { fault, id, era })
}

/// The response to a request that failed with `fault` before its stream began.
pub fn failed(revision: Revision, id: &RequestId, fault: &Fault) -> Response {
    let body = reply::error(revision, Some(id), fault);
    with_retry(json(status(fault, revision.era()), body), fault)
}

/// The response to an accepted call that ended badly before its stream began: what went wrong inside
/// the worker is an outcome, not a failure of this node [M-8].
pub fn call_failed(revision: Revision, id: &RequestId, fault: &Fault) -> Response {
    match fault {
        Fault::Internal(_) => json(StatusCode::OK, reply::error(revision, Some(id), fault)),
        fault => failed(revision, id, fault),
    }
}

/// The response to a batch that was refused altogether. If all of it should be tried again, a status
/// says so; else the errors in the body do.
pub fn batch(faults: &[Fault], body: Bytes) -> Response {
    let again = |fault: &Fault| {
        let status = status(fault, Era::Legacy);
        matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
        .then_some(status)
    };
    let first = faults
        .first()
        .and_then(|fault| Some((fault, again(fault)?)));
    match first {
        Some((fault, status)) if faults.iter().all(|other| again(other) == Some(status)) => {
            with_retry(json(status, body), fault)
        }
        Some(_) | None => json(StatusCode::OK, body),
    }
}

fn with_retry(mut response: Response, fault: &Fault) -> Response {
    let after = match fault {
        Fault::RateLimited { retry_after } | Fault::Overloaded { retry_after } => *retry_after,
        Fault::Draining | Fault::NoWorker | Fault::Storage => Duration::from_secs(1),
        _ => return response,
    };
    let seconds = after.as_millis().div_ceil(1000).max(1);
    let value = HeaderValue::from_str(&seconds.to_string()).expect("digits are a header value");
    response.headers_mut().insert(header::RETRY_AFTER, value);
    response
}

/// The HTTP status of a fault. Edge refusals have one of their own; outcomes of an accepted call are
/// 200 with a JSON-RPC error, so that SDKs show them (promises.md 4.1).
fn status(fault: &Fault, era: Era) -> StatusCode {
    match fault {
        Fault::Parse(_) | Fault::InvalidRequest(_) | Fault::SessionRequired => {
            StatusCode::BAD_REQUEST
        }
        Fault::HeaderMismatch(_) | Fault::UnsupportedVersion { .. } => StatusCode::BAD_REQUEST,
        Fault::ResumeGap { .. } => StatusCode::BAD_REQUEST,
        Fault::UnknownSession => StatusCode::NOT_FOUND,
        // [RPC-8], [M-8]: a legacy client takes 404 for a lost session [SES-3].
        Fault::MethodNotFound { .. } => modern_or_ok(era, StatusCode::NOT_FOUND),
        Fault::InvalidParams(_) | Fault::UnknownResource { .. } | Fault::MissingCapability(_) => {
            modern_or_ok(era, StatusCode::BAD_REQUEST)
        }
        Fault::Forbidden { .. } => StatusCode::FORBIDDEN,
        Fault::RateLimited { .. } | Fault::Quota(_) => StatusCode::TOO_MANY_REQUESTS,
        Fault::Overloaded { .. } | Fault::Draining | Fault::NoWorker | Fault::Storage => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Fault::WorkerLost { .. }
        | Fault::Begun(_)
        | Fault::Deadline
        | Fault::TooLarge
        | Fault::BadResult(_)
        | Fault::Cancelled
        | Fault::Protocol { .. } => StatusCode::OK,
        Fault::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn modern_or_ok(era: Era, modern: StatusCode) -> StatusCode {
    match era {
        Era::Modern => modern,
        Era::Legacy => StatusCode::OK,
    }
}

/// Why a fault is counted.
pub fn reason(fault: &Fault) -> Reason {
    match fault {
        Fault::SessionRequired | Fault::UnknownSession | Fault::ResumeGap { .. } => Reason::Session,
        Fault::Forbidden { .. } => Reason::Policy,
        Fault::RateLimited { .. }
        | Fault::Overloaded { .. }
        | Fault::Quota(_)
        | Fault::Draining => Reason::Busy,
        Fault::NoWorker
        | Fault::Storage
        | Fault::WorkerLost { .. }
        | Fault::Begun(_)
        | Fault::Deadline
        | Fault::TooLarge
        | Fault::BadResult(_)
        | Fault::Cancelled
        | Fault::Protocol { .. }
        | Fault::Internal(_) => Reason::Platform,
        Fault::Parse(_)
        | Fault::InvalidRequest(_)
        | Fault::MethodNotFound { .. }
        | Fault::InvalidParams(_)
        | Fault::UnknownResource { .. }
        | Fault::HeaderMismatch(_)
        | Fault::UnsupportedVersion { .. }
        | Fault::MissingCapability(_) => Reason::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_in_the_order_of_their_numbers() {
        for (number, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
        }
    }

    #[test]
    fn each_fault_has_its_status_by_era() {
        let wait = Duration::from_millis(1500);
        let rows = [
            (Fault::Parse("x".into()), 400, 400),
            (Fault::InvalidRequest("x".into()), 400, 400),
            (Fault::MethodNotFound { method: "x".into() }, 200, 404),
            (Fault::InvalidParams("x".into()), 200, 400),
            (Fault::UnknownResource { uri: "x".into() }, 200, 400),
            (Fault::HeaderMismatch("x".into()), 400, 400),
            (Fault::MissingCapability(Vec::new()), 200, 400),
            (Fault::SessionRequired, 400, 400),
            (Fault::UnknownSession, 404, 404),
            (Fault::UnknownSession.begun(), 200, 200),
            (Fault::ResumeGap { oldest: None }, 400, 400),
            (Fault::RateLimited { retry_after: wait }, 429, 429),
            (Fault::Overloaded { retry_after: wait }, 503, 503),
            (Fault::Draining, 503, 503),
            (Fault::Draining.begun(), 200, 200),
            (Fault::NoWorker, 503, 503),
            (Fault::Storage, 503, 503),
            (Fault::Storage.begun(), 200, 200),
            (Fault::Quota("sessions"), 429, 429),
            (Fault::Quota("sessions").begun(), 200, 200),
            (Fault::Forbidden { scopes: Vec::new() }, 403, 403),
            (Fault::Deadline, 200, 200),
            (Fault::Internal("x".into()), 500, 500),
        ];
        for (fault, legacy, modern) in rows {
            assert_eq!(status(&fault, Era::Legacy), legacy, "{fault}");
            assert_eq!(status(&fault, Era::Modern), modern, "{fault}");
        }
    }

    #[test]
    fn a_batch_has_the_status_that_all_its_errors_share() {
        let (lost, full) = (Fault::Draining, Fault::Quota("x"));
        let bad = Fault::InvalidParams("x".into());
        for (faults, expected) in [
            (vec![lost.clone(), Fault::NoWorker], 503),
            (vec![full.clone()], 429),
            (vec![full, lost.clone()], 200),
            (vec![lost, bad.clone()], 200),
            (vec![bad], 200),
        ] {
            let response = batch(&faults, Bytes::from_static(b"[]"));
            assert_eq!(response.status(), expected, "{faults:?}");
            let waits = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(waits, expected == 503, "{faults:?}");
        }
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let fault = Fault::Overloaded {
            retry_after: Duration::from_millis(1500),
        };
        let id = RequestId::number(1);
        let response = failed(Revision::LATEST_MODERN, &id, &fault);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}
