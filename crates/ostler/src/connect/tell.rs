//! What a legacy host says that has no answer. Notifications are told to the remote one after the
//! other: `initialized` before what follows it. What a request waits for is only that all that was
//! said before is told. An answer, or a cancellation, goes apart: the remote may wait for just that
//! before it takes a notification. Each is given up after a while, so nothing waits for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ostler_client::Error;
use ostler_types::Instant;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{
    message::{Kind, Message},
    shared::Shared,
    stream::lost,
    trouble,
};

/// Each is a line of the host at most.
const QUEUE_MAX: usize = 4;
/// What goes apart at once: each is a line of the host at most. More wait, and the host with them.
const APART_MAX: usize = 16;
/// From the host's saying it: more than the quarter of a minute that a node has to come back.
const TELL_MAX: Duration = Duration::from_secs(20);
/// Notifications and answers may arrive twice without harm, as this does.
const HARMLESS: &str = "ping";

pub struct Teller {
    queue: mpsc::Sender<Waiting>,
    said: AtomicU64,
    told: watch::Sender<Said>,
    apart: Arc<Semaphore>,
}

/// So many were to be told before.
pub type Said = u64;

/// A notification in its turn.
pub struct Waiting {
    said: Said,
    until: Instant,
    message: Message,
}

impl Teller {
    pub fn new() -> (Teller, mpsc::Receiver<Waiting>) {
        let (queue, rx) = mpsc::channel(QUEUE_MAX);
        let teller = Teller {
            queue,
            said: AtomicU64::new(0),
            told: watch::channel(0).0,
            apart: Arc::new(Semaphore::new(APART_MAX)),
        };
        (teller, rx)
    }

    /// What a message that comes now comes after.
    pub fn said(&self) -> Said {
        self.said.load(Ordering::Relaxed)
    }

    /// Waits until all up to there was told, or could not be.
    pub async fn told(&self, said: Said) {
        // We hold the other end.
        let _ = self.told.subscribe().wait_for(|told| *told >= said).await;
    }
}

/// Tells a notification after those before it. Waits while too many do.
pub async fn in_turn(shared: &Shared, message: Message) {
    let waiting = Waiting {
        said: shared.teller.said.fetch_add(1, Ordering::Relaxed) + 1,
        until: shared.env.now() + TELL_MAX,
        message,
    };
    // The other end works as long as we do.
    let _ = shared.teller.queue.send(waiting).await;
}

/// Tells what waits for nothing that was said before. Waits while too many do.
pub async fn apart(shared: &Arc<Shared>, message: Message) {
    let until = shared.env.now() + TELL_MAX;
    let Ok(place) = shared.teller.apart.clone().acquire_owned().await else {
        // It is never closed.
        return;
    };
    let work = {
        let shared = shared.clone();
        async move {
            arrives(&shared, &message, until).await;
            drop(place);
        }
    };
    // It ends by its time, or with the process.
    drop(shared.env.spawn("connect.apart", work));
}

pub async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Waiting>) {
    while let Some(Waiting {
        said,
        until,
        message,
    }) = queue.recv().await
    {
        if arrives(&shared, &message, until).await && is_initialized(&message) {
            tracing::debug!("the host is ready");
            shared.sessions.initialized(&message.raw).await;
        }
        shared.teller.told.send_replace(said);
    }
}

/// Whether the remote took it, in time.
async fn arrives(shared: &Shared, message: &Message, until: Instant) -> bool {
    let told = shared.env.until(until, tell(shared, message)).await;
    match told.unwrap_or_else(|| Err(lost("no answer in time"))) {
        Ok(has_arrived) => has_arrived,
        Err(error) => {
            tracing::warn!(
                error = trouble::text(&error),
                "a message of the host did not arrive"
            );
            false
        }
    }
}

/// Whether there was a session that it is for.
// Cancel safe: a message that was not told, or not known to be, is as one that did not arrive.
async fn tell(shared: &Shared, message: &Message) -> Result<bool, Error> {
    let mut attempts = 0;
    loop {
        let Some(session) = shared.sessions.current().await? else {
            // Without a session nobody can mean it.
            return Ok(false);
        };
        let Some(raw) = session.restored(message) else {
            // The session that asked is gone.
            return Ok(false);
        };
        match session.post(&raw).await {
            Ok(_) => return Ok(true),
            Err(Error::SessionGone) => {
                shared.sessions.gone(session.number).await;
                // What is of the old session is of no use to the new one, and `initialized` is
                // said by whoever opens it, once it is known.
                match is_initialized(message) && attempts == 0 {
                    true => attempts += 1,
                    false => return Ok(false),
                }
            }
            Err(error) if shared.tries_again(&error, HARMLESS, &mut attempts).await => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_initialized(message: &Message) -> bool {
    matches!(&message.kind, Kind::Notification { method } if method == "notifications/initialized")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ostler_client::{Endpoint, Reach};
    use ostler_env::Env;

    use super::*;
    use crate::connect::message;

    #[tokio::test(start_paused = true)]
    async fn what_is_never_taken_is_waited_for_no_longer_than_its_time() {
        let env = Env::seeded(1);
        let endpoint = Endpoint {
            url: "http://127.0.0.1:1/".to_owned(),
            token: None,
            headers: Vec::new(),
            reach: Reach::Anywhere,
        };
        let shared = Shared::start(&env, &endpoint).expect("it connects to nothing yet");
        // Its `initialize` never has an answer.
        shared.sessions.opening();
        let read = || message::read(Bytes::from_static(br#"{"method":"notifications/x"}"#));
        let began = env.now();
        for _ in 0..2 * QUEUE_MAX {
            let message = read().expect("it is JSON").remove(0);
            in_turn(&shared, message.expect("it is a message")).await;
        }
        for _ in 0..2 * APART_MAX {
            let message = read().expect("it is JSON").remove(0);
            apart(&shared, message.expect("it is a message")).await;
        }
        shared.teller.told(shared.teller.said()).await;
        let waited = env.now().since(began);
        assert!(waited >= TELL_MAX && waited <= 3 * TELL_MAX, "{waited:?}");
    }
}
