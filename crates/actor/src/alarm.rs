//! One timer that an actor sets, moves and clears.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use ostler_env::{Env, Sleep};
use ostler_types::Instant;

/// An alarm clock for `select!`: rings at its time, or never while it is not set. One that was
/// never set owns no timer, so an idle actor does not pay for it.
pub struct Alarm {
    env: Env,
    at: Option<Instant>,
    timer: Option<Sleep>,
}

impl Alarm {
    /// An alarm that is not set.
    pub fn new(env: &Env) -> Self {
        Alarm {
            env: env.clone(),
            at: None,
            timer: None,
        }
    }

    /// When it will ring.
    pub fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Sets or moves it; `None` clears it.
    pub fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        match (at, &mut self.timer) {
            (Some(at), Some(timer)) => timer.reset(at),
            (Some(at), timer @ None) => *timer = Some(self.env.deadline_sleep(at)),
            (None, timer) => *timer = None,
        }
    }

    /// Waits until it rings; then it is no longer set.
    // Cancel safe: the alarm stays set until the poll that returns.
    pub async fn ring(&mut self) {
        poll_fn(|cx| self.poll_ring(cx)).await;
    }

    /// [`Alarm::ring`] for hand-written polls.
    pub fn poll_ring(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        let rung = Pin::new(timer).poll(cx);
        if rung.is_ready() {
            self.set(None);
        }
        rung
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_once_at_its_last_time_and_never_when_cleared() {
        let env = Env::seeded(1);
        let second = Duration::from_secs(1);
        let mut alarm = Alarm::new(&env);
        alarm.set(Some(env.now() + second));
        alarm.set(Some(env.now() + second * 3));
        let start = env.now();
        alarm.ring().await;
        assert_eq!(env.now().since(start), second * 3);
        assert_eq!(alarm.at(), None);

        alarm.set(Some(env.now() + second));
        alarm.set(None);
        let rang = env.until(env.now() + second * 9, alarm.ring()).await;
        assert_eq!(rang, None);
    }
}
