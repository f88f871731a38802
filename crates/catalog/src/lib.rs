//! What a Server offers, and which workers serve it.
//!
//! Invariants: nothing is listed that was not checked when it was registered; one bad entry never
//! sinks the others; a [`Snapshot`] never changes; what a worker listed stays listed for a grace
//! after it left, so that a restart of a worker is not a change.
//! This crate knows no transport, no client and no session; it calls nobody.
//! Start with [`offer`] (what comes in), then [`snapshot`] (what goes out), then [`catalogs`].

pub mod offer;
mod text;
mod uri;
pub mod template;
mod cost;
pub mod schema;
mod check;
mod skill;
pub mod entry;
mod merge;
mod directory;
pub mod snapshot;
mod slot;
pub mod change;
pub mod catalogs;

pub use catalogs::Catalogs;
pub use change::{ChangeWatch, Changes, Fingerprints};
pub use directory::{DirectoryPage, without_slash};
pub use entry::{Prompt, Resource, Skill, Target, Template, Tool};
pub use offer::{Declarations, EntryKind, EntryRefusal, Offer, OfferedEntry};
pub use snapshot::{Capabilities, Page, Snapshot};
