//! How long a session is there.

/// What a session's life hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Its rows: it sleeps and wakes, and outlives its node. Streams come and go.
    Rows,
    /// One stream, which carries everything and cannot be resumed, as HTTP+SSE has it ([A-3]).
    /// When the stream ends, so does the session, with all it runs; nothing of it is stored.
    Stream,
}
