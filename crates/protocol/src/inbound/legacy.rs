//! Messages of the legacy era: `initialize`, and everything inside a session.

use std::borrow::Cow;

use ostler_types::CallKind;

use super::{
    CallParams, Initialize, LegacyMessage, LegacyMethod, LegacyNotification, ListKind, Post,
    era::VersionHeader, params::log_level,
};
use crate::{
    facet::ClientFacet,
    fault::Fault,
    headers::{self, Headers},
    id::RequestId,
    json::{Kind, walk},
    revision::{Era, Revision},
};

pub(super) const SESSION: &str = "mcp-session-id";

/// `Mcp-Session-Id`. What cannot be an id of ours is an unknown one ([SES-2]).
pub(super) fn session<H: Headers>(headers: &H) -> Result<Option<String>, Fault> {
    let mut lines = headers.all(SESSION);
    let (first, second) = (lines.next(), lines.next());
    if second.is_some() {
        let reason = "there is more than one Mcp-Session-Id header";
        return Err(Fault::InvalidRequest(reason.to_owned()));
    }
    match first.map(std::str::from_utf8).transpose() {
        Ok(session) => Ok(session.map(|id| headers::trimmed(id.as_bytes())).map(text)),
        Err(_) => Err(Fault::UnknownSession),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The header names a revision that is served, or nothing ([LIF-5]).
pub(super) fn version_header(header: &VersionHeader<'_>) -> Result<Option<Revision>, Fault> {
    match header {
        VersionHeader::Absent => Ok(None),
        VersionHeader::Legacy(revision) if revision.is_served() => Ok(Some(*revision)),
        VersionHeader::Legacy(_)
        | VersionHeader::Modern(_)
        | VersionHeader::Unknown(_)
        | VersionHeader::Repeated { .. } => {
            let value = headers::shown(header.text().unwrap_or_default());
            let reason = format!("unsupported MCP-Protocol-Version: {value}");
            Err(Fault::InvalidRequest(reason))
        }
    }
}

/// [LIF-1], [LIF-2]: the version asked for if it is served and legacy, else our latest legacy one.
pub(super) fn initialize<H: Headers>(
    post: &Post<'_, H>,
    id: RequestId,
) -> Result<Initialize, Fault> {
    let is_object = |value: &&str| walk::kind_of(value) == Kind::Object;
    let Some(requested) = post.params.protocol_version.and_then(walk::text) else {
        return invalid("params.protocolVersion must be a string");
    };
    let Some(capabilities) = post.params.capabilities.filter(is_object) else {
        return invalid("params.capabilities must be an object");
    };
    let Some(client_info) = post
        .params
        .client_info
        .filter(|info| is_implementation(info))
    else {
        return invalid("params.clientInfo must be an object with a name and a version");
    };
    let negotiated = negotiate(&requested);
    let facet = ClientFacet::from_value(capabilities, negotiated);
    Ok(Initialize {
        id,
        requested: requested.into_owned(),
        negotiated,
        // A session keeps these long after the body.
        capabilities: post.body.slice(capabilities).detached(),
        client_info: post.body.slice(client_info).detached(),
        facet: facet.map_err(|bad| Fault::InvalidParams(format!("params.{bad}")))?,
        session: session(post.headers)?,
    })
}

fn negotiate(requested: &str) -> Revision {
    match Revision::parse(requested) {
        Some(revision) if revision.is_served() && revision.era() == Era::Legacy => revision,
        Some(_) | None => Revision::LATEST_LEGACY,
    }
}

fn is_implementation(info: &str) -> bool {
    let is_string = |name| walk::member(info, name).and_then(walk::text).is_some();
    is_string("name") && is_string("version")
}

/// A request inside a session. `_meta` counts for progress and trace only.
pub(super) fn request<H>(
    post: &Post<'_, H>,
    id: RequestId,
    method: &str,
) -> Result<LegacyMessage, Fault> {
    post.meta.check_object()?;
    Ok(LegacyMessage::Request {
        id,
        method: read_method(post, method)?,
        progress_token: post.meta.progress_token(post.limits)?,
        trace: post.meta.trace(),
    })
}

fn read_method<H>(post: &Post<'_, H>, method: &str) -> Result<LegacyMethod, Fault> {
    let Post {
        params,
        body,
        limits,
        ..
    } = post;
    let list = |kind| {
        params
            .cursor()
            .map(|cursor| LegacyMethod::List { kind, cursor })
    };
    let call = |kind| params.call(kind, body).map(LegacyMethod::Call);
    let tool = || -> Result<LegacyMethod, Fault> {
        let task = params.requested_task(body);
        let call = params.call(CallKind::Tool, body)?;
        Ok(LegacyMethod::Call(CallParams { task, ..call }))
    };
    Ok(match method {
        "ping" => LegacyMethod::Ping,
        "logging/setLevel" => LegacyMethod::SetLevel(log_level("params.level", params.level)?),
        "tools/list" => list(ListKind::Tools)?,
        "prompts/list" => list(ListKind::Prompts)?,
        "resources/list" => list(ListKind::Resources)?,
        "resources/templates/list" => list(ListKind::Templates)?,
        "tools/call" => tool()?,
        "prompts/get" => call(CallKind::Prompt)?,
        "resources/read" => call(CallKind::Resource)?,
        "completion/complete" => LegacyMethod::Complete(params.complete(body, limits)?),
        "tasks/get" => LegacyMethod::TaskGet {
            task: params.task()?,
        },
        "tasks/result" => LegacyMethod::TaskResult {
            task: params.task()?,
        },
        "tasks/cancel" => LegacyMethod::TaskCancel {
            task: params.task()?,
        },
        "resources/subscribe" => LegacyMethod::Subscribe { uri: params.uri()? },
        "resources/unsubscribe" => LegacyMethod::Unsubscribe { uri: params.uri()? },
        // The session is looked up first: to an unknown one every method is a 404 ([SES-2]).
        _ => LegacyMethod::Unknown {
            method: method.to_owned(),
        },
    })
}

/// Malformed and unknown notifications are dropped like any other that means nothing here.
pub(super) fn notification<H>(post: &Post<'_, H>, method: String) -> LegacyNotification {
    match method.as_str() {
        "notifications/initialized" => LegacyNotification::Initialized,
        "notifications/roots/list_changed" => LegacyNotification::RootsChanged,
        "notifications/cancelled" => {
            let id = post.params.request_id;
            let id = id.and_then(|id| RequestId::from_value(id, post.limits.id_bytes_max).ok());
            let reason = post.params.reason.and_then(walk::text).map(Cow::into_owned);
            match id {
                Some(id) => LegacyNotification::Cancelled { id, reason },
                None => LegacyNotification::Other { method },
            }
        }
        _ => LegacyNotification::Other { method },
    }
}

fn invalid<T>(reason: &str) -> Result<T, Fault> {
    Err(Fault::InvalidParams(reason.to_owned()))
}
