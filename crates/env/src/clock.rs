//! Monotonic and wall time, and timers.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ostler_types::{Instant, Timestamp};
use tokio::time::Instant as TokioInstant;

pub(crate) struct Clock {
    start: TokioInstant,
    wall: Wall,
}

enum Wall {
    System,
    /// A fixed start plus the time that passed on the monotonic clock.
    From(Timestamp),
}

impl Clock {
    pub(crate) fn system() -> Clock {
        Clock {
            start: tokio_now(),
            wall: Wall::System,
        }
    }

    pub(crate) fn fixed(start: Timestamp) -> Clock {
        Clock {
            start: tokio_now(),
            wall: Wall::From(start),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::default() + tokio_now().saturating_duration_since(self.start)
    }

    pub(crate) fn wall(&self) -> Timestamp {
        match self.wall {
            Wall::System => system_wall(),
            Wall::From(start) => start + self.now().since(Instant::default()),
        }
    }

    pub(crate) fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep {
            timer: Box::pin(tokio::time::sleep_until(self.to_tokio(at))),
            start: self.start,
        }
    }

    pub(crate) fn to_tokio(&self, at: Instant) -> TokioInstant {
        to_tokio(self.start, at)
    }
}

/// A timer: a future that ends at its time. `Unpin`, so that a hand-written poll can hold it.
pub struct Sleep {
    timer: Pin<Box<tokio::time::Sleep>>,
    start: TokioInstant,
}

impl Sleep {
    /// Sets the timer anew, whether or not it has ended.
    pub fn reset(&mut self, at: Instant) {
        self.timer.as_mut().reset(to_tokio(self.start, at));
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(cx)
    }
}

/// 30 years: the furthest a timer is set, so that adding never overflows.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

fn to_tokio(start: TokioInstant, at: Instant) -> TokioInstant {
    start + at.since(Instant::default()).min(FAR)
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is where ambient time enters"
)]
fn tokio_now() -> TokioInstant {
    TokioInstant::now()
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is where ambient time enters"
)]
fn system_wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default() + since.unwrap_or_default()
}
