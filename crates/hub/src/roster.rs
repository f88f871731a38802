//! Which workers are linked, and how busy they are.

use ostler_types::{InstanceEpoch, WorkerId};

/// A worker that was linked when this was made.
#[derive(Clone)]
pub struct WorkerRef {}

/// Why a call was not sent. It did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    #[error("the worker has no room")]
    NoCredit,
    #[error("the worker is not linked or takes no calls")]
    NotLinked,
}

impl WorkerRef {
    pub fn id(&self) -> &WorkerId {
        todo!()
    }

    pub fn epoch(&self) -> InstanceEpoch {
        todo!()
    }

    /// Calls it runs now.
    pub fn in_flight(&self) -> u32 {
        todo!()
    }

    /// Calls it takes at once.
    pub fn capacity(&self) -> u32 {
        todo!()
    }
}
