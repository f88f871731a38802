//! Calls that a worker still runs or holds and that nobody here owns.

use ostler_types::CallId;

use crate::attempt::Placement;

/// Told of each such call, so that its owner can be found. Filled by `node`.
pub trait Orphans: Send + Sync {
    /// Must not wait. Ends in [`crate::Hub::attach`] by the owner or in [`crate::Hub::forget`];
    /// after the grace for kept calls the hub forgets it by itself.
    fn orphan(&self, call: CallId, placement: Placement);
}
