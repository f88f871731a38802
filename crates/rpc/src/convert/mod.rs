//! Between the wire's types and our nouns. What comes in is checked here, once.
//!
//! Nouns without a payload convert by a function each; those with one go through a [`Reader`]
//! (which knows the open transfers) or a [`Writer`] (which packs for one frame).

mod names;
mod read;
mod write;

pub use names::{
    call_id, call_kind, call_kind_to_wire, capabilities, capabilities_to_wire, facet,
    facet_to_wire, log_level, log_level_to_wire,
};
pub use read::Reader;
pub use write::{Writer, caller_assertion, clip};

use ostler_protocol::json::JsonError;

use crate::transfer::BadPayload;

/// A frame that does not follow the protocol, or a payload in it that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{field} has no meaning for {value}")]
    UnknownValue { field: &'static str, value: i64 },
    #[error("{0} is not a finite number")]
    NotFinite(&'static str),
    #[error("{field}: {source}")]
    Payload {
        field: &'static str,
        source: BadPayload,
    },
    #[error("{field} is not JSON as it must be: {source}")]
    Json {
        field: &'static str,
        source: JsonError,
    },
    #[error("{0} is not a JSON object")]
    NotAnObject(&'static str),
}

impl BadFrame {
    /// Whether the peer broke the rules of the link, so that nothing after it can be trusted.
    pub fn ends_link(&self) -> bool {
        let not_open = |source: &BadPayload| matches!(source, BadPayload::NotOpen(_));
        matches!(self, Self::Payload { source, .. } if not_open(source))
    }

    /// Whether it is only a matter of size.
    pub fn is_too_large(&self) -> bool {
        matches!(
            self,
            Self::Payload {
                source: BadPayload::TooLarge(_),
                ..
            }
        )
    }
}

#[cfg(test)]
mod tests;
