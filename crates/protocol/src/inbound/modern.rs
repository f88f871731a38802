//! The modern checks in the order of [M-9], which the official suite proves step by step:
//! `_meta` (-32602), headers (-32020), version (-32022), method (-32601), params (-32602),
//! capability (-32021).

use std::borrow::Cow;

use ostler_types::CallKind;

use super::{
    ListKind, ModernMethod, ModernRequest, Post, RequestMeta, era::VersionHeader, params::log_level,
};
use crate::{
    facet::{Capability, ClientFacet},
    fault::Fault,
    headers::{self, Headers},
    id::RequestId,
    json::{Raw, walk},
    revision::{Era, Revision},
};

pub(super) fn check_request<H: Headers>(
    post: &Post<'_, H>,
    id: RequestId,
    method: &str,
) -> Result<ModernRequest, Fault> {
    let shape = check_meta(post)?;
    check_headers(post, &shape.version, method)?;
    let revision = served(&shape.version)?;
    let method = read_method(post, method)?;
    let level = post
        .meta
        .log_level
        .map(|level| log_level("logLevel", Some(level)));
    let log_level = level.transpose()?;
    require(&method, &shape.facet)?;
    let meta = RequestMeta {
        facet: shape.facet,
        log_level,
        progress_token: shape.progress_token,
        trace: post.meta.trace(),
    };
    Ok(ModernRequest {
        id,
        revision,
        method,
        meta,
    })
}

/// Row 5 of [ERA-2].
fn check_meta<'a, H>(post: &Post<'a, H>) -> Result<MetaShape<'a>, Fault> {
    post.meta.check_object()?;
    let version = post.meta.required_version()?;
    let capabilities = post.meta.required_capabilities()?;
    post.meta.check_client_info()?;
    let facet = ClientFacet::from_value(capabilities, Revision::LATEST_MODERN);
    Ok(MetaShape {
        version,
        facet: facet.map_err(|bad| Fault::InvalidParams(format!("client{bad}")))?,
        progress_token: post.meta.progress_token(post.limits)?,
    })
}

struct MetaShape<'a> {
    version: Cow<'a, str>,
    facet: ClientFacet,
    progress_token: Option<Raw>,
}

/// Rows 2 and 3, then the mirrors of method and name ([M-4], [TK-12]).
fn check_headers<H: Headers>(post: &Post<'_, H>, version: &str, method: &str) -> Result<(), Fault> {
    check_version_header(post.version_header, Some(version))?;
    headers::check_mirror(post.headers, headers::METHOD, method)?;
    let source = match method {
        "tools/call" | "prompts/get" => post.params.name,
        "resources/read" => post.params.uri,
        "tasks/get" | "tasks/update" | "tasks/cancel" => post.params.task_id,
        _ => None, // [HDR-8]
    };
    match source.and_then(walk::text) {
        Some(name) => headers::check_mirror(post.headers, headers::NAME, &name),
        // There is nothing to mirror; if there should be, the check of the params says so.
        None => Ok(()),
    }
}

/// A notification needs no `_meta` and no mirrors ([HDR-12]); what it says must still agree.
pub(super) fn check_notification<H>(post: &Post<'_, H>) -> Result<(), Fault> {
    post.meta.check_object()?;
    let in_meta = match post.meta.protocol_version {
        Some(_) => Some(post.meta.required_version()?),
        None => None,
    };
    check_version_header(post.version_header, in_meta.as_deref())?;
    match in_meta.as_deref().or(post.version_header.text()) {
        Some(version) => served(version).map(|_| ()),
        None => Ok(()),
    }
}

fn check_version_header(header: &VersionHeader<'_>, in_meta: Option<&str>) -> Result<(), Fault> {
    let reason = match (header, header.text()) {
        (VersionHeader::Absent, _) => "the MCP-Protocol-Version header is missing".to_owned(),
        (VersionHeader::Repeated { .. }, _) => {
            "there is more than one MCP-Protocol-Version header".to_owned()
        }
        (_, found) if in_meta.is_none() || found == in_meta => return Ok(()),
        (_, found) => format!(
            "the MCP-Protocol-Version header {:?} does not match _meta, which says {:?}",
            headers::shown(found.unwrap_or_default()),
            headers::shown(in_meta.unwrap_or_default()),
        ),
    };
    Err(Fault::HeaderMismatch(reason))
}

/// Rows 4 and 12. A client that took a legacy date from our list must not be shown it again.
fn served(version: &str) -> Result<Revision, Fault> {
    let supported = match Revision::parse(version) {
        Some(revision) if revision.is_served() && revision.era() == Era::Modern => {
            return Ok(revision);
        }
        Some(revision) if revision.era() == Era::Legacy => Revision::SERVED_MODERN,
        Some(_) | None => Revision::SERVED,
    };
    Err(Fault::UnsupportedVersion {
        requested: headers::shown(version),
        supported,
    })
}

fn read_method<H>(post: &Post<'_, H>, method: &str) -> Result<ModernMethod, Fault> {
    let Post {
        params,
        body,
        limits,
        ..
    } = post;
    let list = |kind| {
        params
            .cursor()
            .map(|cursor| ModernMethod::List { kind, cursor })
    };
    let call = |kind| params.modern_call(kind, body).map(ModernMethod::Call);
    Ok(match method {
        "server/discover" => ModernMethod::Discover,
        "tools/list" => list(ListKind::Tools)?,
        "prompts/list" => list(ListKind::Prompts)?,
        "resources/list" => list(ListKind::Resources)?,
        "resources/templates/list" => list(ListKind::Templates)?,
        "skills/list" => list(ListKind::Skills)?,
        "skills/get" => ModernMethod::Skill { uri: params.uri()? },
        "resources/directory/read" => ModernMethod::Directory {
            uri: params.uri()?,
            cursor: params.cursor()?,
        },
        "tools/call" => call(CallKind::Tool)?,
        "prompts/get" => call(CallKind::Prompt)?,
        "resources/read" => call(CallKind::Resource)?,
        "completion/complete" => ModernMethod::Complete(params.complete(body, limits)?),
        "subscriptions/listen" => ModernMethod::Listen(params.listen(limits)?),
        "tasks/get" => ModernMethod::TaskGet {
            task: params.task()?,
        },
        "tasks/update" => ModernMethod::TaskUpdate {
            task: params.task()?,
            answers: params.answers(body)?,
        },
        "tasks/cancel" => ModernMethod::TaskCancel {
            task: params.task()?,
        },
        _ => {
            let method = method.to_owned();
            return Err(Fault::MethodNotFound { method });
        }
    })
}

/// What the method itself asks of the client ([TK-4], [L-7]); tools add their own needs later.
fn require(method: &ModernMethod, facet: &ClientFacet) -> Result<(), Fault> {
    let needs_tasks = match method {
        ModernMethod::TaskGet { .. }
        | ModernMethod::TaskUpdate { .. }
        | ModernMethod::TaskCancel { .. } => true,
        ModernMethod::Listen(filter) => filter.tasks.is_some(),
        ModernMethod::Discover
        | ModernMethod::List { .. }
        | ModernMethod::Skill { .. }
        | ModernMethod::Directory { .. }
        | ModernMethod::Call(_)
        | ModernMethod::Complete(_) => false,
    };
    match needs_tasks && !facet.tasks {
        true => Err(Fault::MissingCapability(vec![Capability::Tasks])),
        false => Ok(()),
    }
}
