//! What of a call's chatter one client request may see: a filter with a memory of one number.

use std::time::Duration;

use bytes::Bytes;
use ostler_types::Instant;

use crate::{
    call::{Log, LogLevel, Progress},
    json::Raw,
    notify,
    revision::Revision,
};

/// The filter of one client request. Nothing passes after its outcome, because its owner
/// drops it then [P-7].
#[derive(Debug, Clone)]
pub struct Relay {
    revision: Revision,
    progress_token: Option<Raw>,
    log_level: Option<LogLevel>,
    progress_shown: Option<f64>,
}

impl Relay {
    /// Without a token no progress passes. `log_level` is the lowest level that passes
    /// [P-4], [P-5]; `None` lets no log pass, as a modern request without one demands.
    pub fn new(
        revision: Revision,
        progress_token: Option<Raw>,
        log_level: Option<LogLevel>,
    ) -> Self {
        Relay {
            revision,
            progress_token,
            log_level,
            progress_shown: None,
        }
    }

    /// Whether progress is wanted at all; workers are told, so that they can save it.
    pub fn wants_progress(&self) -> bool {
        self.progress_token.is_some()
    }

    /// A session's level may change while its call runs.
    pub fn set_log_level(&mut self, level: LogLevel) {
        self.log_level = Some(level);
    }

    /// The notification, if progress grew since the last one [P-7].
    pub fn progress(&mut self, progress: &Progress) -> Option<Bytes> {
        let token = self.progress_token.as_ref()?;
        let finite = progress.progress.is_finite() && progress.total.is_none_or(f64::is_finite);
        let grew = self
            .progress_shown
            .is_none_or(|shown| progress.progress > shown);
        if !(finite && grew) {
            return None;
        }
        self.progress_shown = Some(progress.progress);
        Some(notify::progress(token, progress, self.revision))
    }

    /// The notification, if the level suffices.
    pub fn log(&mut self, log: &Log) -> Option<Bytes> {
        let lowest = self.log_level?;
        (log.level >= lowest).then(|| notify::log(log))
    }
}

/// How much chatter may still be relayed: a bucket that holds one second's worth [P-7].
#[derive(Debug, Clone)]
pub struct Allowance {
    left: u32,
    per_second: u32,
    filled: Instant,
}

impl Allowance {
    pub fn new(per_second: u32, now: Instant) -> Self {
        Allowance {
            left: per_second,
            per_second,
            filled: now,
        }
    }

    /// Whether one more message may be relayed; if so it is spent.
    pub fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.since(self.filled);
        let gained = passed.as_millis() * u128::from(self.per_second) / 1_000;
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(gained).min(self.per_second);
            // Only what was turned into whole messages is spent.
            let spent = Duration::from_secs(1) * gained.min(self.per_second) / self.per_second;
            self.filled = match gained > self.per_second {
                true => now,
                false => self.filled + spent,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::revision::Revision::{V2025_11_25, V2026_07_28};

    fn relay(token: Option<&'static str>, level: Option<LogLevel>) -> Relay {
        Relay::new(V2025_11_25, token.map(Raw::from_static), level)
    }

    fn at(progress: f64) -> Progress {
        Progress {
            progress,
            total: None,
            message: None,
        }
    }

    fn line(level: LogLevel) -> Log {
        Log {
            level,
            logger: None,
            data: Raw::from_static("\"x\""),
        }
    }

    /// Which of these values pass, in order.
    fn check_progress(values: &[f64], expected: &[f64]) {
        let mut relay = relay(Some("7"), None);
        let passes = |value: &f64| relay.progress(&at(*value)).is_some();
        let passed: Vec<f64> = values.iter().copied().filter(passes).collect();
        assert_eq!(passed, expected);
    }

    #[test]
    fn progress_only_grows() {
        check_progress(&[0.0, 50.0, 50.0, 20.0, 100.0, 100.0], &[0.0, 50.0, 100.0]);
        check_progress(&[-3.0, -5.0, -1.0], &[-3.0, -1.0]);
    }

    #[test]
    fn progress_that_is_no_number_is_dropped() {
        check_progress(&[f64::NAN, 1.0, f64::INFINITY, 2.0], &[1.0, 2.0]);
        let mut relay = relay(Some("7"), None);
        let total = Some(f64::NAN);
        let bad = Progress { total, ..at(1.0) };
        assert!(relay.progress(&bad).is_none());
        assert!(
            relay.progress(&at(1.0)).is_some(),
            "the bad one left no mark"
        );
    }

    #[test]
    fn without_a_token_there_is_no_progress() {
        assert!(relay(None, None).progress(&at(1.0)).is_none());
    }

    #[test]
    fn a_token_keeps_its_type() {
        for token in ["7", "\"7\"", "0", "\"\""] {
            let bytes = relay(Some(token), None).progress(&at(1.0)).expect("passes");
            let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
            assert!(
                text.contains(&format!("\"progressToken\":{token},")),
                "{text}"
            );
        }
    }

    #[test]
    fn logs_pass_from_their_level_on() {
        let mut relay = relay(None, Some(LogLevel::Warning));
        assert!(relay.log(&line(LogLevel::Notice)).is_none());
        assert!(relay.log(&line(LogLevel::Warning)).is_some());
        assert!(relay.log(&line(LogLevel::Emergency)).is_some());
        relay.set_log_level(LogLevel::Debug);
        assert!(relay.log(&line(LogLevel::Debug)).is_some());
    }

    #[test]
    fn a_modern_request_without_a_level_sees_no_log() {
        let mut relay = Relay::new(V2026_07_28, None, None);
        assert!(relay.log(&line(LogLevel::Emergency)).is_none());
    }

    proptest! {
        #[test]
        fn what_passes_strictly_increases(values in prop::collection::vec(any::<f64>(), 0..40)) {
            let mut relay = relay(Some("1"), None);
            let mut last = f64::NEG_INFINITY;
            for value in values {
                if relay.progress(&at(value)).is_some() {
                    prop_assert!(value > last && value.is_finite());
                    last = value;
                }
            }
        }
    }
}
