//! Scripted clients: each is one principal, does things in the order of its dice, and holds the
//! platform to everything that was acknowledged.

mod errand;
mod legacy;
mod modern;
mod stream;
mod tasks;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ostler_env::Env;
use tokio::sync::watch;

use super::{
    dice::Dice,
    history::History,
    http::{self, Answer},
    network::Network,
};
use crate::http::{Door, Request};

use self::errand::Errand;
pub use legacy::legacy;
pub use modern::modern;

/// How often an obligation of the platform is asked for before it counts as broken.
const TRIES_MAX: usize = 600;

/// One client.
#[derive(Clone)]
pub struct Client {
    pub env: Env,
    pub dice: Dice,
    pub network: Network,
    pub history: History,
    pub who: Who,
    /// True once nothing is broken any more.
    pub calm: watch::Receiver<bool>,
    numbers: Arc<AtomicU64>,
}

/// Who a client is.
#[derive(Debug, Clone)]
pub struct Who {
    pub tenant: &'static str,
    pub subject: &'static str,
    pub key: String,
    /// In the history.
    pub name: String,
}

impl Client {
    pub fn new(
        env: &Env,
        dice: Dice,
        network: Network,
        history: History,
        who: Who,
        calm: watch::Receiver<bool>,
    ) -> Self {
        Self {
            env: env.clone(),
            dice,
            network,
            history,
            who,
            calm,
            numbers: Arc::default(),
        }
    }

    fn door(&self) -> Door {
        Door {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
            path: format!("/{}/main/mcp", self.who.tenant),
            key: Some(self.who.key.clone()),
        }
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A new call's token: it says whose it is, so that nobody else may ever see it. The colons keep
    /// it apart from what is sealed, whose letters are as good as random.
    fn token(&self) -> String {
        let Who {
            tenant,
            subject,
            name,
            ..
        } = &self.who;
        format!("tok:{tenant}:{subject}:{name}:{}", self.number())
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        self.history.note(&self.who.name, what);
    }

    fn violation(&self, what: std::fmt::Arguments<'_>) {
        self.history.violation(&self.who.name, what);
    }

    async fn pause(&self, least_ms: u64, most_ms: u64) {
        self.env.sleep(self.dice.millis(least_ms, most_ms)).await;
    }

    fn is_calm(&self) -> bool {
        *self.calm.borrow()
    }

    async fn exchange(&self, request: &Request) -> Answer {
        let answer = http::exchange(&self.env, &self.network, request).await;
        if let Answer::Whole(whole) = &answer {
            self.saw(&whole.body.to_string());
        }
        answer
    }

    /// Nothing of another principal may ever be seen (promises.md, I5).
    fn saw(&self, text: &str) {
        let own = format!("{}:{}:", self.who.tenant, self.who.subject);
        for (at, mark) in text.match_indices("tok:") {
            if !text[at + mark.len()..].starts_with(&own) {
                self.violation(format_args!("sees what is not its own: {text}"));
            }
        }
    }

    /// Tries until something comes of it. That the platform never answers breaks a promise.
    async fn insist<T>(
        &self,
        what: &str,
        mut try_once: impl AsyncFnMut() -> Option<T>,
    ) -> Option<T> {
        for _ in 0..TRIES_MAX {
            if let Some(done) = try_once().await {
                return Some(done);
            }
            self.pause(100, 1_000).await;
        }
        self.violation(format_args!("never got {what}"));
        None
    }
}

/// Whether trying again is what this refusal asks for.
fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// How long a client waits at most between two of its steps.
const STEP_MAX: Duration = Duration::from_secs(4);

/// Whether a message that gets no reply was taken.
async fn taken(client: &Client, request: &Request) -> Option<()> {
    let Answer::Whole(whole) = client.exchange(request).await else {
        return None;
    };
    match whole.status {
        202 => Some(()),
        status if is_passing(status) => None,
        status => {
            client.violation(format_args!(
                "a message is refused: {status} {}",
                whole.body
            ));
            Some(())
        }
    }
}
