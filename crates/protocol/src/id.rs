//! The id of a JSON-RPC request, kept byte for byte: `1`, `"1"` and `"\u0031"` differ on the wire.

use std::fmt;

use bytes::Bytes;

use crate::json::{Kind, Raw, walk};

/// A string or integer token exactly as the client wrote it ([RPC-1], [RPC-3]).
///
/// It owns its bytes, so that a kept id does not keep a whole request body.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Bytes);

/// Why a value is no request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id must be a string or an integer of at most {bytes_max} bytes")]
pub struct BadId {
    pub bytes_max: usize,
}

impl RequestId {
    /// Checks the rule of [RPC-1]: a string or an integer, no longer than `bytes_max`.
    pub fn from_raw(raw: &Raw, bytes_max: usize) -> Result<Self, BadId> {
        Self::from_value(raw.as_str(), bytes_max)
    }

    /// The same for a value cut out of a `Raw`.
    pub(crate) fn from_value(value: &str, bytes_max: usize) -> Result<Self, BadId> {
        let good = match walk::kind_of(value) {
            Kind::String => true,
            Kind::Number => is_integer(value),
            Kind::Object | Kind::Array | Kind::Bool | Kind::Null => false,
        };
        let fits = value.len() <= bytes_max;
        let id = || Self(Bytes::copy_from_slice(value.as_bytes()));
        (good && fits).then(id).ok_or(BadId { bytes_max })
    }

    /// An id from its token, for instance a stored one; `None` if it is none.
    pub fn from_token(token: &str) -> Option<Self> {
        let raw = Raw::parse(Bytes::copy_from_slice(token.as_bytes()), 1).ok()?;
        Self::from_raw(&raw, usize::MAX).ok()
    }

    /// A number of our own.
    pub fn number(number: u64) -> Self {
        Self(Bytes::from(number.to_string()))
    }

    /// The token as it goes on the wire.
    pub fn as_raw(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the token comes out of a Raw, which is UTF-8")
    }

    pub fn to_raw(&self) -> Raw {
        Raw::from_checked(self.0.clone())
    }
}

fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_raw())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_string_or_an_integer() {
        for good in [
            "1",
            "\"1\"",
            "0",
            "-7",
            "\"\"",
            "123456789012345678901234567890",
            r#""\u0000\n""#,
        ] {
            assert_eq!(RequestId::from_token(good).expect(good).as_raw(), good);
        }
        for bad in ["null", "true", "1.5", "1.0", "1e3", "{}", "[]", "", "x"] {
            assert_eq!(RequestId::from_token(bad), None, "{bad}");
        }
    }

    #[test]
    fn spelling_is_identity() {
        let ids = ["1", "\"1\"", r#""\u0031""#].map(|t| RequestId::from_token(t).unwrap());
        assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    }
}
