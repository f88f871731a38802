//! A way to end what a client does from outside, so that the server hears of it.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends what holds its [`Stop`].
#[derive(Debug, Clone)]
pub struct Stopper(Arc<watch::Sender<bool>>);

/// Says when to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A stopper and what it stops.
pub fn stopper() -> (Stopper, Stop) {
    let (tx, rx) = watch::channel(false);
    (Stopper(Arc::new(tx)), Stop(rx))
}

impl Stopper {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until it is time to end; for ever if nobody can say so any more.
    // Cancel safe: it only looks.
    pub async fn wait(&self) {
        let mut rx = self.0.clone();
        if rx.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
