//! The modern checks in the order of [M-9], which the official suite proves step by step:
//! `_meta` (-32602), headers (-32020), version (-32022), method (-32601), params (-32602),
//! capability (-32021).

use ostler_types::{CallKind, Limits};

use super::{
    ListKind, ModernMethod, ModernRequest, RequestMeta, era::VersionHeader, meta::Meta, params,
};
use crate::{
    facet::{Capability, ClientFacet},
    fault::Fault,
    headers::{self, Headers},
    id::RequestId,
    json::Raw,
    revision::{Era, Revision},
};

/// What a request is checked against.
pub(super) struct Request<'a, H> {
    pub headers: &'a H,
    pub version_header: &'a VersionHeader<'a>,
    pub method: &'a str,
    pub params: &'a Raw,
    pub meta: &'a Meta,
    pub limits: &'a Limits,
}

impl<H: Headers> Request<'_, H> {
    pub(super) fn check(&self, id: RequestId) -> Result<ModernRequest, Fault> {
        let shape = self.check_meta()?;
        self.check_headers(&shape.version)?;
        let revision = served(&shape.version)?;
        let method = read_method(self.method, self.params, self.limits)?;
        let log_level = self.meta.log_level.as_ref();
        let log_level = log_level
            .map(|raw| params::log_level("logLevel", Some(raw)))
            .transpose()?;
        require(&method, &shape.facet)?;
        let meta = RequestMeta {
            facet: shape.facet,
            log_level,
            progress_token: shape.progress_token,
            trace: self.meta.trace(),
        };
        Ok(ModernRequest {
            id,
            revision,
            method,
            meta,
        })
    }

    /// Row 5 of [ERA-2].
    fn check_meta(&self) -> Result<MetaShape, Fault> {
        self.meta.check_object()?;
        let version = self.meta.required_version()?.into_owned();
        let capabilities = self.meta.required_capabilities()?;
        self.meta.check_client_info()?;
        let facet = ClientFacet::from_capabilities(capabilities, Revision::LATEST_MODERN);
        let facet = facet.map_err(|bad| Fault::InvalidParams(format!("client{bad}")))?;
        let progress_token = self.meta.progress_token(self.limits)?;
        Ok(MetaShape {
            version,
            facet,
            progress_token,
        })
    }

    /// Rows 2 and 3, then the mirrors of method and name ([M-4]).
    fn check_headers(&self, version: &str) -> Result<(), Fault> {
        check_version_header(self.version_header, Some(version))?;
        headers::check_mirror(self.headers, headers::METHOD, self.method)?;
        let Some(source) = name_source(self.method) else {
            return Ok(()); // [HDR-8]
        };
        let [name] = params::pick(self.params, [source]);
        match name.as_ref().and_then(Raw::text) {
            Some(name) => headers::check_mirror(self.headers, headers::NAME, &name),
            // There is nothing to mirror; the check of the params says what is missing.
            None => Ok(()),
        }
    }
}

struct MetaShape {
    version: String,
    facet: ClientFacet,
    progress_token: Option<Raw>,
}

/// A notification needs no `_meta` and no mirrors ([HDR-12]); what it says must still agree.
pub(super) fn check_notification(header: &VersionHeader<'_>, meta: &Meta) -> Result<(), Fault> {
    meta.check_object()?;
    let in_meta = match meta.protocol_version {
        Some(_) => Some(meta.required_version()?),
        None => None,
    };
    check_version_header(header, in_meta.as_deref())?;
    match in_meta.as_deref().or(header.text()) {
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

/// The member that `Mcp-Name` mirrors ([M-4], [TK-12]).
fn name_source(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

fn read_method(method: &str, params: &Raw, limits: &Limits) -> Result<ModernMethod, Fault> {
    let list = |kind| params::cursor(params).map(|cursor| ModernMethod::List { kind, cursor });
    let call = |kind| params::modern_call(params, kind).map(ModernMethod::Call);
    match method {
        "server/discover" => Ok(ModernMethod::Discover),
        "tools/list" => list(ListKind::Tools),
        "prompts/list" => list(ListKind::Prompts),
        "resources/list" => list(ListKind::Resources),
        "resources/templates/list" => list(ListKind::Templates),
        "tools/call" => call(CallKind::Tool),
        "prompts/get" => call(CallKind::Prompt),
        "resources/read" => call(CallKind::Resource),
        "completion/complete" => params::complete(params, limits).map(ModernMethod::Complete),
        "subscriptions/listen" => params::listen(params, limits).map(ModernMethod::Listen),
        "tasks/get" => params::target(params, "taskId").map(|task| ModernMethod::TaskGet { task }),
        "tasks/update" => params::task_update(params)
            .map(|(task, answers)| ModernMethod::TaskUpdate { task, answers }),
        "tasks/cancel" => {
            params::target(params, "taskId").map(|task| ModernMethod::TaskCancel { task })
        }
        _ => Err(Fault::MethodNotFound {
            method: method.to_owned(),
        }),
    }
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
        | ModernMethod::Call(_)
        | ModernMethod::Complete(_) => false,
    };
    match needs_tasks && !facet.tasks {
        true => Err(Fault::MissingCapability(vec![Capability::Tasks])),
        false => Ok(()),
    }
}
