//! Messages of the legacy era: `initialize`, and everything inside a session.

use std::borrow::Cow;

use ostler_types::{CallKind, Limits};

use super::{
    Initialize, LegacyMessage, LegacyMethod, LegacyNotification, ListKind, era::VersionHeader,
    meta::Meta, params,
};
use crate::{
    facet::ClientFacet,
    fault::Fault,
    headers::{self, Headers},
    id::RequestId,
    json::Raw,
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
pub(super) fn initialize(
    id: RequestId,
    params: &Raw,
    session: Option<String>,
) -> Result<Initialize, Fault> {
    let names = ["protocolVersion", "capabilities", "clientInfo"];
    let [version, capabilities, client_info] = params::pick(params, names);
    let Some(requested) = version.as_ref().and_then(Raw::text).map(Cow::into_owned) else {
        return invalid("params.protocolVersion must be a string");
    };
    let Some(capabilities) = capabilities.filter(Raw::is_object) else {
        return invalid("params.capabilities must be an object");
    };
    let Some(client_info) = client_info.filter(is_implementation) else {
        return invalid("params.clientInfo must be an object with a name and a version");
    };
    let negotiated = negotiate(&requested);
    let facet = ClientFacet::from_capabilities(&capabilities, negotiated);
    let facet = facet.map_err(|bad| Fault::InvalidParams(format!("params.{bad}")))?;
    Ok(Initialize {
        id,
        requested,
        negotiated,
        capabilities,
        client_info,
        facet,
        session,
    })
}

fn negotiate(requested: &str) -> Revision {
    match Revision::parse(requested) {
        Some(revision) if revision.is_served() && revision.era() == Era::Legacy => revision,
        Some(_) | None => Revision::LATEST_LEGACY,
    }
}

fn is_implementation(info: &Raw) -> bool {
    let [name, version] = params::pick(info, ["name", "version"]);
    let is_string = |value: Option<Raw>| value.is_some_and(|raw| raw.text().is_some());
    is_string(name) && is_string(version)
}

/// A request inside a session. `_meta` counts for progress and trace only.
pub(super) fn request(
    id: RequestId,
    method: &str,
    params: &Raw,
    meta: &Meta,
    limits: &Limits,
) -> Result<LegacyMessage, Fault> {
    meta.check_object()?;
    Ok(LegacyMessage::Request {
        id,
        method: read_method(method, params, limits)?,
        progress_token: meta.progress_token(limits)?,
        trace: meta.trace(),
    })
}

fn read_method(method: &str, params: &Raw, limits: &Limits) -> Result<LegacyMethod, Fault> {
    let list = |kind| params::cursor(params).map(|cursor| LegacyMethod::List { kind, cursor });
    let call = |kind| params::legacy_call(params, kind).map(LegacyMethod::Call);
    match method {
        "ping" => Ok(LegacyMethod::Ping),
        "logging/setLevel" => {
            let [level] = params::pick(params, ["level"]);
            params::log_level("params.level", level.as_ref()).map(LegacyMethod::SetLevel)
        }
        "tools/list" => list(ListKind::Tools),
        "prompts/list" => list(ListKind::Prompts),
        "resources/list" => list(ListKind::Resources),
        "resources/templates/list" => list(ListKind::Templates),
        "tools/call" => call(CallKind::Tool),
        "prompts/get" => call(CallKind::Prompt),
        "resources/read" => call(CallKind::Resource),
        "completion/complete" => params::complete(params, limits).map(LegacyMethod::Complete),
        "resources/subscribe" => {
            params::target(params, "uri").map(|uri| LegacyMethod::Subscribe { uri })
        }
        "resources/unsubscribe" => {
            params::target(params, "uri").map(|uri| LegacyMethod::Unsubscribe { uri })
        }
        // The session is looked up first: to an unknown one every method is a 404 ([SES-2]).
        _ => Ok(LegacyMethod::Unknown {
            method: method.to_owned(),
        }),
    }
}

/// Malformed and unknown notifications are dropped like any other that means nothing here.
pub(super) fn notification(method: String, params: &Raw, limits: &Limits) -> LegacyNotification {
    match method.as_str() {
        "notifications/initialized" => LegacyNotification::Initialized,
        "notifications/roots/list_changed" => LegacyNotification::RootsChanged,
        "notifications/cancelled" => {
            let [id, reason] = params::pick(params, ["requestId", "reason"]);
            let id = id.and_then(|raw| RequestId::from_raw(&raw, limits.id_bytes_max).ok());
            let reason = reason.as_ref().and_then(Raw::text).map(Cow::into_owned);
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
