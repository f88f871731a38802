//! From the bytes and headers of one POST to what the client wants, or why it is refused.
//!
//! [`parse`] decides the era first (`era`), then runs that era's checks in their fixed order
//! (`modern`: [M-9]; `legacy`). The types below are the proof that they passed.

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
pub use crate::headers::{Headers, check_param_headers};
use crate::{
    call::LogLevel,
    facet::ClientFacet,
    fault::Fault,
    id::RequestId,
    json::Raw,
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

/// A message that names a legacy session.
#[derive(Debug, Clone)]
pub struct InSession {
    /// `Mcp-Session-Id` as sent.
    pub session: String,
    /// `MCP-Protocol-Version`, when sent; one that is served ([LIF-5]).
    pub version_header: Option<Revision>,
    pub message: LegacyMessage,
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
    Subscribe {
        uri: String,
    },
    Unsubscribe {
        uri: String,
    },
    Unknown {
        method: String,
    },
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

/// Reads one POST. Media types, sizes and authentication were checked before ([ERA-1]).
pub fn parse<H: Headers>(headers: &H, body: Bytes, limits: &Limits) -> Result<Inbound, Rejected> {
    let version_header = VersionHeader::read(headers);
    let has_session = headers.all(legacy::SESSION).next().is_some();
    // Until the body is understood, only the headers hint at the client's era.
    let hint = version_header.era().or(has_session.then_some(Era::Legacy));
    let refused = |fault, id| Rejected {
        fault,
        id,
        era: hint,
    };

    let body = Raw::parse(body, limits.json_depth_max).map_err(|e| refused(e.into(), None))?;
    let envelope = envelope::read(&body, limits).map_err(|bad| refused(bad.fault, bad.id))?;
    let params = Params::read(envelope.params);
    let meta = Meta::read(params.meta);
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
        params: &params,
        meta: &meta,
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

/// One POST, its envelope read and its era decided.
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
        legacy::initialize(self, id).map(Inbound::Initialize)
    }

    fn in_session(&self, message: Message<'_>) -> Result<Inbound, Fault> {
        let session = legacy::session(self.headers)?.ok_or(Fault::SessionRequired)?;
        let version_header = legacy::version_header(self.version_header)?;
        let message = match message {
            Message::Request { id, method } => legacy::request(self, id, &method)?,
            Message::Notification { method } => {
                LegacyMessage::Notification(legacy::notification(self, method.into_owned()))
            }
            Message::Response { id, result } => LegacyMessage::Response {
                id,
                result: result.map(|value| self.body.slice(value)),
            },
        };
        Ok(Inbound::InSession(InSession {
            session,
            version_header,
            message,
        }))
    }
}

#[cfg(test)]
mod tests;
