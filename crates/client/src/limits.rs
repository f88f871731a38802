//! Every bound of a client, with what it costs at worst.

use std::time::Duration;

/// What one client may take. It holds at most one body or event for each request in flight, as many
/// bytes again of questions that it asked and nobody has answered, and each list that is being read.
/// Where requests share a channel, two more may wait for each of them, and one is being read.
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
    /// For a goodbye: what is done is done, whether or not the server hears that nobody waits.
    pub goodbye_max: Duration,
    /// Times in a row that a stream is fetched again without any sign of life.
    pub resumptions_max: u32,
    /// Times in a row that one is fetched whose server only asks to come again: at `retry_min`
    /// the least time that this takes is 16 minutes.
    pub polls_max: u32,
    /// Before a stream is fetched again, unless the server names a span; it doubles from there.
    pub retry: Duration,
    /// The shortest span of all, whatever the server names.
    pub retry_min: Duration,
    /// How far our own doubling goes.
    pub retry_max: Duration,
    /// The longest span that a server may name.
    pub wish_max: Duration,
    /// Rounds of questions in one request.
    pub rounds_max: u32,
    /// Questions in one legacy request, and answers on their way. On a channel that several share, as
    /// many may wait.
    pub asks_max: u32,
    /// How long what a server asks or logs without a name may still be about a request that was
    /// left without its response, as a cancelled one. Until then it is shown to no other principal;
    /// a server that asks for it even later must be hosted for each principal.
    pub ghost_max: Duration,
    /// How long a stream may be silent that was kept alive by comments before.
    pub silence_max: Duration,
    /// Lines in a row, on a pipe, that are no messages: some libraries print there.
    pub garbage_max: u32,
    /// Between two looks at a task, unless the server names a span.
    pub poll: Duration,
    pub poll_max: Duration,
    /// Pages of one list.
    pub pages_max: usize,
    /// Entries of one list, and their bytes.
    pub entries_max: usize,
    pub list_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 32 << 20,
            connect_max: Duration::from_secs(10),
            probe_max: Duration::from_secs(10),
            endpoint_max: Duration::from_secs(10),
            goodbye_max: Duration::from_secs(2),
            resumptions_max: 6,
            polls_max: 10_000,
            retry: Duration::from_millis(500),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(30),
            wish_max: Duration::from_secs(300),
            rounds_max: 16,
            asks_max: 256,
            ghost_max: Duration::from_secs(600),
            silence_max: Duration::from_secs(90),
            garbage_max: 1_000,
            poll: Duration::from_secs(1),
            poll_max: Duration::from_secs(60),
            pages_max: 1_000,
            entries_max: 100_000,
            list_bytes_max: 64 << 20,
        }
    }
}

impl Limits {
    pub(crate) fn asks_max(&self) -> usize {
        usize::try_from(self.asks_max).unwrap_or(usize::MAX)
    }

    /// How long to wait before trying again: as the server wishes the first time, twice as long
    /// each time after that. What a server asks for is kept; only our own doubling ends early.
    pub fn pause(&self, wished: Option<Duration>, attempts: u32) -> Duration {
        let first = wished.unwrap_or(self.retry);
        let first = first.clamp(self.retry_min, self.wish_max);
        let doubled = first.saturating_mul(1 << attempts.min(16));
        doubled.min(self.retry_max).max(first)
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
        assert_eq!(limits.pause(Some(ms(200)), 0), ms(200));
        assert_eq!(limits.pause(Some(ms(200)), 3), ms(1_600));
        assert_eq!(limits.pause(Some(ms(200)), u32::MAX), limits.retry_max);
    }

    #[test]
    fn a_server_may_ask_for_patience_but_not_for_haste() {
        let limits = Limits::default();
        let minutes = |n: u64| Duration::from_secs(60 * n);
        for attempts in [0, 5] {
            assert_eq!(limits.pause(Some(minutes(2)), attempts), minutes(2));
            assert_eq!(limits.pause(Some(minutes(60)), attempts), limits.wish_max);
        }
        assert_eq!(limits.pause(Some(Duration::ZERO), 0), limits.retry_min);
    }
}
