//! What an operator may set about sessions.

use std::time::Duration;

use ostler_types::Limits;

use crate::stream::Bounds;

/// `Default` is what `deploy/ostler.toml` shows under `[session]` and `[limits]`; every field has a
/// key there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A session that nobody uses ends after this [SES-6].
    pub idle_ttl: Duration,
    /// A session ends at this age, used or not [SES-6].
    pub age_max: Duration,
    /// An unused actor goes to sleep after this; its session stays in the store.
    pub linger: Duration,
    /// Events of a stream stay replayable this long after the call's end [SSE-13].
    pub event_retention: Duration,
    /// Longest run of a call, so that its first event outlives it by `event_retention`.
    pub call_timeout: Duration,
    /// How long a client should wait before it resumes a broken stream [SSE-2].
    pub retry: Duration,
    /// Closed streams of a draining node are told to come back after up to this [SSE-4].
    pub drain_retry_max: Duration,
    /// Requests to a client wait this long for `notifications/initialized` [LIF-7].
    pub initialized_wait: Duration,
    /// A person answers an elicitation within this [S2C-5].
    pub elicitation_timeout: Duration,
    /// A client's model answers within this [S2C-5].
    pub sampling_timeout: Duration,
    /// A client lists its roots within this [S2C-5].
    pub roots_timeout: Duration,
    /// After a node's start, workers have this long to name the calls they still run.
    pub rebind_grace: Duration,
    /// Live and sleeping sessions of one principal.
    pub sessions_per_principal_max: usize,
    /// Live and sleeping sessions of one tenant.
    pub sessions_per_tenant_max: usize,
    /// Streams that answer requests, at once, in one session. Each may buffer
    /// `stream_buffer_bytes_max` and two outcomes.
    pub streams_per_session_max: usize,
    /// Requests in flight at once in one session. Each costs about 100 bytes here, and a kept call
    /// some KiB.
    pub requests_per_session_max: usize,
    /// Bytes that wait for one reader before it counts as behind.
    pub stream_buffer_bytes_max: usize,
    /// One outcome of a worker. So much more may wait for a reader before it is cut off.
    pub outcome_bytes_max: usize,
    /// Stored events of one stream; older ones are dropped.
    pub stream_events_max: usize,
    /// Resources one session may subscribe to.
    pub subscriptions_max: usize,
    /// Rounds of questions one call may ask.
    pub ask_rounds_max: u32,
    /// Progress and log messages relayed per second and call; more are dropped [P-7].
    pub chatter_per_second_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self::from_limits(&Limits::default())
    }
}

impl Config {
    /// The defaults, with the bounds of a node's `limits`.
    pub fn from_limits(limits: &Limits) -> Self {
        Self {
            idle_ttl: Duration::from_secs(30 * 60),
            age_max: Duration::from_secs(7 * 24 * 3600),
            linger: Duration::from_secs(15),
            event_retention: Duration::from_secs(15 * 60),
            call_timeout: limits.call_timeout,
            retry: Duration::from_secs(1),
            drain_retry_max: Duration::from_secs(10),
            initialized_wait: Duration::from_secs(5),
            elicitation_timeout: Duration::from_secs(10 * 60),
            sampling_timeout: Duration::from_secs(2 * 60),
            roots_timeout: Duration::from_secs(30),
            rebind_grace: Duration::from_secs(30),
            sessions_per_principal_max: limits.sessions_per_principal_max,
            sessions_per_tenant_max: limits.sessions_per_tenant_max,
            streams_per_session_max: limits.streams_per_session_max,
            requests_per_session_max: 1_024,
            stream_buffer_bytes_max: limits.stream_buffer_bytes_max,
            outcome_bytes_max: limits.outcome_bytes_max,
            stream_events_max: limits.stream_events_max,
            subscriptions_max: limits.subscriptions_max,
            ask_rounds_max: limits.ask_rounds_max,
            chatter_per_second_max: limits.chatter_per_second_max,
        }
    }

    pub(crate) fn reader_bounds(&self) -> Bounds {
        let behind_bytes = self.stream_buffer_bytes_max;
        let bytes_max = behind_bytes + self.outcome_bytes_max;
        Bounds {
            behind_bytes,
            bytes_max,
        }
    }

    /// The session is marked as used at most this often.
    pub(crate) fn touch_interval(&self) -> Duration {
        self.idle_ttl / 10
    }

    /// When a session last marked as used may be deleted: a mark may be one interval late.
    pub(crate) fn idle_span(&self) -> Duration {
        self.idle_ttl + self.touch_interval()
    }

    /// How long an event is stored: through the longest call, a person's answer included, then
    /// the retention.
    pub(crate) fn event_span(&self) -> Duration {
        self.call_timeout + self.elicitation_timeout + self.event_retention
    }
}
