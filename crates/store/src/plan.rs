//! From batches to the rows of one engine commit: splits payloads, removes what an overwritten
//! record leaves behind, and keeps the deadline index in step.

use std::{ops::Bound, time::Duration};

use bytes::Bytes;

use ostler_types::{TenantId, Timestamp};

use crate::{
    Key, Record,
    batch::Change,
    engine::{Engine, EngineError, Writes},
    key::{Table, aside_key, deadline_key, part_key, parts_prefix},
    record::{self, Extent},
};

/// Rows that did not verify are kept this long.
const ASIDE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// No deadline is further away, whatever a writer says: nothing may become immortal by a
/// mistake in its arithmetic.
const DEADLINE_SPAN_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

/// The rows of one commit. Later changes see what earlier ones wrote.
pub(crate) struct Plan<'a> {
    engine: &'a dyn Engine,
    now: Timestamp,
    pub writes: Writes,
    pub expired: u64,
    /// Records that do not verify.
    pub corrupt: u64,
}

impl<'a> Plan<'a> {
    pub fn new(engine: &'a dyn Engine, now: Timestamp) -> Plan<'a> {
        Plan {
            engine,
            now,
            writes: Writes::new(),
            expired: 0,
            corrupt: 0,
        }
    }

    pub fn add(&mut self, change: Change) -> Result<(), EngineError> {
        match change {
            Change::Put {
                key,
                record,
                deadline,
            } => self.put(key.as_bytes(), &record, deadline),
            Change::Delete { key } => self.delete(key.as_bytes()),
            Change::Expire { key, deadline_ms } => self.expire(key.as_bytes(), deadline_ms),
            Change::SetAside { key, head } => self.set_aside(&key, &head),
        }
    }

    fn put(
        &mut self,
        key: &[u8],
        record: &Record,
        deadline: Option<Timestamp>,
    ) -> Result<(), EngineError> {
        let latest = self.now + DEADLINE_SPAN_MAX;
        let deadline = deadline.map(|at| Timestamp(at.0.clamp(1, latest.0)));
        self.clear(key)?;
        let rows = record::encode(key, record, deadline);
        self.writes.insert(key.to_vec(), Some(rows.head));
        for (index, part) in (1..).zip(rows.parts) {
            self.writes.insert(part_key(key, index), Some(part));
        }
        if let Some(at) = deadline {
            self.writes
                .insert(deadline_key(at.0, key), Some(Bytes::new()));
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), EngineError> {
        if self.get(key)?.is_some() {
            self.clear(key)?;
            self.writes.insert(key.to_vec(), None);
        }
        Ok(())
    }

    fn expire(&mut self, key: &[u8], deadline_ms: u64) -> Result<(), EngineError> {
        if let Some(head) = self.get(key)? {
            match record::extent(&head) {
                Ok(extent) if extent.deadline_ms == Some(deadline_ms) => {
                    self.delete(key)?;
                    self.expired += 1;
                }
                // It was given more time since; its new entry stands in the index.
                Ok(_) => {}
                Err(record::Damaged) => {
                    self.set_aside(&Key::from_stored(key.to_vec()), &head)?;
                }
            }
        }
        self.writes.insert(deadline_key(deadline_ms, key), None);
        Ok(())
    }

    fn set_aside(&mut self, key: &Key, head: &Bytes) -> Result<(), EngineError> {
        let key = key.as_bytes();
        if self.get(key)?.as_ref() != Some(head) || self.verifies(key, head)? {
            return Ok(());
        }
        self.corrupt += 1;
        self.clear_damaged(key)?;
        self.writes.insert(key.to_vec(), None);
        // What was aside already and is damaged again is of no use to anybody.
        if key.first() == Some(&(Table::Aside as u8)) {
            return Ok(());
        }
        let tenant = TenantId::parse("aside").expect("a good label");
        let record = Record::of_the_store(tenant, head.clone());
        self.put(&aside_key(key), &record, Some(self.now + ASIDE_KEPT))
    }

    /// Whoever found it damaged may have read it while a batch was half applied or taken back.
    fn verifies(&self, key: &[u8], head: &Bytes) -> Result<bool, EngineError> {
        let parts = parts(key, head, |part| self.get(part))?;
        Ok(parts.is_ok_and(|parts| record::decode(key, head, &parts).is_ok()))
    }

    /// Removes the parts and the index entry of what is stored under `key`, not its head.
    fn clear(&mut self, key: &[u8]) -> Result<(), EngineError> {
        let Some(head) = self.get(key)? else {
            return Ok(());
        };
        let Ok(Extent { deadline_ms, parts }) = record::extent(&head) else {
            return self.clear_damaged(key);
        };
        for index in 1..=parts {
            self.writes.insert(part_key(key, index), None);
        }
        if let Some(at) = deadline_ms {
            self.writes.insert(deadline_key(at, key), None);
        }
        Ok(())
    }

    /// The same when the head cannot be believed: looks for the parts. Its index entry is left
    /// to the janitor, who finds nothing under it.
    fn clear_damaged(&mut self, key: &[u8]) -> Result<(), EngineError> {
        let prefix = parts_prefix(key);
        let (start, count) = (Bound::Unbounded, usize::from(u16::MAX));
        for (part, _) in self.engine.scan(&prefix, start, count)? {
            if part.len() == prefix.len() + 2 {
                self.writes.insert(part, None);
            }
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.engine.get(key),
        }
    }
}

/// The rows behind a head.
pub(crate) fn parts(
    key: &[u8],
    head: &Bytes,
    get: impl Fn(&[u8]) -> Result<Option<Bytes>, EngineError>,
) -> Result<Parts, EngineError> {
    let count = match record::extent(head) {
        Ok(extent) => extent.parts,
        Err(damaged) => return Ok(Err(damaged)),
    };
    let mut parts = Vec::new();
    for index in 1..=count {
        match get(&part_key(key, index))? {
            Some(part) => parts.push(part),
            None => return Ok(Err(record::Damaged)),
        }
    }
    Ok(Ok(parts))
}

pub(crate) type Parts = Result<Vec<Bytes>, record::Damaged>;

#[cfg(test)]
mod tests {
    use ostler_types::Shard;

    use super::*;
    use crate::engine::memory::Memory;

    #[test]
    fn a_record_that_verifies_by_now_is_not_set_aside() {
        let engine = Memory::default();
        let tenant = TenantId::parse("acme").unwrap();
        let key = Key::new(Table::Tasks, Shard(1), &tenant);
        let mut plan = Plan::new(&engine, Timestamp(1));
        let record = Record::of_the_store(tenant, vec![7; 50_000].into());
        plan.put(key.as_bytes(), &record, None).unwrap();
        engine.write(&plan.writes);
        let head = engine.get(key.as_bytes()).unwrap().unwrap();

        let mut plan = Plan::new(&engine, Timestamp(1));
        plan.set_aside(&key, &head).unwrap();
        assert_eq!((plan.writes, plan.corrupt), (Writes::new(), 0));

        engine.write(&[(part_key(key.as_bytes(), 1), None)].into());
        let mut plan = Plan::new(&engine, Timestamp(1));
        plan.set_aside(&key, &head).unwrap();
        assert_eq!(plan.corrupt, 1);
        assert_eq!(plan.writes[key.as_bytes()], None);
    }
}
