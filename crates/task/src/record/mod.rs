//! What is stored of a call that outlives its request: one file per kind of record.
//!
//! Fields have numbers that are never reused; a reader ignores numbers it does not know, so
//! versions n and n+1 read each other.

pub(crate) mod call;
pub(crate) mod parts;
pub(crate) mod task;

/// What lies in the store cannot be read. Its record is lost, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record cannot be read: {0}")]
pub(crate) struct BadRecord(pub String);

impl From<minicbor::decode::Error> for BadRecord {
    fn from(error: minicbor::decode::Error) -> Self {
        Self(error.to_string())
    }
}

/// A value that no version of ours writes.
pub(crate) fn unreadable(what: &str) -> BadRecord {
    BadRecord(format!("{what} is out of range"))
}

#[cfg(test)]
mod tests;
