//! A client's clock and bounds: when it tries again, when it waits no longer.

use ostler_env::Env;
use tokio::sync::mpsc;

use crate::{error::Error, limits::Limits};

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Pace {
    pub env: Env,
    pub limits: Limits,
}

impl Pace {
    /// Whether what changes nothing is worth another attempt; the pause before it is over then.
    pub(crate) async fn tries_again(&self, error: &Error, attempts: &mut u32) -> bool {
        let is_worth_it = error.may_pass() && *attempts < self.limits.resumptions_max;
        if is_worth_it {
            self.env.sleep(self.limits.pause(None, *attempts)).await;
            *attempts += 1;
        }
        is_worth_it
    }

    /// Says what may go unheard; it is not waited for longer than goodbyes may take.
    pub(crate) async fn goodbye<T>(&self, said: impl Future<Output = T>) {
        let until = self.env.now() + self.limits.goodbye_max;
        // It ends with the session, or in its own time.
        let _ = self.env.until(until, said).await;
    }
}

type Goodbye = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// How many may wait. Each is a small message, and takes the time of a goodbye at most.
const GOODBYES_MAX: usize = 64;

/// Says over HTTP what nobody waits for: that a request whose future was dropped is cancelled.
/// Its task ends after the last of those that may give it something to do.
#[derive(Clone)]
pub(crate) struct Goodbyes(mpsc::Sender<Goodbye>);

impl Goodbyes {
    pub(crate) fn start(pace: Pace) -> Goodbyes {
        let (tx, mut rx) = mpsc::channel::<Goodbye>(GOODBYES_MAX);
        let env = pace.env.clone();
        env.spawn("client.goodbyes", async move {
            while let Some(goodbye) = rx.recv().await {
                pace.goodbye(goodbye).await;
            }
        });
        Goodbyes(tx)
    }

    /// Does it soon. Where too much waits already the server is told nothing.
    pub(crate) fn run(&self, goodbye: impl Future<Output = ()> + Send + 'static) {
        let _ = self.0.try_send(Box::pin(goodbye));
    }
}
