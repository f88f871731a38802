//! Every bound of a client, with what it costs at worst.

use std::time::Duration;

/// What one client may take. It holds at most one body or event for each request in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One JSON body or one event, in bytes.
    pub message_bytes_max: usize,
    /// To resolve, to connect, to shake hands: each.
    pub connect_max: Duration,
    /// For the answer that tells the era; servers of old may never answer what they do not know.
    pub probe_max: Duration,
    /// For the `endpoint` event of 2024-11-05.
    pub endpoint_max: Duration,
    /// Times a stream is fetched again without having said anything new.
    pub resumptions_max: u32,
    /// Before the first of them, unless the server names a span; it doubles from there.
    pub retry: Duration,
    pub retry_max: Duration,
    /// Rounds of questions in one request.
    pub rounds_max: u32,
    /// Between two looks at a task, unless the server names a span.
    pub poll: Duration,
    pub poll_max: Duration,
    /// Pages of one list.
    pub pages_max: usize,
    /// Entries of one list.
    pub entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 32 << 20,
            connect_max: Duration::from_secs(10),
            probe_max: Duration::from_secs(10),
            endpoint_max: Duration::from_secs(10),
            resumptions_max: 6,
            retry: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
            rounds_max: 16,
            poll: Duration::from_secs(1),
            poll_max: Duration::from_secs(60),
            pages_max: 1_000,
            entries_max: 100_000,
        }
    }
}

impl Limits {
    /// How long to wait before trying again: as the server wishes the first time, twice as long
    /// each time after that.
    pub(crate) fn pause(&self, wished: Option<Duration>, attempts: u32) -> Duration {
        let first = wished.unwrap_or(self.retry);
        first
            .saturating_mul(1 << attempts.min(16))
            .min(self.retry_max)
    }
}

/// Nesting of JSON from a server; what we wrap around it goes a few levels deeper.
pub(crate) const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_follows_the_server_and_grows() {
        let limits = Limits::default();
        let ms = Duration::from_millis;
        assert_eq!(limits.pause(None, 0), limits.retry);
        assert_eq!(limits.pause(Some(ms(20)), 0), ms(20));
        assert_eq!(limits.pause(Some(ms(20)), 3), ms(160));
        assert_eq!(limits.pause(Some(ms(20)), u32::MAX), limits.retry_max);
    }
}
