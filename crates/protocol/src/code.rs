//! The codes of the platform's own errors. They lie outside the range that JSON-RPC and the
//! specification of MCP keep for themselves ([RPC-7]); [`Fault`](crate::fault::Fault) says what each means.

pub const RATE_LIMITED: i32 = -31001;
pub const OVERLOADED: i32 = -31002;
pub const WORKER_LOST: i32 = -31003;
pub const DEADLINE: i32 = -31004;
pub const TOO_LARGE: i32 = -31005;
pub const BAD_RESULT: i32 = -31006;
pub const DRAINING: i32 = -31007;
pub const NO_WORKER: i32 = -31008;
pub const FORBIDDEN: i32 = -31009;
pub const RESUME_GAP: i32 = -31010;
pub const STORAGE: i32 = -31011;
pub const QUOTA: i32 = -31012;
