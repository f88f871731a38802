//! One watch per (Server, resource) towards the workers, told to all who listen.

/// More resources are watched than the hub allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {0} resources are watched")]
pub struct TooManyWatches(pub usize);

/// A listener. The workers are told when the first one comes and when the last one goes.
pub struct Watch {}

impl Watch {
    /// Waits until the resource has changed since the last time. Changes in between count once.
    // Cancel safe: a change counts as told only when this returns.
    pub async fn changed(&mut self) {
        todo!()
    }
}
