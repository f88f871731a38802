//! From the bytes and headers of one POST to what the client wants, or why it is refused.
//!
//! [`parse`] decides the era first (`era`), then runs that era's checks in their fixed order
//! (`modern`: [M-9]; `legacy`). The types below are the proof that they passed.

mod batch;
mod envelope;
mod era;
mod legacy;
mod meta;
mod modern;
mod params;

use std::collections::BTreeMap;

use bytes::Bytes;
use ostler_types::{CallKind, Limits, TraceContext};

use self::{
    envelope::Message,
    era::{Decision, Shape, VersionHeader},
    meta::Meta,
    params::Params,
};
pub use crate::headers::{Field, Headers, check_param_headers};
use crate::{
    call::LogLevel,
    facet::ClientFacet,
    fault::Fault,
    id::RequestId,
    json::{Kind, Raw},
    revision::{Era, Revision},
};

/// Why a body is refused, and what is known for answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub fault: Fault,
    /// The id of the request, when it could be read.
    pub id: Option<RequestId>,
    /// In whose form to answer; `None` when neither shape is evident.
    pub era: Option<Era>,
}

/// What one POST carries.
#[derive(Debug, Clone)]
pub enum Inbound {
    Modern(ModernRequest),
    /// Accepted without effect ([HDR-12]).
    ModernNotification {
        method: String,
    },
    Initialize(Initialize),
    InSession(InSession),
}

/// What names a legacy session.
#[derive(Debug, Clone)]
pub struct InSession {
    /// The session's id as sent.
    pub session: String,
    /// `MCP-Protocol-Version`, when sent; one that is served ([LIF-5]).
    pub version_header: Option<Revision>,
    pub posted: Posted,
}

/// What one POST brings a session.
#[derive(Debug, Clone)]
pub enum Posted {
    Message(LegacyMessage),
    /// An array, at least one message long. Only the session's revision says whether it may be
    /// ([`Revision::has_batches`], [BAT-6]).
    Batch(Vec<LegacyMessage>),
}

/// A request of the modern era.
#[derive(Debug, Clone)]
pub struct ModernRequest {
    pub id: RequestId,
    pub revision: Revision,
    pub method: ModernMethod,
    pub meta: RequestMeta,
}

/// What a modern request says about its client, each time ([M-6]).
#[derive(Debug, Clone)]
pub struct RequestMeta {
    pub facet: ClientFacet,
    /// `None`: no log may be sent ([P-5]).
    pub log_level: Option<LogLevel>,
    pub progress_token: Option<Raw>,
    pub trace: Option<TraceContext>,
}

/// What a modern request wants, its params checked.
#[derive(Debug, Clone)]
pub enum ModernMethod {
    Discover,
    List {
        kind: ListKind,
        cursor: Option<String>,
    },
    Call(CallParams),
    Complete(CompleteParams),
    /// `skills/get` [EX-4].
    Skill {
        uri: String,
    },
    /// `resources/directory/read` [EX-4].
    Directory {
        uri: String,
        cursor: Option<String>,
    },
    Listen(ListenFilter),
    TaskGet {
        task: String,
    },
    TaskUpdate {
        task: String,
        answers: BTreeMap<String, Raw>,
    },
    TaskCancel {
        task: String,
    },
}

/// A call of a tool, prompt or resource.
#[derive(Debug, Clone)]
pub struct CallParams {
    /// Never `Completion`.
    pub kind: CallKind,
    pub target: String,
    /// An object; `{}` when absent ([T-8]).
    pub arguments: Raw,
    /// Answers by key, values of any kind: only known keys must be well-formed ([MR-7]).
    pub input_responses: Option<BTreeMap<String, Raw>>,
    pub request_state: Option<String>,
    /// `task` as a legacy client wrote it: means something only where it is served, so it is
    /// read there ([`crate::task::legacy::requested_ttl`]). Boxed, because it is rare.
    pub task: Option<Box<Raw>>,
}

/// A request for completion.
#[derive(Debug, Clone)]
pub struct CompleteParams {
    /// The raw `ref`.
    pub reference: Raw,
    pub target: CompleteTarget,
    /// `{argument, context?}`
    pub arguments: Raw,
}

