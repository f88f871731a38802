//! `params._meta`: who is asking, each time ([M-3]), and what is common to both eras.

use std::borrow::Cow;

use ostler_types::{Limits, TraceContext};

use crate::{
    fault::Fault,
    id::RequestId,
    json::{
        Kind, Raw,
        walk::{self, Walk},
    },
    trace,
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
    /// Reads the value here and steps over it; `null` is how some clients write "absent".
    pub(super) fn read(walk: &mut Walk<'a>) -> Self {
        let mut found = Self::default();
        let kind = walk.kind();
        if kind != Kind::Object {
            walk.skip();
            found.malformed = kind != Kind::Null;
            return found;
        }
        walk.enter();
        while let Some(name) = walk.next_name() {
            let value = walk.skip();
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
        let tracestate = self.tracestate.and_then(walk::text);
        trace::context(&walk::text(self.traceparent?)?, tracestate.as_deref())
    }
}

fn must_be(name: &str, what: &str) -> Fault {
    Fault::InvalidParams(format!("params._meta[{name:?}] must be {what}"))
}
