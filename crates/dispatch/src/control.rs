//! Cancelling a call from elsewhere, whatever it is doing.

use std::{
    sync::{Arc, OnceLock},
    task::Waker,
};

use futures_util::task::AtomicWaker;

/// Made before its call. Cancelling works before the call starts, while it runs and after it
/// ended. Clones are the same control; dropping it does nothing.
#[derive(Clone, Default)]
pub struct CallControl(Arc<Shared>);

#[derive(Default)]
struct Shared {
    reason: OnceLock<String>,
    waker: AtomicWaker,
}

impl CallControl {
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the call to stop. Only the first reason counts. The call's holder still gets an
    /// outcome: the worker's, if that was faster.
    pub fn cancel(&self, reason: &str) {
        if self.0.reason.set(reason.to_owned()).is_ok() {
            self.0.waker.wake();
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.reason.get().is_some()
    }

    /// Why, if it was cancelled; if not, `waker` will be woken when it is.
    pub(crate) fn poll_reason(&self, waker: &Waker) -> Option<&str> {
        // In this order: a cancel between the two wakes the new waker.
        self.0.waker.register(waker);
        self.0.reason.get().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use super::*;

    #[test]
    fn the_first_reason_counts() {
        let control = CallControl::new();
        assert_eq!(control.poll_reason(Waker::noop()), None);
        control.cancel("one");
        control.clone().cancel("two");
        assert_eq!(control.poll_reason(Waker::noop()), Some("one"));
        assert!(control.is_cancelled());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let control = CallControl::new();
        let waiting = poll_fn(|cx| match control.poll_reason(cx.waker()) {
            Some(reason) => Poll::Ready(reason.to_owned()),
            None => Poll::Pending,
        });
        let cancel = async { control.cancel("enough") };
        let (reason, ()) = tokio::join!(waiting, cancel);
        assert_eq!(reason, "enough");
    }
}
