//! From the bytes and headers of one POST to what the client wants, or why it is refused.
//!
//! [`parse`] decides the era first (`era`), then runs that era's checks in their fixed order
//! (`modern`: [M-9]; `legacy`). The types below are the proof that they passed.

use std::collections::BTreeMap;

use bytes::Bytes;
use ostler_types::{CallKind, Limits, TraceContext};

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

#[derive(Debug, Clone)]
pub enum ModernMethod {
    Discover,
    List {
        kind: ListKind,
        cursor: Option<String>,
    },
    Call(CallParams),
    Complete(CompleteParams),
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

#[derive(Debug, Clone)]
pub struct CompleteParams {
    /// The raw `ref`.
    pub reference: Raw,
    pub target: CompleteTarget,
    /// `{argument, context?}`
    pub arguments: Raw,
}

/// What is to be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompleteTarget {
    Prompt { name: String },
    Resource { uri: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    Tools,
    Prompts,
    Resources,
    Templates,
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

/// Reads one POST. Media types, sizes and authentication were checked before ([ERA-1]).
pub fn parse<H: Headers>(_headers: &H, body: Bytes, limits: &Limits) -> Result<Inbound, Rejected> {
    let _ = Raw::parse(body, limits.json_depth_max);
    Err(Rejected {
        fault: Fault::Internal("not built yet".into()),
        id: None,
        era: None,
    })
}
