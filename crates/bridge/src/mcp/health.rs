//! Whether an upstream is still there that says nothing: a process may hang, and a URL may lead
//! nowhere by now.
//!
//! It is asked now and then, and whenever something was odd. Only one that stays silent ends, and
//! not under calls that may still be answered: some servers hear nothing while they work.

use std::time::Duration;

use ostler_client::Client;
use ostler_env::Env;
use ostler_types::Instant;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::outcome;

const PING_EVERY: Duration = Duration::from_secs(60);
const PONG_MAX: Duration = Duration::from_secs(20);
const PING_AGAIN: Duration = Duration::from_secs(1);

/// In a row, before it is silent.
const MISSES_MAX: u32 = 3;

/// After so long a silence no call is waited for any more, unless it has more time of its own and had
/// begun before.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// What is known of an upstream's health.
#[derive(Default)]
pub(super) struct Health {
    calls: Mutex<Calls>,
    doubted: Notify,
}

#[derive(Default)]
struct Calls {
    running: usize,
    /// When none of those that ran together has time left.
    until: Instant,
}

/// A call in an upstream. One that is dropped before its end is a reason for doubt.
pub(super) struct Call<'a> {
    health: &'a Health,
    ending: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Dropped,
    Told,
}

impl Health {
    /// `until`: when it has no more time; none if it has no limit.
    pub fn call(&self, until: Option<Instant>) -> Call<'_> {
        let mut calls = self.calls.lock();
        calls.running += 1;
        calls.until = calls.until.max(until.unwrap_or_default());
        drop(calls);
        Call {
            health: self,
            ending: Ending::Dropped,
        }
    }

    /// Something was odd: it is asked at once.
    pub fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Ends when the upstream is taken for lost, and says why.
    pub async fn lost(&self, env: &Env, client: &Client) -> String {
        loop {
            env.until(env.now() + PING_EVERY, self.doubted.notified())
                .await;
            if let Some(why) = self.silence(env, client).await {
                return why;
            }
        }
    }

    /// None as soon as it answers, whatever it says.
    async fn silence(&self, env: &Env, client: &Client) -> Option<String> {
        let since = env.now();
        // Calls that begin while it is silent are no reason to wait longer.
        let until = self.calls.lock().until.max(since + SILENCE_MAX);
        let mut misses = 0;
        loop {
            let why = match env.until(env.now() + PONG_MAX, client.ping()).await {
                Some(Ok(())) => return None,
                Some(Err(error)) if outcome::is_answer(&error) => return None,
                Some(Err(error)) if outcome::is_over(&error) => return Some(error.to_string()),
                Some(Err(error)) => error.to_string(),
                None => "it answers no ping".to_owned(),
            };
            misses += 1;
            let is_used = self.calls.lock().running > 0;
            if misses >= MISSES_MAX && (env.now() >= until || !is_used) {
                return Some(why);
            }
            env.sleep(PING_AGAIN).await;
        }
    }
}

impl Call<'_> {
    pub fn end(mut self) {
        self.ending = Ending::Told;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut calls = self.health.calls.lock();
        calls.running -= 1;
        if calls.running == 0 {
            calls.until = Instant::default();
        }
        drop(calls);
        if self.ending == Ending::Dropped {
            self.health.doubt();
        }
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