impl CompleteParams {
    /// Without what the revision does not know [P-2].
    pub fn known_to(mut self, revision: Revision) -> Self {
        if !revision.has_completion_context() && self.arguments.get("context").is_some() {
            let argument = self.arguments.get("argument").unwrap_or_default();
            let arguments = format!(r#"{{"argument":{argument}}}"#);
            self.arguments = Raw::from_checked(arguments.into());
        }
        self
    }
}

/// What is to be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompleteTarget {
    Prompt { name: String },
    Resource { uri: String },
}

/// The lists of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    Tools,
    Prompts,
    Resources,
    Templates,
    /// Modern only [EX-2].
    Skills,
}

/// What a `subscriptions/listen` wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenFilter {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
    pub uris: Vec<String>,
    /// `None`: not asked for.
    pub tasks: Option<Vec<String>>,
}

/// The opening of a legacy session.
#[derive(Debug, Clone)]
pub struct Initialize {
    pub id: RequestId,
    pub requested: String,
    pub negotiated: Revision,
    pub capabilities: Raw,
    pub client_info: Raw,
    pub facet: ClientFacet,
    /// A session id sent along: refused when live ([LIF-6]), ignored otherwise ([SES-4]).
    pub session: Option<String>,
}

/// One message inside a legacy session.
#[derive(Debug, Clone)]
pub enum LegacyMessage {
    Request {
        id: RequestId,
        method: LegacyMethod,
        progress_token: Option<Raw>,
        trace: Option<TraceContext>,
    },
    Notification(LegacyNotification),
    /// The client's answer to a request of ours.
    Response {
        id: RequestId,
        result: Result<Raw, ClientError>,
    },
}

/// A JSON-RPC error that a client answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    pub code: i64,
    pub message: String,
}

/// What a legacy request wants, its params checked.
#[derive(Debug, Clone)]
pub enum LegacyMethod {
    Ping,
    SetLevel(LogLevel),
    List {
        kind: ListKind,
        cursor: Option<String>,
    },
    Call(CallParams),
    Complete(CompleteParams),
    TaskGet {
        task: String,
    },
    TaskResult {
        task: String,
    },
    TaskCancel {
        task: String,
    },
    Subscribe {
        uri: String,
    },
    Unsubscribe {
        uri: String,
    },
    /// An unknown method or bad params. Not refused before the session is looked up: to an unknown
    /// session everything is a 404 ([SES-2]).
    Refused(Fault),
}

/// What a legacy client tells without asking.
#[derive(Debug, Clone)]
pub enum LegacyNotification {
    Initialized,
    Cancelled {
        id: RequestId,
        reason: Option<String>,
    },
    RootsChanged,
    Other {
        method: String,
    },
}

/// The era that the headers of a request without a body claim, if they name a version at all. A
/// version that is not served, or several, are refused as on a POST ([LIF-5]).
pub fn era_of_headers<H: Headers>(headers: &H) -> Result<Option<Era>, Fault> {
    match era::VersionHeader::read(headers) {
        era::VersionHeader::Modern(_) => Ok(Some(Era::Modern)),
        version => Ok(legacy::version_header(&version)?.map(Revision::era)),
    }
}

/// The session that the headers of a request without a body name.
pub fn session_of_headers<H: Headers>(headers: &H) -> Result<String, Fault> {
    legacy::session(headers)?.ok_or(Fault::SessionRequired)
}

