//! Which era a message belongs to: the table [ERA-2], decided once and from nothing else.

use std::borrow::Cow;

use crate::{
    fault::Fault,
    headers::{self, Field, Headers},
    revision::{Era, Revision},
};

/// `MCP-Protocol-Version` as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VersionHeader<'a> {
    Absent,
    /// A revision with sessions, served or not.
    Legacy(Revision),
    /// A date of the modern era, served or not.
    Modern(Cow<'a, str>),
    Unknown(Cow<'a, str>),
    /// Several lines: nobody can say which one a proxy believed ([HDR-7]).
    Repeated {
        any_modern: bool,
    },
}

/// What the shape of a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// `params._meta` names a protocol version, be it any value.
    pub version_in_meta: bool,
    /// `Mcp-Session-Id` is there.
    pub session: bool,
    /// It is the request `initialize`.
    pub initialize: bool,
}

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// The modern checks, which may well refuse it.
    Modern,
    /// Open a legacy session.
    Initialize,
    /// A message of a legacy session.
    Session,
    Refuse {
        fault: Fault,
        era: Era,
    },
}

impl<'a> VersionHeader<'a> {
    pub(super) fn read<H: Headers>(headers: &'a H) -> Self {
        let mut lines = headers.all(Field::ProtocolVersion).map(headers::trimmed);
        let Some(first) = lines.next() else {
            return Self::Absent;
        };
        let mut rest = lines.peekable();
        if rest.peek().is_some() {
            let any_modern = is_modern_date(first) || rest.any(is_modern_date);
            return Self::Repeated { any_modern };
        }
        Self::classify(first)
    }

    fn classify(value: &'a [u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        match Revision::parse(&text) {
            _ if is_modern_date(value) => Self::Modern(text),
            Some(revision) => Self::Legacy(revision),
            None => Self::Unknown(text),
        }
    }

    /// The one value that was sent.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Absent | Self::Repeated { .. } => None,
            Self::Legacy(revision) => Some(revision.as_str()),
            Self::Modern(text) | Self::Unknown(text) => Some(text),
        }
    }

    /// The era that the header alone makes evident.
    pub(super) fn era(&self) -> Option<Era> {
        match self {
            Self::Modern(_) | Self::Repeated { any_modern: true } => Some(Era::Modern),
            Self::Legacy(_) => Some(Era::Legacy),
            Self::Absent | Self::Unknown(_) | Self::Repeated { any_modern: false } => None,
        }
    }
}

/// `YYYY-MM-DD`, not before the first modern revision.
fn is_modern_date(value: &[u8]) -> bool {
    let is_date = value.len() == 10
        && value.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date && value >= Revision::V2026_07_28.as_str().as_bytes()
}

/// The rows of [ERA-2] that need no look into `_meta`. Rows 2 to 5, 11 and 12 are refused by the
/// modern checks, in their order.
pub(super) fn decide(header: &VersionHeader<'_>, shape: Shape) -> Decision {
    // Row 1, and with it 2, 3, 4, 12: `_meta` names a version.
    if shape.version_in_meta {
        return Decision::Modern;
    }
    match header {
        // Row 7: answered before `_meta` is missed, so that the client learns what to do.
        VersionHeader::Modern(_) | VersionHeader::Repeated { any_modern: true }
            if shape.initialize =>
        {
            let method = "initialize".to_owned();
            Decision::Refuse {
                fault: Fault::MethodNotFound { method },
                era: Era::Modern,
            }
        }
        // Rows 1, 5 and 11.
        VersionHeader::Modern(_) | VersionHeader::Repeated { any_modern: true } => Decision::Modern,
        VersionHeader::Unknown(text) => unknown_version(text, shape),
        VersionHeader::Repeated { any_modern: false } => {
            unknown_version("several MCP-Protocol-Version headers", shape)
        }
        // Row 6.
        VersionHeader::Absent | VersionHeader::Legacy(_) if shape.initialize => {
            Decision::Initialize
        }
        // Row 8.
        VersionHeader::Absent | VersionHeader::Legacy(_) if shape.session => Decision::Session,
        // Row 9.
        VersionHeader::Absent | VersionHeader::Legacy(_) => Decision::Refuse {
            fault: Fault::SessionRequired,
            era: Era::Legacy,
        },
    }
}

/// Row 10: a plain error for a session, the modern one where neither shape is evident.
fn unknown_version(value: &str, shape: Shape) -> Decision {
    if shape.session {
        let reason = format!(
            "unsupported MCP-Protocol-Version: {}",
            headers::shown(value)
        );
        return Decision::Refuse {
            fault: Fault::InvalidRequest(reason),
            era: Era::Legacy,
        };
    }
    let fault = Fault::UnsupportedVersion {
        requested: headers::shown(value),
        supported: Revision::SERVED,
    };
    Decision::Refuse {
        fault,
        era: Era::Modern,
    }
}

#[cfg(test)]
mod tests;
