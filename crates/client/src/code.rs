//! The error codes by which a client decides what to do next.

/// What went wrong is the answerer's business.
pub const INTERNAL_ERROR: i64 = -32603;
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Also the modern way to say that there is no such resource.
pub const INVALID_PARAMS: i64 = -32602;
/// Legacy: there is no such resource.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
pub const HEADER_MISMATCH: i64 = -32020;
pub const MISSING_CAPABILITY: i64 = -32021;
pub const UNSUPPORTED_REVISION: i64 = -32022;
/// What libraries say, with HTTP 400, of a session that they do not know; and of anything else.
pub const SERVER_ERROR: i64 = -32000;
/// Legacy: a web page must be visited before the request can be done.
pub const URL_NEEDED: i64 = -32042;