/// Reads one POST. Media types, sizes and authentication were checked before ([ERA-1]).
pub fn parse<H: Headers>(headers: &H, body: Bytes, limits: &Limits) -> Result<Inbound, Rejected> {
    let version_header = VersionHeader::read(headers);
    let has_session = headers.all(Field::SessionId).next().is_some();
    // Until the body is understood, only the headers hint at the client's era.
    let hint = version_header.era().or(has_session.then_some(Era::Legacy));
    let refused = |fault, id| Rejected {
        fault,
        id,
        era: hint,
    };

    let body = Raw::parse(body, limits.json_depth_max).map_err(|e| refused(e.into(), None))?;
    if body.kind() == Kind::Array {
        let batch = batch::read_on(headers, &version_header, &body, limits);
        return batch.map_err(|fault| refused(fault, None));
    }
    let envelope = envelope::read(body.as_str(), limits);
    let envelope = envelope.map_err(|bad| refused(bad.fault, bad.id))?;
    let params = &envelope.params;
    let meta = &params.meta;
    let shape = Shape {
        version_in_meta: meta.protocol_version.is_some(),
        session: has_session,
        initialize: envelope.is_request("initialize"),
    };
    let id = envelope.request_id().cloned();
    let post = Post {
        headers,
        version_header: &version_header,
        body: &body,
        params,
        meta,
        limits,
    };
    let (inbound, era) = match era::decide(&version_header, shape) {
        Decision::Modern => (post.modern(envelope.message), Era::Modern),
        Decision::Initialize => (post.initialize(envelope.message), Era::Legacy),
        Decision::Session => (post.in_session(envelope.message), Era::Legacy),
        Decision::Refuse { fault, era } => (Err(fault), era),
    };
    inbound.map_err(|fault| Rejected {
        fault,
        id,
        era: Some(era),
    })
}

/// Reads one POST of HTTP+SSE ([A-2]): its URI names the session, and no header means anything
/// ([A-3]). Whoever comes here is legacy, of whatever revision.
pub fn parse_in_session(session: &str, body: Bytes, limits: &Limits) -> Result<Inbound, Rejected> {
    let refused = |fault, id| Rejected {
        fault,
        id,
        era: Some(Era::Legacy),
    };
    let in_session = |posted| {
        Inbound::InSession(InSession {
            session: session.to_owned(),
            version_header: None,
            posted,
        })
    };
    let body = Raw::parse(body, limits.json_depth_max).map_err(|e| refused(e.into(), None))?;
    if body.kind() == Kind::Array {
        let batch = batch::read(&body, limits);
        return batch.map(in_session).map_err(|fault| refused(fault, None));
    }
    let envelope = envelope::read(body.as_str(), limits);
    let envelope = envelope.map_err(|bad| refused(bad.fault, bad.id))?;
    let params = &envelope.params;
    let post = Post {
        headers: &(),
        version_header: &VersionHeader::Absent,
        body: &body,
        params,
        meta: &params.meta,
        limits,
    };
    match envelope.message {
        Message::Request { id, method } if method == "initialize" => {
            let session = Some(session.to_owned());
            let initialize = legacy::initialize(&post, id.clone(), session);
            let initialize = initialize.map_err(|fault| refused(fault, Some(id)))?;
            Ok(Inbound::Initialize(initialize))
        }
        message => Ok(in_session(Posted::Message(legacy::message(&post, message)))),
    }
}

/// One message, its envelope read.
struct Post<'a, H> {
    headers: &'a H,
    version_header: &'a VersionHeader<'a>,
    /// What `params` and `meta` are cut out of.
    body: &'a Raw,
    params: &'a Params<'a>,
    meta: &'a Meta<'a>,
    limits: &'a Limits,
}

impl<H: Headers> Post<'_, H> {
    fn modern(&self, message: Message<'_>) -> Result<Inbound, Fault> {
        self.params.check_object()?;
        match message {
            Message::Request { id, method } => {
                modern::check_request(self, id, &method).map(Inbound::Modern)
            }
            Message::Notification { method } => {
                modern::check_notification(self)?;
                let method = method.into_owned();
                Ok(Inbound::ModernNotification { method })
            }
            // [M-2]: the modern server asks nothing that could be answered so.
            Message::Response { .. } => Err(Fault::InvalidRequest(
                "a response is not expected: answers travel in inputResponses of a new request"
                    .into(),
            )),
        }
    }

    fn initialize(&self, message: Message<'_>) -> Result<Inbound, Fault> {
        let Message::Request { id, .. } = message else {
            unreachable!("only a request is decided to be an initialize");
        };
        // What cannot be an id is one that is not known any more: this opens a session [SES-4].
        let session = legacy::session(self.headers).unwrap_or_default();
        legacy::initialize(self, id, session).map(Inbound::Initialize)
    }

    fn in_session(&self, message: Message<'_>) -> Result<Inbound, Fault> {
        let posted = Posted::Message(legacy::message(self, message));
        legacy::in_session(self.headers, self.version_header, posted)
    }
}

#[cfg(test)]
mod tests;
