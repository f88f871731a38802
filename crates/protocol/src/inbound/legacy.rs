//! Messages of the legacy era: `initialize`, and everything inside a session.

use std::borrow::Cow;

use ostler_types::CallKind;

use super::{
    CallParams, InSession, Inbound, Initialize, LegacyMessage, LegacyMethod, LegacyNotification,
    ListKind, Post, Posted, envelope::Message, era::VersionHeader, params::log_level,
};
use crate::{
    facet::ClientFacet,
    fault::Fault,
    headers::{self, Field, Headers},
    id::RequestId,
    json::{Kind, Raw, walk},
    revision::{Era, Revision},
};

/// `Mcp-Session-Id`: one line of visible ASCII. What is that and no id of ours is an unknown one
/// ([SES-2]).
pub(super) fn session<H: Headers>(headers: &H) -> Result<Option<String>, Fault> {
    let mut lines = headers.all(Field::SessionId);
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    let id = headers::trimmed(line);
    let is_visible = !id.is_empty() && id.iter().all(u8::is_ascii_graphic);
    match is_visible && lines.next().is_none() {
        true => Ok(Some(text(id))),
        false => {
            let reason = "Mcp-Session-Id must be one line of visible ASCII";
            Err(Fault::InvalidRequest(reason.to_owned()))
        }
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
pub(super) fn initialize<H>(
    post: &Post<'_, H>,
    id: RequestId,
    session: Option<String>,
) -> Result<Initialize, Fault> {
    post.params.check_object()?;
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
        session,
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

/// What a POST that names a session by its headers brings it.
pub(super) fn in_session<H: Headers>(
    headers: &H,
    version: &VersionHeader<'_>,
    posted: Posted,
) -> Result<Inbound, Fault> {
    Ok(Inbound::InSession(InSession {
        session: session(headers)?.ok_or(Fault::SessionRequired)?,
        version_header: version_header(version)?,
        posted,
    }))
}

/// One message inside a session.
pub(super) fn message<H>(post: &Post<'_, H>, message: Message<'_>) -> LegacyMessage {
    match message {
        Message::Request { id, method } => request(post, id, &method),
        Message::Notification { method } => {
            LegacyMessage::Notification(notification(post, method.into_owned()))
        }
        Message::Response { id, result } => LegacyMessage::Response {
            id,
            result: result.map(|value| post.body.slice(value)),
        },
    }
}

/// `_meta` counts for progress and trace only.
fn request<H>(post: &Post<'_, H>, id: RequestId, method: &str) -> LegacyMessage {
    let (method, progress_token) = match checked(post, method) {
        Ok((method, progress_token)) => (method, progress_token),
        Err(fault) => (LegacyMethod::Refused(fault), None),
    };
    LegacyMessage::Request {
        id,
        method,
        progress_token,
        trace: post.meta.trace(),
    }
}

fn checked<H>(post: &Post<'_, H>, method: &str) -> Result<(LegacyMethod, Option<Raw>), Fault> {
    post.params.check_object()?;
    post.meta.check_object()?;
    let method = read_method(post, method)?;
    Ok((method, post.meta.progress_token(post.limits)?))
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
        _ => {
            let method = method.to_owned();
            return Err(Fault::MethodNotFound { method });
        }
    })
}

/// Malformed and unknown notifications are dropped like any other that means nothing here.
fn notification<H>(post: &Post<'_, H>, method: String) -> LegacyNotification {
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
