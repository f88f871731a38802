//! Every bound in one place, with what it costs at worst.

use std::time::Duration;

/// The bounds of one node. `Default` is what `deploy/ostler.toml` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One HTTP request body, in bytes. Held once while its request runs.
    pub body_bytes_max: usize,
    /// All header lines of one request, in bytes.
    pub header_bytes_max: usize,
    /// Nesting of JSON from clients and workers.
    pub json_depth_max: usize,
    /// A JSON-RPC id or method name, in bytes.
    pub id_bytes_max: usize,
    /// Open client connections. Each costs about 12 KiB idle.
    pub connections_max: usize,
    /// Open client connections from one address.
    pub connections_per_address_max: usize,
    /// HTTP requests in work at once (streams that only wait do not count).
    pub requests_max: usize,
    /// Requests of one principal in a second, and as many at once. Callers of a tenant that asks
    /// for no credential are one principal.
    pub requests_per_second_max: usize,
    /// Calls in flight to workers, all tenants. Each holds its arguments (≤ `body_bytes_max`).
    pub calls_max: usize,
    /// Calls in flight for one tenant.
    pub calls_per_tenant_max: usize,
    /// Longest run of a call that is not a task.
    pub call_timeout: Duration,
    /// Live and sleeping sessions of one principal. Each stores about 1 KiB, at most 72 KiB of what its
    /// client said of itself (at the default 740 MB) and its subscriptions (`subscriptions_max`, 2 KiB each).
    pub sessions_per_principal_max: usize,
    /// Live and sleeping sessions of one tenant, each of them as above: as a rule 200 MB at the default, 15 GB if
    /// all clients say as much of themselves as they may. Each principal is counted in about 150 bytes of memory.
    pub sessions_per_tenant_max: usize,
    /// Streams that answer requests, open at once in one session; each buffers ≤ `stream_buffer_bytes_max`
    /// and two outcomes.
    pub streams_per_session_max: usize,
    /// GETs for streams that one session may send at once; then one in a second. A client that comes
    /// back in a loop is told to wait.
    pub reconnects_at_once_max: usize,
    /// Bytes waiting for one reader of a session before it is behind: it gets no more progress or logs,
    /// and is cut if it takes nothing for a minute. Beyond this and `outcome_bytes_max` it is cut at once.
    pub stream_buffer_bytes_max: usize,
    /// Streams of `subscriptions/listen` and of HTTP+SSE open at once for one principal. One of the
    /// latter is a session too, and buffers ≤ `stream_buffer_bytes_max` and one outcome.
    pub listens_per_principal_max: usize,
    /// Resources one session or one listen may subscribe to.
    pub subscriptions_max: usize,
    /// Resources watched at the workers at once, all tenants; many may listen to one.
    pub watches_max: usize,
    /// Resources of one tenant watched at once.
    pub watches_per_tenant_max: usize,
    /// Unfinished tasks and parked calls of one principal.
    pub tasks_per_principal_max: usize,
    /// Unfinished tasks and parked calls of one tenant. Each has a live actor while its call runs.
    pub tasks_per_tenant_max: usize,
    /// Rounds of questions one call may ask.
    pub ask_rounds_max: u32,
    /// Progress and log messages of one call that are relayed to its client in a second; more are
    /// dropped [P-7].
    pub chatter_per_second_max: u32,
    /// One outcome of a worker, in bytes.
    pub outcome_bytes_max: usize,
    /// Kept events of one stream.
    pub stream_events_max: usize,
    /// Entries of one page of a list.
    pub page_entries_max: usize,
    /// A sealed `requestState`, in bytes.
    pub request_state_bytes_max: usize,
    /// A completion's argument value, in bytes.
    pub completion_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 << 20,
            header_bytes_max: 64 << 10,
            json_depth_max: 64,
            id_bytes_max: 1 << 10,
            connections_max: 18_000,
            connections_per_address_max: 9_000,
            requests_max: 8_192,
            requests_per_second_max: 5_000,
            calls_max: 8_192,
            calls_per_tenant_max: 4_096,
            call_timeout: Duration::from_secs(300),
            sessions_per_principal_max: 10_000,
            sessions_per_tenant_max: 200_000,
            streams_per_session_max: 16,
            reconnects_at_once_max: 64,
            stream_buffer_bytes_max: 256 << 10,
            listens_per_principal_max: 1_024,
            subscriptions_max: 1_000,
            watches_max: 10_000,
            watches_per_tenant_max: 2_500,
            tasks_per_principal_max: 1_000,
            tasks_per_tenant_max: 10_000,
            ask_rounds_max: 16,
            chatter_per_second_max: 50,
            outcome_bytes_max: 16 << 20,
            stream_events_max: 1_024,
            page_entries_max: 1_000,
            request_state_bytes_max: 32 << 10,
            completion_bytes_max: 64 << 10,
        }
    }
}
