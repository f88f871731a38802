//! What one turn changes, all of it or nothing.

use ostler_types::Timestamp;

use crate::{Key, Record, StoreError, key::KEY_BYTES_MAX, record::PAYLOAD_BYTES_MAX};

/// Changes to any tables that are applied together. A later change of a key wins.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(crate) changes: Vec<Change>,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put {
        key: Key,
        record: Record,
        deadline: Option<Timestamp>,
    },
    Delete {
        key: Key,
    },
    /// Delete the record if this is still its deadline, and the index entry in any case.
    Expire {
        key: Key,
        deadline_ms: u64,
    },
    /// Move a head that does not verify out of the way, if it is still that one.
    SetAside {
        key: Key,
        head: bytes::Bytes,
    },
}

impl Batch {
    /// A batch that changes nothing. Committing it waits for what was queued before.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Stores a record, in place of what was there. The janitor deletes it after `deadline`;
    /// without one it stays until deleted.
    pub fn put(&mut self, key: Key, record: Record, deadline: Option<Timestamp>) {
        self.changes.push(Change::Put {
            key,
            record,
            deadline,
        });
    }

    /// Deletes a record, if it is there.
    pub fn delete(&mut self, key: Key) {
        self.changes.push(Change::Delete { key });
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes it holds.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Adds the changes of another batch behind these.
    pub fn append(&mut self, other: Batch) {
        self.changes.extend(other.changes);
    }

    /// What it takes in the queue.
    pub(crate) fn bytes(&self) -> usize {
        self.changes.iter().map(Change::bytes).sum()
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let long = |change: &Change| {
            let payload = match change {
                Change::Put { record, .. } => record.payload.len(),
                Change::Delete { .. } | Change::Expire { .. } | Change::SetAside { .. } => 0,
            };
            change.key().as_bytes().len() > KEY_BYTES_MAX || payload > PAYLOAD_BYTES_MAX
        };
        match self.changes.iter().any(long) {
            true => Err(StoreError::TooLarge),
            false => Ok(()),
        }
    }
}

impl Change {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Change::Put { key, .. }
            | Change::Delete { key }
            | Change::Expire { key, .. }
            | Change::SetAside { key, .. } => key,
        }
    }

    fn bytes(&self) -> usize {
        const OVERHEAD: usize = 128;
        let payload = match self {
            Change::Put { record, .. } => record.payload.len(),
            Change::SetAside { head, .. } => head.len(),
            Change::Delete { .. } | Change::Expire { .. } => 0,
        };
        self.key().as_bytes().len() + payload + OVERHEAD
    }
}
