//! Calls that a worker still runs or holds and that nobody here owns.

use std::sync::Arc;

use ostler_auth::WorkerGrant;
use ostler_types::{CallId, InstanceEpoch, WorkerId};

use crate::attempt::Placement;

/// Told of each such call, so that its owner can be found. Filled by `node`.
pub trait Orphans: Send + Sync {
    /// Must not wait. Ends in [`crate::Hub::attach`] by the owner or in [`crate::Hub::forget_at`];
    /// after the grace for kept calls the hub forgets it by itself.
    fn orphan(&self, call: CallId, placement: Placement);

    /// A process has linked that was not known here: what older ones of this worker ran is lost,
    /// also what was never heard of here and only its owner knows. That is only what `grant` may
    /// serve: before this node started another credential may have had this worker id. Must not
    /// wait.
    fn newcomer(&self, worker: &WorkerId, instance: InstanceEpoch, grant: &Arc<WorkerGrant>);

    /// How far the search for owners is behind.
    fn backlog(&self) -> Backlog {
        Backlog::Empty
    }
}

/// What became of the calls that [`Orphans`] was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// The owner of each was looked for.
    Empty,
    /// Some wait to be looked at: none is given up before that.
    Waiting,
    /// No more can wait: the hub keeps the rest until there is room.
    Full,
}
