//! Notifications and answers of a legacy host, told to the remote one after the other: `initialized`
//! before what follows it, an answer before the next. What a request waits for is only that all that
//! was said before it is told.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ostler_client::Error;
use tokio::sync::{mpsc, watch};

use super::{
    message::{Kind, Message},
    shared::Shared,
    trouble,
};

/// Each is a line of the host at most.
const QUEUE_MAX: usize = 4;
/// Notifications and answers may arrive twice without harm, as this does.
const HARMLESS: &str = "ping";

pub struct Teller {
    queue: mpsc::Sender<(Said, Message)>,
    said: AtomicU64,
    told: watch::Sender<Said>,
}

/// So many were to be told before.
pub type Said = u64;

impl Teller {
    pub fn new() -> (Teller, mpsc::Receiver<(Said, Message)>) {
        let (queue, rx) = mpsc::channel(QUEUE_MAX);
        let teller = Teller {
            queue,
            said: AtomicU64::new(0),
            told: watch::channel(0).0,
        };
        (teller, rx)
    }

    pub async fn tell(&self, message: Message) {
        let said = self.said.fetch_add(1, Ordering::Relaxed) + 1;
        // The other end works as long as we do.
        let _ = self.queue.send((said, message)).await;
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

pub async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<(Said, Message)>) {
    while let Some((said, message)) = queue.recv().await {
        if let Err(error) = tell(&shared, &message).await {
            tracing::warn!(
                error = trouble::text(&error),
                "a message of the host did not arrive"
            );
        }
        shared.teller.told.send_replace(said);
    }
}

async fn tell(shared: &Shared, message: &Message) -> Result<(), Error> {
    let mut attempts = 0;
    let session = loop {
        let Some(session) = shared.sessions.current().await? else {
            // Without a session nobody can mean it.
            return Ok(());
        };
        let Some(raw) = session.restored(message) else {
            // The session that asked is gone.
            return Ok(());
        };
        match session.post(&raw).await {
            Ok(_) => break session,
            Err(Error::SessionGone) => {
                shared.sessions.gone(session.number).await;
                // What is of the old session is of no use to the new one, and `initialized` is
                // said by whoever opens it, once it is known.
                match is_initialized(message) && attempts == 0 {
                    true => attempts += 1,
                    false => return Ok(()),
                }
            }
            Err(error) if shared.tries_again(&error, HARMLESS, &mut attempts).await => {}
            Err(error) => return Err(error),
        }
    };
    if is_initialized(message) {
        tracing::debug!(session = session.number, "the host is ready");
        shared.sessions.initialized(&message.raw).await;
    }
    Ok(())
}

fn is_initialized(message: &Message) -> bool {
    matches!(&message.kind, Kind::Notification { method } if method == "notifications/initialized")
}
