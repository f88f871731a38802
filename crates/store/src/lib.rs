//! What must survive: atomic batches of opaque records, point reads, prefix scans, deadlines.
//!
//! Invariant: a commit that returned `Ok` survives a power cut, whole; a batch is applied
//! whole or not at all; a record that does not verify is never handed out.
//! Knows nothing of what is in a record: codecs live with the records' owners.
//! Start with [`Store`], then [`key`], then [`commit`](Store::commit) in `committer`.

mod key;
mod record;
mod batch;
mod error;
mod metrics;
mod plan;
mod committer;
mod store;
mod janitor;
mod compact;
mod engine;
pub mod offline;
pub mod faults;
pub mod disk;
pub mod conformance;

pub use batch::Batch;
pub use committer::{CommitTicket, Durable};
pub use compact::compact;
pub use engine::Rewritten;
pub use error::{CompactError, Health, OpenError, StoreError};
pub use janitor::Janitor;
pub use key::{Key, KeyPrefix, Table};
pub use record::{Owner, Record};
pub use store::{Config, EngineChoice, Store};
