//! What the hub counts.
//!
//! `ostler_hub_calls_started_total` + `ostler_hub_calls_adopted_total` =
//! the sum of `ostler_hub_calls_ended_total` + what runs now.

use metrics::{Counter, Gauge, Histogram};
use ostler_env::Registry;
use ostler_protocol::call::{Failure, Outcome};

use crate::attempt::AttemptEnd;

/// A closed set of label values with their texts.
pub(crate) trait Label: Copy + PartialEq + 'static {
    const NAME: &'static str;
    const ALL: &'static [(Self, &'static str)];
}

macro_rules! labelled {
    ($(#[$doc:meta])* $name:ident, $label:literal, $($variant:ident = $text:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $text)),+];
        }
    };
}

labelled! {
    /// Why a worker was not let in.
    RefusedLink, "reason",
    Unauthenticated = "unauthenticated",
    Denied = "denied",
    Invalid = "invalid",
    Rival = "rival",
    Flapping = "flapping",
    Crowded = "crowded",
    Draining = "draining",
    Timeout = "timeout",
}

labelled! {
    /// Why a link ended.
    EndedLink, "reason",
    Lost = "lost",
    Silent = "silent",
    Left = "left",
    Drained = "drained",
    Replaced = "replaced",
    Violation = "violation",
    Overdrawn = "overdrawn",
    Stalled = "stalled",
    Revoked = "revoked",
    Panicked = "panicked",
}

labelled! {
    /// How an attempt ended.
    EndedCall, "end",
    Ok = "ok",
    Failed = "failed",
    Cancelled = "cancelled",
    Deadline = "deadline",
    Drained = "drained",
    BadResult = "bad_result",
    Refused = "refused",
    NotHanded = "not_handed",
    NotNamed = "not_named",
    Lost = "lost",
    Forgotten = "forgotten",
}

labelled! {
    /// Outcomes that nobody gets.
    DroppedOutcome, "reason",
    Unknown = "unknown",
    Stale = "stale",
    Duplicate = "duplicate",
    Late = "late",
}

labelled! {
    /// Why a worker may not send more for now.
    Throttled, "reason",
    Chatter = "chatter",
    Unowned = "unowned",
}

/// A counter per value of a closed label.
pub(crate) struct ByLabel<L>(Vec<(L, Counter)>);

impl<L: Label> ByLabel<L> {
    fn new(registry: &Registry, name: &'static str, help: &'static str) -> Self {
        let counter = |text| registry.counter(name, help, &[(L::NAME, text)]);
        Self(
            L::ALL
                .iter()
                .map(|(value, text)| (*value, counter(text)))
                .collect(),
        )
    }

    pub fn count(&self, value: L) {
        if let Some((_, counter)) = self.0.iter().find(|(one, _)| *one == value) {
            counter.increment(1);
        }
    }
}

pub(crate) struct Metrics {
    pub links: Gauge,
    pub links_opened: Counter,
    pub links_refused: ByLabel<RefusedLink>,
    pub links_ended: ByLabel<EndedLink>,
    pub ping: Histogram,
    pub throttled: ByLabel<Throttled>,
    pub calls_started: Counter,
    pub calls_adopted: Counter,
    pub calls_ended: ByLabel<EndedCall>,
    pub outcomes_dropped: ByLabel<DroppedOutcome>,
    pub chatter_dropped: Counter,
    pub bad_frames: Counter,
    pub orphans: Counter,
    pub watches: Gauge,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Metrics {
        let counter = |name, help| registry.counter(name, help, &[]);
        let gauge = |name, help| registry.gauge(name, help, &[]);
        Metrics {
            links: gauge("ostler_hub_links", "Workers linked now."),
            links_opened: counter("ostler_hub_links_opened_total", "Links of workers opened."),
            links_refused: ByLabel::new(
                registry,
                "ostler_hub_links_refused_total",
                "Workers that were not let in.",
            ),
            links_ended: ByLabel::new(
                registry,
                "ostler_hub_links_ended_total",
                "Links of workers ended.",
            ),
            ping: registry.histogram(
                "ostler_hub_ping_seconds",
                "From a ping to its answer by a worker.",
                &[],
            ),
            throttled: ByLabel::new(
                registry,
                "ostler_hub_throttled_total",
                "Grants withheld from workers that chatter, or for whose calls nobody comes.",
            ),
            calls_started: counter("ostler_hub_calls_started_total", "Attempts started."),
            calls_adopted: counter(
                "ostler_hub_calls_adopted_total",
                "Kept calls that a worker brought along.",
            ),
            calls_ended: ByLabel::new(registry, "ostler_hub_calls_ended_total", "Attempts ended."),
            outcomes_dropped: ByLabel::new(
                registry,
                "ostler_hub_outcomes_dropped_total",
                "Outcomes of workers that were not taken.",
            ),
            chatter_dropped: counter(
                "ostler_hub_chatter_dropped_total",
                "Progress and logs dropped because their reader was slow or gone.",
            ),
            bad_frames: counter(
                "ostler_hub_bad_frames_total",
                "Frames of workers with content that was not taken.",
            ),
            orphans: counter(
                "ostler_hub_orphans_total",
                "Kept calls without an owner that were offered.",
            ),
            watches: gauge("ostler_hub_watches", "Resources watched now."),
        }
    }
}

impl EndedCall {
    pub fn of(end: &AttemptEnd) -> EndedCall {
        match end {
            AttemptEnd::Outcome(outcome) => of_outcome(outcome),
            AttemptEnd::Refused(_) => EndedCall::Refused,
            AttemptEnd::NotHanded => EndedCall::NotHanded,
            AttemptEnd::NotNamed => EndedCall::NotNamed,
            AttemptEnd::Lost => EndedCall::Lost,
        }
    }
}

fn of_outcome(outcome: &Outcome) -> EndedCall {
    match outcome {
        Ok(_) => EndedCall::Ok,
        Err(Failure::Cancelled) => EndedCall::Cancelled,
        Err(Failure::Deadline) => EndedCall::Deadline,
        Err(Failure::Drained) => EndedCall::Drained,
        Err(Failure::BadResult(_) | Failure::TooLarge) => EndedCall::BadResult,
        Err(Failure::WorkerLost { .. }) => EndedCall::Lost,
        Err(
            Failure::Internal(_)
            | Failure::NotFound { .. }
            | Failure::InvalidParams(_)
            | Failure::NeedsCapability(_)
            | Failure::NeedsScope(_)
            | Failure::Protocol { .. }
            | Failure::TimedOut,
        ) => EndedCall::Failed,
    }
}
