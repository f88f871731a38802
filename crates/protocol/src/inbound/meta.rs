//! `params._meta`: who is asking, each time ([M-3]), and what is common to both eras.

use std::borrow::Cow;

use ostler_types::{Limits, TraceContext};

use crate::{
    fault::Fault,
    id::RequestId,
    json::{Kind, Raw, walk},
};

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// The known members; forged and foreign ones are not even looked at ([SEC-7]). Values are
/// borrowed from the body.
#[derive(Debug, Default)]
pub(super) struct Meta<'a> {
    /// `_meta` is there, but not as an object.
    malformed: bool,
    pub protocol_version: Option<&'a str>,
    pub log_level: Option<&'a str>,
    capabilities: Option<&'a str>,
    client_info: Option<&'a str>,
    progress_token: Option<&'a str>,
    traceparent: Option<&'a str>,
    tracestate: Option<&'a str>,
}

impl<'a> Meta<'a> {
    pub(super) fn read(meta: Option<&'a str>) -> Self {
        let mut found = Self::default();
        let Some(meta) = meta.filter(|meta| *meta != "null") else {
            return found;
        };
        found.malformed = walk::kind_of(meta) != Kind::Object;
        for (name, value) in walk::members(meta) {
            match name.as_ref() {
                PROTOCOL_VERSION => found.protocol_version = Some(value),
                CLIENT_CAPABILITIES => found.capabilities = Some(value),
                CLIENT_INFO => found.client_info = Some(value),
                LOG_LEVEL => found.log_level = Some(value),
                "progressToken" => found.progress_token = Some(value),
                "traceparent" => found.traceparent = Some(value),
                "tracestate" => found.tracestate = Some(value),
                _ => {}
            }
        }
        found
    }

    /// What both eras ask of `_meta`.
    pub(super) fn check_object(&self) -> Result<(), Fault> {
        match self.malformed {
            true => Err(Fault::InvalidParams(
                "params._meta must be an object".into(),
            )),
            false => Ok(()),
        }
    }

    /// The version as text, for a request that must name one.
    pub(super) fn required_version(&self) -> Result<Cow<'a, str>, Fault> {
        let version = self.protocol_version.and_then(walk::text);
        version.ok_or_else(|| must_be(PROTOCOL_VERSION, "a string"))
    }

    pub(super) fn required_capabilities(&self) -> Result<&'a str, Fault> {
        let is_object = |value: &&str| walk::kind_of(value) == Kind::Object;
        let capabilities = self.capabilities.filter(is_object);
        capabilities.ok_or_else(|| must_be(CLIENT_CAPABILITIES, "an object"))
    }

    /// `clientInfo` may be missing ([M-3]); it is for people, so only its kind is checked.
    pub(super) fn check_client_info(&self) -> Result<(), Fault> {
        match self.client_info.map(walk::kind_of) {
            None | Some(Kind::Object | Kind::Null) => Ok(()),
            Some(_) => Err(must_be(CLIENT_INFO, "an object")),
        }
    }

    /// A string or an integer, echoed as it is ([P-7]). It owns its bytes: it lives as long as
    /// the call, the body does not.
    pub(super) fn progress_token(&self, limits: &Limits) -> Result<Option<Raw>, Fault> {
        let max = limits.id_bytes_max;
        let token = self.progress_token.filter(|token| *token != "null");
        let token = token.map(|token| RequestId::from_value(token, max));
        match token.transpose() {
            Ok(token) => Ok(token.map(|token| token.to_raw())),
            Err(_) => {
                let what = format!("a string or an integer of at most {max} bytes");
                Err(must_be("progressToken", &what))
            }
        }
    }

    /// Only what is well-formed; the rest is dropped, as W3C asks ([SEC-13]).
    pub(super) fn trace(&self) -> Option<TraceContext> {
        let traceparent = walk::text(self.traceparent?)?;
        if !is_traceparent(&traceparent) {
            return None;
        }
        let tracestate = self.tracestate.and_then(walk::text);
        let tracestate = tracestate.filter(|state| is_tracestate(state));
        Some(TraceContext {
            traceparent: traceparent.into(),
            tracestate: tracestate.unwrap_or_default().into(),
        })
    }
}

fn must_be(name: &str, what: &str) -> Fault {
    Fault::InvalidParams(format!("params._meta[{name:?}] must be {what}"))
}

/// `version-traceid-parentid-flags`, lower-case hex, ids not all zero; later versions may add fields.
fn is_traceparent(text: &str) -> bool {
    let fields: Vec<&str> = text.splitn(5, '-').collect();
    let hex = |field: &str, len: usize| {
        field.len() == len
            && field
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |field: &str, len| hex(field, len) && field.bytes().any(|b| b != b'0');
    match fields.as_slice() {
        [version, trace, parent, flags, more @ ..] => {
            hex(version, 2)
                && *version != "ff"
                && id(trace, 32)
                && id(parent, 16)
                && hex(flags, 2)
                && (more.is_empty() || *version != "00")
                && text.len() <= 256
                && text.bytes().all(|b| b.is_ascii_graphic())
        }
        _ => false,
    }
}

/// At most 32 `key=value` members and 512 printable characters.
fn is_tracestate(text: &str) -> bool {
    let is_member = |member: &str| {
        let member = member.trim_matches([' ', '\t']);
        member.is_empty()
            || member
                .split_once('=')
                .is_some_and(|(k, v)| !k.is_empty() && !v.is_empty())
    };
    text.len() <= 512
        && text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
        && text.split(',').count() <= 32
        && text.split(',').all(is_member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_trace_context_goes_on() {
        let ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        for good in [
            format!("00-{ids}-01"),
            format!("cc-{ids}-01"),
            format!("cc-{ids}-01-x"),
        ] {
            assert!(is_traceparent(&good), "{good}");
        }
        let zero = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let upper = format!("00-{}-01", ids.to_uppercase());
        for bad in [
            "",
            "00",
            &zero,
            &upper,
            &format!("ff-{ids}-01"),
            &format!("00-{ids}-01-x"),
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
        assert!(is_tracestate("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE"));
        assert!(!is_tracestate("a=1\r\nb=2") && !is_tracestate("nonsense"));
        assert!(!is_tracestate(&"a=1,".repeat(33)));
    }
}
