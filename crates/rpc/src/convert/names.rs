//! Ids and closed sets.

use ostler_protocol::{
    call::LogLevel,
    facet::{Capability, ClientFacet},
};
use ostler_types::{CallId, CallKind};

use super::BadFrame;
use crate::worker_v1 as wire;

impl From<CallId> for wire::CallId {
    fn from(CallId(id): CallId) -> Self {
        let (hi, lo) = ((id >> 64) as u64, id as u64);
        Self { hi, lo }
    }
}

impl From<wire::CallId> for CallId {
    fn from(wire::CallId { hi, lo }: wire::CallId) -> Self {
        Self(u128::from(hi) << 64 | u128::from(lo))
    }
}

/// The id in a frame that must name a call.
pub fn call_id(id: Option<wire::CallId>) -> Result<CallId, BadFrame> {
    id.map(CallId::from).ok_or(BadFrame::Missing("call"))
}

pub fn call_kind_to_wire(kind: CallKind) -> wire::CallKind {
    match kind {
        CallKind::Tool => wire::CallKind::Tool,
        CallKind::Prompt => wire::CallKind::Prompt,
        CallKind::Resource => wire::CallKind::Resource,
        CallKind::Completion => wire::CallKind::Completion,
    }
}

pub fn call_kind(kind: i32) -> Result<CallKind, BadFrame> {
    match wire::CallKind::try_from(kind) {
        Ok(wire::CallKind::Tool) => Ok(CallKind::Tool),
        Ok(wire::CallKind::Prompt) => Ok(CallKind::Prompt),
        Ok(wire::CallKind::Resource) => Ok(CallKind::Resource),
        Ok(wire::CallKind::Completion) => Ok(CallKind::Completion),
        Ok(wire::CallKind::Unspecified) | Err(_) => Err(unknown("kind", kind)),
    }
}

pub fn log_level_to_wire(level: LogLevel) -> wire::LogLevel {
    match level {
        LogLevel::Debug => wire::LogLevel::Debug,
        LogLevel::Info => wire::LogLevel::Info,
        LogLevel::Notice => wire::LogLevel::Notice,
        LogLevel::Warning => wire::LogLevel::Warning,
        LogLevel::Error => wire::LogLevel::Error,
        LogLevel::Critical => wire::LogLevel::Critical,
        LogLevel::Alert => wire::LogLevel::Alert,
        LogLevel::Emergency => wire::LogLevel::Emergency,
    }
}

pub fn log_level(level: i32) -> Result<LogLevel, BadFrame> {
    match wire::LogLevel::try_from(level) {
        Ok(wire::LogLevel::Debug) => Ok(LogLevel::Debug),
        Ok(wire::LogLevel::Info) => Ok(LogLevel::Info),
        Ok(wire::LogLevel::Notice) => Ok(LogLevel::Notice),
        Ok(wire::LogLevel::Warning) => Ok(LogLevel::Warning),
        Ok(wire::LogLevel::Error) => Ok(LogLevel::Error),
        Ok(wire::LogLevel::Critical) => Ok(LogLevel::Critical),
        Ok(wire::LogLevel::Alert) => Ok(LogLevel::Alert),
        Ok(wire::LogLevel::Emergency) => Ok(LogLevel::Emergency),
        Err(_) => Err(unknown("level", level)),
    }
}

fn capability_to_wire(capability: Capability) -> wire::Capability {
    match capability {
        Capability::ElicitForm => wire::Capability::ElicitForm,
        Capability::ElicitUrl => wire::Capability::ElicitUrl,
        Capability::Sample => wire::Capability::Sample,
        Capability::SampleTools => wire::Capability::SampleTools,
        Capability::SampleContext => wire::Capability::SampleContext,
        Capability::Roots => wire::Capability::Roots,
        Capability::Tasks => wire::Capability::Tasks,
        Capability::Ui => wire::Capability::Ui,
    }
}

fn capability(capability: i32) -> Result<Capability, BadFrame> {
    match wire::Capability::try_from(capability) {
        Ok(wire::Capability::ElicitForm) => Ok(Capability::ElicitForm),
        Ok(wire::Capability::ElicitUrl) => Ok(Capability::ElicitUrl),
        Ok(wire::Capability::Sample) => Ok(Capability::Sample),
        Ok(wire::Capability::SampleTools) => Ok(Capability::SampleTools),
        Ok(wire::Capability::SampleContext) => Ok(Capability::SampleContext),
        Ok(wire::Capability::Roots) => Ok(Capability::Roots),
        Ok(wire::Capability::Tasks) => Ok(Capability::Tasks),
        Ok(wire::Capability::Ui) => Ok(Capability::Ui),
        Ok(wire::Capability::Unspecified) | Err(_) => Err(unknown("capability", capability)),
    }
}

pub fn capabilities_to_wire(capabilities: &[Capability]) -> Vec<i32> {
    let number = |c: &Capability| capability_to_wire(*c).into();
    capabilities.iter().map(number).collect()
}

/// Capabilities that are required. One that is not known here could never be met: an error.
pub fn capabilities(numbers: &[i32]) -> Result<Vec<Capability>, BadFrame> {
    numbers.iter().map(|number| capability(*number)).collect()
}

pub fn facet_to_wire(facet: &ClientFacet) -> wire::ClientFacet {
    let had = Capability::ALL.into_iter().filter(|c| facet.has(*c));
    let capabilities = had.map(|c| capability_to_wire(c).into()).collect();
    wire::ClientFacet { capabilities }
}

/// Capabilities that are offered. One that is not known here is not used: it is left out.
pub fn facet(facet: &wire::ClientFacet) -> ClientFacet {
    let known = facet
        .capabilities
        .iter()
        .filter_map(|c| capability(*c).ok());
    ClientFacet::with(&known.collect::<Vec<_>>())
}

pub(super) fn unknown(field: &'static str, value: i32) -> BadFrame {
    let value = value.into();
    BadFrame::UnknownValue { field, value }
}
